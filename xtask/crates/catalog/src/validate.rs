//! What makes a catalog valid beyond its types: names are unique and well-formed, references lead somewhere.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::Result;
use fault::{Fault, Kind};
use fstree::path;

use crate::base::Alpine;
use crate::component::{Content, Go};
use crate::model::{Catalog, Name, PLACEHOLDERS, VERSION};
use crate::program::Closure;

pub(crate) fn parse(text: &str, file: &str) -> Result<Catalog> {
    let at = Position { text, file };
    let catalog: Catalog = toml::from_str(text).map_err(|error| {
        at.fault(error.span().unwrap_or(0..0), error.message().lines().next().unwrap_or("invalid"))
    })?;
    Checks { catalog: &catalog, at }.all()?;
    Ok(catalog)
}

/// Major, minor, patch of `vX.Y.Z`.
pub fn version_numbers(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts = version.strip_prefix('v')?.split('.').map(|part| {
        let plain = part == "0" || !part.starts_with('0');
        (plain && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten()
    });
    let numbers = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(numbers)
}

/// A git commit: 40 lower-case hexadecimal digits.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

struct Position<'a> {
    text: &'a str,
    file: &'a str,
}

impl Position<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        String::from_utf8_lossy(before).matches('\n').count() + 1
    }

    fn fault(&self, span: Range<usize>, message: &str) -> Fault {
        Fault::new(Kind::InvalidData, format!("{}:{}: {message}", self.file, self.line(&span)))
    }

    fn name_fault(&self, name: &Name, message: &str) -> anyhow::Error {
        self.fault(name.0.span(), message).into()
    }
}

struct Checks<'a> {
    catalog: &'a Catalog,
    at: Position<'a>,
}

impl Checks<'_> {
    fn all(&self) -> Result<()> {
        let catalog = self.catalog;
        if *catalog.version.get_ref() != VERSION {
            let found = catalog.version.get_ref();
            let message = format!("the catalog has format version {found}, this program reads {VERSION}");
            return Err(self.at.fault(catalog.version.span(), &message).into());
        }
        self.unique("product", catalog.products.iter().map(|x| &x.name))?;
        self.unique("release", catalog.releases.iter().map(|x| &x.version))?;
        self.unique("arch", catalog.arches.iter().map(|x| &x.name))?;
        self.unique("base", catalog.bases.iter().map(|x| &x.name))?;
        self.unique("variant", catalog.variants.iter().map(|x| &x.name))?;
        self.unique("component", catalog.components.iter().map(|x| &x.name))?;
        self.unique("program", catalog.programs.iter().map(|x| &x.name))?;
        self.products()?;
        self.releases()?;
        self.bases()?;
        self.variants()?;
        self.components()?;
        self.programs()?;
        self.upstream()?;
        self.budget()
    }

    /// Of each closure the newest entry first, and in the end one for all older versions.
    fn upstream(&self) -> Result<()> {
        let mut before: HashMap<Closure, Option<(u32, u32, u32)>> = HashMap::new();
        for entry in &self.catalog.compile.upstream {
            let from = entry.from.as_ref();
            let numbers = from.and_then(|from| version_numbers(from.as_str()));
            if let Some(from) = from.filter(|_| numbers.is_none()) {
                return Err(self.at.name_fault(from, &format!("`{from}` is not a version `vX.Y.Z`")));
            }
            if before.get(&entry.closure).is_some_and(|newer| *newer <= numbers) {
                let message = "[[compile.upstream]]: of a closure the newest entry comes first, the one without `from` last";
                return Err(match from {
                    Some(from) => self.at.name_fault(from, message),
                    None => Fault::new(Kind::InvalidData, format!("{}: {message}", self.at.file)).into(),
                });
            }
            before.insert(entry.closure, numbers);
            for program in &entry.cgo {
                self.known("program", program, self.catalog.programs.iter().map(|x| &x.name))?;
            }
        }
        Ok(())
    }

    fn programs(&self) -> Result<()> {
        for program in &self.catalog.programs {
            let mut previous = None;
            for earlier in &program.earlier {
                let numbers = version_numbers(earlier.until.as_str());
                if numbers.is_none() || numbers <= previous {
                    let message = format!(
                        "`{}` is not a version `vX.Y.Z`, newer than those of the entries before it",
                        earlier.until
                    );
                    return Err(self.at.name_fault(&earlier.until, &message));
                }
                previous = numbers;
            }
            let mut first = None;
            for version in [&program.since, &program.until].into_iter().flatten() {
                let numbers = version_numbers(version.as_str());
                if numbers.is_none() || numbers < first {
                    let message =
                        format!("`{version}` is not a version `vX.Y.Z`, `until` none older than `since`");
                    return Err(self.at.name_fault(version, &message));
                }
                first = numbers;
            }
        }
        Ok(())
    }

    /// A component carries on programs that it has, and of which is known what their last version stands in for.
    fn carried(&self, go: &Go) -> Result<()> {
        for name in &go.carry {
            let program = self
                .catalog
                .program(name.as_str())
                .filter(|_| go.programs.iter().any(|own| *own == *name.as_str()));
            let Some(program) = program else {
                return Err(self
                    .at
                    .name_fault(name, &format!("`{name}` is not among the component's programs")));
            };
            if program.closure != Closure::CniPlugins || program.until.is_none() || program.moved_to.is_none()
            {
                let message = format!(
                    "`{name}` cannot be carried on: it takes a CNI plugin with `until` and `moved-to` for that"
                );
                return Err(self.at.name_fault(name, &message));
            }
        }
        Ok(())
    }

    fn budget(&self) -> Result<()> {
        for budget in &self.catalog.budget.bases {
            self.known("base", &budget.base, self.catalog.bases.iter().map(|x| &x.name))?;
            for release in budget.releases.iter().flatten() {
                self.known("release", release, self.catalog.releases.iter().map(|x| &x.version))?;
            }
            let limits = [&budget.cell, &budget.mean, &budget.zstd_mean];
            let ratios = limits.map(|ratios| [ratios.compressed, ratios.extracted]);
            if let Some(ratio) =
                ratios.as_flattened().iter().flatten().find(|ratio| !(0.01..=10.0).contains(*ratio))
            {
                let message = format!("{ratio} is not a limit for ours / published: 0.01 to 10");
                return Err(self.at.name_fault(&budget.base, &message));
            }
        }
        Ok(())
    }

    fn unique<'n>(&self, what: &str, names: impl Iterator<Item = &'n Name>) -> Result<()> {
        let mut seen: HashMap<&str, &Name> = HashMap::new();
        for name in names {
            let text = name.as_str();
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
            if text.is_empty() || !text.bytes().all(plain) {
                let message =
                    format!("{what} name `{text}` is not made of lower-case letters, digits, `-` and `.`");
                return Err(self.at.name_fault(name, &message));
            }
            if let Some(first) = seen.insert(text, name) {
                let line = self.at.line(&first.0.span());
                return Err(self
                    .at
                    .name_fault(name, &format!("duplicate {what} `{text}`: line {line} has it already")));
            }
        }
        if seen.is_empty() {
            return Err(
                Fault::new(Kind::InvalidData, format!("{}: there is no [[{what}]]", self.at.file)).into()
            );
        }
        Ok(())
    }

    fn known<'n>(&self, what: &str, name: &Name, mut all: impl Iterator<Item = &'n Name>) -> Result<()> {
        if all.any(|known| *known == *name.as_str()) {
            return Ok(());
        }
        Err(self.at.name_fault(name, &format!("there is no {what} `{name}`")))
    }

    fn products(&self) -> Result<()> {
        for product in &self.catalog.products {
            for (name, value) in &product.env {
                let rest = PLACEHOLDERS.iter().fold(value.clone(), |rest, known| rest.replace(known, ""));
                if rest.contains(['{', '}']) {
                    let message =
                        format!("{name}: `{value}` has braces around what is none of {PLACEHOLDERS:?}");
                    return Err(self.at.name_fault(&product.name, &message));
                }
            }
            if product.healthcheck.as_ref().is_some_and(|check| check.command.is_empty()) {
                let message = format!("the health check of `{}` has no command", product.name);
                return Err(self.at.name_fault(&product.name, &message));
            }
        }
        Ok(())
    }

    fn releases(&self) -> Result<()> {
        let mut previous: Option<(u32, u32, u32)> = None;
        for release in &self.catalog.releases {
            for version in [&release.version, &release.cni_plugins, &release.crictl] {
                if version_numbers(version.as_str()).is_none() {
                    return Err(self
                        .at
                        .name_fault(version, &format!("`{version}` is not a version `vX.Y.Z`")));
                }
            }
            if version_numbers(&format!("v{}", release.go)).is_none() {
                let message = format!("`{}` is not a Go version `X.Y.Z`", release.go);
                return Err(self.at.name_fault(&release.go, &message));
            }
            if let Some(commit) = &release.commit
                && !is_commit(commit.as_str())
            {
                let message = format!("`{commit}` is not a git commit: 40 hexadecimal digits");
                return Err(self.at.name_fault(commit, &message));
            }
            if !is_utc_time(release.date.as_str()) {
                let message = format!("`{}` is not a date like 2022-12-08T19:51:45Z", release.date);
                return Err(self.at.name_fault(&release.date, &message));
            }
            let numbers = release.numbers();
            if previous.is_some_and(|previous| previous < numbers) {
                let message =
                    format!("release `{}` comes after an older one: the newest comes first", release.version);
                return Err(self.at.name_fault(&release.version, &message));
            }
            previous = Some(numbers);
        }
        Ok(())
    }

    fn bases(&self) -> Result<()> {
        let mut branches: HashMap<&str, &Name> = HashMap::new();
        for base in &self.catalog.bases {
            self.components_known(&base.name, "base", &base.components)?;
            if let Some(alpine) = &base.alpine {
                self.alpine(&base.name, alpine)?;
                let branch = alpine.branch.as_str();
                if let Some(other) = branches.insert(branch, &base.name) {
                    let message = format!(
                        "base `{}` is on {branch}, as `{other}` is: a branch has one lock",
                        base.name
                    );
                    return Err(self.at.name_fault(&base.name, &message));
                }
            }
        }
        let mut defaults = self.catalog.bases.iter().filter(|base| base.default);
        match (defaults.next(), defaults.next()) {
            (Some(_), None) => Ok(()),
            (Some(_), Some(second)) => Err(self.at.name_fault(&second.name, "a second base is the default")),
            (None, _) => {
                Err(Fault::new(Kind::InvalidData, format!("{}: no base is the default", self.at.file)).into())
            }
        }
    }

    fn alpine(&self, base: &Name, alpine: &Alpine) -> Result<()> {
        let refuse = |name: &Name, message: String| Err(self.at.name_fault(name, &message));
        if alpine.url.as_str().ends_with('/') || !alpine.url.as_str().starts_with("https://") {
            return refuse(
                &alpine.url,
                format!("`{}` is not https://HOST/PATH, without a slash at its end", alpine.url),
            );
        }
        for part in alpine.repositories.iter().chain([&alpine.branch]) {
            if path::check(part.as_str()).is_err() || part.as_str().contains('/') {
                return refuse(part, format!("`{part}` is not the name of a branch or repository"));
            }
        }
        if alpine.repositories.is_empty() {
            return refuse(&alpine.branch, format!("{} names no repository", alpine.branch));
        }
        for product in alpine.worlds.keys() {
            if self.catalog.products.iter().all(|known| known.name != **product) {
                return refuse(
                    base,
                    format!("base `{base}` has packages for `{product}`, which is not a product"),
                );
            }
        }
        for arch in &self.catalog.arches {
            if !alpine.rootfs.contains_key(arch.name.as_str()) {
                return refuse(base, format!("base `{base}` has no root filesystem for {}", arch.name));
            }
        }
        for (arch, rootfs) in &alpine.rootfs {
            if self.catalog.arches.iter().all(|known| known.name != **arch) {
                return refuse(
                    base,
                    format!("base `{base}` has a root filesystem for `{arch}`, which is not an arch"),
                );
            }
            if path::check(rootfs.path.as_str()).is_err() {
                return refuse(&rootfs.path, format!("`{}` is not a plain path below the URL", rootfs.path));
            }
            let sha256 = rootfs.sha256.as_str();
            if sha256.len() != 64 || !sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                return refuse(
                    &rootfs.sha256,
                    format!("`{sha256}` is not a SHA-256: 64 lower-case hexadecimal digits"),
                );
            }
        }
        Ok(())
    }

    fn components_known(&self, owner: &Name, what: &str, components: &[Name]) -> Result<()> {
        if components.is_empty() {
            return Err(self.at.name_fault(owner, &format!("{what} `{owner}` names no component")));
        }
        for name in components {
            self.known("component", name, self.catalog.components.iter().map(|x| &x.name))?;
        }
        self.no_repeat(components)
    }

    fn no_repeat(&self, names: &[Name]) -> Result<()> {
        for (index, name) in names.iter().enumerate() {
            if names[..index].iter().any(|earlier| *earlier == *name.as_str()) {
                return Err(self.at.name_fault(name, &format!("`{name}` is listed twice")));
            }
        }
        Ok(())
    }

    fn variants(&self) -> Result<()> {
        let mut suffixes: HashMap<(&str, &str), &Name> = HashMap::new();
        for variant in &self.catalog.variants {
            self.known("product", &variant.product, self.catalog.products.iter().map(|x| &x.name))?;
            for base in variant.bases.iter().flatten() {
                self.known("base", base, self.catalog.bases.iter().map(|x| &x.name))?;
            }
            if let Some(other) = suffixes.insert((variant.product.as_str(), variant.suffix()), &variant.name)
            {
                let message = format!("variants `{other}` and `{}` have the same suffix", variant.name);
                return Err(self.at.name_fault(&variant.name, &message));
            }
            self.components_known(&variant.name, "variant", &variant.components)?;
        }
        Ok(())
    }

    fn components(&self) -> Result<()> {
        for component in &self.catalog.components {
            let [content] = component.contents()[..] else {
                let message = format!(
                    "component `{}` has not exactly one of [component.go], .rust, .links, .certificates, .files, .directories",
                    component.name
                );
                return Err(self.at.name_fault(&component.name, &message));
            };
            if let Some(product) = &component.product {
                self.known("product", product, self.catalog.products.iter().map(|x| &x.name))?;
            }
            if let Content::Go(go @ Go { programs, .. }) = content {
                if programs.is_empty() {
                    let message = format!("component `{}` names no program", component.name);
                    return Err(self.at.name_fault(&component.name, &message));
                }
                for program in programs {
                    self.known("program", program, self.catalog.programs.iter().map(|x| &x.name))?;
                }
                self.no_repeat(programs)?;
                self.carried(go)?;
            }
            for path in content.paths() {
                if fstree::path::check(path).is_err() {
                    let message = format!("`{path}` is not a plain path relative to the image's root");
                    return Err(self.at.name_fault(&component.name, &message));
                }
            }
        }
        Ok(())
    }
}

impl<'a> Content<'a> {
    /// Every path it states.
    fn paths(self) -> Vec<&'a str> {
        match self {
            Content::Go(go) => vec![&go.directory],
            Content::Rust(single) | Content::Certificates(single) => vec![&single.path],
            Content::Links(links) => {
                std::iter::once(&links.to).chain(&links.paths).map(String::as_str).collect()
            }
            Content::Files(files) => vec![&files.source],
            Content::Directories(directories) => directories.paths.iter().map(String::as_str).collect(),
        }
    }
}

/// `YYYY-MM-DDThh:mm:ssZ`, each number in its range.
fn is_utc_time(text: &str) -> bool {
    let pattern = b"dddd-dd-ddTdd:dd:ddZ";
    let shape = text.len() == pattern.len()
        && text.bytes().zip(pattern).all(|(b, p)| if *p == b'd' { b.is_ascii_digit() } else { b == *p });
    let number = |range: Range<usize>| text.get(range).and_then(|part| part.parse::<u32>().ok());
    let within = |range, low, high| number(range).is_some_and(|n| (low..=high).contains(&n));
    shape
        && within(0..4, 1970, 9999)
        && within(5..7, 1, 12)
        && within(8..10, 1, 31)
        && within(11..13, 0, 23)
        && within(14..16, 0, 59)
        && within(17..19, 0, 59)
}
