//! Keys of outputs: the hash of all that goes into one.

use std::fmt::{self, Write};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::Digest;

/// Keeps these keys apart from any other use of SHA-256 over JSON; raising the number orphans all objects.
const DOMAIN: &str = "containerized-kubelet object 1";

/// Names one output: its kind, and the SHA-256 of everything that went into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    kind: String,
    digest: Digest,
}

impl Key {
    /// The key of an output of this kind (lowercase letters, digits and `-`) made from these inputs.
    ///
    /// Inputs count as canonical JSON: object keys sorted, no white space; so the order of a struct's fields
    /// or of a map does not matter, that of a list does.
    pub fn of(kind: &str, inputs: &impl Serialize) -> Result<Self> {
        let named = !kind.is_empty()
            && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        ensure!(named, "`{kind}` cannot be a kind of object");
        let value = serde_json::to_value(inputs).context("a key's inputs cannot be written as JSON")?;
        let mut text = format!("{DOMAIN}\n{kind}\n");
        canonical(&value, &mut text)?;
        Ok(Self { kind: kind.to_owned(), digest: Digest::of(text) })
    }

    /// What kind of output it names.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The hash of all inputs.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.digest)
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Sorts by itself: whether `serde_json` does depends on a feature that any other crate may switch.
fn canonical(value: &Value, out: &mut String) -> Result<()> {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                write!(out, "{comma}{}:", Value::from(name.as_str()))?;
                canonical(value, out)?;
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                canonical(item, out)?;
            }
            out.push(']');
        }
        scalar => write!(out, "{scalar}")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::{BTreeMap, HashMap};

    #[test]
    fn canonical_json_is_sorted_and_tight() {
        let mut text = String::new();
        canonical(&json!({"b": [1, "x\n", null], "a": {"z": true, "y": {}}, "é": 1.5}), &mut text).unwrap();
        insta::assert_snapshot!(text, @r#"{"a":{"y":{},"z":true},"b":[1,"x\n",null],"é":1.5}"#);
    }

    #[test]
    fn the_key_of_an_input_never_changes_by_accident() {
        let key = Key::of("go", &json!({"version": "v1.26.0", "arch": "amd64"})).unwrap();
        let text = "containerized-kubelet object 1\ngo\n{\"arch\":\"amd64\",\"version\":\"v1.26.0\"}";
        assert_eq!(*key.digest(), Digest::of(text));
    }

    #[test]
    fn kinds_keep_keys_apart_and_are_plain_words() {
        assert_ne!(Key::of("go", &1).unwrap().digest(), Key::of("rust", &1).unwrap().digest());
        for bad in ["", "..", "a/b", "A", "a\n"] {
            assert!(Key::of(bad, &1).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn map_order_does_not_matter_and_content_does(map: BTreeMap<String, u32>, extra: String) {
            let shuffled: HashMap<_, _> = map.clone().into_iter().collect();
            let key = Key::of("k", &map).unwrap();
            prop_assert_eq!(&Key::of("k", &shuffled).unwrap(), &key);
            let mut more = map.clone();
            if more.insert(extra, 7) != Some(7) {
                prop_assert_ne!(Key::of("k", &more).unwrap(), key);
            }
        }
    }
}
