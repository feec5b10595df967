//! What symbols are thought to cost, in sixteenths of a bit, before their codes are known.

use crate::huffman::{Codes, Frequencies};
use crate::split::Observations;
use crate::tables::{
    FEW_MATCHES, FIRST_LENGTH, LENGTH_EXTRA, LENGTH_SLOT, LITERALS, MAX_MATCH, MIN_LENGTHS, MIN_MATCH,
    OFFSET_EXTRA, OFFSET_SYMBOLS, SOME_MATCHES,
};

pub(crate) const BIT: u32 = 16;
/// The bits of a literal, a length and a distance that did not occur.
const UNSEEN: (u32, u32, u32) = (13, 13, 10);
/// Of a distance, if all are as likely: log2 of 30.
const ANY_OFFSET: u32 = 4 * BIT + 907 * BIT / 1000;

/// A model.
#[derive(Clone)]
pub(crate) struct Costs {
    pub(crate) literal: [u32; LITERALS],
    /// Of each length, with its extra bits.
    pub(crate) length: [u32; MAX_MATCH + 1],
    /// Of each slot of distances, with their extra bits.
    pub(crate) offset: [u32; OFFSET_SYMBOLS],
}

/// What costs are without better knowledge.
#[derive(Clone, Copy)]
pub(crate) struct Defaults {
    literal: u32,
    length: u32,
}

impl Costs {
    pub(crate) const NONE: Self =
        Self { literal: [0; LITERALS], length: [0; MAX_MATCH + 1], offset: [0; OFFSET_SYMBOLS] };

    pub(crate) fn of_codes(codes: &Codes) -> Self {
        let bits = |length: u8, unseen: u32| if length == 0 { unseen } else { u32::from(length) };
        let mut costs = Self::NONE;
        for (cost, length) in costs.literal.iter_mut().zip(codes.litlen.lengths) {
            *cost = bits(length, UNSEEN.0) * BIT;
        }
        for (cost, slot) in costs.length.iter_mut().zip(LENGTH_SLOT.map(usize::from)).skip(MIN_MATCH) {
            let symbol = bits(codes.litlen.lengths[FIRST_LENGTH + slot], UNSEEN.1);
            *cost = (symbol + u32::from(LENGTH_EXTRA[slot])) * BIT;
        }
        for ((cost, length), extra) in costs.offset.iter_mut().zip(codes.offset.lengths).zip(OFFSET_EXTRA) {
            *cost = (bits(length, UNSEEN.2) + u32::from(extra)) * BIT;
        }
        costs
    }

    pub(crate) fn of_defaults(defaults: Defaults) -> Self {
        let mut costs = Self::NONE;
        costs.mix(defaults, |_, default| default);
        costs
    }

    /// For a block, from what they were at the end of the one before: the more the two differ, the less of that is kept.
    pub(crate) fn adjust(&mut self, defaults: Defaults, now: &Observations, before: &Observations) {
        let pairs = now.of.iter().zip(before.of);
        let delta: u64 = pairs
            .map(|(now_of, before_of)| {
                let (a, b) =
                    (u64::from(before_of) * u64::from(now.all), u64::from(*now_of) * u64::from(before.all));
                a.abs_diff(b)
            })
            .sum();
        let cutoff = u64::from(before.all) * u64::from(now.all) * 200 / 512;
        if delta > 3 * cutoff {
            self.mix(defaults, |_, default| default);
        } else if 4 * delta > 9 * cutoff {
            self.mix(defaults, |old, default| (3 * default + old) / 4);
        } else if 2 * delta > 3 * cutoff {
            self.mix(defaults, |old, default| (5 * default + 3 * old) / 8);
        } else if 2 * delta > cutoff {
            self.mix(defaults, |old, default| u32::midpoint(default, old));
        } else {
            self.mix(defaults, |old, default| (default + 3 * old) / 4);
        }
    }

    fn mix(&mut self, defaults: Defaults, with: impl Fn(u32, u32) -> u32) {
        for cost in &mut self.literal {
            *cost = with(*cost, defaults.literal);
        }
        for (cost, slot) in self.length.iter_mut().zip(LENGTH_SLOT.map(usize::from)).skip(MIN_MATCH) {
            *cost = with(*cost, defaults.length + u32::from(LENGTH_EXTRA[slot]) * BIT);
        }
        for (cost, extra) in self.offset.iter_mut().zip(OFFSET_EXTRA) {
            *cost = with(*cost, ANY_OFFSET + u32::from(extra) * BIT);
        }
    }
}

impl Defaults {
    /// Of a block with so many matches of each length, if each were taken where it is found.
    pub(crate) fn of(block: &[u8], matches: &[u32; MAX_MATCH + 1]) -> Self {
        let mut counts = Frequencies::NONE.litlen;
        for byte in block {
            counts[usize::from(*byte)] += 1;
        }
        let rare = block.len() as u32 >> 11;
        let used = counts[..LITERALS].iter().filter(|count| **count > rare).count().max(1);
        let (mut matched, mut literals) = (0_u32, block.len() as u32);
        for (length, count) in matches.iter().enumerate().skip(min_length(used)) {
            matched += count;
            literals = literals.wrapping_sub(length as u32 * count);
        }
        if literals.cast_signed() < 0 {
            literals = 0;
        }
        // log2 of 29 lengths and of the literals in use, with three, two and one in four being literals.
        if matched > literals {
            Self { literal: u32::from(SOME_MATCHES[used]) + BIT, length: 84 }
        } else if matched * 4 > literals {
            Self { literal: SOME_MATCHES[used].into(), length: 93 }
        } else {
            Self { literal: FEW_MATCHES[used].into(), length: 109 }
        }
    }
}

/// The shortest match that is likely to be cheaper than literals, of which so many are used.
pub(crate) fn min_length(used: usize) -> usize {
    MIN_LENGTHS.get(used).copied().map_or(MIN_MATCH, usize::from)
}
