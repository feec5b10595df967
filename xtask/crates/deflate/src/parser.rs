//! Chooses where blocks end and what they consist of: libdeflate's `deflate_compress_near_optimal` at its slowest level.

use crate::block::{self, Bits, Header, dynamic_bits};
use crate::costs::{BIT, Costs, Defaults, min_length};
use crate::finder::{Matches, OFFSET_SHIFT, Step};
use crate::huffman::{Codes, Frequencies};
use crate::path::{Block, Marks, Paths};
use crate::queue::Queue;
use crate::split::{MIN_BLOCK, Observations, Seen};
use crate::tables::{END_OF_BLOCK, MAX_MATCH, MIN_MATCH};

/// How long blocks get, about.
const SOFT_MAX: usize = 300_000;
/// How many words of matches make a block end.
const CACHE: usize = SOFT_MAX * 5;
/// How often a block is gone through at most.
const PASSES: usize = 10;
/// Up to this size, the codes that DEFLATE defines are tried.
const FIXED: usize = 10_000;
/// How much of a block tells how many literals it uses.
const SAMPLE: usize = 4_096;
/// Data of so few bytes is not compressed.
const PASS_THROUGH: usize = 7;
/// How much of what follows a position is known before it is looked at, or else where the data ends.
pub(crate) const AHEAD: usize = SOFT_MAX + MIN_BLOCK + SAMPLE;

/// What the parser is given, in order: data always precedes its matches by [`AHEAD`].
pub(crate) enum Input {
    Data(std::sync::Arc<[u8]>),
    Found(Matches),
    /// The data ends; matches may follow.
    End,
}

/// Compresses data whose matches are found already.
pub(crate) struct Parser<I, O> {
    input: I,
    output: O,
    bits: Bits,
    /// The data from the block's beginning on.
    data: Queue<u8>,
    ended: bool,
    /// The matches of the same.
    cache: Queue<u32>,
    steps: std::vec::IntoIter<Step>,
    /// How many of its bytes and words the block has so far.
    at: usize,
    word: usize,
    seen: Seen,
    before: Observations,
    costs: Costs,
    fixed: Codes,
    paths: Paths,
    marks: Marks,
    first: bool,
    only_literals: bool,
}

/// The other end is gone.
pub(crate) struct Gone;

impl<I: FnMut() -> Result<Input, Gone>, O: FnMut(Vec<u8>, usize) -> Result<(), Gone>> Parser<I, O> {
    /// Gets matches from `input` and gives what is written to `output`, with the number of bytes that are in it.
    pub(crate) fn new(input: I, output: O) -> Self {
        Self {
            input,
            output,
            bits: Bits::default(),
            data: Queue::default(),
            ended: false,
            cache: Queue::default(),
            steps: Vec::new().into_iter(),
            at: 0,
            word: 0,
            seen: Seen::NOTHING,
            before: Observations::default(),
            costs: Costs::NONE,
            fixed: Codes::fixed(),
            paths: Paths::new(),
            marks: Marks::default(),
            first: true,
            only_literals: false,
        }
    }

    /// Compresses all of it.
    pub(crate) fn run(mut self) -> Result<(), Gone> {
        if !self.more()? || self.ended && self.data.rest().len() <= PASS_THROUGH {
            let data = self.data.rest();
            self.bits.stored(data, true);
            return (self.output)(std::mem::take(&mut self.bits.bytes), data.len());
        }
        while self.more()? {
            self.block()?;
        }
        self.bits.align();
        (self.output)(std::mem::take(&mut self.bits.bytes), 0)
    }

    /// Is there another position? Waits until it is known, and with it enough of what follows.
    fn more(&mut self) -> Result<bool, Gone> {
        while self.steps.as_slice().is_empty() {
            if self.ended && self.at == self.data.rest().len() {
                return Ok(false);
            }
            match (self.input)()? {
                Input::Data(data) => self.data.push(&data),
                Input::Found(found) => {
                    self.cache.push(&found.cache);
                    self.steps = found.steps.into_iter();
                }
                Input::End => self.ended = true,
            }
        }
        Ok(true)
    }

    fn step(&mut self) -> Result<Option<Step>, Gone> {
        if !self.more()? {
            return Ok(None);
        }
        self.marks.note(self.at, self.word);
        let step = self.steps.next();
        self.word += step.map_or(0, |step| usize::from(step.words));
        self.at += usize::from(step.is_some());
        Ok(step)
    }

    /// One block more. It begins at the beginning of `data`, of which some may have been looked at.
    fn block(&mut self) -> Result<(), Gone> {
        let left = self.data.rest().len();
        let soft_end = if self.ended && left < SOFT_MAX + MIN_BLOCK { left } else { SOFT_MAX };
        let min_length =
            if self.only_literals { MAX_MATCH + 1 } else { sampled(&self.data.rest()[..soft_end]) };
        let mut observed = self.at;
        let mut checked = None;
        let changed = loop {
            let here = self.at;
            let Some(step) = self.step()? else { break false };
            let longest = usize::from(step.longest);
            if here >= observed {
                if longest >= min_length {
                    self.seen.matched(longest);
                    observed = here + longest;
                } else {
                    self.seen.literal(self.data.rest()[here]);
                    observed = here + 1;
                }
            }
            if step.nice {
                for _ in 1..longest {
                    self.step()?;
                }
            }
            if self.at >= soft_end || self.word >= CACHE {
                break false;
            }
            // More follows than is here, unless the end is.
            let remaining = self.data.rest().len() - self.at;
            if !self.seen.ready(self.at, remaining) {
                continue;
            }
            if self.seen.changes(self.at) {
                break true;
            }
            self.seen.merge();
            checked = Some((self.at, self.word));
        };
        if let (true, Some((end, words))) = (changed, checked) {
            self.finish(end, words)?;
            self.before = self.seen.block;
            self.seen.forget_block();
        } else {
            self.seen.merge();
            self.finish(self.at, self.word)?;
            self.before = self.seen.block;
            self.seen = Seen::NOTHING;
        }
        Ok(())
    }

    /// Ends the block after so many bytes, with so many words of matches, and writes it.
    fn finish(&mut self, length: usize, words: usize) -> Result<(), Gone> {
        let last = self.ended && length == self.data.rest().len();
        self.write(length, words, last);
        self.first = false;
        self.data.forget(length);
        self.cache.forget(words);
        self.marks.forget(length, words);
        self.at -= length;
        self.word -= words;
        (self.output)(std::mem::take(&mut self.bits.bytes), length)
    }

    fn write(&mut self, length: usize, words: usize, last: bool) {
        let data = &self.data.rest()[..length];
        let block = Block { length, cache: &self.cache.rest()[..words], marks: &self.marks };
        let (literal_counts, literal_codes) = only_literals(data);
        let literal_cost = dynamic_bits(&literal_counts, &literal_codes, &Header::of(&literal_codes));
        let mut fixed_cost = u32::MAX;
        if length <= FIXED {
            let cost = self.paths.find(block, &Costs::of_codes(&self.fixed));
            fixed_cost = cost / BIT + u32::from(self.fixed.litlen.lengths[END_OF_BLOCK]);
        }
        let defaults = Defaults::of(data, &self.seen.lengths);
        if self.first {
            self.costs = Costs::of_defaults(defaults);
        } else {
            self.costs.adjust(defaults, &self.seen.block, &self.before);
        }

        let mut best_cost = u32::MAX;
        let mut best = Costs::NONE;
        let (mut counts, mut codes, mut cost);
        let mut passes = PASSES;
        loop {
            (counts, codes) = pass(&mut self.paths, block, &self.costs);
            cost = dynamic_bits(&counts, &codes, &Header::of(&codes));
            if cost.saturating_add(1) > best_cost {
                break;
            }
            best_cost = cost;
            best = std::mem::replace(&mut self.costs, Costs::of_codes(&codes));
            passes -= 1;
            if passes == 0 {
                break;
            }
        }

        self.only_literals = false;
        if literal_cost.min(fixed_cost) < best_cost {
            if literal_cost < fixed_cost {
                self.costs = Costs::of_codes(&literal_codes);
                self.only_literals = true;
                let items = data.iter().map(|byte| u32::from(*byte) << OFFSET_SHIFT | 1);
                let codes = (&literal_codes, &self.fixed);
                block::write(&mut self.bits, data, items, &literal_counts, codes, last);
                return;
            }
            self.costs = Costs::of_codes(&self.fixed);
            (counts, codes) = pass(&mut self.paths, block, &self.costs);
        } else if cost > best_cost {
            self.costs = best;
            (counts, codes) = pass(&mut self.paths, block, &self.costs);
            self.costs = Costs::of_codes(&codes);
        }
        let items = self.paths.items(length);
        block::write(&mut self.bits, data, items, &counts, (&codes, &self.fixed), last);
    }
}

/// The cheapest way by what symbols are thought to cost, how often it uses each, and the codes for that.
fn pass(paths: &mut Paths, block: Block<'_>, costs: &Costs) -> (Frequencies, Codes) {
    paths.find(block, costs);
    let counts = paths.frequencies(block.length);
    let codes = Codes::of(&counts);
    (counts, codes)
}

fn only_literals(data: &[u8]) -> (Frequencies, Codes) {
    let mut counts = Frequencies::NONE;
    for byte in data {
        counts.litlen[usize::from(*byte)] += 1;
    }
    counts.litlen[END_OF_BLOCK] += 1;
    let codes = Codes::of(&counts);
    (counts, codes)
}

/// The shortest match that is counted, by how many literals the block begins with.
fn sampled(block: &[u8]) -> usize {
    if block.len() < 512 {
        return MIN_MATCH;
    }
    let mut used = [false; 256];
    block.iter().take(SAMPLE).for_each(|byte| used[usize::from(*byte)] = true);
    min_length(used.iter().filter(|used| **used).count())
}
