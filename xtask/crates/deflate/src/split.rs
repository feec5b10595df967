//! Where a block ends: where what is seen of the data changes.

use crate::tables::MAX_MATCH;

/// No block is shorter, but the last.
pub(crate) const MIN_BLOCK: usize = 5_000;
/// How many symbols are looked at together.
const CHECK: u32 = 512;
const LITERAL_KINDS: usize = 8;
const KINDS: usize = LITERAL_KINDS + 2;

/// How often symbols of each kind were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observations {
    pub(crate) of: [u32; KINDS],
    pub(crate) all: u32,
}

/// What is seen of the data, if matches are taken where they are found.
pub(crate) struct Seen {
    /// Since the last look.
    new: Observations,
    new_lengths: [u32; MAX_MATCH + 1],
    /// Before that, in the block.
    pub(crate) block: Observations,
    pub(crate) lengths: [u32; MAX_MATCH + 1],
}

impl Observations {
    fn add(&mut self, kind: usize) {
        self.of[kind] += 1;
        self.all += 1;
    }
}

impl Seen {
    pub(crate) const NOTHING: Self = Self {
        new: Observations { of: [0; KINDS], all: 0 },
        new_lengths: [0; MAX_MATCH + 1],
        block: Observations { of: [0; KINDS], all: 0 },
        lengths: [0; MAX_MATCH + 1],
    };

    /// Kinds of literals are distinguished by their upper two bits and the lowest.
    pub(crate) fn literal(&mut self, byte: u8) {
        self.new.add(usize::from((byte >> 5) & 6 | byte & 1));
    }

    pub(crate) fn matched(&mut self, length: usize) {
        self.new.add(LITERAL_KINDS + usize::from(length >= 9));
        self.new_lengths[length] += 1;
    }

    /// Was enough seen to look again?
    pub(crate) fn ready(&self, length: usize, remaining: usize) -> bool {
        self.new.all >= CHECK && length >= MIN_BLOCK && remaining >= MIN_BLOCK
    }

    /// Is the newest so different from what the block had before, of which this is the length, that another should begin?
    pub(crate) fn changes(&self, length: usize) -> bool {
        let (old, new) = (&self.block, &self.new);
        if old.all == 0 {
            return false;
        }
        // libdeflate's sums wrap as well.
        let delta = old.of.iter().zip(new.of).fold(0_u32, |sum, (old_of, new_of)| {
            let (expected, actual) = (old_of.wrapping_mul(new.all), new_of.wrapping_mul(old.all));
            sum.wrapping_add(actual.abs_diff(expected))
        });
        let mut cutoff = (new.all.wrapping_mul(200) / 512).wrapping_mul(old.all);
        let items = old.all + new.all;
        if length < 10_000 && items < 8_192 {
            let more = u64::from(cutoff) * u64::from(8_192 - items) / 8_192;
            cutoff = cutoff.wrapping_add(more as u32);
        }
        delta.wrapping_add((length as u32 / 4_096).wrapping_mul(old.all)) >= cutoff
    }

    /// Counts the newest for the block.
    pub(crate) fn merge(&mut self) {
        let add = |to: &mut [u32], from: &mut [u32]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += std::mem::take(from));
        };
        add(&mut self.block.of, &mut self.new.of);
        add(&mut self.lengths, &mut self.new_lengths);
        self.block.all += std::mem::take(&mut self.new.all);
    }

    /// Forgets the block that was, but not the newest.
    pub(crate) fn forget_block(&mut self) {
        self.block = Observations::default();
        self.lengths = [0; MAX_MATCH + 1];
    }
}
