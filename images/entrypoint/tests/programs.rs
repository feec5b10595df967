//! The table of programs (src/host/programs.tsv) against the sources of what runs them: Kubernetes, crictl and the CNI
//! plugins.
//!
//! tests/programs/*.go reads all packages that a command is made of, by `go list`, and follows the argument of every call
//! that runs or looks up a program to its constants. Sources are looked for in Go's module cache: those of the closures
//! in images/go, which a build brings there, and of every other release whose modules are all there.

#[path = "programs/sources.rs"]
mod sources;
#[path = "programs/table.rs"]
mod table;

use sources::{Kind, Place, Release};
use table::Row;

/// Calls whose argument ends nowhere: the place, the programs that are known all the same, and why.
const UNRESOLVED: &str = include_str!("programs/unresolved.tsv");
/// What newer patches of some releases do no more, though the first ones of a later release do: program, who.
const TAKEN_AWAY_BY_PATCHES: [(&str, &str); 2] = [("ebtables", "kubeadm"), ("socat", "kubeadm")];

/// The programs of a place: those that were found, or what is known of a place where they are not written down.
fn programs<'a>(place: &'a Place, wrong: &mut Vec<String>) -> Vec<&'a str> {
    let rows = UNRESOLVED.lines().filter(|line| !line.starts_with('#'));
    let mut known =
        rows.filter_map(|row| row.split_once('\t').filter(|(start, _)| place.at.starts_with(start)));
    match known.next() {
        Some((_, rest)) => {
            let programs = rest.split_once('\t').expect(rest).0;
            programs.split(',').filter(|program| *program != "-").collect()
        }
        None if place.kind == Kind::Part || place.base().starts_with('*') => {
            wrong.push(format!("{}: which program is it? found: {:?}", place.at, place.program));
            vec![]
        }
        None => vec![place.base()],
    }
}

/// What is wrong of the table, by the sources of one release.
fn differences(rows: &[Row], release: &Release) -> Vec<String> {
    let (minor, mut wrong) = (release.minor, Vec::new());
    let mut seen = vec![false; rows.len()];
    for place in &release.places {
        for program in programs(place, &mut wrong) {
            let mut named = false;
            for (row, seen) in rows.iter().zip(&mut seen) {
                if row.is(program) && place.names.iter().any(|name| row.who.contains(name)) {
                    *seen |= row.source.iter().any(|source| place.at.starts_with(source));
                    named |= row.has(minor);
                }
            }
            if !named {
                let names = place.names.join(", ");
                wrong.push(format!("{release}: {program} of {names} is not in the table: {}", place.at));
            }
        }
    }
    for (row, seen) in rows.iter().zip(seen) {
        let patched = TAKEN_AWAY_BY_PATCHES.iter().any(|(program, who)| row.is(program) && row.who == [*who]);
        // Where a row is over, another has to be there: that was looked at above.
        if row.has(minor) && !seen && release.is_of(row) && !patched {
            wrong.push(format!(
                "{release} does not have {} of {} in {:?}",
                row.program,
                row.who.join(", "),
                row.source
            ));
        }
    }
    wrong
}

#[test]
fn programs_are_those_of_the_sources() {
    let rows = table::rows();
    let found = sources::releases();
    for skipped in &found.skipped {
        eprintln!("skipped: {skipped}");
    }
    let wrong: Vec<String> = found.releases.iter().flat_map(|release| differences(&rows, release)).collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    for release in &found.releases {
        eprintln!("{release}: {} places", release.places.len());
        assert!(release.places.len() > if release.minor.is_some() { 100 } else { 0 }, "{release}");
    }
}

/// Where kubeadm's preflight looks for the kernel's configuration (src/preflight/kernel.rs).
#[test]
fn the_kernels_configuration_is_looked_for_where_kubeadm_does() {
    let ours = include_str!("../src/preflight/kernel.rs").split_once("const PLACES").unwrap().1;
    let quoted = |text: &str| -> Vec<String> {
        text.split_once("];")
            .unwrap_or((text, ""))
            .0
            .split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let ours = quoted(ours);
    assert_eq!(ours.len(), 9);
    let sources = sources::files("k8s.io/system-validators", "validators/kernel_validator.go");
    for (version, source) in &sources {
        let (_, list) = source.split_once("Paths := []string{").expect(version);
        let list = list.split_once("\n\t}").expect(version).0;
        let list = list.replace("\" + k.kernelRelease + \"", "R").replace("\" + k.kernelRelease", "R\"");
        assert_eq!(quoted(&list), ours, "{version}");
    }
    eprintln!("{} versions", sources.len());
}

#[test]
fn the_table_is_well_formed() {
    let rows = table::rows();
    assert!(rows.len() > 60);
    for (at, row) in rows.iter().enumerate() {
        row.check();
        for other in &rows[..at] {
            let both = row.who.iter().any(|who| other.who.contains(who));
            assert!(
                row.program != other.program || !both || !row.overlaps(other),
                "two answers for {} of {}",
                row.program,
                row.who.join(", ")
            );
        }
    }
}

/// `UPDATE=1` writes it.
#[test]
fn the_table_for_people_is_the_same() {
    let (start, end) = ("<!-- programs: from programs.tsv -->\n", "<!-- programs: end -->");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/programs.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (before, rest) = text.split_once(start).expect("the beginning of the table");
    let (found, after) = rest.split_once(end).expect("the end of the table");
    let made = table::markdown(&table::rows());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, format!("{before}{start}{made}{end}{after}")).unwrap();
    } else {
        assert!(found == made, "docs/programs.md: UPDATE=1 cargo test --test programs people");
    }
}

#[test]
fn a_difference_is_seen() {
    let place = |kind, program: &str, names: &[&'static str], at: &str| Place {
        kind,
        program: program.to_owned(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        at: at.to_owned(),
    };
    let release = Release {
        name: "v1.26.0".to_owned(),
        minor: Some(26),
        names: vec!["kubelet".to_owned()],
        places: vec![
            place(Kind::Whole, "/sbin/new", &["kubelet"], "a/b.go F"),
            place(Kind::Whole, "mkfs.ext4", &["kubelet"], "a/b.go F"),
            place(Kind::Whole, "other", &["kubeadm"], "a/b.go F"),
            place(Kind::Part, "x", &["kubelet"], "a/b.go G"),
        ],
    };
    let table = "mkfs.*\thost\tkubelet\tx\tfeature\t-\t-\ta/\n\
        other\thost\tkubelet\tx\tfeature\t-\t-\ta/\n\
        gone\thost\tkubelet\tx\tfeature\t-\t-\ta/\n\
        late\thost\tkubelet\tx\tfeature\t1.27\t-\ta/\n";
    let wrong = differences(&table::parse(table), &release);
    for expected in [
        "a/b.go G: which program is it",
        "v1.26.0: new of kubelet is not in the table: a/b.go F",
        "v1.26.0: other of kubeadm is not in the table",
        "v1.26.0 does not have other of kubelet",
        "v1.26.0 does not have gone of kubelet",
    ] {
        assert!(wrong.iter().any(|line| line.contains(expected)), "{expected}: {wrong:?}");
    }
    assert_eq!(wrong.len(), 5, "{wrong:?}");
}
