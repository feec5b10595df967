//! A second branch of Alpine in a checkout, by data alone: a base in the catalog, a key, and a mirror that has its root
//! filesystems and packages. Root filesystems are Alpine's of 3.15 that say to be of 3.22; packages are made to measure, named
//! otherwise where newer branches do.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use apk::depend::{Dependency, Provide};
use apk::digest::Checksum;
use apk::record::Record;
use apk::testrepo::Signer;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::alpine::{ARCHES, Place, put, rootfs, serve_measured};
use crate::measured;

/// Its lock, in a checkout.
pub const LOCK: &str = "images/locks/alpine-3.22.json";
const RELEASE: &str = "3.22.2";
/// `[[base]]` but for the root filesystems.
const BASE: &str = r#"
[[base]]
name = "alpine3.22"
components = ["entrypoint", "host-programs", "kubelet-directories", "kubelet-files", "kubelet-default-config", "iptables", "kubelet-iptables"]

[base.alpine]
branch = "v3.22"
url = "https://dl-cdn.alpinelinux.org/alpine"
repositories = ["main"]

[base.alpine.worlds]
kubelet = ["util-linux-misc", "coreutils", "findutils", "ca-certificates", "conntrack-tools", "iptables", "iptables-legacy"]
kube-proxy = ["conntrack-tools", "iptables", "iptables-legacy", "ipset", "kmod"]

[[base.alpine.script]]
package = "busybox"
kind = "trigger"
done = "as on 3.15"

[[base.alpine.script]]
package = "ca-certificates"
kind = "trigger"
done = "as on 3.15"

[[base.alpine.script]]
package = "kmod"
kind = "trigger"
done = "as on 3.15"

[[base.alpine.script]]
package = "utmps"
kind = "pre-install"
done = "as on 3.15"
"#;

/// Adds it to a checkout that builds on 3.15 with packages made to measure, and to that one's mirror.
pub fn add(place: &Place, data: &Path) -> Result<()> {
    let [checkout, mirror] = ["checkout", "mirror"].map(|name| place.dir.path().join(name));
    let signer = Signer::new("test-3.22.rsa.pub", 22)?;
    let mut base = BASE.to_owned();
    for (name, arch) in ARCHES {
        fs::write(checkout.join("images/keys/alpine").join(arch).join(signer.name()), signer.pem())?;
        let path = format!("v3.22/releases/{arch}/alpine-minirootfs-{RELEASE}-{arch}.tar.gz");
        let bytes = renamed(&fs::read(mirror.join(rootfs(arch)))?)?;
        put(&mirror.join(&path), &bytes)?;
        let (size, sha256) = (bytes.len(), hex::encode(Sha256::digest(&bytes)));
        base += &format!(
            "\n[base.alpine.rootfs.{name}]\npath = \"{path}\"\nsize = {size}\nsha256 = \"{sha256}\"\n"
        );
        let (_, records) = measured::index(data, arch)?;
        let mut names = measured::closure(data, arch)?;
        let records = newer(records, &mut names)?;
        let mut made = measured::packages(records, &names, &mirror.join(&path), &signer)?;
        made.description = format!("v{RELEASE}-7-gtest");
        serve_measured(&mirror.join("v3.22/main").join(arch), &signer, &made)?;
    }
    let catalog = checkout.join("images/catalog.toml");
    let text = fs::read_to_string(&catalog)?;
    let both = text.replace("bases = [\"alpine3.15\"]", "bases = [\"alpine3.15\", \"alpine3.22\"]");
    ensure!(both != text, "kube-proxy names no bases");
    fs::write(&catalog, both + &base).context("writing the catalog")
}

/// What newer branches name otherwise: no metapackage `util-linux`, and the legacy iptables has a package of its own.
fn newer(records: Vec<Record>, names: &mut BTreeSet<String>) -> Result<Vec<Record>> {
    let mut new = Vec::new();
    for mut record in records {
        if record.name == "util-linux"
            || record.install_if.iter().any(|need| need.to_string() == "util-linux")
        {
            continue;
        }
        if record.name == "iptables" {
            let (legacy, rest): (Vec<Provide>, Vec<Provide>) =
                record.provides.into_iter().partition(|what| what.to_string().contains("legacy"));
            ensure!(!legacy.is_empty(), "iptables of 3.15 has no legacy programs");
            record.provides = rest;
            let (name, depends) = ("iptables-legacy".to_owned(), Dependency::parse_all("iptables")?);
            // Its checksum is made with its package; until then it only has to be its own.
            let checksum = Checksum::sha1_of(name.as_bytes());
            new.push(Record { name, depends, provides: legacy, checksum, ..record.clone() });
        }
        new.push(record);
    }
    names.remove("util-linux");
    names.insert("iptables-legacy".to_owned());
    Ok(new)
}

/// A root filesystem that says that it is of the newer release. No package of Alpine's has the files that say it.
fn renamed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut said = 0;
    for entry in tar::Archive::new(GzDecoder::new(bytes)).entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let path = entry.path()?.display().to_string();
        let mut header = entry.header().clone();
        if matches!(path.trim_start_matches("./"), "etc/os-release" | "etc/alpine-release") {
            let old = String::from_utf8(content)?;
            let new = old.replace("3.15.11", RELEASE).replace("v3.15", "v3.22");
            ensure!(new != old, "{path} does not say 3.15.11");
            content = new.into_bytes();
            said += 1;
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        out.append(&header, content.as_slice())?;
    }
    ensure!(said == 2, "the root filesystem does not say what it is");
    Ok(out.into_inner()?.finish()?)
}
