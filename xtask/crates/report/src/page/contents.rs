//! What is in an image: a treemap, and the same as a table. Both are drawn by the page's script from data in the page.

use anyhow::{Context, Result};
use maud::{Markup, PreEscaped, html};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::input::{Kind, Node};

/// A node as the page has it, as short as can be: its name, bytes, kind's number, and parts if it has any.
struct Short<'a>(&'a Node);

impl Serialize for Short<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Node { name, kind, bytes, children } = self.0;
        let mut list = serializer.serialize_seq(None)?;
        list.serialize_element(name)?;
        list.serialize_element(bytes)?;
        list.serialize_element(&Kind::ALL.iter().position(|known| known == kind))?;
        if !children.is_empty() {
            list.serialize_element(&children.iter().map(Short).collect::<Vec<_>>())?;
        }
        list.end()
    }
}

/// The section of the page.
pub(super) fn section(images: &[Node]) -> Result<Markup> {
    if images.is_empty() {
        return Ok(html! {});
    }
    let data = data(images)?;
    Ok(html! {
        section aria-labelledby="contents" {
            h2 #contents { "What is in an image" }
            noscript { p { "The treemap needs JavaScript; everything above does not." } }
            div #explorer hidden {
                div.controls {
                    label { "Image "
                        select #image {
                            @for (index, image) in images.iter().enumerate() { option value=(index) { (image.name) } }
                        }
                    }
                    fieldset.choice {
                        legend { "Show as" }
                        @for (value, word) in [("map", "Map"), ("table", "Table")] {
                            label {
                                input type="radio" name="view" value=(value) checked[value == "map"];
                                span { (word) }
                            }
                        }
                    }
                }
                nav aria-label="Place in the image" { ol #path {} }
                div #map role="group" aria-labelledby="contents" aria-describedby="keys" {}
                p #detail {}
                div #table .scroll tabindex="0" role="region" aria-label="Parts as a table" hidden {
                    table.plain {
                        thead {
                            tr {
                                th scope="col" { "Name" } th scope="col" { "Kind" }
                                th.number scope="col" { "Bytes" } th.number scope="col" { "MiB" }
                                th.number scope="col" { "Of the image" }
                            }
                        }
                        tbody #parts {}
                    }
                }
                p #keys .muted {
                    "Sizes are unpacked bytes. "
                    kbd { "Tab" } " goes to the map, arrow keys go through it, "
                    kbd { "Enter" } " goes into a part and " kbd { "Esc" } " out of it."
                }
                p #said .hidden role="status" {}
            }
            script #data type="application/json" { (PreEscaped(data)) }
        }
    })
}

/// The trees as JSON that cannot end the element it stands in.
fn data(images: &[Node]) -> Result<String> {
    #[derive(serde::Serialize)]
    struct Data<'a> {
        kinds: [&'static str; Kind::ALL.len()],
        images: Vec<Short<'a>>,
    }
    let data = Data { kinds: Kind::ALL.map(Kind::word), images: images.iter().map(Short).collect() };
    let json = serde_json::to_string(&data).context("the trees cannot be written as JSON")?;
    Ok(json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_short_and_inert() {
        let file = Node { name: "</script>&".into(), kind: Kind::File, bytes: 3, children: vec![] };
        let image = Node { name: "a".into(), kind: Kind::Image, bytes: 4, children: vec![file] };
        insta::assert_snapshot!(data(&[image]).unwrap(), @r#"{"kinds":["image","layer","component","directory","file","section","module","package"],"images":[["a",4,0,[["\u003c/script\u003e\u0026",3,4]]]]}"#);
    }
}
