//! The colours, each for a light and a dark ground, and how they stand out from each other.
//!
//! Charts are drawn in the light ones. A style sheet replaces each by its dark twin, by the colour's own value: what
//! draws a chart needs not know of grounds.

use plotters::style::RGBColor;

/// A colour, on light ground and on dark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tone {
    /// The CSS variable, without `--`.
    pub(crate) name: &'static str,
    /// On a light ground, as 0xRRGGBB.
    pub(crate) light: u32,
    /// On a dark ground.
    pub(crate) dark: u32,
}

const fn tone(name: &'static str, light: u32, dark: u32) -> Tone {
    Tone { name, light, dark }
}

impl Tone {
    /// As charts are drawn.
    pub(crate) const fn rgb(self) -> RGBColor {
        let [_, red, green, blue] = self.light.to_be_bytes();
        RGBColor(red, green, blue)
    }
}

pub(crate) const PAPER: Tone = tone("paper", 0x00FF_FFFF, 0x000D_1117);
pub(crate) const PANEL: Tone = tone("panel", 0x00F6_F8FA, 0x0015_1B23);
pub(crate) const INK: Tone = tone("ink", 0x001F_2328, 0x00E6_EDF3);
pub(crate) const MUTED: Tone = tone("muted", 0x0059_636E, 0x009D_A7B3);
pub(crate) const RULE: Tone = tone("rule", 0x00D1_D9E0, 0x0030_363D);
pub(crate) const LINK: Tone = tone("link", 0x0009_69DA, 0x0058_A6FF);
pub(crate) const PUBLISHED: Tone = tone("published", 0x0087_909A, 0x006B_737C);

/// Lines and bars, distinguished by marks and labels too.
pub(crate) const SERIES: [Tone; 6] = [
    tone("series-0", 0x000A_68C9, 0x0057_A5FE),
    tone("series-1", 0x00A8_4E00, 0x00F0_883E),
    tone("series-2", 0x0018_7733, 0x003F_B950),
    tone("series-3", 0x0082_50DF, 0x00BC_8CFF),
    tone("series-4", 0x00B8_3280, 0x00F7_78BA),
    tone("series-5", 0x000A_6E7C, 0x0039_C5CF),
];

/// Grounds of the matrix's cells, from much smaller than published to larger: blue to orange, which all eyes tell
/// apart.
pub(crate) const SCALE: [Tone; 5] = [
    tone("scale-0", 0x00A9_D3FF, 0x0010_4A85),
    tone("scale-1", 0x00CC_E5FF, 0x0010_355F),
    tone("scale-2", 0x00E6_F2FF, 0x0013_2740),
    tone("scale-3", 0x00F6_F8FB, 0x0015_1B24),
    tone("scale-4", 0x00FF_D9B0, 0x0066_3000),
];

/// Grounds of the treemap's tiles: pastel on light, deep on dark.
pub(crate) const TILES: [Tone; 8] = [
    tone("tile-0", 0x00B9_DAFD, 0x001B_4470),
    tone("tile-1", 0x00FF_D8A8, 0x0063_3D12),
    tone("tile-2", 0x00BF_E8C5, 0x001D_4D2B),
    tone("tile-3", 0x00DD_CFFB, 0x0045_3173),
    tone("tile-4", 0x00FB_CADF, 0x0065_2849),
    tone("tile-5", 0x00B8_E6E6, 0x0013_4A4F),
    tone("tile-6", 0x00EF_E3A0, 0x0050_4711),
    tone("tile-7", 0x00D8_DEE4, 0x0037_3E47),
];

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = Tone> {
    [PAPER, PANEL, INK, MUTED, RULE, LINK, PUBLISHED].into_iter().chain(SERIES).chain(SCALE).chain(TILES)
}

/// Declares the variables for one ground.
pub(crate) fn variables(dark: bool) -> String {
    let declare = |tone: Tone| format!("--{}:#{:06X};", tone.name, if dark { tone.dark } else { tone.light });
    all().map(declare).collect::<Vec<_>>().concat()
}

/// Rules that replace each colour of a chart by what `value` gives for it.
pub(crate) fn replace(value: impl Fn(Tone) -> String) -> String {
    let rule = |tone: Tone| {
        let (light, value) = (tone.light, value(tone));
        format!("[fill=\"#{light:06X}\"]{{fill:{value}}}[stroke=\"#{light:06X}\"]{{stroke:{value}}}")
    };
    [PAPER, INK, MUTED, RULE, PUBLISHED].into_iter().chain(SERIES).map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, by WCAG 2.
    fn luminance(color: u32) -> f64 {
        let [_, red, green, blue] = color.to_be_bytes();
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    fn contrast(a: u32, b: u32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn stands_out(front: Tone, ground: Tone, least: f64) {
        for (front_color, ground_color, on) in
            [(front.light, ground.light, "light"), (front.dark, ground.dark, "dark")]
        {
            let found = contrast(front_color, ground_color);
            assert!(found >= least, "{} on {}, {on}: {found:.2} < {least}", front.name, ground.name);
        }
    }

    #[test]
    fn text_can_be_read_on_every_ground() {
        assert!((contrast(0, 0x00FF_FFFF) - 21.0).abs() < 1e-9);
        for ground in [PAPER, PANEL].into_iter().chain(SCALE).chain(TILES) {
            stands_out(INK, ground, 4.5);
        }
        for front in [MUTED, LINK].into_iter().chain(SERIES) {
            stands_out(front, PAPER, 4.5);
            stands_out(front, PANEL, 4.5);
        }
    }

    #[test]
    fn bars_can_be_seen() {
        for front in [PUBLISHED].into_iter().chain(SERIES) {
            stands_out(front, PAPER, 3.0);
        }
    }

    #[test]
    fn no_two_colours_of_a_chart_are_the_same() {
        let mut lights: Vec<u32> = all().map(|tone| tone.light).collect();
        let count = lights.len();
        lights.sort_unstable();
        lights.dedup();
        assert_eq!(lights.len(), count);
    }
}
