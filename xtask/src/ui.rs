//! How progress and errors look: bars on a terminal, plain lines elsewhere, colour only where it is wanted.

mod bars;
mod lines;
mod plain;

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use progress::{Progress, Silent};
pub(crate) use sizes::render::mib;

pub(crate) use plain::{plain, plain_json};

/// When to use colours and bars.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    fn paints(self) -> bool {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Color::Auto => !refused && std::io::stderr().is_terminal(),
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// Where progress is shown.
pub(crate) fn progress(quiet: bool, verbose: bool, color: Color) -> Arc<dyn Progress> {
    if quiet {
        Arc::new(Silent)
    } else if !verbose && std::io::stderr().is_terminal() && color != Color::Never {
        Arc::new(bars::Bars::new())
    } else {
        Arc::new(lines::Lines { verbose })
    }
}

/// Tells an error: what failed, why, and what to do.
pub(crate) fn error(error: &anyhow::Error, color: Color) {
    say(render(error, color.paints()).trim_end());
}

/// Writes to standard error; where that is closed or full, nobody is there to hear it, and the exit code tells.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The first line is what failed in the user's terms; causes follow, each once; the hint comes last.
fn render(error: &anyhow::Error, paint: bool) -> String {
    let (red, cyan, reset) = if paint { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
    let mut text = format!("{red}error{reset}: {}\n", plain(&error.to_string()));
    let mut previous = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some libraries repeat their source in their own message.
        if !previous.contains(&cause) {
            text.push_str(&format!("  caused by: {}\n", plain(&cause).replace('\n', "\n  ")));
        }
        previous = cause;
    }
    if let Some(hint) = fault::of(error).and_then(fault::Fault::hint) {
        text.push_str(&format!("{cyan}help{reset}: {}\n", plain(hint)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use fault::Fault;

    #[test]
    fn an_error_has_cause_and_help() {
        let error =
            Err::<(), _>(Fault::mismatch("zig.whl", "sha256:aa", "sha256:bb").help("remove the file"))
                .context("fetching zig 0.13.0")
                .unwrap_err();
        insta::assert_snapshot!(render(&error, false), @r"
        error: fetching zig 0.13.0
          caused by: zig.whl is not what was expected
            expected sha256:aa
            found    sha256:bb
        help: remove the file
        ");
    }

    #[test]
    fn what_others_wrote_does_nothing_to_a_terminal() {
        let error = Err::<(), _>(Fault::mismatch("x\x1b[2J", "\u{9b}1m", "\r").help("\x07"))
            .context("a\x1b]0;title\x07")
            .unwrap_err();
        let text = render(&error, false);
        assert!(!text.contains(|char: char| char.is_control() && char != '\n'), "{text:?}");
        assert!(text.contains("\\u{1b}[2J") && text.contains("help: \\u{7}"), "{text}");
    }

    #[test]
    fn colour_only_when_asked() {
        let error = anyhow::anyhow!("x");
        assert_eq!(render(&error, false), "error: x\n");
        assert_eq!(render(&error, true), "\x1b[1;31merror\x1b[0m: x\n");
    }
}
