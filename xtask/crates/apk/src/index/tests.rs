use proptest::prelude::*;

use super::*;

const ONE: &str = "C:Q1pcfTfDNEbNKQc2s1tia7da05M8Q=\nP:a\nV:1.0-r0\nA:x86_64\nS:10\nI:20\nT:about a\nU:u\nL:MIT\no:ab\nm:me\nt:5\nc:abc\nk:10\nD:so:b !c\np:cmd:a=1.0-r0 a-any\ni:d e=1\n";

#[test]
fn a_record_is_written_as_it_was_read() {
    let packages = parse(&format!("{ONE}\n")).unwrap();
    assert_eq!(packages[0].to_lines(), ONE);
    let all = parse(&format!("{ONE}r:x y<2\nq:3\nz:unknown\n")).unwrap();
    assert_eq!((all[0].replaces.len(), all[0].replaces_priority), (2, Some(3)));
    assert_eq!((all[0].provider_priority, all[0].build_time), (10, Some(5)));
}

#[test]
fn what_is_no_index() {
    let message = |text: String| format!("{:#}", parse(&text).unwrap_err());
    insta::assert_snapshot!(message(format!("{ONE}\n{ONE}")), @"a-1.0-r0 is there twice");
    insta::assert_snapshot!(message(format!("{ONE}P:b\n")), @"line 18: reading field `P` of a: the field comes twice");
    insta::assert_snapshot!(message(format!("{ONE}X:b\n")), @"line 18: reading field `X` of a: a field that is not known");
    insta::assert_snapshot!(message("P:a\nV:1\n".into()), @"a has no architecture (`A`)");
    insta::assert_snapshot!(message("V:1\n".into()), @"a package without a name (`P`)");
    insta::assert_snapshot!(message("P:../a\n".into()), @"line 1: reading field `P` of a package without a name so far: `../a` is not a package name");
    insta::assert_snapshot!(message("P:a\nS:-1\n".into()), @"line 2: reading field `S` of a: `-1` is not a number in range");
    insta::assert_snapshot!(message("hello\n".into()), @"line 1: `hello` is not a line of a record");
    insta::assert_snapshot!(message("T:a\0b\n".into()), @r"line 1: `T:a\0b` is not a line of a record");
}

/// One key may sign the indexes of all architectures, and a mirror mix up their places.
#[test]
fn an_index_of_another_architecture_is_none() {
    let error = packages(&format!("{ONE}\n"), "armv7", "the index of main").unwrap_err();
    insta::assert_snapshot!(error.to_string(), @"
    the architecture of the index of main is not what was expected
      expected armv7
      found    x86_64
    ");
    // One odd record is left out; one without any package is empty.
    let mixed =
        format!("{ONE}\nC:Q1pcfTfDNEbNKQc2s1tia7da05M8w=\nP:b\nV:1\nA:armv7\nS:1\nI:1\nT:t\nU:u\nL:l\n\n");
    let (there, skipped) = packages(&mixed, "x86_64", "").unwrap();
    assert_eq!((there.len(), skipped.len()), (1, 1));
    assert!(packages("", "x86_64", "").unwrap().0.is_empty());
}

/// v3.15/community has one such record; apk 2.12 goes on without what it does not understand.
#[test]
fn a_record_that_is_none_is_left_out_and_said() {
    let odd = |lines: &str| {
        let text = format!("{}\n{lines}\n{ONE}", ONE.replace("P:a", "P:b").replace("Q1pc", "Q1pd"));
        let (packages, skipped) = packages(&text, "x86_64", "").unwrap();
        assert_eq!(packages.iter().map(Record::id).collect::<Vec<_>>(), ["b-1.0-r0", "a-1.0-r0"], "{lines}");
        let [Skipped { name, why }] = skipped.try_into().unwrap();
        format!("{name:?}: {why}")
    };
    insta::assert_snapshot!(odd("P:c\nV:1-r0\nX:new\nD:d\n"), @r#"Some("c"): line 21: reading field `X` of c: a field that is not known"#);
    insta::assert_snapshot!(odd("P:c\nV:1-r0\nD:d@edge\n"), @r#"Some("c"): line 21: reading field `D` of c: `d@edge` is not a dependency: repository tags (`@`) are not supported"#);
    insta::assert_snapshot!(odd("hello\n"), @"None: line 19: `hello` is not a line of a record");
    insta::assert_snapshot!(odd(&ONE.replace("P:a", "P:c").replace("Q1pc", "Q1pe").replace("x86_64", "armv7")), @r#"Some("c"): it is for armv7"#);
    insta::assert_snapshot!(odd(&ONE.replace("P:a", "P:b").replace("Q1pc", "Q1pe")), @r#"Some("b"): b-1.0-r0 is there twice"#);
}

fn freshness(description: &str, newest_build: u64) -> Freshness {
    Freshness { description: description.into(), newest_build }
}

#[test]
fn a_rollback_is_seen() {
    let seen = freshness("v3.16.3-13-g4d933a1fa3", 1000);
    for (description, build) in [
        ("v3.16.3-13-g4d933a1fa3", 1000),
        ("v3.16.3-14-gffffff", 900),
        ("v3.16.10", 1000),
        ("v3.17.0", 1000),
        ("", 1001),
    ] {
        freshness(description, build).check_not_older_than(&seen, "it").unwrap();
    }
    for (description, build) in [
        ("v3.16.3-13-g4d933a1fa3", 999),
        ("v3.16.3-12-gffffff", 2000),
        ("v3.16.3", 2000),
        ("v3.16.2-99-gffffff", 2000),
        ("", 999),
        ("v3.15.0", 999),
    ] {
        assert!(
            freshness(description, build).check_not_older_than(&seen, "it").is_err(),
            "{description} {build}"
        );
    }
    let error = freshness("v3.16.2-1-gaa", 7).check_not_older_than(&seen, "the index of main").unwrap_err();
    insta::assert_snapshot!(error, @"
    the index of main was rolled back
      seen before v3.16.3-13-g4d933a1fa3 (newest package built at 1000)
      now         v3.16.2-1-gaa (newest package built at 7)
    ");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "([A-Za-z]:[a-z0-9 =<>!.:-]{0,12}\n|\\PC{0,9}|\n){0,30}") {
        if let Ok(packages) = parse(&text) {
            for package in packages {
                prop_assert_eq!(parse(&package.to_lines()).unwrap().len(), 1);
            }
        }
    }

    #[test]
    fn a_changed_record_is_read_or_refused(at in 0..ONE.len(), byte in 0..128_u8) {
        let mut text = ONE.as_bytes().to_vec();
        text[at] = byte;
        let _ = parse(std::str::from_utf8(&text).unwrap());
    }
}
