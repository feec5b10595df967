use libdeflater::{CompressionLvl, Compressor};
use proptest::prelude::*;

use super::*;

fn libdeflate(data: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::new(12).unwrap());
    let mut out = vec![0; compressor.gzip_compress_bound(data.len())];
    let length = compressor.gzip_compress(data, &mut out).unwrap();
    out.truncate(length);
    out
}

fn ours(data: &[u8], piece: usize) -> Vec<u8> {
    let mut gzip = Gzip::new().unwrap();
    let (mut out, mut done) = (Vec::new(), 0);
    let mut take = |gzip: &mut Gzip, wait| loop {
        match gzip.next(wait).unwrap() {
            Out::Bytes(bytes, of) => {
                out.extend(bytes);
                done += of;
            }
            Out::Wait => return true,
            Out::End => return false,
        }
    };
    for piece in data.chunks(piece) {
        gzip.push(piece).unwrap();
        take(&mut gzip, Duration::ZERO);
    }
    gzip.end().unwrap();
    while take(&mut gzip, Duration::from_millis(50)) {}
    assert_eq!(done, data.len());
    out
}

/// Compares without printing megabytes.
fn same(data: &[u8], piece: usize) -> bool {
    ours(data, piece) == libdeflate(data)
}

/// xorshift64 (Marsaglia, 2003).
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed | 1), |number| {
        let number = number ^ (number << 13);
        let number = number ^ (number >> 7);
        Some(number ^ (number << 17))
    })
}

/// Data of one kind after another: noise, text of few letters, runs, copies of what came before, little-endian counts.
fn mixed(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut next = move |below: u64| usize::try_from(numbers.next().unwrap() % below).unwrap();
    let mut data = Vec::with_capacity(length);
    while data.len() < length {
        let count = 1 + next(40_000);
        match next(6) {
            0 => data.extend((0..count).map(|_| next(256) as u8)),
            1 => data.extend((0..count).map(|_| b"etaoin shrdlu"[next(13)])),
            2 => data.extend(std::iter::repeat_n(next(256) as u8, count)),
            3 => data.extend((0..count / 4).flat_map(|number| (number as u32 * 7).to_le_bytes())),
            _ => {
                for _ in 0..=next(300) {
                    let (back, many) = (1 + next(40_000), 3 + next(400));
                    let Some(from) = data.len().checked_sub(back) else { break };
                    for at in from..from + many {
                        data.push(data[at]);
                    }
                    data.push(next(256) as u8);
                }
            }
        }
    }
    data.truncate(length);
    data
}

#[test]
fn short_data_has_the_same_bytes() {
    for length in (0..40).chain([254, 257, 258, 259, 260, 511, 512, 513, 4_999, 5_000, 9_999, 10_001]) {
        for seed in 1..4 {
            let data = mixed(seed, length);
            assert!(same(&data, 1 << 20), "{length} bytes, seed {seed}");
            assert!(same(&vec![7; length], 100), "{length} times 7");
        }
    }
}

#[test]
fn long_data_has_the_same_bytes_however_it_is_cut() {
    for (seed, piece) in [(1, 1 << 20), (2, 65_537), (3, 999), (4, 10_000_000)] {
        assert!(same(&mixed(seed, 3_000_000), piece), "seed {seed} in pieces of {piece}");
    }
    // Around the length that makes the last block longer than others.
    for length in [299_999, 300_000, 304_999, 305_000, 305_001, 609_096, 609_097] {
        assert!(same(&mixed(5, length), 1 << 20), "{length} bytes");
    }
}

#[test]
fn programs_and_their_opposites_have_the_same_bytes() {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(same(&program[..program.len().min(4_000_000)], 1 << 20), "this program");
    let noise: Vec<u8> = numbers(1).flat_map(u64::to_le_bytes).take(700_000).collect();
    assert!(same(&noise, 1 << 20), "noise");
    assert!(same(&vec![0; 2_000_000], 1 << 20), "zeros");
    let two: Vec<u8> = numbers(2).map(|number| b"01"[(number & 1) as usize]).take(700_000).collect();
    assert!(same(&two, 1 << 20), "two letters");
    let words: Vec<u8> = numbers(3).flat_map(|number| [number as u8 % 3, 9, 9]).take(700_000).collect();
    assert!(same(&words, 1 << 20), "many matches");
}

#[test]
fn dropping_it_ends_its_threads() {
    let mut gzip = Gzip::new().unwrap();
    gzip.push(&mixed(1, 2_000_000)).unwrap();
    let threads: Vec<_> = gzip.threads.drain(..).collect();
    drop(gzip);
    for thread in threads {
        assert!(thread.join().unwrap().is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn any_data_has_the_same_bytes(seed: u64, length in 0_usize..400_000, piece in 1_000_usize..500_000) {
        prop_assert!(same(&mixed(seed, length), piece));
    }
}
