//! `mount` without a mount to do: prints the table.

use super::candidates::matches;
use crate::failure::{Failure, out};
use crate::mountinfo;

/// Prints the mounts, all or of the types in a list such as `tmpfs,proc` or `notmpfs`.
pub(crate) fn print(types: Option<&str>) -> Result<(), Failure> {
    for entry in mountinfo::read()? {
        if types.is_none_or(|types| matches(types, &entry.fstype)) {
            let source = if entry.source.is_empty() { "none".into() } else { entry.source.to_string_lossy() };
            let target = entry.target.to_string_lossy();
            out(&format!("{source} on {target} type {} ({})", entry.fstype, entry.options()));
        }
    }
    Ok(())
}
