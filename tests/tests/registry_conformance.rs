//! The registry of the tests beside the distribution specification: its own conformance suite finds nothing wrong with what
//! it serves. What is shown against it is so shown against a registry that keeps to the specification.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testregistry::{REPOSITORY, Rows, Server};
use tests::go_tool::CONFORMANCE;
use tests::{cmd, scratch, skip};

/// What the registry does not serve, as no client here asks for it.
const WITHOUT: [&str; 9] = [
    "OCI_API_TAGS_LIST",
    "OCI_API_TAGS_DELETE",
    "OCI_API_BLOBS_DELETE",
    "OCI_API_MANIFESTS_DELETE",
    "OCI_API_BLOBS_MOUNT_ANONYMOUS",
    "OCI_DATA_SHA512",
    "OCI_DATA_NONDISTRIBUTABLE",
    "OCI_DATA_SPARSE",
    "OCI_DATA_SUBJECT_MISSING",
];

#[test]
fn the_specifications_own_suite_finds_nothing() -> Result<()> {
    let program = match CONFORMANCE.pinned() {
        Ok(program) => program,
        Err(error) => {
            skip::say(&format!("{} is not available: {error:#}", CONFORMANCE.package));
            return Ok(());
        }
    };
    let dir = scratch::dir()?;
    let server = Server::of(Rows::default());
    let mut command = Command::new(program);
    command.current_dir(dir.path()).env("OCI_REGISTRY", &server.address).env("OCI_TLS", "disabled");
    command.env("OCI_REPO1", REPOSITORY).env("OCI_REPO2", REPOSITORY);
    for name in WITHOUT {
        command.env(name, "false");
    }
    let out = cmd::output(&mut command)?;
    let results =
        fs::read_to_string(dir.path().join("results/junit.xml")).with_context(|| out.stderr.clone())?;
    let count = |name: &str| {
        let text = results.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        text.parse::<u32>().ok()
    };
    let (tests, failed, errors) = (count("tests"), count("failures"), count("errors"));
    ensure!(out.status.success() && failed.unwrap_or(0) == 0 && errors.unwrap_or(0) == 0, "{}", out.stdout);
    // So many of them are for what is left out above.
    let run = tests.unwrap_or(0) - count("disabled").unwrap_or(0) - count("skipped").unwrap_or(0);
    println!("{run} of the suite's tests were run");
    ensure!(run > 300, "only {run} were run: {}", out.stdout);
    Ok(())
}
