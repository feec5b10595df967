//! What docker is given of a layout that is signed and attested, where no docker runs: the archive itself.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::forged::{Forged, named};
use tests::xtask::Xtask;
use tests::{cmd, scratch, skip};

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("not UTF-8")
}

#[test]
fn docker_is_given_the_image_without_what_is_attached() -> Result<()> {
    if skip::without(&["openssl", "skopeo"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let forged = Forged::new(dir.path())?;
    let signed = forged.image(1, &json!({}))?;
    let mut root = named(&signed, "v1");
    root["annotations"]["io.containerd.image.name"] = json!("localhost/x:v1");
    let mut entries = vec![root];
    entries.extend(forged.sbom(&signed)?);
    entries.push(forged.signature(&signed, &signed)?);
    forged.write(&entries)?;

    // It keeps what it is given.
    let archive = dir.path().join("archive.tar");
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\nversion) echo 1;;\nload) cp \"$3\" '{}';;\n*) exit 9;;\nesac\n",
        archive.display()
    );
    let path = scratch::path_with(&dir.path().join("bin"), "docker", &script)?;
    let said = Xtask::new()?.env("PATH", path).ok(&["load", text(&forged.dir)?])?;
    ensure!(said.trim() == "localhost/x:v1", "{said}");

    let mut names = BTreeSet::new();
    let mut index = String::new();
    for entry in tar::Archive::new(fs::File::open(&archive)?).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        if name == "index.json" {
            entry.read_to_string(&mut index)?;
        }
        ensure!(names.insert(name.clone()), "{name} is there twice");
    }
    // Manifest, config and layer; by OCI's files, and by docker's own.
    let blobs = names.iter().filter(|name| name.starts_with("blobs/")).count();
    ensure!(blobs == 3 && names.len() == 6 && names.contains("manifest.json"), "{names:?}");
    let index: Value = serde_json::from_str(&index)?;
    ensure!(index["manifests"].as_array().is_some_and(|all| all.len() == 1), "{index}");
    for form in ["docker-archive", "oci-archive"] {
        let copy = dir.path().join(form);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", &format!("{form}:{}", archive.display())]);
        cmd::ok(skopeo.arg(format!("dir:{}", copy.display())))?;
    }
    Ok(())
}
