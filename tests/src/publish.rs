//! What is asked of a registry by the verbs that publish and compare: pushed, pushed again, verified, compared, released.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testregistry::{Row, Rows, Server};

use crate::forged::{Forged, named};
use crate::xtask::Xtask;
use crate::{key_pair, made, scratch};

/// The tag of what [`Published::release`] releases.
pub const RELEASED: &str = "v1.26.0-micro";
/// A layer that is larger than each limit of a registry's, and yet quick to send.
const LAYER: usize = (11 << 20) / 2;

/// A registry with these rows, and xtask with its credentials, which are in a directory.
pub fn registry(rows: &[Row], dir: &Path) -> Result<(Server, Xtask)> {
    let server = Server::of(Rows::of(rows).context("no registry does all of it")?);
    fs::write(dir.join("config.json"), server.docker_config().to_string())?;
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir);
    Ok((server, xtask))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("not UTF-8")
}

/// An image with an SBOM, both signed, and a key to release with.
#[derive(Debug)]
pub struct Published {
    forged: Forged,
    key: PathBuf,
    /// The public key of who releases.
    pub released_by: PathBuf,
}

impl Published {
    /// Made in a directory.
    pub fn new(dir: &Path) -> Result<Self> {
        let forged = Forged::new(dir)?;
        let image = forged.image_of("made", &[made::layer(1, 64)?, made::layer(2, LAYER)?], &json!({}))?;
        let mut entries = vec![named(&image, "v1")];
        entries.extend(forged.sbom(&image)?);
        entries.push(forged.signature(&image, &image)?);
        forged.write(&entries)?;
        let [key, released_by] = key_pair::make(dir, "signing")?;
        Ok(Self { forged, key, released_by })
    }

    /// Where the image is.
    pub fn layout(&self) -> &Path {
        &self.forged.dir
    }

    /// All of it, against a registry that does this.
    pub fn play(&self, rows: &[Row]) -> Result<()> {
        let dir = scratch::dir()?;
        let (server, xtask) = registry(rows, dir.path())?;
        self.verbs(&server.address, &xtask)?;
        // Without the kubelet it is a tenth of a second's work.
        let omit = ["--omit", "kubelet", "--allow-incomplete"];
        self.release(&server.address, &xtask, &dir.path().join("out"), &omit)?;
        whole(&server, &["v1", RELEASED])
    }

    /// Pushed, pushed again, verified, compared.
    pub fn verbs(&self, address: &str, xtask: &Xtask) -> Result<()> {
        let (layout, to) = (text(&self.forged.dir)?, format!("{address}/kubelet"));
        let push = || -> Result<Value> {
            let args = ["push", layout, "--to", &to, "--mount-from", "base", "--json"];
            Ok(serde_json::from_str(&xtask.ok(&args)?)?)
        };
        let first = push()?;
        ensure!(first["sent"] != 0, "{first}");
        let again = push()?;
        ensure!(
            again["sent"] == 0 && again["bytes"] == 0 && again["present"] == first["sent"],
            "again: {again}"
        );
        let image = format!("{to}:v1");
        let said = xtask.ok(&["verify", &image, "--no-rebuild", "--key", text(&self.forged.public)?])?;
        ensure!(said.contains("signature verified") && said.contains("SBOM"), "{said}");
        let same: Value = serde_json::from_str(&xtask.ok(&["size", "diff", &image, layout, "--json"])?)?;
        ensure!(same["unchanged"] == 1 && same["layers"] == json!([]), "{same}");
        Ok(())
    }

    /// Released twice, from the store, which has what it needs: there is nothing to send then.
    pub fn release(&self, to: &str, xtask: &Xtask, out: &Path, more: &[&str]) -> Result<()> {
        let args = ["release", "kubelet-v1_26_0", "--to", to, "--arch", "amd64", "--partial", "--no-rebuild"];
        let args = [&args[..], &["--json", "--key", text(&self.key)?, "--out", text(out)?], more].concat();
        let done: Value = serde_json::from_str(&xtask.ok(&args)?)?;
        ensure!(done["sent"].as_u64().is_some_and(|sent| sent > 5), "{done}");
        let again: Value = serde_json::from_str(&xtask.ok(&args)?)?;
        ensure!(again["sent"] == 0 && again["bytes"] == 0, "{again}");
        Ok(())
    }
}

/// Has a registry these tags, and all that tags name, and was it told none too early?
pub fn whole(server: &Server, tags: &[&str]) -> Result<()> {
    let state = server.state();
    let all = tags.iter().all(|tag| state.tags.contains_key(*tag));
    ensure!(all && state.tags_are_whole(), "tags are missing, or name what is missing: {:?}", state.tags);
    ensure!(state.early.is_empty(), "set too early: {:?}", state.early);
    Ok(())
}
