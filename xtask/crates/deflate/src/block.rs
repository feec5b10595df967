//! Blocks as they are written: what each kind would cost, and the bits of the cheapest.

use crate::finder::{LENGTH_MASK, OFFSET_MASK, OFFSET_SHIFT, SLOT_SHIFT};
use crate::huffman::{Code, Codes, Frequencies};
use crate::tables::{
    END_OF_BLOCK, FIRST_LENGTH, LENGTH_BASE, LENGTH_EXTRA, LENGTH_SLOT, LITERALS, LITLEN_SYMBOLS,
    OFFSET_BASE, OFFSET_EXTRA, OFFSET_SYMBOLS, PRECODE_EXTRA, PRECODE_ORDER, PRECODE_SYMBOLS,
};

const PRECODE_LIMIT: usize = 7;
/// The most bytes of a block that is not compressed.
const STORED: usize = 65_535;

/// Bits on their way to bytes.
#[derive(Default)]
pub(crate) struct Bits {
    pub(crate) bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    /// Adds up to 32 bits.
    fn add(&mut self, bits: u32, count: u32) {
        self.pending |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes.extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    /// Fills up the last byte.
    pub(crate) fn align(&mut self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
        (self.pending, self.count) = (0, 0);
    }

    /// Writes bytes as they are.
    pub(crate) fn stored(&mut self, data: &[u8], last: bool) {
        let pieces = data.len().div_ceil(STORED).max(1);
        for number in 0..pieces {
            let piece = &data[number * STORED..data.len().min((number + 1) * STORED)];
            self.add(u32::from(last && number + 1 == pieces), 3);
            self.align();
            let length = piece.len() as u16;
            self.bytes.extend_from_slice(&length.to_le_bytes());
            self.bytes.extend_from_slice(&(!length).to_le_bytes());
            self.bytes.extend_from_slice(piece);
        }
    }
}

/// The codes of a block as its header has them.
pub(crate) struct Header {
    litlens: usize,
    offsets: usize,
    /// How many lengths of the precode are written.
    precodes: usize,
    items: Vec<(u8, u8)>,
    frequencies: [u32; PRECODE_SYMBOLS],
    code: Code<PRECODE_SYMBOLS>,
}

impl Header {
    pub(crate) fn of(codes: &Codes) -> Self {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|length| *length > 0).map_or(least, |last| least.max(last + 1))
        };
        let (litlens, offsets) = (used(&codes.litlen.lengths, 257), used(&codes.offset.lengths, 1));
        let mut lengths = [0; LITLEN_SYMBOLS + OFFSET_SYMBOLS];
        lengths[..litlens].copy_from_slice(&codes.litlen.lengths[..litlens]);
        lengths[litlens..litlens + offsets].copy_from_slice(&codes.offset.lengths[..offsets]);
        let items = runs(&lengths[..litlens + offsets]);
        let mut frequencies = [0; PRECODE_SYMBOLS];
        for (symbol, _) in &items {
            frequencies[usize::from(*symbol)] += 1;
        }
        let code = Code::of(&frequencies, PRECODE_LIMIT);
        let precodes = used(&PRECODE_ORDER.map(|symbol| code.lengths[symbol]), 4);
        Self { litlens, offsets, precodes, items, frequencies, code }
    }

    fn bits(&self) -> u32 {
        let each = self.frequencies.iter().zip(self.code.lengths).zip(PRECODE_EXTRA);
        let lengths: u32 =
            each.map(|((count, length), extra)| count * (u32::from(length) + u32::from(extra))).sum();
        5 + 5 + 4 + 3 * self.precodes as u32 + lengths
    }

    fn write(&self, bits: &mut Bits) {
        bits.add(self.litlens as u32 - 257, 5);
        bits.add(self.offsets as u32 - 1, 5);
        bits.add(self.precodes as u32 - 4, 4);
        for symbol in &PRECODE_ORDER[..self.precodes] {
            bits.add(self.code.lengths[*symbol].into(), 3);
        }
        for (symbol, extra) in &self.items {
            let symbol = usize::from(*symbol);
            bits.add(self.code.words[symbol].into(), self.code.lengths[symbol].into());
            bits.add((*extra).into(), PRECODE_EXTRA[symbol].into());
        }
    }
}

/// Lengths of codewords as symbols of the precode, each with its extra bits.
fn runs(lengths: &[u8]) -> Vec<(u8, u8)> {
    let mut items = Vec::with_capacity(lengths.len());
    for run in lengths.chunk_by(|a, b| a == b) {
        let (length, mut left) = (run[0], run.len());
        if length == 0 {
            while left >= 11 {
                let extra = (left - 11).min(127);
                items.push((18, extra as u8));
                left -= 11 + extra;
            }
            if left >= 3 {
                let extra = (left - 3).min(7);
                items.push((17, extra as u8));
                left -= 3 + extra;
            }
        } else if left >= 4 {
            items.push((length, 0));
            left -= 1;
            while left >= 3 {
                let extra = (left - 3).min(3);
                items.push((16, extra as u8));
                left -= 3 + extra;
            }
        }
        items.extend(std::iter::repeat_n((length, 0), left));
    }
    items
}

/// What a block costs by its own codes, in bits, without the three that say what kind it is.
pub(crate) fn dynamic_bits(frequencies: &Frequencies, codes: &Codes, header: &Header) -> u32 {
    header.bits() + symbol_bits(frequencies, codes)
}

fn symbol_bits(frequencies: &Frequencies, codes: &Codes) -> u32 {
    let (litlen, offset) = (codes.litlen.lengths, codes.offset.lengths);
    let of = |counts: &[u32], lengths: &[u8], extra: &[u8]| -> u32 {
        let each = counts.iter().zip(lengths).zip(extra);
        each.map(|((count, length), extra)| count * (u32::from(*length) + u32::from(*extra))).sum()
    };
    of(&frequencies.litlen[..FIRST_LENGTH], &litlen, &[0; FIRST_LENGTH])
        + of(&frequencies.litlen[FIRST_LENGTH..], &litlen[FIRST_LENGTH..], &LENGTH_EXTRA)
        + of(&frequencies.offset, &offset, &OFFSET_EXTRA)
}

/// Writes a block in the kind that takes the fewest bits.
pub(crate) fn write(
    bits: &mut Bits,
    data: &[u8],
    items: impl Iterator<Item = u32>,
    frequencies: &Frequencies,
    (codes, fixed): (&Codes, &Codes),
    last: bool,
) {
    let header = Header::of(codes);
    let dynamic_cost = 3 + dynamic_bits(frequencies, codes, &header);
    let fixed_cost = 3 + symbol_bits(frequencies, fixed);
    let padding = (bits.count + 3).wrapping_neg() % 8;
    let stored_cost =
        3 + padding + 32 + 40 * (data.len().div_ceil(STORED) as u32 - 1) + 8 * data.len() as u32;
    if stored_cost <= dynamic_cost.min(fixed_cost) {
        bits.stored(data, last);
        return;
    }
    bits.add(last.into(), 1);
    if fixed_cost <= dynamic_cost {
        bits.add(1, 2);
        symbols(bits, items, fixed);
    } else {
        bits.add(2, 2);
        header.write(bits);
        symbols(bits, items, codes);
    }
}

fn symbols(bits: &mut Bits, items: impl Iterator<Item = u32>, codes: &Codes) {
    let litlen =
        |symbol: usize| (u32::from(codes.litlen.words[symbol]), u32::from(codes.litlen.lengths[symbol]));
    for item in items {
        let length = (item & LENGTH_MASK) as usize;
        if length == 1 {
            let (word, count) = litlen((item >> OFFSET_SHIFT) as usize % LITERALS);
            bits.add(word, count);
            continue;
        }
        let slot = usize::from(LENGTH_SLOT[length]);
        let (word, count) = litlen(FIRST_LENGTH + slot);
        let extra = length as u32 - u32::from(LENGTH_BASE[slot]);
        bits.add(word | extra << count, count + u32::from(LENGTH_EXTRA[slot]));
        let slot = (item >> SLOT_SHIFT) as usize;
        let (word, count) = (u32::from(codes.offset.words[slot]), u32::from(codes.offset.lengths[slot]));
        let extra = (item >> OFFSET_SHIFT & OFFSET_MASK) - u32::from(OFFSET_BASE[slot]);
        bits.add(word | extra << count, count + u32::from(OFFSET_EXTRA[slot]));
    }
    let (word, count) = litlen(END_OF_BLOCK);
    bits.add(word, count);
}
