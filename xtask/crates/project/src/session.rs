//! What to build, how, and with which store and tools.

use std::path::{Path, PathBuf};

use alpine::fetch::{Fetcher, Mirror};
use anyhow::Result;
use attest::provenance::Parameters;
use catalog::{Attributes, Catalog};
use executor::{Executor, Tools};
use fault::{Fault, Kind};
use gobuild::Spec;
use oci::compress::Compression;
use plan::{Options, Plan, Planner, Sources};
use progress::timings::Timings;
use store::Store;
use toolchain::{Host, Setup, Upx};

use crate::{Checkout, pins};

/// What to do about a version of an edited module that no person has read.
pub const READ: &str = "read the files it names, and put the version into `also` or `without` there";

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Images and indexes, as the catalog names them. None: the newest kubelet for this machine.
    pub attributes: Vec<String>,
    /// Programs and components that are left out.
    pub omit: Vec<String>,
    /// How layers are compressed.
    pub compression: Compression,
    /// Kubernetes exactly as released.
    pub unedited: bool,
}

impl Selection {
    /// These images and indexes, whole.
    pub fn of(attributes: Vec<String>) -> Self {
        Self { attributes, ..Self::default() }
    }

    /// One attribute, without these components.
    pub fn one(attribute: &str, omit: &[String]) -> Self {
        Self { omit: omit.to_vec(), ..Self::of(vec![attribute.to_owned()]) }
    }

    /// What an image was built from, compressed like this.
    pub fn again(parameters: &Parameters, compression: Compression) -> Self {
        let Parameters { attribute, omit, unedited, .. } = parameters;
        Self { compression, unedited: *unedited, ..Self::one(attribute, omit) }
    }
}

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// How many things to do at once. None: as many as there are processors.
    pub jobs: Option<u16>,
    /// Fetch nothing: use what is in the store and the caches.
    pub offline: bool,
    /// Refuse to make a lock that is missing.
    pub locked: bool,
    /// Asked for files first; what comes from them is verified all the same.
    pub mirrors: Vec<Mirror>,
    /// Where a policy says to pack programs, use the UPX in PATH even if it is not the locked version: images record it.
    pub any_upx: bool,
}

/// An open store, the catalog and the sources.
pub struct Session<'a> {
    /// The checkout.
    pub checkout: &'a Checkout,
    options: BuildOptions,
    /// Its catalog.
    pub catalog: Catalog,
    /// Its files that images are made of.
    pub sources: Sources,
    /// Keeps all that is fetched and made.
    pub store: Store,
    /// Where Go keeps compiled packages, if not where the user's does.
    go_cache: Option<PathBuf>,
}

impl<'a> Session<'a> {
    /// With the user's store.
    pub fn open(checkout: &'a Checkout, options: BuildOptions) -> Result<Self> {
        if std::env::var_os("SOURCE_DATE_EPOCH").is_some() {
            checkout
                .progress
                .note("SOURCE_DATE_EPOCH is ignored: the time of an image is its release's date");
        }
        Self::with(checkout, options, Store::open(Store::default_root()?)?)
    }

    /// With a store that is not the user's.
    pub fn with(checkout: &'a Checkout, options: BuildOptions, store: Store) -> Result<Self> {
        let catalog = checkout.catalog()?;
        let sources = Sources::read(&checkout.root)?;
        Ok(Self { checkout, options, catalog, sources, store, go_cache: None })
    }

    /// One that has the same files from outside, and nothing that was ever made of them; all it makes is in this
    /// directory of the store's file system.
    pub fn anew(&self, dir: &Path) -> Result<Self> {
        let store = Store::open(dir.join("store"))?;
        store.link_inputs(&self.store)?;
        store.link_objects(&self.store, alpine::package::KIND)?;
        let session = Self::with(self.checkout, self.options.clone(), store)?;
        Ok(Self { go_cache: Some(dir.join("go-build")), ..session })
    }

    /// Plans of this checkout.
    pub fn planner<'s>(&'s self, options: &'s Options) -> Planner<'s> {
        Planner { catalog: &self.catalog, sources: &self.sources, options }
    }

    /// Plans what was asked for. A Go closure or an Alpine lock that is missing is made first, unless `--locked` forbids it.
    pub fn plan(&self, selection: &Selection) -> Result<Plan> {
        let attributes = Attributes::of(&self.catalog);
        let mut names = selection.attributes.clone();
        if names.is_empty() {
            let arch = Host::current()?.arch();
            let default = attributes.default_for(arch).ok_or_else(|| {
                Fault::new(Kind::InvalidData, format!("images/catalog.toml has no image for {arch}"))
            })?;
            names.push(default.name.clone());
        }
        let options = Options {
            omit: selection.omit.clone(),
            unedited: selection.unedited,
            ..self.options(selection.compression)?
        };
        let planner = self.planner(&options);
        let ensure_closures = || self.ensure_closures(&planner.closures(&names)?);
        ensure_closures()?;
        if options.unedited {
            // Those that were missing have told which others there have to be.
            ensure_closures()?;
        }
        pins::ensure_alpine(self, &plan::alpine_bases(&self.catalog, &names)?, self.options.locked)?;
        let plan = planner.plan(&names)?;
        if self.options.locked {
            self.tell_unread(&plan)?;
        }
        Ok(plan)
    }

    /// Says which versions of edited modules no person has read: nothing but the linker speaks for their edits.
    pub fn tell_unread(&self, plan: &Plan) -> Result<()> {
        for version in plan.unread()? {
            self.checkout.progress.note(&format!(
                "warning: nobody has read {version}, which images/go/edits.toml edits: {READ}"
            ));
        }
        Ok(())
    }

    /// May nothing be fetched?
    pub fn offline(&self) -> bool {
        self.options.offline
    }

    /// What a build's flags say about all images.
    pub fn options(&self, compression: Compression) -> Result<Options> {
        let other_upx = if self.options.any_upx {
            let Upx { version, sha256, locked, .. } = self.upx()?;
            (!locked).then_some(plan::Upx { version, other: Some(sha256) })
        } else {
            None
        };
        Ok(Options { compression, other_upx, ..Options::default() })
    }

    /// The UPX to pack with.
    pub fn upx(&self) -> Result<Upx> {
        self.setup()?.find_upx(self.options.any_upx)
    }

    /// Makes the Go closures that are missing, unless `--locked` forbids it.
    pub fn ensure_closures(&self, needed: &[Spec]) -> Result<()> {
        pins::ensure_closures(self, needed, self.options.locked)
    }

    /// What carries plans out.
    pub fn executor(&self) -> Result<Executor<'_>> {
        let jobs = self
            .options
            .jobs
            .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
        Ok(Executor {
            store: &self.store,
            sources: &self.sources,
            tools: self.tools()?,
            mirrors: self.options.mirrors.clone(),
            progress: &*self.checkout.progress,
            jobs,
            timings: Timings::default(),
        })
    }

    /// The pinned tools, not looked for yet.
    pub fn tools(&self) -> Result<Tools<'_>> {
        Ok(Tools::new(self.setup()?, self.go_cache.clone()))
    }

    /// What finding tools needs to know.
    pub fn setup(&self) -> Result<Setup<'_>> {
        Ok(Setup {
            store: &self.store,
            lock: &self.sources.lock,
            host: Host::current()?,
            offline: self.options.offline,
            mirrors: self.options.mirrors.iter().filter_map(directory).collect(),
            progress: &*self.checkout.progress,
        })
    }

    /// Gets the files of an Alpine base.
    pub fn fetcher<'s>(&'s self, url: &'s str) -> Fetcher<'s> {
        Fetcher {
            store: &self.store,
            mirrors: &self.options.mirrors,
            url,
            offline: self.options.offline,
            progress: &*self.checkout.progress,
        }
    }
}

fn directory(mirror: &Mirror) -> Option<PathBuf> {
    match mirror {
        Mirror::Directory(dir) => Some(dir.clone()),
        Mirror::Url(_) => None,
    }
}

/// Refuses images without the very program that they are named for: started, all that they could say is that it is
/// missing.
pub fn check_omitted<'a>(
    catalog: &Catalog,
    omit: &[String],
    attributes: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let all = Attributes::of(catalog);
    for name in attributes {
        let product = all.get(name)?.product.name.as_str();
        if omit.iter().any(|omit| omit == product) {
            let message =
                format!("`{name}` is an image of {product}: --omit {product} leaves nothing to start");
            let help = "omit another component, or name another image: `cargo xtask list` names all";
            return Err(Fault::new(Kind::Usage, message).help(help).into());
        }
    }
    Ok(())
}
