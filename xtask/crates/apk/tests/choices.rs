//! Worlds of small repositories that are full of alternatives and conflicts: what is chosen here and by the real apk.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use apk::depend::Dependency;
use apk::index;
use apk::record::Record;
use apk::resolve::{Request, resolve};
use apk::testrepo::Signer;
use common::Numbers;
use common::real_apk::{RealApk, installing};

/// Both answers to one world of one repository.
struct Answers {
    theirs: Result<BTreeSet<String>, String>,
    ours: Result<BTreeSet<String>, String>,
}

struct Bench {
    apk: RealApk,
    signer: Signer,
    flags: Vec<String>,
}

impl Bench {
    fn new() -> Option<Self> {
        let apk = RealApk::new()?;
        let signer = Signer::new("test.rsa.pub", 5).unwrap();
        let keys = apk.dir().join("keys");
        fs::create_dir(&keys).unwrap();
        fs::write(keys.join("test.rsa.pub"), signer.pem()).unwrap();
        fs::create_dir_all(apk.dir().join("repository/x86_64")).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let (root, keys, repository) =
            (path(&apk.dir().join("empty")), path(&keys), path(&apk.dir().join("repository")));
        let flags = [
            "--root",
            &root,
            "--arch",
            "x86_64",
            "--keys-dir",
            &keys,
            "--repositories-file",
            "/dev/null",
            "-X",
            &repository,
        ];
        let flags: Vec<String> = flags.map(str::to_owned).to_vec();
        let bench = Self { apk, signer, flags };
        bench.publish("P:none\nV:1-r0\n");
        bench.run(&["--initdb", "add"]).unwrap();
        Some(bench)
    }

    /// A repository of these records, each but for the lines that none can lack.
    fn publish(&self, text: &str) -> Vec<Record> {
        let whole = |(at, record): (usize, &str)| {
            let checksum = apk::digest::Checksum::sha1_of(format!("{at}{record}").as_bytes());
            format!("C:{checksum}\nA:x86_64\nS:1\nI:1\nT:t\nU:u\nL:MIT\n{}\n\n", record.trim())
        };
        let records: Vec<Record> =
            index::parse(&text.split("\n\n").enumerate().map(whole).collect::<String>()).unwrap();
        let index = self.signer.index("test", &records).unwrap();
        fs::write(self.apk.dir().join("repository/x86_64/APKINDEX.tar.gz"), index).unwrap();
        records
    }

    fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let flags = self.flags.iter().map(String::as_str);
        self.apk.run(&flags.chain(args.iter().copied()).collect::<Vec<_>>())
    }

    fn ask(&self, repository: &str, world: &str) -> Answers {
        let records = self.publish(repository);
        let asked: Vec<&str> = world.split(' ').collect();
        let theirs = self.run(&[&["add", "-s"], &asked[..]].concat());
        let world = Dependency::parse_all(world).unwrap();
        let ours = resolve(&Request { world: &world, repositories: &[&records], installed: &[] });
        Answers {
            theirs: theirs
                .map(|text| installing(&text).into_iter().collect())
                .map_err(|error| format!("{error:#}")),
            ours: ours
                .map(|found| found.into_iter().map(Record::id).collect())
                .map_err(|error| format!("{error:#}")),
        }
    }
}

/// Names, needs and whole repositories by chance.
struct Chance(Numbers);

impl Chance {
    fn name(&mut self) -> &'static str {
        ["a", "b", "c", "d", "e", "f", "x", "y", "z"][self.0.below(9)]
    }

    /// Lists of needs: some with versions, some conflicts.
    fn needs(&mut self, most: usize, conflicts: bool) -> String {
        let mut needs = Vec::new();
        for _ in 0..self.0.below(most + 1) {
            let not = if conflicts && self.0.chance(6) { "!" } else { "" };
            let version = match self.0.below(8) {
                0 => "=1-r0",
                1 => ">1-r0",
                2 => "<2",
                _ => "",
            };
            let name = self.name();
            // Twice of one name `apk add` takes for one.
            if needs.iter().all(|need: &String| !need.trim_start_matches('!').starts_with(name)) {
                needs.push(format!("{not}{name}{version}"));
            }
        }
        needs.join(" ")
    }

    fn record(&mut self, name: &str, version: &str) -> String {
        let mut text = format!("P:{name}\nV:{version}\n");
        if self.0.chance(5) {
            text += &format!("k:{}\n", 1 + self.0.below(2));
        }
        let needs = self.needs(2, true);
        if !needs.is_empty() {
            text += &format!("D:{needs}\n");
        }
        if self.0.chance(3) {
            let version = ["", "=1-r0", "=2-r0"][self.0.below(3)];
            text += &format!("p:{}{version}\n", ["x", "y", "z"][self.0.below(3)]);
        }
        if self.0.chance(5) {
            let needs = self.needs(2, true);
            if !needs.is_empty() {
                text += &format!("i:{needs}\n");
            }
        }
        text
    }

    fn repository(&mut self) -> String {
        let mut records = Vec::new();
        for name in ["a", "b", "c", "d", "e", "f"] {
            records.push(self.record(name, "1-r0"));
            if self.0.chance(3) {
                records.push(self.record(name, "2-r0"));
            }
        }
        records.join("\n")
    }
}

/// What is chosen of repositories that each show one rule; nothing where apk refuses.
#[test]
fn each_rule_is_apks() {
    let Some(bench) = Bench::new() else { return };
    let either = "P:a\nV:1\np:v\n\nP:b\nV:1\np:v\n\nP:c\nV:1\nD:a";
    let preferred = "P:a\nV:1\np:v\n\nP:b\nV:1\np:v\nk:2\n\nP:c\nV:1\nD:a";
    let along = "P:a\nV:1\n\nP:x1\nV:1\np:x=1\n\nP:x2\nV:1\np:x\n\nP:b\nV:1\ni:x\n\nP:c\nV:2\ni:!a<2 x2\n\nP:d\nV:2\ni:!none a";
    let itself = |needs: &str| format!("P:a\nV:1\nD:{needs}\np:x=1\n\nP:b\nV:1\nD:a\n\nP:x\nV:2\n");
    for (repository, world, chosen) in [
        // A name that several provide without a version waits for who asks for one of them, and prefers that one.
        (either.to_owned(), "v", None),
        (either.to_owned(), "v c", Some("a-1 c-1")),
        (either.to_owned(), "c v", Some("a-1 c-1")),
        (preferred.to_owned(), "v", Some("b-1")),
        (preferred.to_owned(), "v c", Some("a-1 c-1")),
        // A package that excludes itself is not chosen.
        (itself("!x"), "a", None),
        (itself("!x=1"), "b", None),
        (itself("!a"), "a", None),
        (itself("!x>1"), "b", Some("a-1 b-1")),
        (itself("!x>1"), "b x", Some("a-1 b-1")),
        // What comes along does so with what is asked for by that name, and not because something is missing.
        (along.to_owned(), "a", Some("a-1")),
        (along.to_owned(), "x", Some("x1-1")),
        (along.to_owned(), "x2", Some("x2-1")),
    ] {
        let Answers { theirs, ours } = bench.ask(&repository, world);
        let expected = chosen.map(|ids| ids.split(' ').map(str::to_owned).collect::<BTreeSet<_>>());
        assert_eq!(theirs.ok(), expected, "apk: {world} of {repository}");
        assert_eq!(ours.ok(), expected, "{world} of {repository}");
    }
}

/// apk never takes a choice back, so that some ways are found only here; no world may be lost, and nearly none be another.
#[test]
fn any_world_comes_to_the_same() {
    let Some(bench) = Bench::new() else { return };
    let mut numbers = Chance(Numbers(3));
    let (mut same, mut refused, mut only_here) = (0, 0, 0);
    let mut others = Vec::new();
    for _ in 0..400 {
        let repository = numbers.repository();
        let world = loop {
            let world = numbers.needs(3, true);
            if !world.is_empty() {
                break world;
            }
        };
        let Answers { theirs, ours } = bench.ask(&repository, &world);
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) if theirs == ours => same += 1,
            (Err(_), Err(_)) => refused += 1,
            (Err(_), Ok(_)) => only_here += 1,
            (theirs, ours) => {
                others.push(format!("{world} of\n{repository}\napk  {theirs:?}\nhere {ours:?}"));
            }
        }
    }
    eprintln!(
        "{same} the same, {refused} refused by both, {only_here} found only here, {} others",
        others.len()
    );
    assert!(same > 100 && only_here < 30, "{same} {only_here}");
    assert!(others.len() < 4, "{}", others.join("\n\n"));
}
