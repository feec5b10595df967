//! The cheapest way through a block: at each position a literal or one of the matches.

use crate::costs::Costs;
use crate::finder::{LENGTH_MASK, OFFSET_SHIFT, SLOT_SHIFT};
use crate::huffman::Frequencies;
use crate::tables::{END_OF_BLOCK, FIRST_LENGTH, LENGTH_SLOT, MAX_MATCH, MIN_MATCH};

/// More than any way costs.
const NO_WAY: u32 = 1 << 31;

/// Blocks of fewer bytes are gone through on one thread.
const SPLIT: usize = 32 << 10;
/// How far behind the middle of a block its first half begins to be gone through, at least.
const OVERLAP: usize = 2 << 10;

/// The cheapest ways from each position of a block to its end.
pub(crate) struct Paths {
    costs: Vec<u32>,
    /// The costs of a first half that is gone through beside the second one.
    first: Vec<u32>,
    /// A match as the finder packs it, of the length that is taken; a literal in place of the distance, with length 1.
    items: Vec<u32>,
}

/// Some positions, and where their matches begin.
#[derive(Default)]
pub(crate) struct Marks(Vec<(usize, usize)>);

/// A block: its matches, and where in those some of its positions are.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) length: usize,
    pub(crate) cache: &'a [u32],
    pub(crate) marks: &'a Marks,
}

impl Marks {
    /// Takes note of a position now and then.
    pub(crate) fn note(&mut self, at: usize, word: usize) {
        if self.0.last().is_none_or(|(last, _)| at >= last + OVERLAP / 2) {
            self.0.push((at, word));
        }
    }

    /// Lets positions count from the end of a block.
    pub(crate) fn forget(&mut self, length: usize, words: usize) {
        self.0.retain(|(at, _)| *at >= length);
        self.0.iter_mut().for_each(|(at, word)| (*at, *word) = (*at - length, *word - words));
    }

    /// The first one that is not before this.
    fn after(&self, at: usize) -> Option<(usize, usize)> {
        self.0.get(self.0.partition_point(|(noted, _)| *noted < at)).copied()
    }
}

impl Paths {
    pub(crate) fn new() -> Self {
        Self { costs: Vec::new(), first: Vec::new(), items: Vec::new() }
    }

    /// Finds the cheapest way through a block: what it costs.
    pub(crate) fn find(&mut self, block: Block<'_>, model: &Costs) -> u32 {
        let Block { length, cache, marks } = block;
        self.costs.resize((length + MAX_MATCH).max(self.costs.len()), 0);
        self.items.resize(length.max(self.items.len()), 0);
        end_at(&mut self.costs[length..]);
        let middle =
            marks.after(length / 2).and_then(|middle| Some((middle, marks.after(middle.0 + OVERLAP)?)));
        match middle {
            Some((middle, overlap)) if length >= SPLIT && overlap.0 + MAX_MATCH < length => {
                self.find_in_halves(block, model, middle, overlap)
            }
            _ => {
                sweep(&mut self.costs, &mut self.items[..length], cache, model);
                self.costs[0]
            }
        }
    }

    /// What is cheapest at a position depends on what the next ones cost, but only on how much more one costs than
    /// another, and where the way ends is soon forgotten. So the first half is gone through at the same time as the second, as
    /// if the block ended somewhat behind the middle. If the costs at the middle are then the true ones but for what
    /// they all have in common, so is the way; or else the first half is gone through again.
    fn find_in_halves(
        &mut self,
        block: Block<'_>,
        model: &Costs,
        (middle, word): (usize, usize),
        (overlap, overlap_word): (usize, usize),
    ) -> u32 {
        let Block { length, cache, .. } = block;
        let (first, second) = self.items[..length].split_at_mut(middle);
        let (costs, half) = (&mut self.costs[middle..], &mut self.first);
        half.resize((overlap + MAX_MATCH).max(half.len()), 0);
        std::thread::scope(|scope| {
            scope.spawn(|| sweep(costs, second, &cache[word..], model));
            end_at(&mut half[overlap..]);
            let mut unused = vec![0; overlap - middle];
            sweep(&mut half[middle..], &mut unused, &cache[word..overlap_word], model);
            sweep(half, first, &cache[..word], model);
        });
        let around = middle..middle + MAX_MATCH;
        let more = |half: &[u32], at: usize| self.costs[at].wrapping_sub(half[at]);
        if around.clone().any(|at| more(half, at) != more(half, middle)) {
            half[around.clone()].copy_from_slice(&self.costs[around]);
            sweep(half, first, &cache[..word], model);
        }
        half[0].wrapping_add(more(half, middle))
    }

    /// What the way consists of.
    pub(crate) fn items(&self, length: usize) -> impl Iterator<Item = u32> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let item = *self.items[..length].get(at)?;
            at += (item & LENGTH_MASK) as usize;
            Some(item)
        })
    }

    /// How often it uses each symbol.
    pub(crate) fn frequencies(&self, length: usize) -> Frequencies {
        let mut frequencies = Frequencies::NONE;
        for item in self.items(length) {
            let taken = (item & LENGTH_MASK) as usize;
            if taken == 1 {
                frequencies.litlen[(item >> OFFSET_SHIFT) as usize % 256] += 1;
            } else {
                frequencies.litlen[FIRST_LENGTH + usize::from(LENGTH_SLOT[taken])] += 1;
                frequencies.offset[(item >> SLOT_SHIFT) as usize % 32] += 1;
            }
        }
        frequencies.litlen[END_OF_BLOCK] += 1;
        frequencies
    }
}

/// Lets ways end here, and none lead past it.
fn end_at(costs: &mut [u32]) {
    costs[..MAX_MATCH].fill(NO_WAY);
    costs[0] = 0;
}

/// Goes through positions from the last to the first. What those behind them cost is there.
fn sweep(costs: &mut [u32], items: &mut [u32], cache: &[u32], model: &Costs) {
    let mut rest = cache;
    let mut next = costs[items.len()];
    for (at, item) in items.iter_mut().enumerate().rev() {
        let Some((head, before)) = rest.split_last() else { return };
        let literal = head >> OFFSET_SHIFT;
        let (before, matches) = before.split_at(before.len() - (head & LENGTH_MASK) as usize);
        rest = before;
        let mut best = next + model.literal[literal as usize % 256];
        let mut choice = literal << OFFSET_SHIFT | 1;
        if let Some(longest) = matches.last() {
            let ahead = &costs[at..=at + (longest & LENGTH_MASK) as usize];
            let mut from = MIN_MATCH;
            for found in matches {
                let to = (found & LENGTH_MASK) as usize;
                let offset = model.offset[(found >> SLOT_SHIFT) as usize % 32];
                let costs = model.length[from..=to].iter().zip(&ahead[from..=to]);
                for (length, (cost, ahead)) in (from as u32..).zip(costs) {
                    let cost = offset + cost + ahead;
                    if cost < best {
                        best = cost;
                        choice = found & !LENGTH_MASK | length;
                    }
                }
                from = to + 1;
            }
        }
        *item = choice;
        costs[at] = best;
        next = best;
    }
}
