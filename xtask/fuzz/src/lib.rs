//! What the targets share.

/// Stands between the parts of an input that is several files.
pub const SEPARATOR: &[u8] = b"\n---\n";

/// The parts of an input, empty where there are fewer; the last one takes all that is left.
pub fn parts<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut rest = Some(input);
    std::array::from_fn(|place| {
        let all = rest.unwrap_or_default();
        let end = all.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        match end.filter(|_| place + 1 < N) {
            Some(end) => {
                rest = Some(&all[end + SEPARATOR.len()..]);
                &all[..end]
            }
            None => {
                rest = None;
                all
            }
        }
    })
}
