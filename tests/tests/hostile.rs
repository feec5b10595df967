//! Layouts, registries and file names that were prepared by somebody: never good what nobody signed, never sent or
//! overwritten what was not meant.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use fault::Kind;
use rustix::fs::{CWD, Mode, makedev, mkfifoat, mknodat};
use serde_json::{Value, json};
use tests::forged::{Forged, MANIFEST, named};
use tests::puller::Containerd;
use tests::registry::Registry;
use tests::xtask::Xtask;
use tests::{cmd, go_tool, image, key_pair, made, scratch, server, skip, xtask};

const ATTR: &str = "kubelet-v1_26_0-amd64";

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("not UTF-8")
}

/// What `index.json` has; each is given a layout, and the image that was signed with all that is attached to it.
type Row = fn(&Forged, &Value, &[Value]) -> Result<Vec<Value>>;

/// Entries before others.
fn with(first: &[Value], attached: &[Value]) -> Vec<Value> {
    [first, attached].concat()
}

const NONE: Value = Value::Null;

const DOCUMENT: &str = "a document in the place of the image";

/// An image that nobody signed, in each way that it could be taken for another thing.
const ROWS: [(&str, Row); 16] = [
    ("an image", |it, _, attached| Ok(with(&[named(&it.image(7, &NONE)?, "v1")], attached))),
    ("an image that says it is an artifact", |it, good, attached| {
        let evil = it.image(7, &json!({"artifactType": "application/spdx+json"}))?;
        Ok(with(&[named(&evil, "v1"), good.clone()], attached))
    }),
    ("an image that refers to the signed one", |it, good, attached| {
        let evil = it.image(7, &json!({"subject": good}))?;
        Ok(with(&[named(&evil, "v1"), good.clone()], attached))
    }),
    ("both, and its descriptor says so too", |it, good, attached| {
        let mut evil = it.image(7, &json!({"artifactType": "a/b", "subject": good}))?;
        evil["artifactType"] = json!("a/b");
        Ok(with(&[named(&evil, "v1"), good.clone()], attached))
    }),
    ("an index that says it is an artifact", |it, good, attached| {
        let evil = it.image(7, &NONE)?;
        let mut index = it.index(&[evil], &json!({"artifactType": "a/b"}))?;
        index["artifactType"] = json!("a/b");
        Ok(with(&[named(&index, "v1"), good.clone()], attached))
    }),
    ("an index that refers to the signed image", |it, good, attached| {
        let index = it.index(&[it.image(7, &NONE)?], &json!({"subject": good}))?;
        Ok(with(&[named(&index, "v1"), good.clone()], attached))
    }),
    ("an unsigned index over the signed image", |it, good, attached| {
        Ok(with(&[named(&it.index(std::slice::from_ref(good), &NONE)?, "v1")], attached))
    }),
    ("an unsigned index, with an artifact beside the signed image", |it, good, attached| {
        let evil = it.image(7, &json!({"artifactType": "a/b", "subject": good}))?;
        Ok(with(&[named(&it.index(&[evil, good.clone()], &NONE)?, "v1")], attached))
    }),
    ("an image under the tag of the signatures", |it, good, _| {
        let evil = it.image(7, &NONE)?;
        let tag = format!("{}.sig", good["digest"].as_str().unwrap_or_default().replace(':', "-"));
        Ok(vec![named(good, "v1"), named(&evil, &tag)])
    }),
    ("the signature of another image, under its own tag", |it, good, _| {
        let evil = it.image(7, &NONE)?;
        Ok(vec![named(&evil, "v1"), it.signature(good, good)?])
    }),
    ("the signature of another image, under this one's tag", |it, good, _| {
        let evil = it.image(7, &NONE)?;
        Ok(vec![named(&evil, "v1"), it.signature(good, &evil)?])
    }),
    ("the right signature, under another's tag", |it, good, attached| {
        let other = it.image(7, &NONE)?;
        let mut entries = with(&[named(good, "v1")], attached);
        entries.pop();
        entries.push(it.signature(good, &other)?);
        Ok(entries)
    }),
    ("a signature in the place of the image", |it, good, _| {
        let signature = it.signature(good, good)?;
        Ok(vec![named(&signature, "v1"), signature])
    }),
    (DOCUMENT, |_, _, attached| Ok(with(&[named(&attached[0], "v1")], attached))),
    ("a signature with a space before it", |it, good, attached| {
        let mut entries = with(&[named(good, "v1")], attached);
        let signature = entries.pop().context("none is attached")?;
        let digest = signature["digest"].as_str().unwrap_or_default();
        let mut manifest: Value = serde_json::from_slice(&fs::read(image::blob(&it.dir, digest))?)?;
        let there = &mut manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"];
        *there = json!(format!(" {}", there.as_str().unwrap_or_default()));
        let mut spaced = it.document(MANIFEST, &manifest)?;
        spaced["annotations"] = signature["annotations"].clone();
        entries.push(spaced);
        Ok(entries)
    }),
    ("the signature of somebody else", |it, good, attached| {
        let mut entries = with(&[named(good, "v1")], attached);
        entries.pop();
        let dir = it.dir.with_file_name("else");
        fs::create_dir_all(&dir)?;
        let other = Forged::new(&dir)?;
        let signature = other.signature(good, good)?;
        for file in scratch::files(&other.dir.join("blobs")) {
            it.put("", &fs::read(file)?)?;
        }
        entries.push(signature);
        Ok(entries)
    }),
];

#[test]
fn what_nobody_signed_is_never_good_and_cosign_agrees() -> Result<()> {
    if skip::without(&["openssl", "docker-registry"])? {
        return Ok(());
    }
    let cosign = go_tool::COSIGN.found()?;
    if cosign.is_none() {
        skip::unless_full("cosign, whose verdict is compared");
    }
    let good: Row = |_, good, attached| Ok(with(&[named(good, "v1")], attached));
    for (number, (name, row)) in [("the signed image", good)].into_iter().chain(ROWS).enumerate() {
        let dir = scratch::dir()?;
        let forged = Forged::new(dir.path())?;
        let signed = forged.image(1, &NONE)?;
        let mut attached = forged.sbom(&signed)?;
        attached.push(forged.signature(&signed, &signed)?);
        forged.write(&row(&forged, &signed, &attached)?)?;

        let registry = Registry::start(dir.path())?;
        let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
        let repository = format!("{}/kubelet", registry.address());
        xtask.ok(&["push", text(&forged.dir)?, "--to", &repository]).with_context(|| name.to_owned())?;
        let reference = format!("{repository}:v1");
        for place in [text(&forged.dir)?, &reference] {
            let done = xtask.output(&["verify", place, "--no-rebuild", "--key", text(&forged.public)?])?;
            if number == 0 {
                let root =
                    format!("{place}@{}  signature verified", signed["digest"].as_str().unwrap_or_default());
                ensure!(done.status.success(), "{place}: {}", done.stderr);
                ensure!(done.stdout.starts_with(&root), "{place}: {}", done.stdout);
                continue;
            }
            ensure!(
                matches!(done.code(), Some(3 | 6)),
                "{name}: {place} ends with {:?}: {}{}",
                done.code(),
                done.stdout,
                done.stderr
            );
            ensure!(!done.stdout.contains("verified"), "{name}: {}", done.stdout);
        }
        if let Some(cosign) = &cosign {
            let mut told = Command::new(cosign);
            told.args(["verify", "--insecure-ignore-tlog", "--allow-http-registry", "--key"]);
            told.arg(&forged.public).arg(&reference).env("HOME", dir.path()).env("DOCKER_CONFIG", dir.path());
            let told = cmd::output(&mut told)?;
            // A document is signed as well: cosign asks no more than that of what a name stands for.
            let signed = number == 0 || *name == *DOCUMENT;
            ensure!(told.status.success() == signed, "{name}: cosign says {}{}", told.stdout, told.stderr);
        }
    }
    Ok(())
}

#[test]
fn an_index_is_good_where_it_and_all_its_images_are_signed() -> Result<()> {
    if skip::without(&["openssl"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let forged = Forged::new(dir.path())?;
    let signed = forged.image(1, &NONE)?;
    let mut attached = forged.sbom(&signed)?;
    attached.push(forged.signature(&signed, &signed)?);
    let verify = |manifests: &[Value], said: &Value| {
        let index = forged.index(manifests, said)?;
        let entries = [named(&index, "v1"), forged.signature(&index, &index)?];
        forged.write(&with(&entries, &attached))?;
        let args = ["verify", text(&forged.dir)?, "--no-rebuild", "--json", "--key", text(&forged.public)?];
        Xtask::new()?.output(&args)
    };
    let done = verify(std::slice::from_ref(&signed), &NONE)?;
    ensure!(done.status.success(), "{}", done.stderr);
    let said: Value = serde_json::from_str(&done.stdout)?;
    ensure!(said["signed"] == true && said["roots"].as_array().is_some_and(|all| all.len() == 1), "{said}");
    // Its owner signed the index: cosign would say yes. What is in it is looked at all the same.
    let evil = forged.image(7, &json!({"artifactType": "a/b", "subject": signed}))?;
    let artifact = attached[0].clone();
    for stranger in [evil, artifact] {
        let done = verify(&[signed.clone(), stranger], &NONE)?;
        ensure!(matches!(done.code(), Some(3 | 6)), "{}{}", done.stdout, done.stderr);
    }
    Ok(())
}

#[test]
fn only_what_the_images_are_made_of_is_loaded() -> Result<()> {
    if skip::without(&["openssl", "containerd", "ctr"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let containerd = Containerd::start(&dir.path().join("containerd"))?;
    let xtask =
        Xtask::new()?.env("CONTAINERD_ADDRESS", containerd.socket()).env("DOCKER_HOST", "unix:///none");
    let load = |forged: &Forged| xtask.output(&["load", text(&forged.dir)?]);
    let forged = Forged::new(dir.path())?;
    let signed = forged.image(1, &NONE)?;
    let mut attached = forged.sbom(&signed)?;
    attached.push(forged.signature(&signed, &signed)?);
    let write = |name: &str| {
        let mut root = named(&signed, name);
        root["annotations"]["io.containerd.image.name"] = json!(format!("localhost/x:{name}"));
        forged.write(&with(&[root], &attached))
    };

    // Of what was signed and attested, the image.
    write("v1")?;
    // What lies about, and leads elsewhere.
    symlink("/etc", forged.dir.join("etc"))?;
    symlink("/etc/passwd", forged.dir.join("blobs/sha256/passwd"))?;
    let done = load(&forged)?;
    ensure!(done.status.success(), "{}", done.stderr);
    let images = containerd.images()?;
    ensure!(images.contains("localhost/x:v1") && !images.contains(".sig"), "{images}");
    let content = containerd.content()?;
    // Manifest, config, layer, and the index that containerd makes of it.
    ensure!((3..=4).contains(&content.len()), "{content:?}");

    // What is damaged leaves no name.
    write("v2")?;
    let (layer, _) = image::layers(&forged.dir)?.swap_remove(0);
    let blob = image::blob(&forged.dir, &layer);
    let whole = fs::read(&blob)?;
    scratch::flip(&blob)?;
    let done = load(&forged)?;
    ensure!(done.code() == Some(6), "{:?} {}", done.code(), done.stderr);
    fs::remove_file(&blob)?;
    fs::write(dir.path().join("aside"), whole)?;
    symlink(dir.path().join("aside"), &blob)?;
    let done = load(&forged)?;
    ensure!(done.code() == Some(3), "{:?} {}", done.code(), done.stderr);
    ensure!(!containerd.images()?.contains("localhost/x:v2"), "{}", containerd.images()?);
    Ok(())
}

#[test]
fn a_password_goes_to_the_registry_alone() -> Result<()> {
    let dir = scratch::dir()?;
    let secret = base64::engine::general_purpose::STANDARD.encode("me:s3cret-word");
    for demand in ["Basic realm=\"x\"", "Bearer realm=\"http://OTHER/token\",service=\"s\""] {
        let other = server::serve(move |own, _, _| {
            let demand = demand.replace("OTHER", own);
            format!(
                "HTTP/1.1 401 x\r\nWWW-Authenticate: {demand}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
        })?;
        let (to, basic) = (other.address.clone(), format!("Basic {secret}"));
        let registry = server::serve(move |_, path, shown| {
            let end = "Connection: close\r\nContent-Length: 0\r\n\r\n";
            match path {
                _ if shown != basic => {
                    format!("HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"r\"\r\n{end}")
                }
                "/v2/" => format!("HTTP/1.1 200 x\r\n{end}"),
                _ => format!("HTTP/1.1 307 x\r\nLocation: http://{to}/storage\r\n{end}"),
            }
        })?;
        let config = json!({"auths": {&registry.address: {"auth": secret}}});
        fs::write(dir.path().join("config.json"), config.to_string())?;
        let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
        let name = format!("{}/kubelet:v1", registry.address);
        xtask.fails(&["verify", &name, "--no-rebuild"], Kind::Unavailable, &["401"])?;
        let seen = other.seen();
        ensure!(!seen.is_empty(), "{demand}: nobody was redirected");
        ensure!(
            seen.iter().all(|(path, shown)| path == "/storage" && shown.is_empty()),
            "{demand}: {seen:?}"
        );
        ensure!(registry.seen().iter().any(|(_, shown)| !shown.is_empty()), "the registry saw no login");
    }
    Ok(())
}

#[test]
fn a_proxy_is_asked_for_other_hosts_alone_and_never_for_this_machine() -> Result<()> {
    let dir = scratch::dir()?;
    let end = "Connection: close\r\nContent-Length: 0\r\n\r\n";
    let secret = base64::engine::general_purpose::STANDARD.encode("me:s3cret-word");
    let registry = server::serve(move |_, _, _| {
        format!("HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"r\"\r\n{end}")
    })?;
    let proxy = server::serve(move |_, _, _| format!("HTTP/1.1 502 x\r\n{end}"))?;
    let config = json!({"auths": {&registry.address: {"auth": secret}}});
    fs::write(dir.path().join("config.json"), config.to_string())?;
    let url = format!("http://{}", proxy.address);
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let clean = names.iter().chain(&["NO_PROXY", "no_proxy"]);
    let clean = clean.fold(Xtask::new()?.env("DOCKER_CONFIG", dir.path()), |xtask, name| xtask.env(name, ""));
    let set = |all: &[&str]| all.iter().fold(clean.clone(), |xtask, name| xtask.env(name, &url));
    let ask = |xtask: &Xtask, host: &str, more: &[&str]| {
        let name = format!("{host}/kubelet:v1");
        let args = ["verify", &name, "--no-rebuild", "--retries", "0"];
        xtask.fails(&[&args[..], more].concat(), Kind::Unavailable, &[]).map(drop)
    };

    let port = registry.address.rsplit(':').next().unwrap_or_default();
    for host in [registry.address.clone(), format!("localhost:{port}")] {
        ask(&set(&names), &host, &[])?;
    }
    ensure!(proxy.seen().is_empty(), "the proxy was asked for this machine: {:?}", proxy.seen());
    ensure!(registry.seen().len() > 1, "{:?}", registry.seen());

    let other = "registry.example.invalid";
    ask(&set(&["HTTPS_PROXY", "ALL_PROXY"]), other, &["--plain-http"])?;
    ensure!(proxy.seen().is_empty(), "asked by http through the proxy for https: {:?}", proxy.seen());
    ask(&set(&["HTTP_PROXY"]), other, &[])?;
    ensure!(proxy.seen().is_empty(), "asked by https through the proxy for http: {:?}", proxy.seen());
    ask(&set(&["http_proxy"]).env("NO_PROXY", " a , .invalid"), other, &["--plain-http"])?;
    ensure!(proxy.seen().is_empty(), "an exception was not one: {:?}", proxy.seen());
    // Where that address leads to is for the network to say: a gateway may answer for it.
    let elsewhere =
        ["verify", "10.1.2.3/kubelet:v1", "--no-rebuild", "--retries", "0", "--plain-http", "--timeout", "2"];
    let output = set(&["http_proxy"]).env("NO_PROXY", "10.0.0.0/8").output(&elsewhere)?;
    ensure!(output.code().is_some_and(|code| code > 1), "{}{}", output.status, output.stderr);
    ensure!(proxy.seen().is_empty(), "a network was not an exception: {:?}", proxy.seen());
    ask(&set(&["http_proxy"]), other, &["--plain-http"])?;
    ensure!(!proxy.seen().is_empty(), "the proxy was not asked");
    ensure!(proxy.seen().iter().all(|(_, shown)| shown.is_empty()), "{:?}", proxy.seen());
    Ok(())
}

#[test]
fn what_is_not_a_regular_file_is_written_into_or_named_and_never_replaced() -> Result<()> {
    let dir = scratch::dir()?;
    let layout = made::image(dir.path(), "v1", &[made::layer(1, 64)?], 0)?;
    let xtask = Xtask::new()?;
    let at = |name: &str| dir.path().join(name);
    let sbom = xtask.ok(&["sbom", text(&layout)?])?;
    fs::write(at("target"), "kept")?;
    fs::create_dir(at("dir"))?;
    symlink(at("target"), at("link"))?;
    symlink(at("nothing"), at("dangling"))?;
    mkfifoat(CWD, at("pipe"), Mode::RWXU)?;

    let writes: [&[&str]; 2] = [&["sbom", text(&layout)?, "--out"], &["size", "report", "--html", "--out"]];
    for write in writes {
        let to = |name: &str| Ok::<_, anyhow::Error>([write, &[text(&at(name))?.to_owned().leak()]].concat());
        for (name, word) in [("dir", "a directory"), ("link", "symbolic link"), ("dangling", "symbolic link")]
        {
            let before = at(name).symlink_metadata()?.ino();
            xtask.fails(&to(name)?, Kind::Usage, &[word, name])?;
            ensure!(at(name).symlink_metadata()?.ino() == before, "{write:?}: {name} was replaced");
        }
        ensure!(
            fs::read_to_string(at("target"))? == "kept" && !at("nothing").exists(),
            "a link was followed"
        );
        let mut child = xtask.command(&to("pipe")?)?.stdout(Stdio::null()).spawn()?;
        let mut came = String::new();
        fs::File::open(at("pipe"))?.read_to_string(&mut came)?;
        ensure!(child.wait()?.success() && came.len() > 100, "{write:?}: {} bytes came", came.len());
        ensure!(at("pipe").symlink_metadata()?.file_type().is_fifo(), "{write:?}: the pipe was replaced");
        if mknodat(CWD, at("null"), rustix::fs::FileType::CharacterDevice, Mode::RWXU, makedev(1, 3)).is_ok()
        {
            let _ = xtask.output(&to("null")?)?;
            let kind = at("null").symlink_metadata()?.file_type();
            ensure!(kind.is_char_device(), "{write:?}: a device was replaced");
            fs::remove_file(at("null"))?;
        }
    }
    let said = xtask.ok(&["sbom", text(&layout)?, "--out", "/dev/stdout"])?;
    ensure!(said == sbom.trim_end(), "{said}");
    Ok(())
}

#[test]
fn what_others_wrote_does_nothing_to_a_terminal_and_arguments_may_be_any_bytes() -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let dir = scratch::dir()?;
    let layout = made::image(dir.path(), "v1", &[made::layer(1, 64)?], 0)?;
    let index = fs::read_to_string(layout.join("index.json"))?;
    let acts = |text: &str| text.contains(|char: char| char.is_control() && char != '\n' && char != '\t');
    let xtask = Xtask::new()?;
    for hostile in [r"x\u001b[2J", r"\u009b2J", r"\u202e", r"a\rb"] {
        for (from, to) in [(MANIFEST, hostile), ("sha256:", hostile)] {
            fs::write(layout.join("index.json"), index.replace(from, to))?;
            for args in [
                &["sbom", text(&layout)?][..],
                &["push", text(&layout)?, "--to", "127.0.0.1:1/x", "--retries", "0"],
            ] {
                let done = xtask.output(args)?;
                ensure!(!done.status.success() && !acts(&done.stderr), "{args:?}: {:?}", done.stderr);
                ensure!(!done.stderr.contains('\u{202e}'), "{args:?}: {:?}", done.stderr);
            }
        }
    }
    let bytes = std::ffi::OsStr::from_bytes(b"not\xffUTF-8");
    for verb in ["list", "build", "push", "verify", "load", "size", "--color", "gc", "sbom", "fetch", "lock"]
    {
        let done = cmd::output(xtask.command(&[verb])?.arg(bytes).stdin(Stdio::null()))?;
        ensure!(
            done.code().is_some_and(|code| (2..=20).contains(&code)),
            "{verb}: {:?} {}",
            done.code(),
            done.stderr
        );
        ensure!(!done.stderr.contains("panicked"), "{verb}: {}", done.stderr);
    }
    Ok(())
}

#[test]
fn a_standard_error_that_is_closed_or_full_changes_no_exit_code() -> Result<()> {
    let dir = scratch::dir()?;
    let layout = made::image(dir.path(), "v1", &[made::layer(1, 64)?], 0)?;
    let program = xtask::program()?.display();
    for redirect in ["2>&-", "2>/dev/full", "2>&- >&-"] {
        for (words, expected) in [
            (format!("sbom {} -v", layout.display()), 0),
            ("build no-such".to_owned(), 4),
            ("no-such-verb".to_owned(), 2),
        ] {
            let script = format!("'{program}' {words} {redirect}");
            let status = Command::new("sh")
                .args(["-c", &script])
                .current_dir(tests::root())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            ensure!(status.code() == Some(expected), "{script}: {status}");
        }
    }
    Ok(())
}

#[test]
fn a_real_image_is_verified_as_before() -> Result<()> {
    if skip::without(&["openssl"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let layout = dir.path().join("layout");
    cmd::ok(Command::new("cp").arg("-r").arg(xtask::layout(ATTR)?).arg(&layout))?;
    let [key, public] = key_pair::make(dir.path(), "ours")?;
    let xtask = Xtask::new()?;
    xtask.ok(&["attest", text(&layout)?, "--key", text(&key)?])?;
    let said = xtask.ok(&["verify", text(&layout)?, "--no-rebuild", "--key", text(&public)?])?;
    ensure!(said.contains("verified: manifest, layers, signature, SBOM, provenance"), "{said}");
    ensure!(said.contains(&format!("@{}  signature verified", image::digest(&layout)?)), "{said}");
    Ok(())
}
