//! An entry of a list of `secfixes`: what people write there.

use std::collections::HashSet;

use serde::Serialize;

/// An identifier has no more bytes.
const MAX_ID: usize = 128;
/// What stands beside CVEs is said of each of so many; beside more of them of the first alone. So what comes of an entry is
/// at most so many times as long.
const MAX_SHARING: usize = 16;

/// A vulnerability, by what an entry says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vulnerability {
    /// Its identifier, `CVE-2022-0778`; of an entry without any its whole text.
    pub id: String,
    /// What others call it.
    pub aliases: Vec<String>,
    /// What stands in brackets.
    pub note: String,
}

/// Reads an entry: identifiers with spaces between them, and notes in brackets. Each CVE is a vulnerability; other
/// identifiers beside it (`XSA-252`) are names of the same one.
pub(super) fn parse(text: &str) -> Vec<Vulnerability> {
    let text: String = text.chars().filter(|char| !char.is_control()).collect();
    let (plain, note) = split_note(&text);
    let mut seen = HashSet::new();
    let mut ids: Vec<String> = plain.split([' ', ',', ';']).filter_map(identifier).collect();
    ids.retain(|id| seen.insert(id.clone()));
    let one =
        |id: String, aliases: &[String]| Vulnerability { id, aliases: aliases.to_vec(), note: note.clone() };
    let (cves, others): (Vec<String>, Vec<String>) = ids.into_iter().partition(|id| id.starts_with("CVE-"));
    match (cves.is_empty(), others.split_first()) {
        (false, _) => {
            let alone = |id| Vulnerability { id, aliases: Vec::new(), note: String::new() };
            let sharing = if cves.len() <= MAX_SHARING { cves.len() } else { 1 };
            let said = |(at, id)| if at < sharing { one(id, &others) } else { alone(id) };
            cves.into_iter().enumerate().map(said).collect()
        }
        (true, Some((first, rest))) => vec![one(first.clone(), rest)],
        // No identifier of any kind: it is reported as it is written.
        (true, None) if text.trim().is_empty() => Vec::new(),
        (true, None) => vec![one(text.trim().chars().take(MAX_ID).collect(), &[])],
    }
}

/// A text without what is in brackets, and that.
fn split_note(text: &str) -> (String, String) {
    let (mut plain, mut note, mut depth) = (String::new(), String::new(), 0_u32);
    for char in text.chars() {
        match char {
            '(' | '[' => {
                if depth == 0 && !note.is_empty() {
                    note.push_str("; ");
                }
                if depth > 0 {
                    note.push(char);
                }
                plain.push(' ');
                depth += 1;
            }
            ')' | ']' if depth > 0 => {
                depth -= 1;
                if depth > 0 {
                    note.push(char);
                }
            }
            _ if depth > 0 => note.push(char),
            ')' | ']' => plain.push(' '),
            _ => plain.push(char),
        }
    }
    (plain, note.trim().to_owned())
}

/// A word that can be an identifier: letters and a number at least, so neither `CVE` nor `N/A` nor `CVE-????-?????`.
fn identifier(word: &str) -> Option<String> {
    let word = word.trim_end_matches(['.', ':']);
    let word = word.strip_suffix(".patch").unwrap_or(word);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+".contains(&byte);
    let is = word.len() <= MAX_ID
        && word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.bytes().all(allowed)
        && word.bytes().any(|byte| byte.is_ascii_digit());
    // `CVE_2019-2426`, `cve-2019-2426`.
    let cve = word
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("CVE-") || start.eq_ignore_ascii_case("CVE_"));
    is.then(|| if cve { format!("CVE-{}", word[4..].replace('_', "-")) } else { word.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As they stand in Alpine's files, by aboutcode's tests of its reader (vulnerablecode, `test_alpine_linux_importer_v2`).
    #[test]
    fn entries_are_read_as_people_write_them() {
        for (text, expected) in [
            ("CVE-2021-42373", "CVE-2021-42373"),
            ("CVE-2018-7540 XSA-252", "CVE-2018-7540=XSA-252"),
            ("CVE-2022-42333 CVE-2022-43334 XSA-428", "CVE-2022-42333=XSA-428 | CVE-2022-43334=XSA-428"),
            ("CVE-2020-11501 GNUTLS-SA-2020-03-31 CVE-2020-11501", "CVE-2020-11501=GNUTLS-SA-2020-03-31"),
            ("CVE_2019-2426", "CVE-2019-2426"),
            ("CVE-2021-35940.patch", "CVE-2021-35940"),
            ("XSA-207", "XSA-207"),
            ("GHSA-vv2x-vrpj-qqpq", "GHSA-vv2x-vrpj-qqpq"),
            ("CVE-2022-45059 VSV00010", "CVE-2022-45059=VSV00010"),
            ("CVE N/A ZBX-11023", "ZBX-11023"),
            ("CVE-????-????? TS-2024-005", "TS-2024-005"),
            ("CVE-2017-2616 (+ regression fix)", "CVE-2017-2616 (+ regression fix)"),
            (
                "CVE-2018-10103 (SMB - partially fixed, but SMB printing disabled)",
                "CVE-2018-10103 (SMB - partially fixed, but SMB printing disabled)",
            ),
            (
                "CVE-2020-14342 (Not affected, requires --with-systemd)",
                "CVE-2020-14342 (Not affected, requires --with-systemd)",
            ),
            ("CVE-1-1 (a (b) c) [d] XSA-1", "CVE-1-1=XSA-1 (a (b) c; d)"),
            ("CVE-1-1 (no end", "CVE-1-1 (no end)"),
            ("CVE-1-1) XSA-1", "CVE-1-1=XSA-1"),
            ("CVE N/A", "CVE N/A"),
            ("  ", ""),
            ("CVE-2021-1\u{1b}[31m", "CVE-2021-1 (31m)"),
        ] {
            let told = parse(text).into_iter().map(|Vulnerability { id, aliases, note }| {
                let aliases = aliases.iter().map(|alias| format!("={alias}")).collect::<Vec<_>>().concat();
                let note = if note.is_empty() { note } else { format!(" ({note})") };
                format!("{id}{aliases}{note}")
            });
            assert_eq!(told.collect::<Vec<_>>().join(" | "), expected, "{text}");
        }
    }

    #[test]
    fn what_is_read_of_an_entry_is_of_limited_length() {
        let many = |name: &str, count: usize| {
            (0..count).map(|n| format!("{name}-1-{n}")).collect::<Vec<_>>().join(" ")
        };
        for (cves, others) in
            [(1, 20_000), (MAX_SHARING, 20_000), (MAX_SHARING + 1, 20_000), (20_000, 20_000)]
        {
            let entry = format!("{} {} ({})", many("CVE", cves), many("XSA", others), "x".repeat(10_000));
            let found = parse(&entry);
            assert_eq!(found.len(), cves);
            assert_eq!((found[0].aliases.len(), found[0].note.len()), (others, 10_000));
            let length = |one: &Vulnerability| one.id.len() + one.aliases.concat().len() + one.note.len();
            let told: usize = found.iter().map(length).sum();
            assert!(told <= MAX_SHARING * entry.len(), "{cves} and {others}: {told} of {}", entry.len());
        }
    }
}
