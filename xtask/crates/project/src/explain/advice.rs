//! What figures recommend.

use catalog::Pack;
use serde::Serialize;

use super::{Figures, Method, Start, grouped, name};

/// How many times as long the start of a command may take packed as plain: a pod's start runs several commands, one
/// after the other, and a packed program is unpacked again at each.
const SLOWER: f64 = 1.5;

/// A method and why no other.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Advice {
    /// The method.
    recommended: Pack,
    /// A line for each method.
    why: Vec<String>,
}

impl Advice {
    /// Packing must make what is pulled smaller and no command's start much slower; of what does, the smallest.
    pub(super) fn on(methods: &[Method]) -> Self {
        let plain = methods.iter().find(|method| method.pack == Pack::None);
        let plain = plain.and_then(|method| method.figures.as_ref());
        let mut best = (Pack::None, plain.map_or(u64::MAX, |figures| figures.gzip));
        let mut why = Vec::new();
        for method in methods.iter().filter(|method| method.pack != Pack::None) {
            let (pack, pulled) = (method.pack, method.figures.as_ref().map(|figures| figures.gzip));
            let said = match (plain, &method.figures) {
                (Some(plain), Some(packed)) => verdict(plain, packed),
                _ => Err("it cannot be packed so".to_owned()),
            };
            match (said, pulled) {
                (Ok(said), Some(pulled)) => {
                    if pulled < best.1 {
                        best = (pack, pulled);
                    }
                    why.push(format!("{}: {said}", name(pack)));
                }
                (Err(said), _) | (Ok(said), None) => why.push(format!("{}: no, {said}", name(pack))),
            }
        }
        Self { recommended: best.0, why }
    }

    /// For people.
    pub(super) fn lines(&self, policy: Pack) -> Vec<String> {
        let (recommended, policy) = (name(self.recommended), name(policy));
        let against = if recommended == policy {
            "as in the catalog".to_owned()
        } else {
            format!("the catalog has {policy}")
        };
        let mut lines = vec![format!("recommended: {recommended}, {against}")];
        lines.extend(self.why.iter().map(|why| format!("  {why}")));
        lines
    }
}

/// What packing gains, or why it loses.
fn verdict(plain: &Figures, packed: &Figures) -> Result<String, String> {
    let saved = |before: u64, after: u64| {
        let by = grouped(before.abs_diff(after));
        if after <= before { format!("saves {by} bytes") } else { format!("costs {by} bytes more") }
    };
    let gain = format!(
        "it {} to pull and {} extracted",
        saved(plain.gzip, packed.gzip),
        saved(plain.bytes, packed.bytes)
    );
    if packed.gzip >= plain.gzip {
        return Err(gain);
    }
    let slowest = packed.starts.iter().filter_map(|packed| {
        let plain = plain.starts.iter().find(|plain| plain.program == packed.program)?;
        Some((ratio(plain, packed), plain, packed))
    });
    match slowest.max_by(|(one, ..), (other, ..)| one.total_cmp(other)) {
        None => Err(format!("{gain}, but its start cannot be measured on this machine")),
        Some((times, plain, packed)) if times > SLOWER => Err(format!(
            "{gain}, but a start of {} takes {times:.1} times as long ({:.1} ms, plain {:.1} ms); {SLOWER} times is the limit",
            packed.program, packed.best_ms, plain.best_ms
        )),
        Some((times, ..)) => Ok(format!("{gain}, and no start takes more than {times:.1} times as long")),
    }
}

/// Of the best runs: what else a machine does makes a run slower, never faster.
fn ratio(plain: &Start, packed: &Start) -> f64 {
    packed.best_ms / plain.best_ms.max(f64::MIN_POSITIVE)
}
