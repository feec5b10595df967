//! Without a network: what was fetched is enough, and what was not is named. (That `fetch` brings everything a build
//! needs is shown by `same_bytes`, whose build runs with the network cut off.)

use anyhow::Result;
use fault::Kind;
use tests::{image, scratch, skip, xtask};

const ATTR: &str = "kubelet-v1_26_0-amd64";

#[test]
fn what_is_in_the_store_is_built_without_a_network() -> Result<()> {
    if skip::without(&["unshare"])? {
        return Ok(());
    }
    let expected = image::digest(&xtask::layout(ATTR)?)?;
    let out = scratch::dir()?;
    // Without --offline: a build that has all it needs does not even try.
    let layout = xtask::Xtask::new()?.under(["unshare", "--net"]).build(ATTR, out.path())?;
    assert_eq!(image::digest(&layout)?, expected);
    Ok(())
}

#[test]
fn an_empty_store_cannot_be_built_from_offline() -> Result<()> {
    let scratch = scratch::dir()?;
    let [store, out] = ["store", "out"].map(|name| scratch.path().join(name));
    let xtask = xtask::Xtask::new()?.store(&store);
    let args = [xtask::build_args(ATTR, &out)?, vec!["--offline"]].concat();
    xtask.fails(&args, Kind::Unavailable, &["offline", "fetch"])?;
    xtask::nothing_half_made(&store, &out)
}
