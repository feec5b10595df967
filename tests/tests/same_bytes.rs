//! Another build of the same commit, as different as can be, gives the same digest; and needs no network once its
//! inputs were fetched.

use std::fs;
use std::path::Path;

use anyhow::Result;
use tests::overlay::{self, Store};
use tests::{image, scratch, skip, xtask};

const ATTR: &str = "kubelet-v1_26_0-flannel-amd64";

/// One build shows several things, because it is not a cheap one: another checkout whose files were made in another
/// order, an empty store, another home, umask, time zone, language and number of jobs, and a network that is cut off
/// after `xtask fetch`. Go's own caches are the user's.
#[test]
fn another_build_elsewhere_and_offline_gives_the_same_digest() -> Result<()> {
    if skip::without(&overlay::PROGRAMS)? || skip::without(&["go"])? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let checkout = scratch.path().join("a checkout");
    scratch::checkout(&checkout)?;
    let store = Store::empty(&scratch.path().join("store"))?;
    build_elsewhere(scratch.path(), store.xtask(&checkout)?)
}

/// The same with a store at another path, so that no compiler is where it was, and with nothing of Go's cached.
#[test]
fn another_build_with_nothing_cached_gives_the_same_digest() -> Result<()> {
    if skip::without(&["unshare", "go"])?
        || skip::unless_full("a build with nothing cached compiles for long")
    {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let [checkout, store, go] = ["a checkout", "store", "go"].map(|name| scratch.path().join(name));
    scratch::checkout(&checkout)?;
    let xtask = xtask::Xtask::new()?.cwd(&checkout).store(&store);
    let xtask = xtask
        .env("GOFLAGS", "-modcacherw")
        .env("GOMODCACHE", go.join("mod"))
        .env("GOCACHE", go.join("build"));
    build_elsewhere(scratch.path(), xtask)
}

fn build_elsewhere(scratch: &Path, xtask: xtask::Xtask) -> Result<()> {
    let expected = image::digest(&xtask::layout(ATTR)?)?;
    let [home, out] = ["home", "out"].map(|name| scratch.join(name));
    fs::create_dir(&home)?;
    let xtask = xtask
        .home(&home)?
        .env("TZ", "Pacific/Kiritimati")
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("SOURCE_DATE_EPOCH", "1");
    xtask.ok(&["fetch", ATTR])?;
    let offline = xtask.under(["unshare", "--net", "sh", "-c", "umask 077; exec \"$@\"", "sh"]);
    let mut args = xtask::build_args(ATTR, &out)?;
    args.extend(["--jobs", "1", "--offline"]);
    offline.ok(&args)?;
    assert_eq!(image::digest(&out.join(ATTR))?, expected);
    Ok(())
}

#[test]
fn all_blobs_are_the_same_with_another_number_of_jobs_from_what_is_in_the_store() -> Result<()> {
    let first = xtask::layout(ATTR)?;
    let out = scratch::dir()?;
    let mut args = xtask::build_args(ATTR, out.path())?;
    args.extend(["--jobs", "7"]);
    xtask::Xtask::new()?.env("TZ", "UTC-14").ok(&args)?;
    let list = |layout: &std::path::Path| {
        let files = scratch::files(layout).into_iter();
        let row =
            |file: std::path::PathBuf| Ok((file.strip_prefix(layout)?.to_owned(), scratch::sha256(&file)?));
        files.map(row).collect::<Result<Vec<_>>>()
    };
    assert_eq!(list(&out.path().join(ATTR))?, list(&first)?);
    Ok(())
}
