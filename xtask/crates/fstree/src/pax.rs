//! Records of a PAX extended header (POSIX.1-2017, pax): `LENGTH KEY=VALUE\n`, the length counting all of it.
//!
//! The `tar` crate takes a record to end at the first newline; values of extended attributes are binary and hold
//! newlines, so records are read by their length here.

use std::collections::BTreeMap;

/// The key of a path.
pub const PATH: &str = "path";
/// The key of a link's target.
pub const LINK_PATH: &str = "linkpath";
/// What the keys of extended attributes begin with.
pub const XATTR: &str = "SCHILY.xattr.";

/// The records in order of their keys.
pub fn encode(records: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        // The length counts its own digits.
        let mut length = rest + 1;
        while rest + length.to_string().len() > length {
            length += 1;
        }
        data.extend_from_slice(format!("{length} {key}=").as_bytes());
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    data
}

/// The records of a header, or what is wrong with them. The last of two with one key counts.
///
/// # Errors
/// As [`records`].
pub fn decode(data: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    records(data).map(|record| record.map(|(key, value)| (key.to_owned(), value.to_vec()))).collect()
}

/// The records of a header in its order, keys and values, up to the first that is malformed: an error that says how.
pub fn records(mut data: &[u8]) -> impl Iterator<Item = Result<(&str, &[u8]), String>> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let Some((key, value, rest)) = record(data) else {
            data = &[];
            return Some(Err("malformed PAX record".to_owned()));
        };
        data = rest;
        let key = std::str::from_utf8(key).map_err(|_| "PAX key that is not UTF-8".to_owned());
        Some(key.map(|key| (key, value)))
    })
}

/// The first record's key and value, and what comes after it.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(&data[..space]).ok()?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (record, rest) = data.split_at_checked(digits.parse().ok()?)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((&body[..equals], &body[equals + 1..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_length_counts_itself() {
        let one = |value: usize| encode(&BTreeMap::from([("k".to_owned(), vec![b'v'; value])]));
        assert_eq!(one(1), b"6 k=v\n");
        assert_eq!(one(4), b"9 k=vvvv\n");
        assert_eq!(one(5), b"11 k=vvvvv\n");
        for value in 80..110 {
            let data = one(value);
            assert!(data.starts_with(format!("{} ", data.len()).as_bytes()));
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            "x",
            "6 k=v",
            "5 k=v\n",
            "7 k=v\n",
            "+6 k=v\n",
            "4 =\n",
            "4 k\n",
            "0 k=v\n",
            "99999999999999999999 k=v\n",
        ] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_records_come_back(records in prop::collection::btree_map("[^=]{1,40}", prop::collection::vec(any::<u8>(), 0..200), 0..5)) {
            prop_assert_eq!(decode(&encode(&records)).unwrap(), records);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&data);
        }
    }
}
