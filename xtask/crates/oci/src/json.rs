//! The bytes of a JSON document: one spelling for one value.

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

/// Compact JSON with the keys of every object sorted. The types of `oci-spec` hold hash maps, whose order changes
/// from run to run.
///
/// # Errors
/// For what has no form in JSON.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&sorted(serde_json::to_value(value)?))?)
}

/// Holds whether or not some crate of the build has turned on `serde_json`'s `preserve_order`.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let map: HashMap<String, Vec<HashMap<String, u8>>> = ('a'..='z')
            .map(|key| (key.to_string(), vec![('a'..='e').map(|key| (key.to_string(), 1)).collect()]))
            .collect();
        let text = String::from_utf8(canonical(&map).unwrap()).unwrap();
        let inner = r#"[{"a":1,"b":1,"c":1,"d":1,"e":1}]"#;
        let expected: Vec<String> = ('a'..='z').map(|key| format!("\"{key}\":{inner}")).collect();
        assert_eq!(text, format!("{{{}}}", expected.join(",")));
    }
}
