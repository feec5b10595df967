//! What refers to a manifest, as registries list it.

use anyhow::Result;
use fault::{Fault, Kind};
use oci::digest::Digest;
use serde_json::Value;

use crate::client::{Client, header};

/// How many pages of a list are read.
const PAGES: usize = 16;

/// The tag that takes the place of a referrers API. Source: OCI distribution-spec, "Referrers Tag Schema".
pub(crate) fn tag(subject: Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// The descriptors in a list of referrers: digest and size of each.
///
/// # Errors
/// [`Kind::Data`] for what is no such list.
pub fn listed(bytes: &[u8]) -> Result<Vec<(Digest, u64)>> {
    let bad = |why: &str| Fault::new(Kind::Data, format!("a list of referrers {why}"));
    let list: Value = serde_json::from_slice(bytes).map_err(|_| bad("is not JSON"))?;
    let all = list["manifests"].as_array().ok_or_else(|| bad("has no `manifests`"))?;
    let one = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().ok_or_else(|| bad("has an entry without a digest"))?;
        let size = descriptor["size"].as_u64().ok_or_else(|| bad("has an entry without a size"))?;
        Ok((digest.parse()?, size))
    };
    all.iter().map(one).collect()
}

/// The target of a `Link` header whose relation is `next`.
#[must_use]
pub fn next(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |parameter: &str| matches!(parameter.trim(), r#"rel="next""# | "rel=next");
    parameters.split(';').any(is_next).then_some(target)
}

/// Does the registry keep lists of referrers?
pub(crate) fn has_api(client: &Client<'_>, subject: Digest) -> Result<bool> {
    let answer = client.send("GET", &client.url(&format!("referrers/{subject}")), &[], None)?;
    Ok(answer.status().as_u16() == 200)
}

/// What the registry lists as referrers of a manifest: by its API, else under the tag.
pub(crate) fn of(client: &Client<'_>, subject: Digest) -> Result<Vec<(Digest, u64)>> {
    let mut url = client.url(&format!("referrers/{subject}"));
    let mut all = Vec::new();
    for page in 0..PAGES {
        let (headers, bytes) = match client.get(&url, &[], &format!("the list of referrers of {subject}"))? {
            Ok(got) => got,
            // Any refusal of the first page: registries without the API answer in many ways.
            Err(_) if page == 0 => {
                let found = client.manifest(&tag(subject))?;
                return found.map_or(Ok(all), |found| listed(&found.bytes));
            }
            Err(answer) => return Err(client.refused(&format!("the referrers of {subject}"), answer)),
        };
        all.extend(listed(&bytes)?);
        match header(&headers, "link").and_then(next) {
            None => return Ok(all),
            Some(next) => url = client.ours_at(next)?,
        }
    }
    Err(client.odd(&format!("lists referrers on more than {PAGES} pages")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_or_refused() {
        let digest = Digest::of(b"x");
        let list = format!(r#"{{"manifests":[{{"digest":"{digest}","size":7}}]}}"#);
        assert_eq!(listed(list.as_bytes()).unwrap(), [(digest, 7)]);
        let bad = [
            "",
            "[]",
            "{}",
            r#"{"manifests":[{}]}"#,
            r#"{"manifests":[{"digest":"sha256:0","size":1}]}"#,
            &list.replace('7', "-7"),
        ];
        for bad in bad {
            assert!(listed(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(next(r#"</v2/a/referrers/x?n=1>; rel="next""#), Some("/v2/a/referrers/x?n=1"));
        for none in ["", "<", r#"</v2/>; rel="prev""#, r#"/v2/; rel="next""#] {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
