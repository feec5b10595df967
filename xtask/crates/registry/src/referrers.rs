//! What refers to a manifest, as registries list it.

use anyhow::Result;
use fault::{Fault, Kind};
use oci::digest::Digest;
use serde_json::Value;
use web::Answer;

use crate::client::Client;

/// The media type of lists.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The entries of a page, and the URL of the next.
type Page = (Vec<(Digest, u64)>, Option<String>);

/// How many pages of a list are read.
const PAGES: usize = 16;

/// The tag that takes the place of a referrers API. Source: OCI distribution-spec, "Referrers Tag Schema".
pub(crate) fn tag(subject: Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// The descriptors in a list of referrers: digest and size of each.
///
/// # Errors
/// [`Kind::InvalidData`] for what is not such a list.
pub fn listed(bytes: &[u8]) -> Result<Vec<(Digest, u64)>> {
    let bad = |why: &str| Fault::new(Kind::InvalidData, format!("a list of referrers {why}"));
    entries(&serde_json::from_slice(bytes).map_err(|_| bad("is not JSON"))?)
}

fn entries(list: &Value) -> Result<Vec<(Digest, u64)>> {
    let bad = |why: &str| Fault::new(Kind::InvalidData, format!("a list of referrers {why}"));
    let all = list["manifests"].as_array().ok_or_else(|| bad("has no `manifests`"))?;
    let one = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().ok_or_else(|| bad("has an entry without a digest"))?;
        let size = descriptor["size"].as_u64().ok_or_else(|| bad("has an entry without a size"))?;
        Ok((digest.parse()?, size))
    };
    all.iter().map(one).collect()
}

/// The target whose relation is `next`, of a `Link` header, which may have several. Source: RFC 8288, section 3.
#[must_use]
pub fn next(header: &str) -> Option<&str> {
    let is_next = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim().eq_ignore_ascii_case("rel") && relations.any(|it| it.eq_ignore_ascii_case("next"))
    };
    let mut rest = header;
    loop {
        let (target, after) = rest.split_once('<')?.1.split_once('>')?;
        let (mut parameters, more) = unquoted(after, ',');
        while !parameters.is_empty() {
            let (parameter, others) = unquoted(parameters, ';');
            if is_next(parameter) {
                return Some(target);
            }
            parameters = others;
        }
        rest = more;
    }
}

/// What comes before and after the first of these characters that is not in quotes.
fn unquoted(text: &str, separator: char) -> (&str, &str) {
    let mut quoted = false;
    let end = text.find(|c| {
        quoted ^= c == '"';
        c == separator && !quoted
    });
    end.map_or((text, ""), |end| (&text[..end], &text[end + separator.len_utf8()..]))
}

/// Does the registry keep lists of referrers? A success alone does not say so: some answer with a login page, or with
/// nothing.
pub(crate) fn has_api(client: &Client<'_>, subject: Digest) -> Result<bool> {
    Ok(page(client, &client.url(&format!("referrers/{subject}")), subject)?.is_ok())
}

/// A page of the list, with the URL of the next if there is one; what else was answered, if it is not a list.
fn page(client: &Client<'_>, url: &str, subject: Digest) -> Result<Result<Page, Option<Answer>>> {
    let what = format!("the list of referrers of {subject}");
    Ok(match client.get(url, &[("accept", INDEX)], &what, true)? {
        Ok((headers, bytes)) if is_list(&bytes) => {
            let mut links = headers.get_all("link").iter().filter_map(|link| link.to_str().ok());
            let next = links.find_map(next).map(str::to_owned);
            Ok((listed(&bytes)?, next))
        }
        Ok(_) => Err(None),
        Err(answer) => Err(Some(answer)),
    })
}

fn is_list(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes).is_ok_and(|value| value["manifests"].is_array())
}

/// The index under the tag that takes the place of the API; none if there is no such. Some registries resolve the tag of
/// a digest to what has the digest: that lists nothing, even if it is an index.
pub(crate) fn tagged(client: &Client<'_>, subject: Digest) -> Result<Option<Value>> {
    let found = client.manifest(&tag(subject))?;
    let found = found.filter(|found| Digest::of(&found.bytes) != subject && is_list(&found.bytes));
    Ok(found.and_then(|found| serde_json::from_slice(&found.bytes).ok()))
}

/// What the registry lists as referrers of a manifest: by its API, else under the tag.
pub(crate) fn of(client: &Client<'_>, subject: Digest) -> Result<Vec<(Digest, u64)>> {
    let mut url = client.url(&format!("referrers/{subject}"));
    let mut all = Vec::new();
    for number in 0..PAGES {
        let (listed, next) = match page(client, &url, subject)? {
            Ok(page) => page,
            // Anything but a list as the first page: registries without the API answer in many ways.
            Err(_) if number == 0 => {
                return match tagged(client, subject)? {
                    Some(index) => entries(&index),
                    None => Ok(all),
                };
            }
            Err(Some(answer)) => {
                return Err(client.refused(&format!("the referrers of {subject}"), answer));
            }
            Err(None) => return Err(client.protocol_error("continues a list with what is not one")),
        };
        all.extend(listed);
        match next {
            None => return Ok(all),
            Some(next) => url = client.own_url(&url, &next)?,
        }
    }
    Err(client.protocol_error(&format!("lists referrers on more than {PAGES} pages")))
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
        for link in [
            r#"</v2/a/referrers/x?n=1>; rel="next""#,
            r"  </v2/a/referrers/x?n=1>;rel=next",
            r#"</a>; rel="prev", </v2/a/referrers/x?n=1>; title="a, <b>; rel=next"; REL="last Next""#,
            r#"</a>; title="rel=next, <",</v2/a/referrers/x?n=1>; rel=next; rel=prev"#,
        ] {
            assert_eq!(next(link), Some("/v2/a/referrers/x?n=1"), "{link}");
        }
        for none in [
            "",
            "<",
            r#"</v2/>; rel="prev""#,
            r#"/v2/; rel="next""#,
            r#"</v2/>; rel="nextish""#,
            r#"</v2/>; title="x, <y>; rel=next"#,
            "</v2/>; next",
        ] {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
