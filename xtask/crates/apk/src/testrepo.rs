//! Signed packages and indexes for tests: good ones, as abuild and `apk index` make them, and hostile ones,
//! by changing any part before it is signed.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rsa::pkcs8::{EncodePublicKey as _, LineEnding};
use rsa::{PrivateKey, PublicKey};
use tar::{EntryType, Header};

use crate::digest::Checksum;
use crate::index;
use crate::key::{Hash, Key};
use crate::record::Record;
use crate::tarball;

/// A key pair. The same seed gives the same keys, so what is made with them is the same too.
#[derive(Clone)]
pub struct Signer {
    name: String,
    key: PrivateKey,
    pem: String,
}

impl Signer {
    /// Makes a key pair of 2048 bits. `name` is what signatures call it.
    pub fn new(name: &str, seed: u64) -> Result<Self> {
        let key = PrivateKey::new(&mut StdRng::seed_from_u64(seed), 2048)?;
        let pem = PublicKey::from(&key).to_public_key_pem(LineEnding::LF)?;
        Ok(Self { name: name.to_owned(), key, pem })
    }

    /// Its public half, to be trusted.
    pub fn key(&self) -> Result<Key> {
        Key::from_pem(&self.name, self.pem.as_bytes())
    }

    /// The name that signatures call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its public half as a file.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A signature segment for these bytes.
    pub fn segment(&self, hash: Hash, signed: &[u8]) -> Result<Vec<u8>> {
        let signature = self.key.sign(hash.scheme(), &hash.of(signed))?;
        let kind = if hash == Hash::Sha1 { "RSA" } else { "RSA256" };
        let mut tar = TarMaker::default();
        tar.add(&ArchiveMember::file(&format!(".SIGN.{kind}.{}", self.name), &signature))?;
        gzip(&tar.cut())
    }

    /// A signed index of these packages.
    pub fn index(&self, description: &str, packages: &[Record]) -> Result<Vec<u8>> {
        let text: String = packages.iter().map(|package| package.to_lines() + "\n").collect();
        self.index_of_text(description, &text)
    }

    /// A signed index with this text.
    pub fn index_of_text(&self, description: &str, text: &str) -> Result<Vec<u8>> {
        let mut tar = TarMaker::default();
        tar.add(&ArchiveMember::file("DESCRIPTION", description.as_bytes()))?;
        tar.add(&ArchiveMember::file("APKINDEX", text.as_bytes()))?;
        let content = gzip(&tar.end())?;
        Ok([self.segment(Hash::Sha1, &content)?, content].concat())
    }
}

/// Something in an archive.
#[derive(Clone, Debug)]
pub struct ArchiveMember {
    /// Its path, put into the header as it is.
    pub path: String,
    /// Its type, as tar writes it.
    pub kind: EntryType,
    /// A file's content.
    pub content: Vec<u8>,
    /// A link's target.
    pub link: String,
    /// Permissions.
    pub mode: u32,
    /// Owner and its name.
    pub user: (u64, String),
    /// Group and its name.
    pub group: (u64, String),
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The checksum given for it, in hexadecimal; made from the content if it is not set.
    pub checksum: Option<String>,
}

impl ArchiveMember {
    fn new(path: &str, kind: EntryType, mode: u32) -> Self {
        let root = (0, "root".to_owned());
        Self {
            path: path.to_owned(),
            kind,
            content: Vec::new(),
            link: String::new(),
            mode,
            user: root.clone(),
            group: root,
            xattrs: BTreeMap::new(),
            checksum: None,
        }
    }

    /// A directory.
    pub fn directory(path: &str) -> Self {
        Self::new(&format!("{path}/"), EntryType::Directory, 0o755)
    }

    /// A file.
    pub fn file(path: &str, content: &[u8]) -> Self {
        Self { content: content.to_vec(), ..Self::new(path, EntryType::Regular, 0o644) }
    }

    /// A symbolic link.
    pub fn symlink(path: &str, target: &str) -> Self {
        Self { link: target.to_owned(), ..Self::new(path, EntryType::Symlink, 0o777) }
    }

    /// A hard link.
    pub fn hardlink(path: &str, target: &str) -> Self {
        Self { link: target.to_owned(), ..Self::new(path, EntryType::Link, 0o644) }
    }

    /// Anything else: a device, a pipe.
    pub fn other(path: &str, kind: EntryType) -> Self {
        Self::new(path, kind, 0o644)
    }

    /// The same with other permissions.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }
}

/// Writes tar archives, whatever is asked for.
#[derive(Default)]
struct TarMaker {
    bytes: Vec<u8>,
}

impl TarMaker {
    fn add(&mut self, item: &ArchiveMember) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(item.kind);
        header.set_mode(item.mode);
        header.set_uid(item.user.0);
        header.set_gid(item.group.0);
        header.set_username(&item.user.1)?;
        header.set_groupname(&item.group.1)?;
        header.set_mtime(0);
        header.set_size(item.content.len() as u64);
        let mut extended = extensions(item);
        // A file's checksum goes where a link's target would be.
        if let (EntryType::Regular, Some(hex)) = (item.kind, &item.checksum) {
            let field = [tarball::EMBEDDED, &hex::decode(hex)?].concat();
            header.as_old_mut().linkname[..field.len()].copy_from_slice(&field);
        }
        for (key, value) in [("path", &item.path), ("linkpath", &item.link)] {
            let old = header.as_old_mut();
            let field = if key == "path" { &mut old.name } else { &mut old.linkname };
            if let Some(field) = field.get_mut(..value.len()) {
                field.copy_from_slice(value.as_bytes());
            } else {
                // A header without any name is the end of the archive to apk.
                field.copy_from_slice(&value.as_bytes()[..100]);
                extended.extend(extension(key, value.as_bytes()));
            }
        }
        if !extended.is_empty() {
            let mut before = Header::new_ustar();
            before.set_entry_type(EntryType::XHeader);
            before.set_size(extended.len() as u64);
            before.set_mode(0o644);
            before.set_path("PaxHeaders")?;
            before.set_cksum();
            self.append(&before, &extended);
        }
        header.set_cksum();
        self.append(&header, &item.content);
        Ok(())
    }

    fn append(&mut self, header: &Header, content: &[u8]) {
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// Without an end, so that another segment goes on.
    fn cut(self) -> Vec<u8> {
        self.bytes
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

/// The extended header: attributes, and the checksum once more.
fn extensions(item: &ArchiveMember) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in &item.xattrs {
        out.extend(extension(&format!("SCHILY.xattr.{name}"), value));
    }
    if let Some(checksum) = &item.checksum {
        out.extend(extension("APK-TOOLS.checksum.SHA1", checksum.as_bytes()));
    }
    out
}

/// A line of an extended header, which begins with its own length.
fn extension(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let digits = |length: usize| length.to_string().len();
    let mut length = rest + digits(rest);
    length = rest + digits(length);
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// Packs bytes as `gzip -n -9` does.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().operating_system(3).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// A package to make.
#[derive(Clone, Debug, Default)]
pub struct PackageMaker {
    /// What the index says, in its own lines but for `C`, `P`, `V`, `A`, `S` and `I`.
    pub index: String,
    /// More lines for `.PKGINFO`, as `replaces = other`.
    pub info: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub arch: String,
    /// Scripts, by their names in the control segment, as `.post-install`.
    pub scripts: Vec<(String, Vec<u8>)>,
    /// What it installs.
    pub items: Vec<ArchiveMember>,
    /// The data segment, packed, in place of the one made of the items.
    pub data: Option<Vec<u8>>,
    /// What `.PKGINFO` says, in place of what is so: `pkgname`, `pkgver`, `arch`, `datahash`.
    pub lies: BTreeMap<String, String>,
}

/// The segments of a package, packed.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The signature segment.
    pub signature: Vec<u8>,
    /// The control segment.
    pub control: Vec<u8>,
    /// The data segment.
    pub data: Vec<u8>,
    /// What an index says of it.
    pub record: Record,
}

impl Parts {
    /// The package's file.
    pub fn file(&self) -> Vec<u8> {
        [self.signature.as_slice(), &self.control, &self.data].concat()
    }
}

impl PackageMaker {
    /// A package of this name, version and architecture that installs these items, checksums added.
    pub fn new(name: &str, version: &str, arch: &str, items: Vec<ArchiveMember>) -> Self {
        let text = str::to_owned;
        Self { name: text(name), version: text(version), arch: text(arch), items, ..Self::default() }
    }

    /// Makes it, signed by `signer`.
    pub fn make(&self, signer: &Signer) -> Result<Parts> {
        let data = if let Some(data) = &self.data {
            data.clone()
        } else {
            let mut tar = TarMaker::default();
            for item in &self.items {
                tar.add(&with_checksum(item))?;
            }
            gzip(&tar.end())?
        };
        let control = self.control(&data)?;
        let signature = signer.segment(Hash::Sha1, &control)?;
        let size = signature.len() + control.len() + data.len();
        let installed: usize = self.items.iter().map(|item| item.content.len()).sum();
        let Self { name, version, arch, index, .. } = self;
        let checksum = Checksum::sha1_of(&control);
        let lines = format!(
            "C:{checksum}\nP:{name}\nV:{version}\nA:{arch}\nS:{size}\nI:{}\nT:a test package\nU:none\nL:MIT\n{index}\n",
            installed.max(1)
        );
        let record = index::parse(&lines)?.pop().context("a record was written")?;
        Ok(Parts { signature, control, data, record })
    }

    fn control(&self, data: &[u8]) -> Result<Vec<u8>> {
        let hash = ::digest::Digest::of(data).to_string();
        let mut info = String::from("# made for a test\n");
        for (key, value) in
            [("pkgname", &self.name), ("pkgver", &self.version), ("arch", &self.arch), ("datahash", &hash)]
        {
            let value = self.lies.get(key).unwrap_or(value);
            info.extend([key, " = ", value, "\n"]);
        }
        info.push_str(&self.info);
        let mut tar = TarMaker::default();
        tar.add(&ArchiveMember::file(".PKGINFO", info.as_bytes()))?;
        for (name, body) in &self.scripts {
            tar.add(&ArchiveMember::file(name, body).mode(0o755))?;
        }
        gzip(&tar.cut())
    }
}

fn with_checksum(item: &ArchiveMember) -> ArchiveMember {
    let of = match item.kind {
        EntryType::Regular => item.content.as_slice(),
        EntryType::Symlink => item.link.as_bytes(),
        _ => return item.clone(),
    };
    let Checksum::Sha1(sum) = Checksum::sha1_of(of) else { return item.clone() };
    ArchiveMember { checksum: item.checksum.clone().or_else(|| Some(hex::encode(sum))), ..item.clone() }
}
