//! Images that Kubernetes' own tests use, by the names that they ask for: what their Dockerfiles in `test/images` of its module
//! put into them, of the same sources, on Debian's programs and busybox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};
use serde_json::json;
use store::Key;

use crate::debian::{self, closure};
use crate::image::{Content, ImageEntry};
use crate::{Lab, Made, Set};

/// Debian's packages that the images have programs of.
const PACKAGES: [&str; 6] =
    ["apache2-bin", "bind9-dnsutils", "curl", "iproute2", "netcat-openbsd", "nginx-light"];
/// What asks for names and addresses: a file of Debian's each, and where it is in an image.
const NETWORK: [(&str, &str); 8] = [
    ("usr/bin/bash", "bin/bash"),
    ("usr/bin/curl", "usr/bin/curl"),
    ("usr/bin/dig", "usr/bin/dig"),
    ("usr/bin/getent", "usr/bin/getent"),
    ("usr/bin/nc.openbsd", "usr/bin/nc"),
    ("usr/bin/nslookup", "usr/bin/nslookup"),
    ("usr/bin/ss", "usr/bin/ss"),
    ("usr/bin/ip", "usr/bin/ip"),
];
/// busybox's shell, as Debian builds it, runs its own `nc` whatever PATH says.
const SHELL: [(&str, &str); 1] = [("usr/bin/bash", "bin/sh")];
const MODULES: &str = "usr/lib/apache2/modules";
const APACHE: [(&str, &str); 4] = [
    ("usr/sbin/apache2", "usr/sbin/apache2"),
    ("usr/lib/apache2/modules/mod_authz_core.so", "usr/lib/apache2/modules/mod_authz_core.so"),
    ("usr/lib/apache2/modules/mod_dir.so", "usr/lib/apache2/modules/mod_dir.so"),
    ("usr/lib/apache2/modules/mod_mpm_event.so", "usr/lib/apache2/modules/mod_mpm_event.so"),
];
const NGINX: [(&str, &str); 1] = [("usr/sbin/nginx", "usr/sbin/nginx")];
/// Tests of minor releases before this give the sample API server the rights of one of v1.17, which had no flow schemas to read.
const SAMPLE: u32 = 29;
/// Tests take a server's page away and put it back there.
const HTDOCS: &str = "usr/local/apache2/htdocs";
/// The user and the group of the agnhost image's Dockerfile, which tests ask for, beside the usual ones.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n\
    www-data:x:33:33:www-data:/var/www:/bin/false\nuser-defined-in-image:x:1000:1000::/home:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\nuser-defined-in-image:x:1000:\n\
    group-defined-in-image:x:50000:user-defined-in-image\n";
const DIRECTORIES: [(&str, u32); 7] = [
    ("dev", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
];

/// Which programs of Debian's a kind of image has.
type Programs = &'static [(&'static str, &'static str)];

impl Lab<'_> {
    /// The images that the tests of a release name, as far as they are known here, and the names of the others.
    pub fn suite_images(&self, release: &str) -> Result<(Vec<Made>, Vec<String>)> {
        let set = Set::Suite { release: release.to_owned() };
        let listed = Run::new(self.program(&set, "e2e.test")?).arg("--list-images").run()?;
        let text = String::from_utf8(listed.stdout).context("the list of images of e2e.test")?;
        let mut names: Vec<&str> = text.lines().filter(|line| line.contains('/')).collect();
        names.sort_unstable();
        names.dedup();
        let (mut made, mut unknown) = (Vec::new(), Vec::new());
        for name in names {
            match self.image(release, name) {
                Ok(image) => made.push(image),
                Err(error) if fault::is(&error, Kind::NotFound) => unknown.push(name.to_owned()),
                Err(error) => return Err(error),
            }
        }
        Ok((made, unknown))
    }

    /// What is in an image of the suite whose repository ends with this word, if it is known.
    pub(crate) fn suite_content(&self, release: &str, program: &str) -> Result<Option<Content>> {
        let set = Set::Suite { release: release.to_owned() };
        let own = |name: &str| self.program(&set, name).map(ImageEntry::File);
        let mut content = match program {
            "agnhost" | "kitten" | "nautilus" => self.agnhost(&own)?,
            "busybox" | "nonewprivs" => self.base(&[])?,
            "httpd" => self.base(&APACHE)?,
            "jessie-dnsutils" => self.base(&NETWORK)?,
            "nginx" => self.base(&NGINX)?,
            "sample-apiserver" => Content::default(),
            _ => return Ok(None),
        };
        let mut add = |path: &str, item| drop(content.files.insert(path.to_owned(), item));
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match program {
            "kitten" | "nautilus" => {
                for name in ["data.json".to_owned(), format!("{program}.jpg")] {
                    add(&name, own(&format!("test/images/{program}/html/{name}"))?);
                }
                content.cmd = words(&["test-webserver"]);
            }
            "agnhost" => content.cmd = words(&["pause"]),
            "httpd" => {
                add("etc/httpd.conf", ImageEntry::Text(httpd()));
                add(
                    &format!("{HTDOCS}/index.html"),
                    ImageEntry::Text("<html><body><h1>It works!</h1></body></html>\n".into()),
                );
                content.cmd = words(&["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", "/etc/httpd.conf"]);
            }
            "nginx" => {
                add("etc/nginx/nginx.conf", ImageEntry::Text(NGINX_CONF.into()));
                add(
                    "usr/share/nginx/html/index.html",
                    ImageEntry::Text("<h1>Welcome to nginx!</h1>\n".into()),
                );
                for dir in ["var/lib/nginx", "var/log/nginx"] {
                    add(dir, ImageEntry::Directory(0o755));
                }
                content.cmd = words(&["/usr/sbin/nginx", "-g", "daemon off;"]);
            }
            "nonewprivs" => {
                add("usr/local/bin/nnp", ImageEntry::SetUid(self.program(&set, "nonewprivs")?));
                content.cmd = words(&["nnp"]);
            }
            "sample-apiserver" => {
                add("sample-apiserver", own("sample-apiserver")?);
                content.entrypoint = words(&["/sample-apiserver"]);
                if minor(release) < SAMPLE {
                    content.entrypoint.push("--feature-gates=APIPriorityAndFairness=false".to_owned());
                }
            }
            _ => content.cmd = words(&["sh"]),
        }
        Ok(Some(content))
    }

    fn agnhost(&self, own: &dyn Fn(&str) -> Result<ImageEntry>) -> Result<Content> {
        let mut content = self.base(&NETWORK)?;
        let mut add = |path: &str, item| drop(content.files.insert(path.to_owned(), item));
        add("agnhost", own("agnhost")?);
        add("agnhost-2", ImageEntry::Link("agnhost".to_owned()));
        add("coredns", ImageEntry::File(self.program(&Set::coredns(""), "coredns")?));
        for name in ["localhost.crt", "localhost.key"] {
            add(name, own(&format!("test/images/agnhost/porter/{name}"))?);
        }
        add("uploads", ImageEntry::Directory(0o755));
        content.entrypoint = vec!["/agnhost".to_owned()];
        Ok(content)
    }

    /// busybox by all its names, and Debian's programs with what they load.
    fn base(&self, programs: Programs) -> Result<Content> {
        let mut content = Content::default();
        for (path, mode) in DIRECTORIES {
            content.files.insert(path.to_owned(), ImageEntry::Directory(mode));
        }
        for (path, text) in [
            ("etc/passwd", PASSWD),
            ("etc/group", GROUP),
            ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ] {
            content.files.insert(path.to_owned(), ImageEntry::Text(text.to_owned()));
        }
        let busybox = debian::busybox()?;
        let listed = Run::new(&busybox).arg("--list").run()?;
        for name in String::from_utf8(listed.stdout).context("busybox's list")?.lines() {
            content.files.insert(format!("bin/{name}"), ImageEntry::Link("busybox".to_owned()));
        }
        content.files.insert("bin/busybox".to_owned(), ImageEntry::File(busybox));
        if programs.is_empty() {
            return Ok(content);
        }
        let root = self.debian()?;
        for (from, to) in SHELL.iter().chain(programs) {
            // One name is enough.
            if let Some(name) = to.strip_prefix("usr/bin/") {
                content.files.remove(&format!("bin/{name}"));
            }
            let from = root.join(from);
            content.files.extend(closure(&root, &from)?);
            content.files.insert((*to).to_owned(), ImageEntry::File(from));
        }
        Ok(content)
    }

    /// The directory with the programs of Debian's packages, and all that they load.
    fn debian(&self) -> Result<PathBuf> {
        let packages = vm::Packages::find()?;
        let programs = [&SHELL[..], &NETWORK, &APACHE, &NGINX].concat();
        let inputs =
            json!({"format": 1, "codename": packages.codename(), "packages": PACKAGES, "programs": programs});
        let key = Key::of("debian-programs", &inputs)?;
        let object = self.store.object(&key, "programs of Debian's packages", self.progress, |dir| {
            let task = self.progress.task("unpack Debian's packages (a minute, once)", None);
            let scratch = self.store.scratch_dir()?;
            let root = scratch.path().join("root");
            packages.unpack(&PACKAGES, &root, scratch.path(), &*task)?;
            let mut files = BTreeMap::new();
            for (from, _) in &programs {
                let from = root.join(from);
                files.extend(closure(&root, &from)?);
                files.insert(debian::place_in(&root, &from)?, ImageEntry::File(from));
            }
            for (path, item) in files {
                if let ImageEntry::File(from) = item {
                    copy(&from, &dir.join(path))?;
                }
            }
            Ok(())
        })?;
        Ok(object.dir)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.parent().context("a file without a directory")?)?;
    std::fs::copy(from, to).map(drop).map_err(|error| {
        Fault::new(Kind::ToolFailed, format!("copying {} to {}: {error}", from.display(), to.display()))
            .into()
    })
}

/// `26` of `v1.26.0`.
fn minor(release: &str) -> u32 {
    release.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(u32::MAX)
}

fn httpd() -> String {
    let modules: String = ["mpm_event", "authz_core", "dir"]
        .map(|name| format!("LoadModule {name}_module /{MODULES}/mod_{name}.so\n"))
        .concat();
    format!(
        "ServerRoot /tmp\nServerName localhost\nDefaultRuntimeDir /tmp\nPidFile /tmp/httpd.pid\n{modules}\
         Listen 80\nUser www-data\nGroup www-data\nErrorLog /dev/stderr\n\
         DocumentRoot /{HTDOCS}\nDirectoryIndex index.html\n<Directory /{HTDOCS}>\n  Require all granted\n</Directory>\n"
    )
}

const NGINX_CONF: &str = "user www-data;\nworker_processes 1;\npid /tmp/nginx.pid;\nerror_log /dev/stderr;\n\
    events {}\nhttp {\n  access_log /dev/stdout;\n  server {\n    listen 80;\n    root /usr/share/nginx/html;\n  }\n}\n";
