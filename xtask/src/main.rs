//! `cargo xtask`: parse, dispatch, say what failed.

mod cmd;
mod context;
mod flags;
mod ui;

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser};

use crate::cmd::Command;
use crate::context::{Context, Global};

/// Builds, checks and publishes container images of the Kubernetes kubelet.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
#[command(after_help = "Examples:
  cargo xtask doctor          check this machine
  cargo xtask build --run     the newest micro kubelet for this machine, and show it running
  cargo xtask list            everything that can be built

Exit codes: docs/exit-codes.md.")]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The verbs by what they are about, as the top help lists them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Images", &["build", "list", "load", "make", "advisories"]),
    ("Sizes", &["size"]),
    ("Publishing", &["sbom", "attest", "verify", "push", "release"]),
    ("Pins", &["fetch", "lock", "upstream", "add-release"]),
    ("Development", &["doctor", "test", "fuzz", "bench", "vm", "e2e", "gc", "completions"]),
];

fn main() -> ExitCode {
    let cli = parse();
    let color = cli.global.color;
    let run = || {
        exec::interrupt::install()?;
        cli.command.run(&Context::new(&cli.global, cli.command.runs_anywhere())?)
    };
    match run() {
        Ok(code) => code,
        Err(error) => {
            // What fails once the user has interrupted fails for that: a program that was ended has not answered.
            let error = exec::interrupt::check().err().unwrap_or(error);
            ui::error(&error, color);
            ExitCode::from(fault::exit_code(&error))
        }
    }
}

/// As `Cli::parse`, but clap's own messages heed `--color never` too, which is not parsed yet when one is written.
fn parse() -> Cli {
    let args: Vec<_> = std::env::args_os().collect();
    let never = args.windows(2).any(|pair| pair == ["--color", "never"])
        || args.iter().any(|arg| arg == "--color=never");
    let color = if never { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = grouped(Cli::command()).color(color).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Lists the verbs of the top help by [`GROUPS`], for which clap has only headings of options.
fn grouped(command: clap::Command) -> clap::Command {
    let (header, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let width = command.get_subcommands().map(|verb| verb.get_name().len()).max().unwrap_or_default();
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (group, verbs) in GROUPS {
        text += &format!("\n{header}{group}:{header:#}\n");
        for verb in verbs {
            let about = command.find_subcommand(verb).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text += &format!("  {literal}{verb:width$}{literal:#}  {about}\n");
        }
    }
    text += &format!("\n{header}{}:{header:#}\n{{options}}{{after-help}}", context::GLOBAL_OPTIONS);
    command.help_template(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use clap::error::ErrorKind;

    use super::*;

    /// Every page of the documentation, by its name.
    fn pages() -> Vec<(String, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<PathBuf> =
            ["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)).into_iter().chain(docs).collect();
        let pages = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md"));
        pages.map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap())).collect()
    }

    /// What CI runs, by its file's name, with the shell's variables as the words they stand for.
    fn workflows() -> Vec<(String, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = fs::read_dir(root.join(".github/workflows")).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap())).collect()
    }

    /// The examples of a command and of all below it.
    fn examples(command: &clap::Command) -> Vec<(String, String)> {
        let own = (
            command.get_name().to_owned(),
            command.get_after_help().map(ToString::to_string).unwrap_or_default(),
        );
        command.get_subcommands().flat_map(examples).chain([own]).collect()
    }

    /// The commands in a text: what follows `cargo xtask`, as far as it is one; without what is optional, in brackets.
    fn commands(text: &str) -> Vec<Vec<&str>> {
        let after = text.lines().flat_map(|line| line.split("cargo xtask ").skip(1));
        let end = ['`', '#', '|', '>', ')', ';', ',', '['];
        after
            .map(|rest| rest.split(end).next().unwrap_or_default())
            .map(|rest| rest.split("  ").next().unwrap_or_default().split_whitespace().collect())
            .collect()
    }

    #[test]
    fn every_documented_command_is_one() {
        let mut seen = 0;
        let workflows = workflows();
        assert!(workflows.iter().any(|(_, text)| !commands(text).is_empty()), "CI runs no verb");
        for (page, text) in pages().into_iter().chain(workflows).chain(examples(&Cli::command())) {
            // What workflows take from their settings.
            let text = text.replace("\"$REGISTRY", "\"registry.example.org");
            let text = text.replace("\"$RUNTIME", "\"containerd").replace("\"$VARIANT", "\"flannel");
            let text = text.replace("\"$INIT", "\"systemd");
            let text = text.replace('"', "");
            for words in commands(&text) {
                seen += 1;
                match Cli::try_parse_from([&["xtask"], &*words].concat()) {
                    Err(error)
                        if !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
                    {
                        panic!("{page}: `cargo xtask {}`: {error}", words.join(" "));
                    }
                    _ => {}
                }
            }
        }
        assert!(seen > 40, "only {seen} commands found");
    }

    #[test]
    fn every_verb_is_in_one_group_of_the_top_help() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        grouped.sort_unstable();
        let command = Cli::command();
        let mut verbs: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        verbs.sort_unstable();
        assert_eq!(grouped, verbs);
    }

    /// The lines of a page of help that begin where headings do.
    fn headings(page: &str) -> Vec<&str> {
        page.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect()
    }

    #[test]
    fn help_has_headings() {
        let mut command = super::grouped(Cli::command());
        let page = command.render_help().to_string();
        let all =
            ["Images:", "Sizes:", "Publishing:", "Pins:", "Development:", "Global options:", "Examples:"];
        assert_eq!(headings(&page), all, "{page}");
        assert!(page.contains("\n  build        ") && page.contains("--json"), "{page}");
        command.build();
        let list = command.find_subcommand_mut("list").unwrap().render_help().to_string();
        assert_eq!(headings(&list), ["Options:", "Global options:", "Examples:"], "{list}");
        let (own, global) = list.split_once("Global options:").unwrap();
        for flag in ["--json", "--quiet", "--verbose", "--color"] {
            assert!(!own.contains(flag) && global.contains(flag), "{flag}: {list}");
        }
    }

    #[test]
    fn every_verb_is_documented_and_has_examples() {
        let pages = pages();
        for verb in Cli::command().get_subcommands() {
            let name = verb.get_name();
            let command = format!("cargo xtask {name}");
            assert!(pages.iter().any(|(_, text)| text.contains(&command)), "no page has `{command}`");
            for (name, text) in examples(verb) {
                assert!(text.starts_with("Example"), "`{name}` has no examples");
            }
        }
    }
}
