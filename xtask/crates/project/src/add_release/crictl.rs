//! Which crictl a release gets.

use anyhow::Result;
use catalog::{Catalog, Closure, Program};
use fault::{Fault, Kind};

use crate::Session;

/// The newest crictl of the release's own minor that the module proxy serves, else the newest older one, and then what the
/// catalog has to say about that. Where the proxy tells nothing, vX.Y.0.
pub(super) fn of(
    catalog: &Catalog,
    release: &str,
    session: &Session<'_>,
) -> Result<(String, Option<String>)> {
    let (major, minor, _) = catalog::version_numbers(release).unwrap_or_default();
    let program = catalog.programs.iter().find(|program| program.closure == Closure::Kubeadm);
    let program = program.ok_or_else(|| {
        Fault::new(Kind::InvalidData, "images/catalog.toml: no program has `closure = \"kubeadm\"`")
    })?;
    let first = format!("v{major}.{minor}.0");
    if session.offline() {
        return Ok((first, None));
    }
    let (tools, work) = (session.tools()?, session.store.scratch_dir()?);
    let mut served = Vec::new();
    for package in program.packages() {
        let module = gobuild::module_of(package);
        match gobuild::upstream::versions_of(module, tools.go()?, work.path()) {
            Ok(versions) => served.extend(versions.into_iter().map(|version| (package, version))),
            // A module that is not served has no versions.
            Err(error) if fault::is(&error, Kind::Unavailable) => {}
            Err(error) => return Err(error),
        }
    }
    let Some(version) = nearest(program, &served, (major, minor)) else { return Ok((first, None)) };
    let own = version.starts_with(&format!("v{major}.{minor}."));
    let remark = format!("the newest older one that is served: none of v{major}.{minor} is");
    Ok((version, (!own).then_some(remark)))
}

/// The newest version that is not of a later minor; each counts only under the name that its module has.
fn nearest(program: &Program, served: &[(&str, String)], (major, minor): (u32, u32)) -> Option<String> {
    let fits = served.iter().filter(|(package, version)| program.package_of(version) == *package);
    let numbered = fits.filter_map(|(_, version)| Some((catalog::version_numbers(version)?, version)));
    let older = numbered.filter(|((its_major, its_minor, _), _)| (*its_major, *its_minor) <= (major, minor));
    older.max_by_key(|(numbers, _)| *numbers).map(|(_, version)| version.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_is_not_later_is_taken_under_its_own_name() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../images/catalog.toml");
        let catalog = Catalog::read(&file).unwrap();
        let program = catalog.program("crictl").unwrap();
        let [new, old] = program.packages().collect::<Vec<_>>()[..] else { panic!("two names") };
        let served: Vec<(&str, String)> = [
            (new, "v1.37.0"),
            (new, "v1.34.0"),
            (new, "v1.34.1"),
            (new, "v1.38.0-rc.0"),
            (new, "v1.30.0"),
            (old, "v1.30.0"),
            (old, "v1.26.1"),
            (old, "v1.26.0"),
            (old, "v1.35.0"),
        ]
        .map(|(package, version)| (package, version.to_owned()))
        .into();
        let nearest = |minor| nearest(program, &served, (1, minor));
        for (minor, expected) in [
            (37, "v1.37.0"),
            (36, "v1.34.1"),
            (34, "v1.34.1"),
            (33, "v1.30.0"),
            (30, "v1.30.0"),
            (26, "v1.26.1"),
        ] {
            assert_eq!(nearest(minor).as_deref(), Some(expected), "1.{minor}");
        }
        assert_eq!(nearest(25), None);
        // Under its new name that version is not a module.
        let wrong = [(new, "v1.30.0".to_owned())];
        assert_eq!(super::nearest(program, &wrong, (1, 30)), None);
    }
}
