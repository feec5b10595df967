//! Things by path, of which only directories have others below them.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::solid::Solid;

/// What may have a path.
pub trait Thing {
    /// Whether others may lie under it.
    fn is_directory(&self) -> bool;
}

/// Things by normalized path.
#[derive(Clone, Debug)]
pub struct Paths<T> {
    things: BTreeMap<String, T>,
    solid: Solid,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { things: BTreeMap::new(), solid: Solid::default() }
    }
}

impl<T: Thing> Paths<T> {
    /// Adds a thing; directories above it need not be there. Fails, with the path and what is wrong, where something is, below
    /// what is not a directory, and for what is not one but has something below it.
    pub fn insert(&mut self, path: String, thing: T) -> Result<(), String> {
        if self.things.contains_key(&path) {
            return Err(format!("{path:?}: there are two entries for this path"));
        }
        for above in self.solid.above(&path) {
            if self.things.get(above).is_some_and(|thing| !thing.is_directory()) {
                return Err(format!("{path:?}: lies under {above:?}, which is not a directory"));
            }
        }
        let directory = thing.is_directory();
        if !directory && let Some(below) = self.first_below(&path) {
            return Err(format!("{path:?}: is not a directory, but {below:?} lies under it"));
        }
        self.solid.insert(&path, directory);
        self.things.insert(path, thing);
        Ok(())
    }

    /// All of them.
    pub fn map(&self) -> &BTreeMap<String, T> {
        &self.things
    }

    /// The directory at a path, if one is there.
    pub fn directory(&mut self, path: &str) -> Option<&mut T> {
        self.things.get_mut(path).filter(|thing| thing.is_directory())
    }

    /// All of them.
    pub fn into_map(self) -> BTreeMap<String, T> {
        self.things
    }

    fn first_below(&self, path: &str) -> Option<&str> {
        let prefix = format!("{path}/");
        let (first, _) = self.things.range::<str, _>((Bound::Included(&*prefix), Bound::Unbounded)).next()?;
        first.starts_with(&prefix).then_some(first)
    }
}
