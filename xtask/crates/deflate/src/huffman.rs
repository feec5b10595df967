//! Codes of limited length, as libdeflate makes them (`deflate_make_huffman_code`).

use crate::tables::{LITLEN_SYMBOLS, OFFSET_SYMBOLS};

const LITLEN_LIMIT: usize = 14;
const OFFSET_LIMIT: usize = 15;
const SYMBOL_BITS: u32 = 10;
const SYMBOL_MASK: u32 = (1 << SYMBOL_BITS) - 1;

/// How often each symbol is used.
#[derive(Clone)]
pub(crate) struct Frequencies {
    pub(crate) litlen: [u32; LITLEN_SYMBOLS],
    pub(crate) offset: [u32; OFFSET_SYMBOLS],
}

impl Frequencies {
    pub(crate) const NONE: Self = Self { litlen: [0; LITLEN_SYMBOLS], offset: [0; OFFSET_SYMBOLS] };
}

/// A code: of each symbol the length of its codeword, 0 if it has none, and the codeword, its first bit the lowest.
#[derive(Clone)]
pub(crate) struct Code<const N: usize> {
    pub(crate) lengths: [u8; N],
    pub(crate) words: [u16; N],
}

/// The codes of a block.
#[derive(Clone)]
pub(crate) struct Codes {
    pub(crate) litlen: Code<LITLEN_SYMBOLS>,
    pub(crate) offset: Code<OFFSET_SYMBOLS>,
}

impl Codes {
    pub(crate) fn of(frequencies: &Frequencies) -> Self {
        Self {
            litlen: Code::of(&frequencies.litlen, LITLEN_LIMIT),
            offset: Code::of(&frequencies.offset, OFFSET_LIMIT),
        }
    }

    /// Those that DEFLATE defines.
    pub(crate) fn fixed() -> Self {
        let mut frequencies = Frequencies { litlen: [2; LITLEN_SYMBOLS], offset: [1; OFFSET_SYMBOLS] };
        frequencies.litlen[144..256].fill(1);
        frequencies.litlen[256..280].fill(4);
        Self::of(&frequencies)
    }
}

impl<const N: usize> Code<N> {
    pub(crate) fn of(frequencies: &[u32; N], limit: usize) -> Self {
        let mut code = Self { lengths: [0; N], words: [0; N] };
        let mut nodes = [0; N];
        let mut used = 0;
        for (symbol, frequency) in frequencies.iter().enumerate().filter(|(_, frequency)| **frequency > 0) {
            nodes[used] = symbol as u32 | frequency << SYMBOL_BITS;
            used += 1;
        }
        let nodes = &mut nodes[..used];
        if used < 2 {
            // Some readers refuse a code of fewer than two words.
            let other = nodes.first().map_or(0, |node| node & SYMBOL_MASK).max(1) as usize;
            (code.lengths[0], code.lengths[other], code.words[other]) = (1, 1, 1);
            return code;
        }
        nodes.sort_unstable();
        build_tree(nodes);
        let counts = length_counts(nodes, limit);
        let mut sorted = nodes.iter().map(|node| (node & SYMBOL_MASK) as usize);
        for (length, count) in counts.iter().enumerate().skip(1).rev() {
            for symbol in sorted.by_ref().take(*count) {
                code.lengths[symbol] = length as u8;
            }
        }
        let mut next = [0_u16; 17];
        for length in 2..=limit {
            next[length] = (next[length - 1] + counts[length - 1] as u16) << 1;
        }
        for (word, length) in code.words.iter_mut().zip(code.lengths).filter(|(_, length)| *length > 0) {
            let number = &mut next[usize::from(length)];
            *word = number.reverse_bits() >> (16 - length);
            *number += 1;
        }
        code
    }
}

/// Makes a tree of sorted leaves in their place, of which only the inner nodes are left, each with the index of its parent. The
/// symbols stay where they are.
fn build_tree(nodes: &mut [u32]) {
    let last = nodes.len() - 1;
    let frequency = |node: u32| node & !SYMBOL_MASK;
    // The next leaf, the next inner node without a parent, and the place of the next inner node.
    let (mut leaf, mut inner) = (0, 0);
    for made in 0..last {
        let parent = |node: u32| (made as u32) << SYMBOL_BITS | node & SYMBOL_MASK;
        let sum;
        if leaf < last && (inner == made || frequency(nodes[leaf + 1]) <= frequency(nodes[inner])) {
            sum = frequency(nodes[leaf]) + frequency(nodes[leaf + 1]);
            leaf += 2;
        } else if inner + 2 <= made && (leaf > last || frequency(nodes[inner + 1]) < frequency(nodes[leaf])) {
            sum = frequency(nodes[inner]) + frequency(nodes[inner + 1]);
            nodes[inner] = parent(nodes[inner]);
            nodes[inner + 1] = parent(nodes[inner + 1]);
            inner += 2;
        } else {
            sum = frequency(nodes[leaf]) + frequency(nodes[inner]);
            nodes[inner] = parent(nodes[inner]);
            leaf += 1;
            inner += 1;
        }
        nodes[made] = sum | nodes[made] & SYMBOL_MASK;
    }
}

/// How many codewords have each length; of the tree nothing but the symbols is left.
fn length_counts(nodes: &mut [u32], limit: usize) -> [usize; 17] {
    let mut counts = [0; 17];
    counts[1] = 2;
    let root = nodes.len() - 2;
    nodes[root] &= SYMBOL_MASK;
    for node in (0..root).rev() {
        let parent = nodes[node] >> SYMBOL_BITS;
        let mut depth = (nodes[parent as usize] >> SYMBOL_BITS) as usize + 1;
        nodes[node] = nodes[node] & SYMBOL_MASK | (depth as u32) << SYMBOL_BITS;
        if depth >= limit {
            depth = limit - 1;
            while counts[depth] == 0 {
                depth -= 1;
            }
        }
        counts[depth] -= 1;
        counts[depth + 1] += 2;
    }
    counts
}
