//! The verbs against what real registries do, each a row of the test registry, and against another real one: pushed, pushed
//! again, verified, compared, released. What others push is read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::{Value, json};
use testregistry::{Row, Rows};
use tests::forged::{Forged, named};
use tests::go_tool::CRANE;
use tests::publish::{Published, RELEASED, registry, whole};
use tests::random::Random;
use tests::registry::Registry;
use tests::xtask::Xtask;
use tests::{cmd, image, key_pair, made, scratch, skip};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("not UTF-8")
}

/// Plays each; all that fail are reported at once.
fn play(all: impl Iterator<Item = Vec<Row>> + Send) -> Result<()> {
    let dir = scratch::dir()?;
    let published = Published::new(dir.path())?;
    let (queue, failed) = (Mutex::new(all), Mutex::new(Vec::new()));
    let played = AtomicUsize::new(0);
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(rows) = next() {
                    played.fetch_add(1, Ordering::Relaxed);
                    if let (Err(error), Ok(mut failed)) = (published.play(&rows), failed.lock()) {
                        failed.push(format!("{rows:?}: {error:#}"));
                    }
                }
            });
        }
    });
    let (failed, played) = (failed.into_inner().unwrap_or_default(), played.into_inner());
    println!("{} of {played} registries took all", played - failed.len());
    ensure!(failed.is_empty(), "{} fail:\n{}", failed.len(), failed.join("\n"));
    ensure!(played > 0, "none was played");
    Ok(())
}

fn rows() -> Vec<Row> {
    let may = testregistry::may_have_port_80();
    if !may {
        skip::say("a registry on port 80, where only root may listen");
    }
    Row::ALL.into_iter().filter(|row| may || *row != Row::NoPort).collect()
}

#[test]
fn every_verb_speaks_to_every_registry() -> Result<()> {
    if skip::without(&["openssl"])? {
        return Ok(());
    }
    play(std::iter::once(Vec::new()).chain(rows().into_iter().map(|row| vec![row])))
}

/// Rows in a circle, in another order each time: each with those that are so far from it. With half of the circle that is
/// each with each other, which is for the long tests; else each row is in four pairs.
#[test]
fn every_verb_speaks_to_every_two_registries_in_one() -> Result<()> {
    if skip::without(&["openssl"])? {
        return Ok(());
    }
    let mut rows = rows();
    Random::new()?.shuffle(&mut rows);
    let far = if skip::full() { rows.len() / 2 } else { 2 };
    let pairs = (1..=far).flat_map(|step| {
        let rows = &rows;
        (0..rows.len()).map(move |at| vec![rows[at], rows[(at + step) % rows.len()]])
    });
    play(pairs.filter(|pair| Rows::of(pair).is_some()))
}

/// Adds to an index what buildx attaches to an image of it.
fn attested(forged: &Forged, image: &Value) -> Result<Value> {
    let statement =
        forged.put("application/vnd.in-toto+json", b"{\"predicateType\":\"https://slsa.dev\"}")?;
    let config = json!({"architecture": "unknown", "os": "unknown", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [statement["digest"]]}});
    let config = forged.document("application/vnd.oci.image.config.v1+json", &config)?;
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [statement]});
    let mut attestation = forged.document(MANIFEST, &manifest)?;
    attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image["digest"]});
    forged
        .document(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image, attestation]}))
}

#[test]
fn an_index_with_attestations_of_buildx_is_compared_and_not_verified() -> Result<()> {
    let dir = scratch::dir()?;
    let (server, xtask) = registry(&[], dir.path())?;
    let to = format!("{}/kubelet", server.address);
    for (seed, name) in [(1, "before"), (2, "after")] {
        let forged = Forged::new(&dir.path().join(name))?;
        let image = forged.image(seed, &json!({}))?;
        let index = attested(&forged, &image)?;
        forged.write(&[named(&index, name)])?;
        xtask.ok(&["push", text(&forged.dir)?, "--to", &to])?;
        // Here as there.
        let same = ["size", "diff", text(&forged.dir)?, &format!("{to}:{name}"), "--json"];
        let same: Value = serde_json::from_str(&xtask.ok(&same)?)?;
        ensure!(same["unchanged"] == 1, "{same}");
        // Nobody signed it, and it is not an image that runs.
        let verify = xtask.output(&["verify", &format!("{to}:{name}"), "--no-rebuild"])?;
        ensure!(verify.code() == Some(3), "{:?} {}", verify.code(), verify.stderr);
    }
    let diff = ["size", "diff", &format!("{to}:before"), &format!("{to}:after"), "--json"];
    let diff: Value = serde_json::from_str(&xtask.ok(&diff)?)?;
    ensure!(diff["unchanged"] == 0 && diff["images"].as_array().is_some_and(|all| all.len() == 1), "{diff}");
    Ok(())
}

/// The second of a platform has a number, in the order of the index.
#[test]
fn an_index_with_several_images_of_one_platform_is_compared() -> Result<()> {
    let dir = scratch::dir()?;
    let (server, xtask) = registry(&[], dir.path())?;
    let to = format!("{}/kubelet", server.address);
    for (name, seeds) in [("before", [1, 2, 3]), ("after", [1, 4, 3])] {
        let forged = Forged::new(&dir.path().join(name))?;
        let images: Vec<Value> =
            seeds.into_iter().map(|seed| forged.image(seed, &json!({}))).collect::<Result<_>>()?;
        forged.write(&[named(&forged.index(&images, &json!({}))?, name)])?;
        xtask.ok(&["push", text(&forged.dir)?, "--to", &to])?;
        let same = ["size", "diff", text(&forged.dir)?, &format!("{to}:{name}"), "--json"];
        let same: Value = serde_json::from_str(&xtask.ok(&same)?)?;
        ensure!(same["unchanged"] == 3 && same["images"] == json!([]), "{same}");
    }
    let diff = ["size", "diff", &format!("{to}:before"), &format!("{to}:after"), "--json"];
    let diff: Value = serde_json::from_str(&xtask.ok(&diff)?)?;
    let changed: Vec<&Value> =
        diff["images"].as_array().into_iter().flatten().map(|one| &one["name"]).collect();
    ensure!(diff["unchanged"] == 2 && changed == ["linux/amd64 2"], "{diff}");
    Ok(())
}

/// With the kubelet, whose layer is larger than all that registries ask of a body.
#[test]
fn a_whole_release_goes_to_registries_of_all_kinds() -> Result<()> {
    if skip::without(&["openssl"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let published = Published::new(dir.path())?;
    let rows: [&[Row]; 4] = [
        &[Row::OneWrite, Row::NoReferrers],
        &[Row::BodiesUpTo1MiB, Row::TagOfADigest],
        &[Row::NoWholePut, Row::PatchesUpTo4MiB, Row::ManyChallenges, Row::MountDenied],
        &[
            Row::BlobsLate,
            Row::StorageBy302,
            Row::RetryAfterDate,
            Row::IdentityToken,
            Row::ReferrersLoginPage,
        ],
    ];
    for (number, rows) in rows.into_iter().enumerate() {
        let place: PathBuf = dir.path().join(number.to_string());
        fs::create_dir(&place)?;
        let (server, xtask) = registry(rows, &place)?;
        let done = published.release(&server.address, &xtask, &place.join("out"), &[]);
        done.and_then(|()| whole(&server, &[RELEASED])).with_context(|| format!("{rows:?}"))?;
    }
    Ok(())
}

/// What `crane` says.
fn crane(args: &[&str]) -> Result<String> {
    cmd::ok(Command::new(CRANE.pinned()?).args(args))
}

/// go-containerregistry's own, which has no referrers API, and its client as an independent reader.
#[test]
fn another_registry_takes_what_is_pushed_and_another_client_reads_it() -> Result<()> {
    if skip::without(&["openssl"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start_crane(dir.path())?;
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let published = Published::new(dir.path())?;
    published.verbs(registry.address(), &xtask)?;
    published.release(registry.address(), &xtask, &dir.path().join("out"), &[])?;

    let to = format!("{}/kubelet", registry.address());
    let released = format!("{to}:{RELEASED}");
    let said = xtask.ok(&["verify", &released, "--no-rebuild", "--key", text(&published.released_by)?])?;
    ensure!(said.contains("signature verified") && said.contains("provenance"), "{said}");
    let layers = [made::layer(1, 100_000)?, made::layer(2, 6_000_000)?];
    let index = made::index(dir.path(), "several", &layers)?;
    xtask.ok(&["push", text(&index)?, "--to", &to])?;
    let tags = crane(&["ls", &to])?;
    for (tag, layout) in [
        ("v1", published.layout().to_owned()),
        ("several", index),
        (RELEASED, dir.path().join("out/kubelet-v1_26_0")),
    ] {
        ensure!(tags.lines().any(|listed| listed == tag), "no {tag} in {tags}");
        let (name, digest) = (format!("{to}:{tag}"), image::digest(&layout)?);
        crane(&["validate", "--remote", &name])?;
        let manifest = crane(&["manifest", &name])?;
        let ours = fs::read_to_string(image::blob(&layout, &digest))?;
        ensure!(manifest == ours, "{name}: {manifest}, expected {ours}");
        let pulled = dir.path().join(format!("pulled-{tag}"));
        crane(&["pull", "--format", "oci", &name, text(&pulled)?])?;
        ensure!(image::digest(&pulled)? == digest, "{name}: another digest was pulled");
        let same: Value =
            serde_json::from_str(&xtask.ok(&["size", "diff", &name, text(&pulled)?, "--json"])?)?;
        ensure!(same["unchanged"] != 0 && same["images"] == json!([]), "{same}");
    }
    Ok(())
}

/// Layers with a name for the root, images in Docker's format, indexes of OCI's over those: what other builders push.
#[test]
fn what_others_push_is_compared_and_not_verified() -> Result<()> {
    if skip::without(&["tar", "umoci"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start_crane(dir.path())?;
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let at = |tag: &str| format!("{}/others:{tag}", registry.address());
    let (files, archive, layout) =
        (dir.path().join("files"), dir.path().join("files.tar"), dir.path().join("umoci"));
    fs::create_dir_all(files.join("usr/bin"))?;
    fs::write(files.join("usr/bin/program"), vec![b'x'; 5000])?;
    cmd::ok(Command::new("tar").args(["-C", text(&files)?, "-cf", text(&archive)?, "."]))?;
    let image = format!("{}:v1", text(&layout)?);
    let umoci = |args: &[&str]| cmd::ok(Command::new("umoci").args(args));
    umoci(&["init", "--layout", text(&layout)?])?;
    umoci(&["new", "--image", &image])?;
    umoci(&["insert", "--image", &image, text(&files)?, "/"])?;

    crane(&["push", text(&layout)?, &at("umoci")])?;
    crane(&["append", "--new_layer", text(&archive)?, "--new_tag", &at("docker")])?;
    let more = ["append", "--base", &at("umoci"), "--new_layer", text(&archive)?];
    crane(&[&more[..], &["--new_tag", &at("more")]].concat())?;
    let both = ["index", "append", "--manifest", &at("docker"), "--manifest", &at("umoci")];
    crane(&[&both[..], &["--tag", &at("index")]].concat())?;
    let list = ["--docker-empty-base", "--manifest", &at("docker"), "--manifest", &at("more")];
    crane(&[&["index", "append"], &list[..], &["--tag", &at("list")]].concat())?;

    let diff = |a: &str, b: &str| -> Result<Value> {
        Ok(serde_json::from_str(&xtask.ok(&["size", "diff", a, b, "--json"])?)?)
    };
    for (tag, images) in [("umoci", 1), ("docker", 1), ("more", 1), ("index", 2), ("list", 2)] {
        let pulled = dir.path().join(format!("pulled-{tag}"));
        crane(&["pull", "--format", "oci", &at(tag), text(&pulled)?])?;
        let same = diff(&at(tag), text(&pulled)?)?;
        ensure!(same["unchanged"] == images && same["images"] == json!([]), "{tag}: {same}");
    }
    ensure!(diff(&at("umoci"), text(&layout)?)?["unchanged"] == 1);
    let other = diff(&at("umoci"), &at("more"))?;
    ensure!(other["unchanged"] == 0, "{other}");
    let sbom = xtask.ok(&["sbom", text(&layout)?])?;
    ensure!(sbom.contains(&image::digest(&layout)?), "{sbom}");

    // Nothing is said for what nobody here has made, and why is in words of the name that was given.
    let [_, public] = key_pair::make(dir.path(), "owner")?;
    let docker = ["in Docker's format", "skopeo copy --format oci"];
    for (tag, kind, words) in [
        ("docker", Kind::InvalidData, &docker[..]),
        ("index", Kind::InvalidData, &docker),
        ("list", Kind::InvalidData, &docker),
        ("umoci", Kind::Mismatch, &["no application/spdx+json is attached"]),
    ] {
        let said = xtask.fails(&["verify", &at(tag), "--no-rebuild"], kind, words)?;
        ensure!(said.stderr.contains(&at(tag)) && !said.stderr.contains("/layout"), "{}", said.stderr);
        xtask.fails(&["verify", &at(tag), "--no-rebuild", "--key", text(&public)?], kind, &[])?;
    }
    Ok(())
}
