//! Finds at each position the earlier places that go on alike: libdeflate's `bt_matchfinder.h`, and its use in
//! `deflate_compress_near_optimal`. What is found depends on the data alone, and not on what becomes of it.

use std::hint::black_box;

use crate::tables::{MAX_MATCH, MIN_MATCH, WINDOW, offset_slot};

/// How many nodes of a tree are looked at.
const DEPTH: u32 = 300;
/// The least that may be left of the data where a match is looked for.
const REQUIRED: usize = 5;
const HASHES: usize = 1 << 16;
/// Of no position: as far back as none may lie.
const NONE: i16 = i16::MIN;
/// How many positions are found at a time, and about how many words their matches may take.
const BATCH: usize = 1 << 16;
const WORDS: usize = 1 << 18;

/// How a match is packed: its length, its distance, and the slot of that.
pub(crate) const OFFSET_SHIFT: u32 = 9;
pub(crate) const SLOT_SHIFT: u32 = 25;
pub(crate) const LENGTH_MASK: u32 = (1 << OFFSET_SHIFT) - 1;
pub(crate) const OFFSET_MASK: u32 = (1 << (SLOT_SHIFT - OFFSET_SHIFT)) - 1;

/// What was found at some positions, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// Of each position its matches, the shortest first, and then how many they are with the literal in place of the distance.
    pub(crate) cache: Vec<u32>,
    /// Of each position how it goes on.
    pub(crate) steps: Vec<Step>,
}

/// A position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// How many words of the cache it has.
    pub(crate) words: u16,
    /// The length of its longest match.
    pub(crate) longest: u16,
    /// Is it so long that no match was looked for at the other positions that it covers?
    pub(crate) nice: bool,
}

/// A binary tree a hash of four bytes, of all positions in the window, sorted by what follows them.
struct Trees {
    hash3: Box<[[i16; 2]; HASHES]>,
    hash4: Box<[i16; HASHES]>,
    children: Box<[i16; 2 * WINDOW]>,
    next3: u32,
    next4: u32,
}

/// Finds matches in data that comes piece by piece.
pub(crate) struct Finder {
    trees: Trees,
    /// The window, and what comes after it.
    data: Vec<u8>,
    /// Where in the data the next position is.
    at: usize,
    /// Positions count from here: there is a multiple of the window's size before it.
    base: usize,
    /// The next positions that a match covers which is long enough.
    covered: usize,
    max: usize,
    nice: usize,
}

impl Finder {
    pub(crate) fn new() -> Self {
        let trees = Trees {
            hash3: boxed(HASHES, [NONE; 2]),
            hash4: boxed(HASHES, NONE),
            children: boxed(2 * WINDOW, NONE),
            next3: 0,
            next4: 0,
        };
        Self { trees, data: Vec::new(), at: 0, base: 0, covered: 0, max: MAX_MATCH, nice: MAX_MATCH }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let old = self.base.saturating_sub(WINDOW);
        self.data.drain(..old);
        (self.at, self.base) = (self.at - old, self.base - old);
        self.data.extend_from_slice(piece);
    }

    /// Finds the matches of the next positions, but not of the last `hold` ones; nothing where there are no more.
    pub(crate) fn find(&mut self, hold: usize) -> Option<Matches> {
        let end = self.data.len().saturating_sub(hold).min(self.at + BATCH);
        if self.at >= end {
            return None;
        }
        let mut found = Matches { cache: Vec::with_capacity(2 * BATCH), steps: Vec::with_capacity(BATCH) };
        while self.at < end && found.cache.len() < WORDS {
            self.position(&mut found);
        }
        Some(found)
    }

    fn position(&mut self, found: &mut Matches) {
        if self.at - self.base == WINDOW {
            self.trees.slide();
            self.base = self.at;
        }
        let remaining = self.data.len() - self.at;
        if remaining < MAX_MATCH {
            self.max = remaining;
            self.nice = self.nice.min(remaining);
        }
        let before = found.cache.len();
        let mut step = Step { words: 1, longest: 0, nice: false };
        if self.covered > 0 {
            self.covered -= 1;
            if self.max >= REQUIRED {
                self.trees.advance::<false>(
                    &self.data,
                    self.base,
                    self.at,
                    self.nice,
                    self.nice,
                    &mut found.cache,
                );
            }
        } else {
            if self.max >= REQUIRED {
                self.trees.advance::<true>(
                    &self.data,
                    self.base,
                    self.at,
                    self.max,
                    self.nice,
                    &mut found.cache,
                );
            }
            let count = found.cache.len() - before;
            let longest =
                if count > 0 { (found.cache[before + count - 1] & LENGTH_MASK) as usize } else { 0 };
            let nice = longest >= MIN_MATCH && longest >= self.nice;
            if nice {
                self.covered = longest - 1;
            }
            step = Step { words: count as u16 + 1, longest: longest as u16, nice };
        }
        let count = u32::from(step.words) - 1;
        found.cache.push(count | u32::from(self.data[self.at]) << OFFSET_SHIFT);
        found.steps.push(step);
        self.at += 1;
    }
}

impl Trees {
    /// Lets positions count from where the window ends now.
    fn slide(&mut self) {
        let rebase = |position: &mut i16| *position = i16::MIN | (*position & !(*position >> 15));
        self.hash3.as_flattened_mut().iter_mut().for_each(rebase);
        self.hash4.iter_mut().for_each(rebase);
        self.children.iter_mut().for_each(rebase);
    }

    /// Goes over the position at `at`: puts it into its tree, whose new root it becomes, and looks for matches on the way.
    #[inline]
    fn advance<const RECORD: bool>(
        &mut self,
        data: &[u8],
        base: usize,
        at: usize,
        max: usize,
        nice: usize,
        found: &mut Vec<u32>,
    ) {
        let position = (at - base) as i32;
        let cutoff = position - WINDOW as i32;
        let there = |node: i16| base.wrapping_add_signed(node as isize);
        let here = &data[at..at + max];
        let following = u32::from_le_bytes([data[at + 1], data[at + 2], data[at + 3], data[at + 4]]);
        let (hash3, hash4) = (self.next3 as usize % HASHES, self.next4 as usize % HASHES);
        (self.next3, self.next4) = (hash(following & 0x00ff_ffff), hash(following));
        // Looked at already, they are in the processor's cache when their turn comes.
        black_box((self.hash3[self.next3 as usize % HASHES], self.hash4[self.next4 as usize % HASHES]));

        let [first, second] = self.hash3[hash3];
        self.hash3[hash3] = [position as i16, first];
        if RECORD && i32::from(first) > cutoff {
            let alike = |node: i16| data[there(node)..there(node) + 3] == here[..3];
            if alike(first) {
                found.push(packed(3, at - there(first)));
            } else if i32::from(second) > cutoff && alike(second) {
                found.push(packed(3, at - there(second)));
            }
        }

        let mut node = self.hash4[hash4];
        self.hash4[hash4] = position as i16;
        let mut less = left(position as i16);
        let mut greater = less + 1;
        let (mut shared_less, mut shared_greater, mut length, mut longest) = (0, 0, 0, 3);
        let mut depth = DEPTH;
        loop {
            if i32::from(node) <= cutoff || depth == 0 {
                self.children[less] = NONE;
                self.children[greater] = NONE;
                return;
            }
            depth -= 1;
            let start = there(node);
            let that = &data[start..start + max];
            if that[length] == here[length] {
                length = extend(here, that, length + 1);
                if !RECORD || length > longest {
                    if RECORD {
                        longest = length;
                        found.push(packed(length as u32, at - start));
                    }
                    if length >= nice {
                        self.children[less] = self.children[left(node)];
                        self.children[greater] = self.children[left(node) + 1];
                        return;
                    }
                }
            }
            if that[length] < here[length] {
                self.children[less] = node;
                less = left(node) + 1;
                node = self.children[less];
                shared_less = length;
                length = length.min(shared_greater);
            } else {
                self.children[greater] = node;
                greater = left(node);
                node = self.children[greater];
                shared_greater = length;
                length = length.min(shared_less);
            }
        }
    }
}

/// Where a node's left child is; the right one is next to it.
fn left(node: i16) -> usize {
    2 * (node as usize % WINDOW)
}

fn hash(bytes: u32) -> u32 {
    bytes.wrapping_mul(0x1e35_a7bd) >> 16
}

fn packed(length: u32, offset: usize) -> u32 {
    let offset = offset as u32;
    length | offset << OFFSET_SHIFT | offset_slot(offset) << SLOT_SHIFT
}

/// How many bytes are alike, of which so many are known to be.
#[inline]
fn extend(here: &[u8], that: &[u8], known: usize) -> usize {
    let mut length = known;
    let (a, b) = (here[known..].chunks_exact(8), that[known..].chunks_exact(8));
    for (a, b) in a.zip(b) {
        let word = |chunk: &[u8]| chunk.try_into().map(u64::from_le_bytes).unwrap_or_default();
        let differ = word(a) ^ word(b);
        if differ != 0 {
            return length + differ.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + here[length..].iter().zip(&that[length..]).take_while(|(a, b)| a == b).count()
}

fn boxed<T: Copy, const N: usize>(length: usize, value: T) -> Box<[T; N]> {
    // On the heap from the start: an array made on the stack is too large for a thread's.
    vec![value; length].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!())
}
