//! What a parser of all of YAML finds in a document.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// What the parser finds at a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ParsedValue {
    Text(String),
    /// null, a map or a list.
    Nothing,
    /// An alias, or a value whose tag makes something else of it.
    Opaque,
}

/// Paths of the first document that do not lead into lists; none if it is not YAML. The parser knows nothing of what plain
/// words stand for: that is Kubernetes' yaml.v2 (`resolve.go`).
pub(crate) fn reference(text: &str) -> Option<BTreeMap<String, ParsedValue>> {
    let mut found = BTreeMap::new();
    // A level's path (none in lists), and for a map the key that waits for its value.
    let mut levels: Vec<(Option<String>, bool, Option<String>)> = Vec::new();
    let mut done = false;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.ok()?;
        if done {
            continue;
        }
        let value = match &event {
            Event::DocumentEnd => {
                done = true;
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                continue;
            }
            Event::Scalar(text, style, _, tag) => match tag {
                None if *style == ScalarStyle::Plain => plain(text),
                None => ParsedValue::Text(text.to_string()),
                Some(tag) if ["str", "!", ""].contains(&tag.suffix.as_str()) => {
                    ParsedValue::Text(text.to_string())
                }
                Some(_) => ParsedValue::Opaque,
            },
            Event::Alias(_) => ParsedValue::Opaque,
            Event::MappingStart(..) | Event::SequenceStart(..) => ParsedValue::Nothing,
            _ => continue,
        };
        let path = match levels.last_mut() {
            None => Some(String::new()),
            Some((_, false, _)) => None,
            Some((parent, true, waiting)) => {
                let Some(key) = waiting.take() else {
                    // A key; the levels of one that is not a scalar cannot be walked like this.
                    let Event::Scalar(text, style, ..) = &event else { return None };
                    // Kubernetes refuses a key that is null.
                    if *style == ScalarStyle::Plain && plain(text) == ParsedValue::Nothing {
                        return None;
                    }
                    *waiting = Some(text.to_string());
                    continue;
                };
                parent.clone().map(|parent| if parent.is_empty() { key } else { format!("{parent}.{key}") })
            }
        };
        if let Some(path) = path.clone().filter(|path| !path.is_empty()) {
            // The parser takes a key twice, of which yaml.v2 makes an error.
            if found.insert(path, value).is_some() {
                return None;
            }
        }
        match event {
            Event::MappingStart(..) => levels.push((path, true, None)),
            Event::SequenceStart(..) => levels.push((None, false, None)),
            _ => {}
        }
    }
    Some(found)
}

fn plain(text: &str) -> ParsedValue {
    let word = |words: &[&str]| words.contains(&text);
    if word(&["", "~", "null", "Null", "NULL"]) {
        ParsedValue::Nothing
    } else if word(&["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"]) {
        ParsedValue::Text("true".to_owned())
    } else if word(&["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"]) {
        ParsedValue::Text("false".to_owned())
    } else {
        ParsedValue::Text(text.to_owned())
    }
}
