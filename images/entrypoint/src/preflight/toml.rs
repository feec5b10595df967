//! TOML, as far as the files of container runtimes use it (toml.io, v1.0.0): tables by headers, dotted keys and braces, lists
//! over several lines.

/// Tables in braces are read this deep.
const NESTED: usize = 4;

/// A line of TOML: the table that it is in, by the names that lead to it, key and value.
pub(super) struct Setting {
    pub(super) table: Vec<String>,
    pub(super) key: String,
    pub(super) value: String,
}

/// The settings of a file, as far as these files use TOML: tables by their headers, lists over several lines.
pub(super) fn settings(text: &str) -> Vec<Setting> {
    let (mut table, mut found) = (Vec::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = without_comment(line);
        if let Some(header) = line.strip_prefix('[') {
            table = names(header.trim_matches(|letter| matches!(letter, '[' | ']')));
        } else if let Some((left, right)) = line.split_once('=') {
            let key = names(left);
            let mut value = right.trim().to_owned();
            while value.starts_with('[')
                && !value.ends_with(']')
                && let Some(more) = lines.next()
            {
                value.push_str(without_comment(more));
            }
            found.extend(inline([table.clone(), key].concat(), &value, NESTED));
        }
    }
    found
}

/// What a key has, which may be a table in braces.
fn inline(mut path: Vec<String>, value: &str, depth: usize) -> Vec<Setting> {
    let inner = value.strip_prefix('{').and_then(|inner| inner.trim_end().strip_suffix('}'));
    let Some(inner) = inner.filter(|_| depth > 0) else {
        let key = path.pop();
        return key
            .into_iter()
            .map(|key| Setting { table: path.clone(), key, value: value.to_owned() })
            .collect();
    };
    let pairs = parts(inner).filter_map(|part| part.split_once('='));
    let below =
        |(left, right): (&str, &str)| inline([path.clone(), names(left)].concat(), right.trim(), depth - 1);
    pairs.flat_map(below).collect()
}

/// What is between commas that are in no quotes and brackets.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let (mut quote, mut depth) = (None, 0_u32);
    text.split(move |letter| {
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        quote.is_none() && depth == 0 && letter == ','
    })
}

/// The parts of a name with dots, quotes taken away.
fn names(text: &str) -> Vec<String> {
    let (mut parts, mut quote) = (vec![String::new()], None);
    for letter in text.trim().chars() {
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None, '.') => parts.push(String::new()),
            (None, letter) if letter.is_whitespace() => {}
            (_, letter) => parts.last_mut().expect("there is one at first").push(letter),
        }
    }
    parts
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let comment = line.char_indices().find(|(_, letter)| {
        match (quote, *letter) {
            (None, '"' | '\'') => quote = Some(*letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
        quote.is_none() && *letter == '#'
    });
    comment.map_or(line, |(at, _)| &line[..at]).trim()
}

pub(super) fn unquoted(value: &str) -> String {
    value.trim_matches(|letter| matches!(letter, '"' | '\'')).to_owned()
}

pub(super) fn list(value: &str) -> Vec<String> {
    let inner = value.trim_start_matches('[').trim_end_matches(']');
    inner.split(',').map(|item| unquoted(item.trim())).filter(|item| !item.is_empty()).collect()
}
