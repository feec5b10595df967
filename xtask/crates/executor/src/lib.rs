//! Carries a plan out on this machine, with the store as cache.
//!
//! Only what is missing is made: a layer that is in the store asks for no component, and no tool is looked for unless
//! something is compiled.

mod component;
mod layer;
mod layout;
mod pack;
mod probe;
mod tools;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use alpine::fetch::Mirror;
use anyhow::{Context as _, Result};
use oci::image::LayerBlob;
use plan::{Component, Layer, Plan, Sources, Target};
use progress::Progress;
use progress::timings::Timings;
use store::{Key, Store};

pub use layer::FILES as LAYER_FILES;
pub use layout::{Built, BuiltImage, BuiltLayer};
pub use probe::{Machine, Probe};
pub use tools::Tools;

/// Carries plans out.
pub struct Executor<'a> {
    /// Keeps all that is made.
    pub store: &'a Store,
    /// The repository's files.
    pub sources: &'a Sources,
    /// The pinned tools.
    pub tools: Tools<'a>,
    /// Asked for Alpine's files first.
    pub mirrors: Vec<Mirror>,
    /// Hears of progress.
    pub progress: &'a dyn Progress,
    /// How many things to do at once.
    pub jobs: usize,
    /// How long each step took.
    pub timings: Timings,
}

impl Executor<'_> {
    /// Builds everything in the plan and leaves a layout a target in `out`.
    pub fn build(&self, plan: &Plan, out: &Path) -> Result<Vec<Built>> {
        let mut blobs = BTreeMap::new();
        let mut missing = BTreeMap::new();
        for (key, layer) in &plan.layers {
            match self.store.find_object(key)? {
                Some(object) => _ = blobs.insert(key, layer::blob(&object, &layer.name)?),
                None => _ = missing.insert(key, layer),
            }
        }
        for image in
            plan.images.values().filter(|image| image.layers.iter().any(|key| missing.contains_key(key)))
        {
            self.check_stack(image.layers.iter().filter_map(|key| plan.layers.get(key)))
                .with_context(|| format!("the layers of `{}`", image.attribute))?;
        }
        blobs.extend(self.make_layers(plan, &missing)?);
        let at = |target: &Target| out.join(format!("{}{}", target.attribute(), plan.suffix));
        plan.targets.iter().map(|target| self.layout(plan, target, &blobs, at(target))).collect()
    }

    /// Makes `layout` the layout of a plan's only target, whose layers are all in the store.
    pub fn assemble(&self, plan: &Plan, layout: &Path) -> Result<()> {
        let [target] = plan.targets.as_slice() else {
            anyhow::bail!("not one target, but {}", plan.targets.len())
        };
        let mut blobs = BTreeMap::new();
        for (key, layer) in &plan.layers {
            let object = self.store.find_object(key)?.context("a layer is not in the store")?;
            blobs.insert(key, layer::blob(&object, &layer.name)?);
        }
        for image in plan.images.values() {
            // Alpine's files are in a layer already: they are not needed for it.
            let trees = image.layers.iter().map(|key| match plan.layers.get(key) {
                Some(layer) if layer.alpine.is_none() => layer.outline(),
                _ => layer::outline(blobs.get(key).context("a layer was not made")?),
            });
            let trees = trees.collect::<Result<Vec<_>>>()?;
            oci::layer::check_stack(&trees.iter().collect::<Vec<_>>())
                .with_context(|| format!("the layers of `{}`", image.attribute))?;
        }
        self.layout(plan, target, &blobs, layout.to_owned()).map(drop)
    }

    /// The plan has compared its layers with each other, but not with Alpine's files, which it does not read.
    pub fn check_stack<'l>(&self, layers: impl Iterator<Item = &'l Layer>) -> Result<()> {
        let mut trees = Vec::new();
        for layer in layers {
            trees.extend(self.alpine(layer)?);
            trees.push(layer.outline()?);
        }
        oci::layer::check_stack(&trees.iter().collect::<Vec<_>>())
    }

    /// Fetches what the plan needs that is not in the store.
    pub fn fetch(&self, plan: &Plan) -> Result<()> {
        for recipe in plan.layers.values().filter_map(|layer| layer.alpine.as_ref()) {
            recipe.fetch(&self.fetcher(recipe), &self.sources.alpine_keys()?)?;
        }
        plan.components.values().try_for_each(|component| {
            exec::interrupt::check()?;
            self.fetch_component(component)
        })
    }

    /// The bytes of a component; none if it is not in the store.
    fn size(&self, key: &Key) -> u64 {
        fs::metadata(self.store.object_path(key).join(Component::FILE)).map_or(0, |file| file.len())
    }

    /// Makes layers, each as soon as its components are there: compressing one goes on beside compiling the next.
    fn make_layers<'p>(
        &self,
        plan: &'p Plan,
        missing: &BTreeMap<&'p Key, &'p Layer>,
    ) -> Result<BTreeMap<&'p Key, LayerBlob>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.jobs).build().context("no threads")?;
        let made = Mutex::new(BTreeMap::new());
        let failed: Mutex<Option<anyhow::Error>> = Mutex::new(None);
        // The first failure is the one to tell: others are its consequences, or come again in the next build.
        let fail = |error| _ = failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        let make = |key, layer: &Layer| match self.layer(key, layer) {
            Ok(blob) => _ = made.lock().unwrap_or_else(PoisonError::into_inner).insert(key, blob),
            Err(error) => fail(error),
        };
        let mut waiting: Vec<(&Key, &Layer)> = missing.iter().map(|(key, layer)| (*key, *layer)).collect();
        let wanted: BTreeSet<&Key> = waiting.iter().flat_map(|(_, layer)| layer.components()).collect();
        // Begun last, the largest layer would go on alone when all others are done.
        let mut wanted: Vec<&Key> = wanted.into_iter().collect();
        wanted.sort_by_key(|key| Reverse(self.size(key)));
        pool.in_place_scope(|scope| {
            let mut there: BTreeSet<&Key> = BTreeSet::new();
            let mut start_ready = |there: &BTreeSet<&Key>| {
                let ready = |layer: &Layer| layer.components().all(|key| there.contains(key));
                let mut ready: Vec<_> = waiting.extract_if(.., |(_, layer)| ready(layer)).collect();
                ready.sort_by_key(|(_, layer)| {
                    Reverse(layer.components().map(|key| self.size(key)).sum::<u64>())
                });
                for (key, layer) in ready {
                    let make = &make;
                    scope.spawn(move |_| make(key, layer));
                }
            };
            start_ready(&there);
            for key in wanted {
                if failed.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                    break;
                }
                let done = plan.components.get(key).context("the plan has no such component");
                if let Err(error) = done.and_then(|component| self.component(key, component)) {
                    fail(error);
                    break;
                }
                there.insert(key);
                start_ready(&there);
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}
