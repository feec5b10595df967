//! Which of a tree's paths nothing may lie under.

use std::collections::HashSet;

/// The paths of what is not a directory. All that lies above a path is asked for in the time that it takes to read the path
/// once; to look each directory up by its name reads all of it again for each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Solid {
    /// Hashes: two paths may have one, so what is found is only a candidate.
    hashes: HashSet<u64>,
    /// The last path that nothing solid lies above. Most have their neighbours' directories.
    before: String,
}

impl Solid {
    /// Takes note of a normalized path that nothing solid lies above.
    pub(crate) fn insert(&mut self, path: &str, directory: bool) {
        if !directory {
            self.hashes.extend(prefixes(path, 0).last().map(|(_, hash)| hash));
        }
        path.clone_into(&mut self.before);
    }

    /// The directories above a normalized path, outermost first, that are noted here as none, and perhaps others.
    pub(crate) fn above<'p>(&self, path: &'p str) -> impl Iterator<Item = &'p str> {
        let shared = shared(path, &self.before);
        // A name that ends within what both begin with is that of a directory above the other, too.
        let any = path.as_bytes()[shared..].contains(&b'/');
        let above = any.then(|| prefixes(path, shared)).into_iter().flatten();
        let above = above.filter(|(prefix, _)| prefix.len() < path.len());
        above.filter(|(_, hash)| self.hashes.contains(hash)).map(|(prefix, _)| prefix)
    }
}

/// How many bytes two texts begin with in common.
pub(crate) fn shared(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

/// A path's directories, outermost first, and then itself, each with its hash: FNV-1a. Without those whose names end within so
/// many bytes.
fn prefixes(path: &str, after: usize) -> impl Iterator<Item = (&str, u64)> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    path.bytes().chain([b'/']).enumerate().filter_map(move |(at, byte)| {
        let prefix = (byte == b'/' && at >= after).then(|| (&path[..at], hash));
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        prefix
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_found_above_and_nothing_else() {
        for before in ["", "a", "a/x", "x/y/z", "a-b/d"] {
            let mut solid = Solid::default();
            for path in ["a/b", "c", "a-b/c"] {
                solid.insert(path, false);
            }
            solid.insert(before, true);
            let above = |path| solid.above(path).collect::<Vec<_>>();
            assert_eq!(above("a/b/c/d"), ["a/b"], "{before}");
            assert_eq!(above("c/b"), ["c"], "{before}");
            for free in ["a/b", "a/bc/d", "ab/c", "a/c", "c", "b/c/x", "a-b", "cc/x", "a/x/b", "x/y/z/c"] {
                assert_eq!(above(free), [""; 0], "{before} {free}");
            }
        }
    }

    #[test]
    fn what_lies_above_the_path_before_is_not_looked_at_again() {
        let mut solid = Solid::default();
        solid.insert("a", false);
        assert_eq!(solid.above("a/b").count(), 1);
        // It says that nothing solid is above it.
        solid.insert("a/c", true);
        assert_eq!((solid.above("a/b").count(), solid.above("a/c/d").count()), (0, 0));
    }

    #[test]
    fn prefixes_are_those_of_whole_names() {
        let all = |after| prefixes("ab/c/def", after).map(|(prefix, _)| prefix).collect::<Vec<_>>();
        assert_eq!(all(0), ["ab", "ab/c", "ab/c/def"]);
        assert_eq!((all(2), all(3)), (vec!["ab", "ab/c", "ab/c/def"], vec!["ab/c", "ab/c/def"]));
        // Each has the hash that it has by itself.
        for (prefix, hash) in prefixes("ab/c/def", 0) {
            assert_eq!(prefixes(prefix, 0).last(), Some((prefix, hash)));
        }
    }
}
