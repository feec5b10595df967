//! A part of a page that a program writes: what lies between two marks.

use anyhow::Result;
use fault::{Fault, Kind};

/// A page with a table in place of what lies between the marks `begin` and `end`; `file` is what messages call it.
///
/// # Errors
/// [`Kind::InvalidData`] for a page without such a place.
pub fn replace_marked(page: &str, file: &str, [begin, end]: [&str; 2], table: &str) -> Result<String> {
    let parts = page.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let Some((before, after)) = parts else {
        let message = format!("{file}: there is no place for the table: a line {begin:?}, then {end:?}");
        return Err(Fault::new(Kind::InvalidData, message).into());
    };
    Ok(format!("{before}{begin}\n{table}\n{end}{after}"))
}
