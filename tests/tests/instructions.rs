//! `bench instructions`: no hot path takes a tenth more than recorded, and one that does is named.

use std::fs;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use tests::xtask::Xtask;
use tests::{scratch, skip};

const RECORD: &str = "tests/instructions.toml";

#[test]
fn hot_paths_take_no_more_instructions_than_recorded() -> Result<()> {
    if skip::without(&["valgrind"])? {
        return Ok(());
    }
    if !is_recorded()? {
        skip::say(&format!("{RECORD} has no counts for this architecture"));
        return Ok(());
    }
    let counts = Xtask::new()?.ok(&["bench", "instructions", "--check"])?;
    ensure!(counts.lines().count() > 5, "{counts}");
    Ok(())
}

/// The same code against a record of a ninth less: what would be seen of a path that had become dearer.
#[test]
fn a_path_that_takes_more_is_named_with_what_to_do() -> Result<()> {
    if skip::without(&["valgrind"])? || !is_recorded()? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let checkout = scratch.path().join("checkout");
    scratch::checkout(&checkout)?;
    let file = checkout.join(RECORD);
    let text = fs::read_to_string(&file)?;
    let cheaper = |line: &str| match line.split_once(" = ") {
        Some((path, count)) => Ok(format!("{path} = {}", count.parse::<u64>()? * 8 / 9)),
        None => Ok(line.to_owned()),
    };
    let lines = text.lines().map(cheaper).collect::<Result<Vec<_>>>()?;
    fs::write(&file, lines.join("\n"))?;
    let xtask = Xtask::new()?.cwd(&checkout);
    let check = ["bench", "instructions", "index", "--check"];
    xtask.fails(
        &check,
        Kind::ToolFailed,
        &["index: +12", RECORD, "`cargo xtask bench instructions --record`"],
    )?;

    // As the message says; of all else in the file nothing changes.
    xtask.ok(&["bench", "instructions", "index", "--record"])?;
    let recorded = fs::read_to_string(&file)?;
    let changed: Vec<_> =
        recorded.lines().filter(|line| !lines.iter().any(|before| before == line)).collect();
    ensure!(matches!(*changed, [line] if line.starts_with("index = ")), "{changed:?}");
    xtask.ok(&check)?;

    fs::write(&file, "")?;
    xtask.fails(&check, Kind::Stale, &["index: not recorded"])?;
    xtask.fails(&["bench", "instructions", "no-such"], Kind::NotFound, &["no-such", "layer-files"])?;
    Ok(())
}

fn is_recorded() -> Result<bool> {
    let text = fs::read_to_string(tests::root().join(RECORD)).context(RECORD)?;
    Ok(text.contains(&format!("[{}]", std::env::consts::ARCH)))
}
