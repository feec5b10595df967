//! The first difference of two images.

use std::collections::BTreeSet;

use anyhow::Result;
use fault::Fault;
use oci::layout::{Layout, LayoutImage};
use oci::read::{EntryInfo, EntryKind, Listing};
use serde_json::Value;

/// Demands that `found` is `expected`, to the byte.
///
/// # Errors
/// [`Kind::Mismatch`] with the first difference: layer, path, and what differs; what reading gives.
pub fn images(expected: (&Layout, &LayoutImage), found: (&Layout, &LayoutImage)) -> Result<()> {
    let digests = [expected, found].map(|(_, image)| image.descriptor.digest().to_string());
    if digests[0] == digests[1] {
        return Ok(());
    }
    let layers = [expected, found].map(|(_, image)| image.manifest.layers());
    let diff_ids = [expected, found].map(|(_, image)| image.config.rootfs().diff_ids());
    for (index, (ours, theirs)) in layers[0].iter().zip(layers[1]).enumerate() {
        if ours.digest() == theirs.digest() {
            continue;
        }
        let name = format!("layer {index}");
        let [a, b] =
            [expected, found].map(|(layout, image)| layout.contents(image, index, &mut |_, _, _| Ok(())));
        let (a, b) = (a?, b?);
        if let Some((path, what, expected, found)) = entries(&a, &b) {
            let what = format!("{name}, /{}: its {what}", path.escape_debug());
            return Err(Fault::mismatch(what, expected, found).into());
        }
        if diff_ids[0].get(index) != diff_ids[1].get(index) {
            let what = format!("{name}: the same files in another archive, whose diff ID");
            return Err(Fault::mismatch(what, a.diff_id, b.diff_id).into());
        }
        let what = format!("{name}: the same archive compressed otherwise: its blob");
        return Err(Fault::mismatch(what, ours.digest(), theirs.digest()).into());
    }
    if layers[0].len() != layers[1].len() {
        return Err(Fault::mismatch("the number of layers", layers[0].len(), layers[1].len()).into());
    }
    for (name, a, b) in [
        ("config", serde_json::to_value(&expected.1.config)?, serde_json::to_value(&found.1.config)?),
        ("manifest", serde_json::to_value(&expected.1.manifest)?, serde_json::to_value(&found.1.manifest)?),
    ] {
        if let Some((path, a, b)) = values(&a, &b, String::new()) {
            return Err(Fault::mismatch(format!("the {name}'s `{}`", path.escape_debug()), a, b).into());
        }
    }
    Err(Fault::mismatch("the manifest", &digests[0], &digests[1]).into())
}

type Difference = (String, &'static str, String, String);

fn entries(a: &Listing, b: &Listing) -> Option<Difference> {
    let paths: BTreeSet<&String> = a.items.keys().chain(b.items.keys()).collect();
    paths.into_iter().find_map(|path| {
        let none = || "nothing".to_owned();
        let (one, other) = (a.items.get(path), b.items.get(path));
        let (Some(one), Some(other)) = (one, other) else {
            let show = |item: Option<&EntryInfo>| item.map_or_else(none, |item| what(&item.what));
            return Some((path.clone(), "entry", show(one), show(other)));
        };
        let (x, y) = (&one.attributes, &other.attributes);
        let facts = [
            ("content", what(&one.what), what(&other.what)),
            ("mode", format!("{:o}", x.mode), format!("{:o}", y.mode)),
            ("owner", format!("{}:{}", x.uid, x.gid), format!("{}:{}", y.uid, y.gid)),
            ("extended attributes", format!("{:?}", x.xattrs), format!("{:?}", y.xattrs)),
            ("time", one.mtime.to_string(), other.mtime.to_string()),
        ];
        let (fact, one, other) = facts.into_iter().find(|(_, one, other)| one != other)?;
        Some((path.clone(), fact, one, other))
    })
}

fn what(what: &EntryKind) -> String {
    match what {
        EntryKind::Directory => "a directory".to_owned(),
        EntryKind::File { size, digest } => format!("a file of {size} bytes, {digest}"),
        EntryKind::HardLink(to) => format!("a hard link to {to:?}"),
        EntryKind::Symlink(to) => format!("a symbolic link to {to:?}"),
        EntryKind::Special(_) => "a device or pipe".to_owned(),
    }
}

/// The first place where two documents differ, with what is there.
fn values(a: &Value, b: &Value, path: String) -> Option<(String, String, String)> {
    match (a, b) {
        _ if a == b => None,
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let get = |map: &serde_json::Map<String, Value>, key: &String| {
                map.get(key).cloned().unwrap_or_default()
            };
            keys.into_iter().find_map(|key| values(&get(one, key), &get(other, key), format!("{path}/{key}")))
        }
        _ => Some((path, a.to_string(), b.to_string())),
    }
}
