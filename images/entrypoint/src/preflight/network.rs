//! Is the host's CNI configuration of a version that the image's plugins know? They refuse any other, pod by pod, and the
//! runtime says so only in its log.

use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::mounts::mounted_from_host;
use crate::cni::Plugins;
use crate::regular;
use crate::yaml::Scalars;

/// Where runtimes look for it, by their defaults.
const DIRECTORY: &str = "/etc/cni/net.d";
/// The endings of its files. Source: `ConfFiles` in libcni.
const ENDINGS: [&str; 3] = [".conf", ".conflist", ".json"];

/// The row, for an image that has plugins.
pub(crate) fn check(facts: &Facts, plugins: Option<&Plugins>) -> Option<Finding> {
    let plugins = plugins?;
    let name = "CNI configuration";
    let Some((file, text)) = configuration(facts) else {
        return Some(Finding::ok(name, WHY, format!("none in {DIRECTORY} that can be seen from here")));
    };
    Some(judge(name, &file, &text, &|plugin| plugins.versions(plugin)))
}

const WHY: &str = "the runtime calls plugins by its version; pods get no network where they refuse it";

/// The first file by name, which is the one that runtimes take, as the host has it or as it is mounted here.
fn configuration(facts: &Facts) -> Option<(String, String)> {
    let own = mounted_from_host(facts, Path::new(DIRECTORY)).is_some();
    let mut names = if own {
        let entries = Path::new(DIRECTORY).read_dir().ok()?;
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    } else {
        facts.list_on_host(DIRECTORY)
    };
    names.retain(|name| ENDINGS.iter().any(|ending| name.ends_with(ending)));
    names.sort_unstable();
    let file: PathBuf = Path::new(DIRECTORY).join(names.first()?);
    let file = file.to_str()?.to_owned();
    let text = if own { regular::read_text(Path::new(&file)).ok() } else { facts.read_on_host(&file) }?;
    Some((file, text))
}

/// `versions` tells those that a plugin of the image knows; none where another's would be run.
fn judge(name: &str, file: &str, text: &str, versions: &dyn Fn(&str) -> Option<Vec<String>>) -> Finding {
    let config = Scalars::parse(text);
    // As CNI has it for a configuration without.
    let wanted = config.get("cniVersion").unwrap_or("0.1.0");
    let mut refusing: Vec<&str> = Vec::new();
    let (mut asked, mut known) = (false, Vec::new());
    for plugin in config.get("type").into_iter().chain(config.texts("plugins...type")) {
        let Some(versions) = versions(plugin) else { continue };
        asked = true;
        if !versions.iter().any(|version| version == wanted) {
            refusing.push(plugin);
            known = versions;
        }
    }
    if refusing.is_empty() {
        let of = if asked { ", which the image's plugins know" } else { ", for plugins of the host's own" };
        return Finding::ok(name, WHY, format!("{file}: cniVersion {wanted}{of}"));
    }
    let found = format!(
        "{file}: cniVersion {wanted}, which the image's {} do not know, but {}",
        refusing.join(", "),
        known.join(", ")
    );
    let newest = known.last().map_or("", String::as_str);
    let text = format!(
        "on the host: `\"cniVersion\": \"{newest}\"` in {file}; or put plugins that know {wanted} into the host's /opt/cni/bin: \
         what is not from here is left alone"
    );
    Finding::bad(Status::Warning, name, WHY, found, Repair::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_with_what_plugins_say() {
        let old = ["0.3.1", "0.4.0"];
        let versions = |plugin: &str| match plugin {
            "bridge" | "portmap" => Some(old.map(str::to_owned).to_vec()),
            "new" => Some(vec!["0.4.0".to_owned(), "1.0.0".to_owned()]),
            _ => None,
        };
        let containerds = r#"{"cniVersion": "1.0.0", "name": "containerd-net", "plugins": [
            {"type": "bridge", "bridge": "cni0", "ipam": {"type": "host-local"}},
            {"type": "portmap", "capabilities": {"portMappings": true}}, {"type": "new"}]}"#;
        for (text, refused) in [
            (containerds.to_owned(), "bridge, portmap do not know, but 0.3.1, 0.4.0"),
            (containerds.replace("1.0.0", "0.4.0"), ""),
            (r#"{"cniVersion": "0.2.0", "type": "bridge"}"#.to_owned(), "0.2.0, which the image's bridge do"),
            (r#"{"type": "bridge"}"#.to_owned(), "cniVersion 0.1.0, which"),
            (r#"{"cniVersion": "1.0.0", "type": "calico"}"#.to_owned(), ""),
            (r#"{"cniVersion": "1.0.0", "plugins": [{"type": "new"}]}"#.to_owned(), ""),
            // Only what is run by the runtime is judged: plugins call others by themselves.
            (r#"{"cniVersion": "1.0.0", "type": "x", "delegate": {"type": "bridge"}}"#.to_owned(), ""),
            ("nonsense".to_owned(), ""),
        ] {
            let found = judge("CNI configuration", "/etc/cni/net.d/10.conflist", &text, &versions);
            assert_eq!(found.status, if refused.is_empty() { Status::Ok } else { Status::Warning }, "{text}");
            assert!(found.found.contains(refused), "{}", found.found);
            if let Some(Repair::Text(repair)) = found.repair {
                assert!(
                    repair.contains("`\"cniVersion\": \"0.4.0\"` in /etc/cni/net.d/10.conflist"),
                    "{repair}"
                );
            }
        }
    }
}
