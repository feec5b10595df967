use std::cmp::Ordering::{self, Equal, Greater, Less};

use proptest::prelude::*;

use super::Version;

fn v(text: &str) -> Version {
    Version::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Chains, each from oldest to newest.
const CHAINS: &[&[&str]] = &[
    &["0", "1", "2", "9", "10", "99", "100", "2147483647"],
    &["1.0_alpha", "1.0_alpha1", "1.0_alpha2", "1.0_alpha10", "1.0_beta", "1.0_pre", "1.0_rc", "1.0_rc1"],
    &["1.1_alpha", "1.1_alpha9", "1.1_beta", "1.1_pre3", "1.1_rc", "1.1_rc1", "1.1_rc1-r0", "1.1"],
    &["1.0", "1.0-r0", "1.0-r1", "1.0-r9", "1.0-r10", "1.0_cvs", "1.0_svn", "1.0_git", "1.0_hg", "1.0_p"],
    &[
        "1.0_p",
        "1.0_p-r0",
        "1.0_p0",
        "1.0_p1",
        "1.0_p1-r1",
        "1.0_p2",
        "1.0_p10",
        "1.0a",
        "1.0b",
        "1.0z",
        "1.0.1",
    ],
    &["1.0_p1_alpha", "1.0_p1", "1.0_p1-r1", "1.0_p1_p1", "1.0_p2"],
    &["0.1.0_alpha_pre2", "0.1.0_alpha", "0.1.0_alpha_p1", "0.1.0_beta"],
    &["1", "1-r0", "1_p1", "1a", "1a-r1", "1a_p1", "1a1", "1b", "1.", "1.1"],
    &["1.000", "1.00", "1.001", "1.0", "1.0.1", "1.01", "1.02", "1.09", "1.010", "1.1", "1.2", "1.10"],
    &["2.0_rc1-r0", "2.0_rc1-r1", "2.0_rc2-r0", "2.0-r0", "2.0.0-r0", "2.0.1-r0"],
    &["2.8.9_pre20051101-r2", "2.8.9_pre20051101-r3", "2.8.9_pre20061021", "2.8.9", "2.8.9-r1"],
    &["1.34.1-r3", "1.34.1-r7", "1.35.0-r0", "1.35.0-r17"],
    &["6b-r7", "6c", "6.1", "7"],
    &["1.1.1k-r0", "1.1.1s-r0", "1.1.1t-r3", "1.1.2-r0"],
    &["20211220-r0", "20220614-r0", "20220614-r1", "20230506"],
    &["1..2", "1..3"],
    &["1-r1", "1-r1-r1", "1-r1-r2"],
];

#[test]
fn chains_are_in_order_and_so_is_each_pair_in_them() {
    for chain in CHAINS {
        for (at, older) in chain.iter().enumerate() {
            for newer in &chain[at + 1..] {
                assert_eq!(v(older).cmp(&v(newer)), Less, "{older} {newer}");
                assert_eq!(v(newer).cmp(&v(older)), Greater, "{older} {newer}");
            }
        }
    }
}

#[test]
fn a_pre_release_after_a_zero_is_no_pre_release_to_apk() {
    // The zero is all there is of a fraction, and an empty number follows it where the other version ends.
    assert_eq!(v("1.0_rc1").cmp(&v("1.0")), Greater);
    assert_eq!(v("1.0_rc1-r0").cmp(&v("1.0-r0")), Less);
    assert_eq!(v("1.0_rc1").cmp(&v("1.0.0")), Less);
}

#[test]
fn what_is_equal_without_being_the_same_text() {
    for (a, b) in [("01", "1"), ("006", "6"), ("1-r01", "1-r1"), ("1_p01", "1_p1"), ("1_", "1_cvs")] {
        assert_eq!(v(a), v(b), "{a} {b}");
    }
    assert_ne!(v("1"), v("1.0"));
    assert_ne!(v("1.0"), v("1.00"));
    assert_ne!(v("1"), v("1-r0"));
}

#[test]
fn numbers_wrap_at_32_bits_as_they_do_in_apk() {
    assert_eq!(v("4294967297"), v("1"));
    assert_eq!(v("2147483648").cmp(&v("1")), Less);
    assert_eq!(v("1.0_p4294967298").cmp(&v("1.0_p1")), Greater);
}

#[test]
fn fuzzy_is_equal_up_to_the_end_of_the_shorter() {
    let cases: &[(&str, &str, Ordering)] = &[
        ("1.2.3-r4", "1.2.3", Equal),
        ("1.2.3-r4", "1.2", Equal),
        ("1.2.3-r4", "1", Equal),
        ("1.2.3-r4", "1.2.3-r4", Equal),
        ("1.2.3-r4", "1.2.3-r5", Less),
        ("1.2", "1.2.3", Equal),
        ("1.20", "1.2", Greater),
        ("1.1.9", "1.2", Less),
        ("2", "1.9", Greater),
        ("1.2_rc1", "1.2", Equal),
        ("1.2_rc1", "1.2_p1", Less),
        ("1.2b", "1.2a", Greater),
        ("1.2b", "1.2", Equal),
    ];
    for (a, b, expected) in cases {
        assert_eq!(v(a).compare_fuzzy(&v(b)), *expected, "{a} {b}");
    }
}

#[test]
fn what_is_no_version() {
    for text in [
        "1a.2",
        "1ab",
        "1_foo",
        "1.0_alphabet",
        "1.0bc",
        "1-1",
        "1-",
        "1-rc1",
        "1-r1a",
        "1-r1_p1",
        "1-r1.1",
        "1~2",
        "1+1",
        " 1",
        "1 ",
        "1\n",
        "1\0",
        "A",
        "1A",
        "é",
        "1_p1a",
        "1_p1.1",
    ] {
        assert!(Version::parse(text).is_err(), "{text:?}");
    }
    assert!(Version::parse(&"1".repeat(4096)).is_err());
    insta::assert_snapshot!(Version::parse("1.0_foo\n").unwrap_err(), @r"`1.0_foo\n` is not a package version: cannot read on from `foo\n`");
}

fn version() -> impl Strategy<Value = Version> {
    let text = prop_oneof![
        // Few and small parts, so that equal and nearly equal versions are met.
        "[0-2]{1,2}(\\.[0-2]{1,2}){0,2}[ab]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-2]?){0,2}(-r[0-2])?",
        "[0-9]{1,12}(\\.[0-9]{0,4}){0,4}[a-z]?(_(alpha|pre|p)[0-9]{0,12})?(-r[0-9]{1,3})?",
    ];
    text.prop_filter_map("valid", |text| Version::parse(&text).ok())
}

proptest! {
    #[test]
    fn the_order_is_total(a in version(), b in version(), c in version()) {
        prop_assert_eq!(a.cmp(&a), Equal);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c, "{} <= {} <= {}", a, b, c);
        }
        if a == b {
            prop_assert_eq!(a.cmp(&c), b.cmp(&c));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}|[0-9a-z._r-]{0,20}") {
        if let Ok(version) = Version::parse(&text) {
            prop_assert_eq!(version.as_str(), text);
            prop_assert_eq!(version.compare_fuzzy(&version), Equal);
        }
    }

    #[test]
    fn a_version_and_anything_that_goes_on_from_it_are_equal_when_fuzzy(a in version(), b in "\\.[1-9]|-r[0-9]|_p1") {
        if let Ok(longer) = Version::parse(&format!("{a}{b}")) {
            prop_assert_eq!(longer.compare_fuzzy(&a), Equal);
        }
    }
}
