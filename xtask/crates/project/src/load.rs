//! Containers: imports layouts into docker or containerd, whichever runs here, and shows that an image runs.

mod archive;

use std::path::Path;

use anyhow::{Context as _, Result};
use exec::Run;
use fault::{Fault, Kind};
use progress::Progress;

/// Variables that say which docker or containerd, and which namespace, to use.
const SETTINGS: [&str; 9] = [
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "CONTAINERD_ADDRESS",
    "CONTAINERD_NAMESPACE",
];

/// A container runtime that answers here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Docker, by its client.
    Docker,
    /// containerd, by `ctr`.
    Containerd,
}

fn client<'a>(words: &[&str]) -> Run<'a> {
    let (program, args) = words.split_first().unwrap_or((&"", &[]));
    SETTINGS.iter().fold(Run::new(program).args(args), |run, name| run.inherit(name))
}

impl Runtime {
    /// The one that answers; docker if both do, for it is what people see.
    pub fn find() -> Result<Option<Self>> {
        let answers = |words: &[&str]| Ok::<_, anyhow::Error>(client(words).answer()?.is_some());
        Ok(if answers(&["docker", "version", "--format", "{{.Server.Version}}"])? {
            Some(Self::Docker)
        } else if answers(&["ctr", "version"])? {
            Some(Self::Containerd)
        } else {
            None
        })
    }

    /// The one that answers, or an error that says what to do.
    pub fn required() -> Result<Self> {
        Self::find()?.ok_or_else(|| {
            Fault::new(Kind::Tool, "neither docker nor containerd answers, so nothing can be loaded")
                .help("start one (DOCKER_HOST and CONTAINERD_ADDRESS say where), or use the layout as it is")
                .into()
        })
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
        }
    }

    /// Imports what a layout has, by the names that it gives; returns them.
    pub fn load(self, layout: &Path, progress: &dyn Progress) -> Result<Vec<String>> {
        let layout = sizes::measure::open(layout)?;
        let names: Vec<String> = layout.names().into_iter().map(str::to_owned).collect();
        let shown = layout.dir().display();
        if names.is_empty() {
            return Err(Fault::new(Kind::InvalidData, format!("{shown} gives no image a name"))
                .help("load a layout that `cargo xtask build` or Nix made")
                .into());
        }
        let task = progress.task(&format!("load {} into {}", names.join(", "), self.name()), None);
        // A name that stands for what cannot run would stay in the runtime.
        layout.verify(&*task)?;
        let archive = tempfile::NamedTempFile::new().context("a temporary file cannot be made")?;
        archive::pack(&layout, &names, archive.as_file()).with_context(|| format!("packing {shown}"))?;
        let import: &[&str] = match self {
            Self::Docker => &["docker", "load", "--input"],
            Self::Containerd => &["ctr", "images", "import", "--all-platforms"],
        };
        client(import).arg(archive.path()).on_line(|line| task.detail(line)).run()?;
        Ok(names)
    }

    /// What a program of a loaded image says.
    pub fn run(self, image: &str, words: &[&str]) -> Result<String> {
        let id = format!("kubelet-images-{}", std::process::id());
        let run = match self {
            Self::Docker => {
                client(&["docker", "run", "--rm", "--entrypoint", words[0], image]).args(&words[1..])
            }
            Self::Containerd => client(&["ctr", "run", "--rm", image, &id]).args(words),
        };
        Ok(String::from_utf8_lossy(&run.run()?.stdout).trim_end().to_owned())
    }
}
