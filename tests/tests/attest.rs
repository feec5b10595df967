//! What is said about images: complete, valid by the formats' own validators, and found false where it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use fault::Kind;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tests::alpine::{Place, real};
use tests::{cmd, image, key_pair, scratch, skip, xtask};

const ATTR: &str = "kubelet-v1_26_0-amd64";

/// A copy of the image's layout, to change.
fn copy(to: &Path) -> Result<PathBuf> {
    let layout = to.join("layout");
    cmd::ok(Command::new("cp").arg("-r").arg(xtask::layout(ATTR)?).arg(&layout))?;
    Ok(layout)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("not UTF-8")
}

fn sbom(xtask: &xtask::Xtask, image: &str, format: &str) -> Result<Value> {
    Ok(serde_json::from_str(&xtask.ok(&["sbom", image, "--format", format])?)?)
}

/// Name and version of all packages whose URLs are of this kind.
fn packages(spdx: &Value, kind: &str) -> BTreeSet<String> {
    let kind = format!("pkg:{kind}/");
    let all = spdx["packages"].as_array().into_iter().flatten();
    all.filter(|package| {
        package["externalRefs"][0]["referenceLocator"].as_str().is_some_and(|url| url.starts_with(&kind))
    })
    .map(|package| {
        let part = |key: &str| package[key].as_str().unwrap_or_default();
        format!("{} {}", part("name"), part("versionInfo")).trim_end().to_owned()
    })
    .collect()
}

#[test]
fn go_modules_are_those_that_go_lists() -> Result<()> {
    if skip::without(&["go", "tar"])? {
        return Ok(());
    }
    let layout = xtask::layout(ATTR)?;
    let dir = scratch::dir()?;
    for (layer, _) in image::layers(&layout)? {
        cmd::ok(
            Command::new("tar")
                .arg("-xf")
                .arg(image::blob(&layout, &layer))
                .arg("-C")
                .arg(dir.path())
                .arg("usr"),
        )?;
    }
    let listed = cmd::ok(Command::new("go").args(["version", "-m"]).arg(dir.path().join("usr/bin/kubelet")))?;
    let mut expected: Vec<String> = Vec::new();
    for line in listed.lines() {
        let fields: Vec<&str> = line.trim_start().split('\t').collect();
        match *fields {
            ["mod" | "dep", path, version, ..] => expected.push(format!("{path} {version}")),
            // An edited copy has no version of its own: it is the module that it is a copy of.
            ["=>", path, version, ..] if !path.starts_with('.') => {
                *expected.last_mut().context("`=>` first")? = format!("{path} {version}");
            }
            _ => {}
        }
    }
    let mut expected: BTreeSet<String> = expected.into_iter().collect();
    ensure!(expected.len() > 100, "go lists only {} modules", expected.len());
    let go = listed.lines().next().and_then(|line| line.rsplit(": go").next());
    expected.insert(format!("stdlib {}", go.context("no version of Go")?));
    assert_eq!(packages(&sbom(&xtask::Xtask::new()?, text(&layout)?, "spdx")?, "golang"), expected);
    Ok(())
}

#[test]
fn alpine_packages_are_those_of_the_installed_database() -> Result<()> {
    let Some(real) = real() else { return Ok(()) };
    let place = Place::new(&real)?;
    let layout = place.xtask.build("kubelet-v1_26_0-alpine3_15-amd64", &place.dir.path().join("out"))?;
    let (base, _) = image::layers(&layout)?.into_iter().next().context("no layer")?;
    let mut tar = Command::new("tar");
    let database = cmd::ok(tar.arg("-xOf").arg(image::blob(&layout, &base)).arg("lib/apk/db/installed"))?;
    let mut expected = BTreeSet::new();
    let mut name = "";
    for line in database.lines() {
        match line.split_once(':') {
            Some(("P", value)) => name = value,
            Some(("V", value)) => _ = expected.insert(format!("{name} {value}")),
            _ => {}
        }
    }
    ensure!(expected.len() > 14, "{expected:?}");
    let spdx = sbom(&place.xtask, text(&layout)?, "spdx")?;
    assert_eq!(packages(&spdx, "apk"), expected);
    let musl = spdx["packages"].as_array().into_iter().flatten().find(|package| package["name"] == "musl");
    assert_eq!(musl.context("no musl")?["licenseDeclared"], "MIT");
    validate(&place.xtask, text(&layout)?)
}

#[test]
fn documents_are_valid_and_the_same_each_time() -> Result<()> {
    let layout = xtask::layout(ATTR)?;
    let xtask = xtask::Xtask::new()?;
    for format in ["spdx", "cyclonedx"] {
        assert_eq!(sbom(&xtask, text(&layout)?, format)?, sbom(&xtask, text(&layout)?, format)?);
    }
    validate(&xtask, text(&layout)?)
}

/// Asks the formats' own validators, where pip can get them.
fn validate(xtask: &xtask::Xtask, image: &str) -> Result<()> {
    // One test at a time makes it.
    static VENV: Mutex<()> = Mutex::new(());
    let made = VENV.lock().unwrap_or_else(PoisonError::into_inner);
    let venv = xtask::program()?.parent().context("xtask is in no directory")?.join("test-tools/sbom-venv");
    let program = |name: &str| venv.join("bin").join(name);
    if !program("pyspdxtools").is_file() || !program("python").is_file() {
        cmd::ok(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let mut pip = Command::new(program("pip"));
        let got = cmd::output(pip.args([
            "install",
            "-q",
            "spdx-tools==0.8.5",
            "cyclonedx-python-lib[json-validation]==11.12.0",
        ]))?;
        if !got.status.success() && skip::without(&["the SBOM validators, which pip cannot get"])? {
            return Ok(());
        }
    }
    drop(made);
    let dir = scratch::dir()?;
    let [spdx, cyclonedx] = ["spdx", "cyclonedx"].map(|format| dir.path().join(format!("{format}.json")));
    xtask.ok(&["sbom", image, "--out", text(&spdx)?])?;
    xtask.ok(&["sbom", image, "--format", "cyclonedx", "--out", text(&cyclonedx)?])?;
    cmd::ok(Command::new(program("pyspdxtools")).arg("-i").arg(&spdx))?;
    let script = "import sys\nfrom cyclonedx.validation.json import JsonStrictValidator\nfrom cyclonedx.schema import SchemaVersion\nerror = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())\nsys.exit(error and str(error))";
    cmd::ok(Command::new(program("python")).args(["-c", script]).arg(&cyclonedx))?;
    Ok(())
}

#[test]
fn an_honest_image_passes_and_openssl_agrees_on_its_signatures() -> Result<()> {
    if skip::without(&["openssl"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let layout = copy(dir.path())?;
    let [private, public] = key_pair::make(dir.path(), "ours")?;
    let [_, other] = key_pair::make(dir.path(), "other")?;
    let xtask = xtask::Xtask::new()?;
    let attest = ["attest", text(&layout)?, "--key", text(&private)?];
    xtask.ok(&attest)?;
    let first = fs::read(layout.join("index.json"))?;
    xtask.ok(&attest)?;
    ensure!(fs::read(layout.join("index.json"))? == first, "attested again, the index is another");
    let said = xtask.ok(&["verify", text(&layout)?, "--key", text(&public)?])?;
    ensure!(said.contains("manifest, layers, signature, SBOM, provenance, rebuild"), "{said}");
    let wrong = ["verify", text(&layout)?, "--no-rebuild", "--key", text(&other)?];
    xtask.fails(&wrong, Kind::Mismatch, &["no valid signature", "not by this key"])?;
    let swapped = ["attest", text(&layout)?, "--key", text(&public)?];
    let refused = xtask.fails(&swapped, Kind::InvalidData, &["not a private key in PKCS #8"])?;
    ensure!(!refused.stderr.contains("BEGIN"), "a key is shown: {}", refused.stderr);

    let index: Value = serde_json::from_slice(&first)?;
    let mut signatures = 0;
    for manifest in index["manifests"].as_array().into_iter().flatten() {
        let name = manifest["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or_default();
        let Some(signed) = name.strip_suffix(".sig") else { continue };
        let read = |digest: &Value| fs::read(image::blob(&layout, digest.as_str().unwrap_or_default()));
        let layer = serde_json::from_slice::<Value>(&read(&manifest["digest"])?)?["layers"][0].take();
        let signature =
            layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().context("unsigned")?;
        let [payload, file] = ["payload", "signature"].map(|name| dir.path().join(name));
        fs::write(&payload, read(&layer["digest"])?)?;
        fs::write(&file, base64::engine::general_purpose::STANDARD.decode(signature)?)?;
        let mut openssl = Command::new("openssl");
        cmd::ok(
            openssl
                .args(["dgst", "-sha256", "-verify"])
                .arg(&public)
                .arg("-signature")
                .arg(&file)
                .arg(&payload),
        )?;
        ensure!(fs::read_to_string(&payload)?.contains(&signed.replace("sha256-", "sha256:")), "{name}");
        signatures += 1;
    }
    assert_eq!(signatures, 4, "the image, two SBOMs and the provenance");
    Ok(())
}

#[test]
fn a_byte_changed_in_any_layer_is_found() -> Result<()> {
    let dir = scratch::dir()?;
    let layout = copy(dir.path())?;
    let xtask = xtask::Xtask::new()?;
    xtask.ok(&["attest", text(&layout)?])?;
    for (number, (layer, size)) in image::layers(&layout)?.into_iter().enumerate() {
        // As it lies there.
        let blob = image::blob(&layout, &layer);
        let whole = fs::read(&blob)?;
        scratch::flip(&blob)?;
        xtask.fails(&["verify", text(&layout)?, "--no-rebuild"], Kind::Mismatch, &[layer.as_str()])?;
        fs::write(&blob, &whole)?;

        // Packed again, with all digests to match, in the SBOM and provenance too.
        let forged = dir.path().join(format!("forged-{number}"));
        cmd::ok(Command::new("cp").arg("-r").arg(&layout).arg(&forged))?;
        let path = forge(&forged, dir.path(), number, &layer, size)?;
        let said = xtask.ok(&["verify", text(&forged)?, "--no-rebuild"])?;
        ensure!(said.contains("SBOM"), "the forgery has other faults: {said}");
        let words = [&*format!("layer {number}, /{path}: its content"), "expected", "found"];
        // What nobody signed is compiled only where that is asked for.
        let said = xtask.output(&["verify", text(&forged)?])?;
        ensure!(said.status.success() && !said.stdout.contains("rebuild"), "{}", said.stdout);
        ensure!(said.stderr.contains("not built again"), "{}", said.stderr);
        xtask.fails(&["verify", text(&forged)?, "--rebuild"], Kind::Mismatch, &words)?;
        xtask.fails(&["attest", text(&forged)?], Kind::Mismatch, &words)?;
    }
    xtask.ok(&["verify", text(&layout)?, "--rebuild"]).map(drop)
}

/// Changes a byte of a file in a layer; whatever names a digest is made to fit. Returns the file's path.
fn forge(layout: &Path, dir: &Path, number: usize, layer: &str, size: u64) -> Result<&'static str> {
    let old = image::blob(layout, layer);
    let tar = dir.join("layer.tar");
    let unpack = |archive: &Path| -> Result<()> {
        let out = fs::File::create(archive)?;
        ensure!(Command::new("gzip").arg("-dc").arg(&old).stdout(out).status()?.success(), "gzip");
        Ok(())
    };
    unpack(&tar)?;
    let mut bytes = fs::read(&tar)?;
    let (path, at) = match number {
        0 => ("etc/group", bytes.windows(8).position(|word| word == b"root:x:0").context("no root in it")?),
        _ => ("usr/bin/kubelet", bytes.len() / 2),
    };
    let file =
        || cmd::ok(Command::new("sh").args(["-c", "tar -xOf \"$0\" \"$1\" | sha256sum"]).arg(&tar).arg(path));
    let before = (hash(&bytes), file()?);
    bytes[at] ^= 1;
    fs::write(&tar, &bytes)?;
    let packed = dir.join("layer.tar.gz");
    cmd::ok(Command::new("sh").args(["-c", "gzip -nc \"$0\" > \"$1\""]).arg(&tar).arg(&packed))?;
    let new = fs::read(&packed)?;
    let hex = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let mut changes = vec![
        (layer.trim_start_matches("sha256:").to_owned(), hash(&new)),
        (before.0, hash(&bytes)),
        (hex(&before.1), hex(&file()?)),
        (format!("\"size\":{size}"), format!("\"size\":{}", new.len())),
    ];
    fs::remove_file(&old)?;
    let blobs = layout.join("blobs/sha256");
    fs::write(blobs.join(hash(&new)), &new)?;
    // Documents name each other without a circle, so this ends.
    while !changes.is_empty() {
        let now = std::mem::take(&mut changes);
        for file in scratch::files(layout) {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let changed = now.iter().fold(text.clone(), |text, (from, to)| text.replace(from, to));
            if changed == text {
                continue;
            }
            ensure!(changed.len() == text.len(), "sizes of documents would change");
            if file.starts_with(&blobs) {
                fs::remove_file(&file)?;
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                fs::write(blobs.join(hash(changed.as_bytes())), &changed)?;
                changes.push((name, hash(changed.as_bytes())));
            } else {
                fs::write(&file, &changed)?;
            }
        }
    }
    Ok(path)
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn what_is_missing_or_hostile_is_told() -> Result<()> {
    let dir = scratch::dir()?;
    let layout = copy(dir.path())?;
    let xtask = xtask::Xtask::new()?;
    let verify = ["verify", text(&layout)?, "--no-rebuild"];
    xtask.fails(&verify, Kind::Mismatch, &["no application/spdx+json is attached", "cargo xtask attest"])?;
    xtask.fails(&["verify", "no-such-image"], Kind::NotFound, &["no-such-image", "cargo xtask list"])?;
    xtask.ok(&["attest", text(&layout)?])?;
    // A document that is another than its manifest says.
    for file in scratch::files(&layout.join("blobs")) {
        if fs::read_to_string(&file).is_ok_and(|text| text.contains("SPDXRef-DOCUMENT")) {
            scratch::flip(&file)?;
        }
    }
    xtask.fails(&verify, Kind::Mismatch, &["blob sha256:", "expected", "found"]).map(drop)
}
