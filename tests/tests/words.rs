//! What people read (messages, help, docstrings, docs, comments) is in the field's words (CONTRIBUTING.md, "Style").

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use walkdir::{DirEntry, WalkDir};

/// What is not written any more, and what is written instead. In any case of letters, and across the ends of lines.
const RETIRED: [(&str, &str); 40] = [
    ("be had", "is available, is not available"),
    ("anew", "again; updated, rebuilt"),
    ("for want of", "is missing"),
    ("forbid to", "cannot … with `--locked`"),
    ("forbids to", "cannot … with `--locked`"),
    ("stands already", "duplicate"),
    ("stands twice", "is listed twice"),
    ("stand twice", "are listed twice"),
    ("says nothing of", "has no entry for"),
    ("say nothing of", "have no entry for"),
    ("says nothing about", "has no entry for"),
    ("say nothing about", "have no entry for"),
    ("because:", "caused by:"),
    ("good: signature", "verified: signature"),
    ("way to modules", "the module proxy"),
    ("way to go modules", "the module proxy"),
    ("has them not", "does not have them"),
    ("has it not", "does not have it"),
    ("is told as", "is reported as"),
    ("are told as", "are reported as"),
    ("what is told of", "what is reported of"),
    ("are told one by one", "are reported one by one"),
    ("told apart", "distinguished"),
    ("told from", "distinguished from"),
    ("cannot be told", "is not known"),
    ("is no", "is not a"),
    ("are no", "are not"),
    ("was no", "was not a"),
    ("were no", "were not"),
    ("demand a login", "require authentication"),
    ("demands a login", "requires authentication"),
    ("demands a password", "requires a password"),
    ("a login again and again", "keeps answering 401 Unauthorized after authentication"),
    ("token server that gives none", "token server returned no token"),
    ("that gives none", "that returned none"),
    ("each lack", "each problem"),
    ("the command that repairs", "the command that fixes"),
    ("in its stead", "instead"),
    ("in their stead", "instead"),
    ("if need be", "if needed"),
];

/// What is not called so any more, and what it is called: the names of types and functions in Rust.
const RENAMED: [(&str, &str); 27] = [
    ("Again", "Rebuilt"),
    ("All", "PushSet"),
    ("Bill", "Sbom"),
    ("Came", "UploadOutcome"),
    ("Do", "CommandFn"),
    ("Found", "LayoutImage"),
    ("Given", "ParsedFlag"),
    ("Held", "BlockedSignals"),
    ("Lacking", "Skipped"),
    ("News", "ReleaseStatus"),
    ("Scales", "Measurer"),
    ("See", "FileVisitor"),
    ("Stamps", "LinkerVars"),
    ("Stop", "StartError"),
    ("Take", "PullScope"),
    ("Took", "ExecTime"),
    ("Universe", "PackageIndex"),
    ("What", "EntryKind"),
    ("disown", "remove_owner"),
    ("fate", "removal_reason"),
    ("fitting", "candidates_for"),
    ("given", "parse"),
    ("may_show", "may_send_credentials"),
    ("odd", "protocol_error"),
    ("passing", "is_transient"),
    ("take_back", "backtrack"),
    ("told", "render_text"),
];

/// Words of others that are quoted: the file, the phrase, and who writes so. One that is not needed is a failure.
const QUOTED: [(&str, &str, &str); 0] = [];

/// Where people read something.
const ROOTS: [&str; 11] = [
    ".ci",
    ".github",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "README.md",
    "docs",
    "flake.nix",
    "images",
    "nix",
    "tests",
    "xtask",
];

/// What is below a directory, but for what compilers leave there.
fn below(dir: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> + use<> {
    WalkDir::new(dir).into_iter().filter_entry(|entry| entry.file_name() != "target")
}

/// Text that is read as a whole, with the line that each of its words is on.
#[derive(Default)]
struct Passage {
    text: String,
    /// Where in the text each line's part begins.
    lines: Vec<(usize, usize)>,
}

impl Passage {
    fn add(&mut self, line: usize, part: &str) {
        for word in part.split_whitespace() {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.lines.push((self.text.len(), line));
            self.text.push_str(&word.to_lowercase());
        }
    }

    fn line(&self, at: usize) -> usize {
        self.lines[self.lines.partition_point(|(begin, _)| *begin <= at) - 1].1
    }

    /// The lines where a phrase is, as whole words.
    fn find(&self, phrase: &str) -> Vec<usize> {
        let word = |char: char| char.is_alphanumeric() || char == '_';
        let found = self.text.match_indices(phrase).filter(|(at, _)| {
            let (before, after) = (&self.text[..*at], &self.text[at + phrase.len()..]);
            let within = before.ends_with(word) || phrase.ends_with(word) && after.starts_with(word);
            // "There is no x", "is no longer", "is no more" are as the field says it.
            let usual = phrase.ends_with(" no")
                && (before.ends_with("there ")
                    || [" longer", " more"].iter().any(|next| after.starts_with(next)));
            !within && !usual
        });
        found.map(|(at, _)| self.line(at)).collect()
    }
}

/// The comments and the string literals of Rust; comments line after line are one passage.
fn rust(text: &str) -> Vec<Passage> {
    let mut all: Vec<Passage> = Vec::new();
    let (mut at, mut line, mut comment) = (0, 1, 0);
    while let Some(char) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            if comment == 0 || comment + 1 != line {
                all.push(Passage::default());
            }
            if let Some(last) = all.last_mut() {
                last.add(line, rest[..end].trim_start_matches(['/', '!']));
            }
            comment = line;
            end
        } else if let Some(length) = raw_string(rest).or_else(|| string(rest)) {
            let mut passage = Passage::default();
            for (number, part) in rest[..length].split('\n').enumerate() {
                passage.add(line + number, part.trim_end_matches('\\'));
            }
            all.push(passage);
            comment = 0;
            length
        } else {
            quoted_char(rest).unwrap_or(char.len_utf8())
        };
        line += text[at..at + length].matches('\n').count();
        at += length;
    }
    all
}

/// The length of a raw string that a text begins with.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?;
    let quote = hashes.find('"')?;
    if !hashes[..quote].bytes().all(|byte| byte == b'#') {
        return None;
    }
    let end = format!("\"{}", &hashes[..quote]);
    let body = 1 + quote + 1;
    Some(body + text[body..].find(&end)? + end.len())
}

/// The length of a string with escapes that a text begins with.
fn string(text: &str) -> Option<usize> {
    let mut chars = text.strip_prefix('"')?.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => _ = chars.next(),
            '"' => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// The length of a character that a text begins with, so that a quote in one begins no string.
fn quoted_char(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        let begin = escape.chars().next()?.len_utf8();
        return Some(2 + begin + escape[begin..].find('\'')? + 1);
    }
    let char = inner.chars().next()?.len_utf8();
    inner[char..].starts_with('\'').then_some(1 + char + 1)
}

/// Whatever is not Rust: all of it, without the signs of comments.
fn plain(text: &str) -> Vec<Passage> {
    let mut passage = Passage::default();
    for (number, line) in text.lines().enumerate() {
        passage.add(number + 1, line.trim_start().trim_start_matches(['#', '>', '*', '-', '/']));
    }
    vec![passage]
}

/// What is retired in a text: line, phrase, and what to write.
fn retired(name: &str, text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let rust_file = Path::new(name).extension().is_some_and(|extension| extension == "rs");
    let mut found = Vec::new();
    for passage in if rust_file { rust(text) } else { plain(text) } {
        for (phrase, instead) in RETIRED {
            found.extend(passage.find(phrase).into_iter().map(|line| (line, phrase, instead)));
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn what_people_read_has_no_retired_words() -> Result<()> {
    let top = tests::root();
    let (mut seen, mut wrong, mut used) = (0, String::new(), Vec::new());
    for root in ROOTS {
        for entry in below(&top.join(root)) {
            let entry = entry?;
            let name = entry.path().strip_prefix(&top)?.to_string_lossy().into_owned();
            let read = ["go", "md", "nix", "rs", "sh", "snap", "toml", "yml"];
            let extension = entry.path().extension().and_then(|extension| extension.to_str());
            // This file names them.
            if !entry.file_type().is_file()
                || !(extension.is_some_and(|extension| read.contains(&extension)) || root == ".ci")
                || name == "tests/tests/words.rs"
            {
                continue;
            }
            seen += 1;
            let text = fs::read_to_string(entry.path()).with_context(|| format!("reading {name}"))?;
            for (line, phrase, instead) in retired(&name, &text) {
                if QUOTED.iter().any(|(file, quoted, _)| *file == name && *quoted == phrase) {
                    used.push((name.clone(), phrase));
                } else {
                    writeln!(wrong, "{name}:{line}: `{phrase}`: write \"{instead}\"")?;
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "retired words (CONTRIBUTING.md, \"Style\"):\n{wrong}");
    ensure!(seen > 500, "only {seen} files were read");
    for (file, phrase, _) in QUOTED {
        ensure!(used.iter().any(|(name, found)| name == file && *found == phrase), "{file}: no `{phrase}`");
    }
    Ok(())
}

/// The retired names that a file of Rust gives to something.
fn renamed(text: &str) -> Vec<(&'static str, &'static str)> {
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let mut kind = "";
        for word in line.split(|char: char| !char.is_alphanumeric() && char != '_') {
            if ["enum", "fn", "struct", "trait", "type"].contains(&kind) {
                found.extend(RENAMED.into_iter().filter(|(name, _)| *name == word));
            }
            kind = word;
        }
    }
    found.into_iter().collect()
}

#[test]
fn nothing_has_a_retired_name() -> Result<()> {
    let top = tests::root();
    let (mut seen, mut wrong) = (0, String::new());
    for entry in ["tests", "xtask"].into_iter().flat_map(|root| below(&top.join(root))) {
        let path = entry?.into_path();
        // This file names them.
        if path.extension().is_none_or(|extension| extension != "rs")
            || path.ends_with("tests/tests/words.rs")
        {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        for (name, instead) in renamed(&text) {
            writeln!(wrong, "{}: `{name}`: call it `{instead}`", path.display())?;
        }
    }
    ensure!(wrong.is_empty(), "retired names (CONTRIBUTING.md, \"Style\"):\n{wrong}");
    ensure!(seen > 500, "only {seen} files were read");
    assert_eq!(renamed("pub(crate) struct Bill<'a> {\nfn told_all() {}\n// fn told()").len(), 1);
    Ok(())
}

#[test]
fn words_are_found_in_text_and_not_in_code() {
    let lines = |name: &str, text: &str| -> Vec<(usize, &'static str)> {
        retired(name, text).into_iter().map(|(line, phrase, _)| (line, phrase)).collect()
    };
    let text = "/// It cannot be\n/// had.\nfn anew(good: u8) { f('\"', \"x is no\\\n y\", r#\"Made \"anew\"\"#) }\n";
    assert_eq!(lines("a.rs", text), [(1, "be had"), (3, "is no"), (4, "anew")]);
    assert_eq!(
        lines("a.rs", "// one cannot be\nlet x = 'a';\n// had\n\"there is no x, it is no longer\""),
        []
    );
    assert_eq!(lines("a.md", "What\nis\nno file; there is\nno file; is not\n"), [(2, "is no")]);
    assert_eq!(lines("a.yml", "# For want\n# of more\n"), [(1, "for want of")]);
}
