//! What every page is: one HTML file that needs nothing else, and can reach nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use digest::Digest;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::palette;

/// A page with this title, body, rules of style beside those that all pages have, and script; none if it is empty.
///
/// A content security policy allows the page's own style and script by their hashes, and nothing else: no request, no other
/// script, no form. Colours follow what the reader prefers, or `data-theme` of the root element.
pub fn document(title: &str, style: &str, script: &str, body: &Markup) -> String {
    let style = self::style(style);
    let scripts = if script.is_empty() { "'none'".to_owned() } else { format!("'{}'", hash(script)) };
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src {scripts}; base-uri 'none'; form-action 'none'",
        hash(&style),
    );
    let markup = html! {
        (DOCTYPE)
        html lang="en" data-theme="auto" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(&style)) }
            }
            body {
                (body)
                @if !script.is_empty() { script { (PreEscaped(script)) } }
            }
        }
    };
    markup.into_string() + "\n"
}

/// The style sheet: the colours of both grounds, what all pages have, then the page's own rules.
fn style(own: &str) -> String {
    let (light, dark) = (palette::variables(false), palette::variables(true));
    let charts = palette::replace(|tone| format!("var(--{})", tone.name));
    format!(
        ":root{{color-scheme:light dark;{light}}}\n\
         @media(prefers-color-scheme:dark){{:root{{{dark}}}}}\n\
         :root[data-theme=light]{{color-scheme:light;{light}}}\n\
         :root[data-theme=dark]{{color-scheme:dark;{dark}}}\n\
         {charts}\n{}{own}",
        include_str!("document.css")
    )
}

/// A source of a content security policy: the hash of an inline style or script.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Digest::of(text).bytes()))
}
