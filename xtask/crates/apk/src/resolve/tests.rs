use proptest::prelude::*;

use super::*;
use crate::index;

/// Packages in a few words each: name, version, then `D:`, `p:`, `i:`, `k:` lists.
fn repository(packages: &[(&str, &str, &str)]) -> Vec<Record> {
    let mut text = String::new();
    for (at, (name, version, more)) in packages.iter().enumerate() {
        let checksum = crate::digest::Checksum::sha1_of(format!("{name}{version}{at}").as_bytes());
        let more = more.replace("; ", "\n");
        text += &format!("C:{checksum}\nP:{name}\nV:{version}\nA:x86_64\nS:1\nI:1\n{more}\n\n");
    }
    index::parse(&text).unwrap()
}

fn solve(
    world: &str,
    packages: &[(&str, &str, &str)],
    installed: &[(&str, &str, &str)],
) -> Result<Vec<String>> {
    let (repository, installed) = (repository(packages), repository(installed));
    let world = Dependency::parse_all(world).unwrap();
    let installed: Vec<&Record> = installed.iter().collect();
    let request = Request { world: &world, repositories: &[&repository], installed: &installed };
    Ok(resolve(&request)?.into_iter().map(Record::id).collect())
}

fn ok(world: &str, packages: &[(&str, &str, &str)]) -> String {
    solve(world, packages, &[]).unwrap_or_else(|error| panic!("{error}")).join(" ")
}

fn refused(world: &str, packages: &[(&str, &str, &str)]) -> String {
    solve(world, packages, &[]).unwrap_err().to_string()
}

#[test]
fn needs_come_first_and_the_newest_is_taken() {
    let packages = [
        ("app", "1-r0", "D:so:lib.so.1 tool>1"),
        ("lib", "1.9-r0", "p:so:lib.so.1=1.9"),
        ("lib", "1.10-r0", "p:so:lib.so.1=1.10"),
        ("lib", "1.11_rc1-r0", "p:so:lib.so.1=1.11_rc1; D:nothing"),
        ("tool", "1-r0", ""),
        ("tool", "2-r0", "D:lib"),
    ];
    assert_eq!(ok("app", &packages), "lib-1.10-r0 tool-2-r0 app-1-r0");
    assert_eq!(ok("lib<1.10", &packages), "lib-1.9-r0");
    assert_eq!(
        ok("tool~1 app", &packages[4..5].iter().chain(&[("app", "1-r0", "")]).copied().collect::<Vec<_>>()),
        "app-1-r0 tool-1-r0"
    );
}

#[test]
fn what_is_installed_is_kept() {
    let packages = [("a", "2-r0", ""), ("b", "1-r0", "D:a"), ("c", "1-r0", "D:a>=2")];
    let installed = [("a", "1-r0", "")];
    assert_eq!(solve("b", &packages, &installed).unwrap(), ["a-1-r0", "b-1-r0"]);
    assert_eq!(solve("b c", &packages, &installed).unwrap(), ["a-2-r0", "b-1-r0", "c-1-r0"]);
}

#[test]
fn a_virtual_name_needs_a_preference() {
    let two = [("x", "1-r0", "D:mta"), ("exim", "1-r0", "p:mta"), ("postfix", "1-r0", "p:mta")];
    insta::assert_snapshot!(refused("x", &two), @"
    nothing can be installed for `mta`, required by x-1-r0 < the world
      exim-1-r0: provides it without a version, and nothing says which to prefer
      postfix-1-r0: provides it without a version, and nothing says which to prefer
    ");
    assert_eq!(ok("x postfix", &two), "postfix-1-r0 x-1-r0");
    assert_eq!(ok("x exim postfix", &two), "exim-1-r0 postfix-1-r0 x-1-r0");
    assert_eq!(ok("x", &two[..2]), "exim-1-r0 x-1-r0");
    let preferred = [
        ("x", "1-r0", "D:mta"),
        ("exim", "1-r0", "p:mta; k:10"),
        ("postfix", "1-r0", "p:mta; k:20"),
        ("msmtp", "1-r0", "p:mta"),
    ];
    assert_eq!(ok("x", &preferred), "postfix-1-r0 x-1-r0");
    assert_eq!(ok("x !postfix", &preferred), "exim-1-r0 x-1-r0");
    let versions = [("x", "1-r0", "D:mta"), ("exim", "1-r0", "p:mta=1; k:9"), ("postfix", "1-r0", "p:mta=2")];
    assert_eq!(ok("x", &versions), "postfix-1-r0 x-1-r0");
}

#[test]
fn a_name_with_a_version_has_one_provider() {
    let packages = [("a", "1-r0", "p:cmd:x=1"), ("b", "1-r0", "p:cmd:x=1"), ("c", "1-r0", "p:a")];
    insta::assert_snapshot!(refused("a b", &packages), @"
    nothing can be installed for `a`, required by the world
      a-1-r0: provides `cmd:x`, as b-1-r0 < the world does
      c-1-r0: provides it without a version, and nothing says which to prefer
    ");
    assert_eq!(ok("a c", &packages), "c-1-r0");
    assert!(refused("a=1-r0 c", &packages).contains("provides `a`, as"));
    assert_eq!(ok("b c", &packages), "b-1-r0 c-1-r0");
}

#[test]
fn conflicts_hold_both_ways() {
    let packages =
        [("a", "1-r0", "D:!b"), ("b", "1-r0", ""), ("b", "2-r0", "D:!a<2"), ("c", "1-r0", "p:b=3; D:!b")];
    insta::assert_snapshot!(refused("a b", &packages), @"
    nothing can be installed for `b`, required by the world
      b-1-r0: excluded by `!b` of a-1-r0 < the world
      b-2-r0: excluded by `!b` of a-1-r0 < the world
      c-1-r0: excluded by `!b` of a-1-r0 < the world
    ");
    assert!(refused("c", &packages).contains("c-1-r0: excludes itself by `!b`"));
    assert_eq!(ok("a !b", &packages), "a-1-r0");
    assert!(refused("b !b", &packages[1..2]).contains("excluded by `!b` of the world"));
}

#[test]
fn what_comes_along() {
    let packages = [
        ("a", "1-r0", ""),
        ("a-doc", "1-r0", "i:a=1-r0 docs"),
        ("a-extra", "1-r0", "i:a; D:missing"),
        ("a-more", "1-r0", "i:a; D:b"),
        ("a-never", "1-r0", "i:a !b"),
        ("b", "1-r0", ""),
        ("docs", "1-r0", ""),
    ];
    assert_eq!(ok("a", &packages), "a-1-r0 b-1-r0 a-more-1-r0");
    assert_eq!(ok("a docs", &packages), "a-1-r0 b-1-r0 a-more-1-r0 docs-1-r0 a-doc-1-r0");
    assert_eq!(ok("a !a-more !a-never", &packages), "a-1-r0");
    assert_eq!(ok("b", &packages), "b-1-r0");
}

#[test]
fn a_choice_is_taken_back() {
    // apk would choose x-2, for it is the newest, and fail.
    let packages = [
        ("a", "1-r0", "D:x"),
        ("x", "2-r0", "D:y=2-r0 p"),
        ("x", "1-r0", "D:y=1-r0"),
        ("y", "1-r0", ""),
        ("y", "2-r0", ""),
        ("p", "1-r0", "D:q"),
        ("q", "1-r0", "D:!a"),
    ];
    assert_eq!(ok("a", &packages), "y-1-r0 x-1-r0 a-1-r0");
}

#[test]
fn circles_end() {
    let packages = [("a", "1-r0", "D:b"), ("b", "1-r0", "D:c"), ("c", "1-r0", "D:a")];
    assert_eq!(ok("a", &packages), "c-1-r0 b-1-r0 a-1-r0");
    assert_eq!(ok("b", &packages), "a-1-r0 c-1-r0 b-1-r0");
}

#[test]
fn what_is_missing_is_explained_with_who_wants_it() {
    let packages = [
        ("app", "1-r0", "D:mid"),
        ("mid", "1-r0", "D:low>=2"),
        ("low", "1-r0", ""),
        ("old", "1-r0", "D:low<2"),
        ("low", "2-r0", "D:so:gone.so.1"),
    ];
    insta::assert_snapshot!(refused("app", &packages), @"
    nothing can be installed for `low>=2`, required by mid-1-r0 < app-1-r0 < the world
      low-1-r0: another version
      low-2-r0: requires `so:gone.so.1`, which no package has or provides
    ");
    insta::assert_snapshot!(refused("low>=2", &packages), @"
    nothing can be installed for `low>=2`, required by the world
      low-1-r0: another version
      low-2-r0: requires `so:gone.so.1`, which no package has or provides
    ");
    insta::assert_snapshot!(refused("app nowhere", &packages), @"
    nothing can be installed for `nowhere`, required by the world
      no package has or provides `nowhere`
    ");
    insta::assert_snapshot!(refused("old low=2-r0", &packages[2..]), @"
    nothing can be installed for `old`, required by the world
      old-1-r0: requires `low<2`, but low-1-r0 (not `low=2-r0`, as required by the world), low-2-r0 (another version)
    ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_found_fulfils_all(
        packages in proptest::collection::vec((0..6_usize, 1..4_u8, proptest::collection::vec((0..6_usize, 0..8_u8), 0..3), 0..12_usize), 1..14),
        world in proptest::collection::vec(0..6_usize, 1..4),
    ) {
        let expression = |(name, kind): &(usize, u8)| match kind {
            0 => format!("!n{name}>2"),
            1 => format!("n{name}>1"),
            2 => format!("n{name}<3"),
            3 => format!("v{name}"),
            _ => format!("n{name}"),
        };
        let mut seen = std::collections::HashSet::new();
        let packages: Vec<(String, String, String)> = packages.iter().filter(|(name, version, ..)| seen.insert((*name, *version))).map(|(name, version, needs, provide)| {
            let needs: Vec<String> = needs.iter().map(expression).collect();
            let provides = if *provide < 6 { format!("; p:v{provide}") } else { String::new() };
            (format!("n{name}"), version.to_string(), format!("D:{}{provides}", needs.join(" ")))
        }).collect();
        let packages: Vec<(&str, &str, &str)> = packages.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
        let repository = repository(&packages);
        let world = Dependency::parse_all(&world.iter().map(|name| format!("n{name}")).collect::<Vec<_>>().join(" ")).unwrap();
        let request = Request { world: &world, repositories: &[&repository], installed: &[] };
        if let Ok(found) = resolve(&request) {
            let meant = |dependency: &Dependency, by: Option<&Record>| found.iter()
                .filter(|record| by.is_none_or(|by| by.id() != record.id()))
                .any(|record| provides(record).any(|(name, version)| name == dependency.name && dependency.means(version, record.checksum)));
            for dependency in &world {
                prop_assert!(meant(dependency, None));
            }
            for record in &found {
                prop_assert_eq!(found.iter().filter(|other| other.name == record.name).count(), 1);
                for dependency in &record.depends {
                    let by = dependency.conflict.then_some(*record);
                    prop_assert!(meant(dependency, by) != dependency.conflict, "{} of {}", dependency, record.id());
                }
            }
        }
    }
}
