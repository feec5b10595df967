//! What to build, how, and with which store and tools.

use std::path::{Path, PathBuf};

use alpine::fetch::{Fetcher, Mirror};
use anyhow::Result;
use attest::provenance::Parameters;
use catalog::{Attributes, Catalog};
use executor::{Executor, Tools};
use fault::{Fault, Kind};
use gobuild::Spec;
use oci::compress::{Compression, Gzip};
use plan::{Options, Plan, Sources};
use progress::timings::Timings;
use store::Store;
use toolchain::{Host, Setup, Upx};

use super::pins;
use crate::context::Context;

/// What to do about a version of an edited module that no person has read.
pub(crate) const READ: &str = "read the files it names, and put the version into `also` or `without` there";

/// What to build.
#[derive(clap::Args, Default)]
pub(crate) struct What {
    /// Images and indexes, as `cargo xtask list` names them [default: the newest kubelet for this machine].
    #[arg(value_name = "ATTR")]
    attributes: Vec<String>,
    #[command(flatten)]
    pub(crate) omit: Omit,
    /// Compress quickly instead of well: larger, with other digests.
    #[arg(long, conflicts_with = "zstd")]
    fast: bool,
    /// Compress layers with zstd, for runtimes that read it: smaller. Layouts and tags end in `-zstd`.
    #[arg(long)]
    zstd: bool,
    /// Kubernetes exactly as released: no edits of modules, none newer than the release asks for, upstream's flags, each
    /// program by itself. Larger; layouts and tags have `-unedited`.
    #[arg(long)]
    unedited: bool,
}

/// What to leave out.
#[derive(clap::Args, Default)]
pub(crate) struct Omit {
    /// Leave out a program or component, such as crictl; the image says so.
    #[arg(long = "omit", value_name = "COMPONENT")]
    pub(crate) names: Vec<String>,
    /// Also what an image is named for: for tests of everything else in it.
    #[arg(long, hide = true)]
    allow_incomplete: bool,
}

impl Omit {
    /// Refuses images without the very program that they are named for: started, all that they could say is that it is
    /// missing.
    pub(crate) fn check<'a>(
        &self,
        catalog: &Catalog,
        attributes: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        let all = Attributes::of(catalog);
        for name in attributes {
            let product = all.get(name)?.product.name.as_str();
            if !self.allow_incomplete && self.names.iter().any(|omit| omit == product) {
                let message =
                    format!("`{name}` is an image of {product}: --omit {product} leaves nothing to start");
                let help = "omit another component, or name another image: `cargo xtask list` names all";
                return Err(Fault::new(Kind::Usage, message).help(help).into());
            }
        }
        Ok(())
    }
}

impl What {
    fn compression(&self) -> Compression {
        match (self.fast, self.zstd) {
            (_, true) => Compression::Zstd,
            (true, _) => Compression::Gzip(Gzip::Fast),
            _ => Compression::default(),
        }
    }
}

impl What {
    /// These images and indexes, whole.
    pub(crate) fn of(attributes: Vec<String>) -> Self {
        Self { attributes, ..Self::default() }
    }

    /// One attribute, without these components.
    pub(crate) fn one(attribute: &str, omit: &[String]) -> Self {
        let omit = Omit { names: omit.to_vec(), ..Omit::default() };
        Self { omit, ..Self::of(vec![attribute.to_owned()]) }
    }

    /// What an image was built from, compressed like this.
    pub(crate) fn again(parameters: &Parameters, compression: Compression) -> Self {
        let Parameters { attribute, omit, unedited, .. } = parameters;
        let fast = compression == Compression::Gzip(Gzip::Fast);
        let zstd = compression == Compression::Zstd;
        Self { fast, zstd, unedited: *unedited, ..Self::one(attribute, omit) }
    }
}

/// How to build.
#[derive(clap::Args, Default)]
pub(crate) struct How {
    /// How many things to do at once [default: the number of processors].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Fetch nothing: use what is in the store and the caches.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Refuse to make a lock that is missing.
    #[arg(long)]
    locked: bool,
    /// Ask this directory for files first, or for Alpine's files this URL; what comes from it is verified all the same.
    /// Several are separated by commas.
    #[arg(long, value_name = "DIR|URL", env = "KUBELET_IMAGES_MIRROR", value_delimiter = ',')]
    mirror: Vec<String>,
    /// Where a policy says to pack programs, use the UPX in PATH even if it is not the locked version: images record it.
    #[arg(long)]
    any_upx: bool,
}

/// An open store, the catalog and the sources.
pub(crate) struct Session<'a> {
    pub(crate) context: &'a Context,
    how: &'a How,
    pub(crate) catalog: Catalog,
    pub(crate) sources: Sources,
    pub(crate) store: Store,
    /// Where Go keeps compiled packages, if not where the user's does.
    go_cache: Option<PathBuf>,
}

impl<'a> Session<'a> {
    pub(crate) fn open(context: &'a Context, how: &'a How) -> Result<Self> {
        if std::env::var_os("SOURCE_DATE_EPOCH").is_some() {
            context.progress.note("SOURCE_DATE_EPOCH is ignored: the time of an image is its release's date");
        }
        Self::with(context, how, Store::open(Store::default_root()?)?)
    }

    /// With a store that is not the user's.
    pub(crate) fn with(context: &'a Context, how: &'a How, store: Store) -> Result<Self> {
        let catalog = context.catalog()?;
        let sources = Sources::read(&context.root)?;
        Ok(Self { context, how, catalog, sources, store, go_cache: None })
    }

    /// One that has the same files from outside, and nothing that was ever made of them; all it makes is in this
    /// directory of the store's file system.
    pub(crate) fn anew(&self, dir: &Path) -> Result<Self> {
        let store = Store::open(dir.join("store"))?;
        store.link_inputs(&self.store)?;
        store.link_objects(&self.store, alpine::package::KIND)?;
        let session = Self::with(self.context, self.how, store)?;
        Ok(Self { go_cache: Some(dir.join("go-build")), ..session })
    }

    /// Plans what was asked for. A Go closure or an Alpine lock that is missing is made first, unless `--locked` forbids it.
    pub(crate) fn plan(&self, what: &What) -> Result<Plan> {
        let attributes = Attributes::of(&self.catalog);
        let mut names = what.attributes.clone();
        if names.is_empty() {
            let arch = Host::current()?.arch();
            let default = attributes.default_for(arch).ok_or_else(|| {
                Fault::new(Kind::Data, format!("images/catalog.toml has no image for {arch}"))
            })?;
            names.push(default.name.clone());
        }
        let options = Options {
            omit: what.omit.names.clone(),
            unedited: what.unedited,
            ..self.options(what.compression())?
        };
        let ensure_closures =
            || self.ensure_closures(&plan::closures(&self.catalog, &self.sources, &names, &options)?);
        ensure_closures()?;
        if options.unedited {
            // Those that were missing have told which others there have to be.
            ensure_closures()?;
        }
        pins::ensure_alpine(self, &plan::alpine_bases(&self.catalog, &names)?, self.how.locked)?;
        let plan = Plan::of(&self.catalog, &self.sources, &names, &options)?;
        if self.how.locked {
            self.tell_unread(&plan)?;
        }
        Ok(plan)
    }

    /// Says which versions of edited modules no person has read: nothing but the linker speaks for their edits.
    pub(crate) fn tell_unread(&self, plan: &Plan) -> Result<()> {
        for version in plan.unread()? {
            self.context.progress.note(&format!(
                "warning: nobody has read {version}, which images/go/edits.toml edits: {READ}"
            ));
        }
        Ok(())
    }

    /// May nothing be fetched?
    pub(crate) fn offline(&self) -> bool {
        self.how.offline
    }

    /// What a build's flags say about all images.
    pub(crate) fn options(&self, compression: Compression) -> Result<Options> {
        let other_upx = if self.how.any_upx {
            let Upx { version, sha256, locked, .. } = self.upx()?;
            (!locked).then_some(plan::Upx { version, other: Some(sha256) })
        } else {
            None
        };
        Ok(Options { compression, other_upx, ..Options::default() })
    }

    /// The UPX to pack with.
    pub(crate) fn upx(&self) -> Result<Upx> {
        self.setup()?.find_upx(self.how.any_upx)
    }

    /// Makes the Go closures that are missing, unless `--locked` forbids it.
    pub(crate) fn ensure_closures(&self, needed: &[Spec]) -> Result<()> {
        pins::ensure_closures(self, needed, self.how.locked)
    }

    pub(crate) fn executor(&self) -> Result<Executor<'_>> {
        let jobs = self
            .how
            .jobs
            .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
        Ok(Executor {
            store: &self.store,
            sources: &self.sources,
            tools: self.tools()?,
            mirrors: self.mirrors(),
            progress: &*self.context.progress,
            jobs,
            timings: Timings::default(),
        })
    }

    /// The pinned tools, not looked for yet.
    pub(crate) fn tools(&self) -> Result<Tools<'_>> {
        Ok(Tools::new(self.setup()?, self.go_cache.clone()))
    }

    /// What finding tools needs to know.
    pub(crate) fn setup(&self) -> Result<Setup<'_>> {
        Ok(Setup {
            store: &self.store,
            lock: &self.sources.lock,
            host: Host::current()?,
            offline: self.how.offline,
            mirrors: self.mirrors().into_iter().filter_map(directory).collect(),
            progress: &*self.context.progress,
        })
    }

    /// Where files are asked for first.
    pub(crate) fn mirrors(&self) -> Vec<Mirror> {
        self.how.mirror.iter().filter_map(|text| Mirror::parse(text)).collect()
    }

    /// Gets the files of an Alpine base.
    pub(crate) fn fetcher<'s>(&'s self, mirrors: &'s [Mirror], url: &'s str) -> Fetcher<'s> {
        let (store, offline) = (&self.store, self.how.offline);
        Fetcher { store, mirrors, url, offline, progress: &*self.context.progress }
    }
}

fn directory(mirror: Mirror) -> Option<PathBuf> {
    match mirror {
        Mirror::Directory(dir) => Some(dir),
        Mirror::Url(_) => None,
    }
}
