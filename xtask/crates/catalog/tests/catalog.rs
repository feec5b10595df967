//! The repository's own catalog, and what is refused in others.

use std::path::Path;

use catalog::{Attributes, Catalog, Closure, Content};

/// The repository's own, which changes with every release.
fn repository() -> Catalog {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../images/catalog.toml");
    Catalog::parse(&std::fs::read_to_string(path).unwrap(), "catalog.toml").unwrap()
}

/// A small one that stays as it is, so that messages can be compared to the line.
const FROZEN: &str = include_str!("data/catalog.toml");

fn frozen() -> Catalog {
    Catalog::parse(FROZEN, "catalog.toml").unwrap()
}

fn refused(text: &str) -> String {
    let error = Catalog::parse(text, "catalog.toml").expect_err("it is accepted");
    assert_eq!(fault::exit_code(&error), 3, "{error}");
    error.to_string()
}

/// The frozen catalog with the first `from` replaced.
fn with(from: &str, to: &str) -> String {
    assert!(FROZEN.contains(from), "{from}");
    FROZEN.replacen(from, to, 1)
}

#[test]
fn it_spans_the_published_matrix_and_more() {
    let catalog = repository();
    let attributes = Attributes::of(&catalog);
    let names: Vec<_> = attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    // 5 variants x 2 bases and kube-proxy, of each release, for 3 arches and as an index.
    assert_eq!(names.len(), catalog.releases.len() * (5 * 2 + 1) * (3 + 1));
    for name in [
        "kubelet-v1_26_0-cni-arm64",
        "kubelet-v1_26_0-cni-alpine3_15-arm64",
        "kubelet-v1_26_0-kubeadm-cni-amd64",
        "kubelet-v1_26_0-cni",
        "kubelet-v1_24_9-arm32v7",
        "kubelet-v1_26_0",
        "kube-proxy-v1_26_0-arm32v7",
    ] {
        assert!(names.contains(&name), "{name}");
    }
}

#[test]
fn a_base_is_named_where_it_is_not_the_variants_default_and_may_be_everywhere() {
    let catalog = repository();
    let attributes = Attributes::of(&catalog);
    let all = |attribute: &catalog::Attribute<'_>| {
        std::iter::once(&attribute.name).chain(&attribute.aliases).cloned().collect::<Vec<_>>()
    };
    for (names, reference) in [
        (&["kubelet-v1_26_0-cni-arm64", "kubelet-v1_26_0-cni-micro-arm64"][..], "kubelet:v1.26.0-cni-micro"),
        (
            &["kubelet-v1_26_0-cni-alpine3_15-arm64", "kubelet-v1_26_0-cni-alpine3.15-arm64"],
            "kubelet:v1.26.0-cni-alpine3.15",
        ),
        (
            &["kube-proxy-v1_26_0", "kube-proxy-v1_26_0-alpine3_15", "kube-proxy-v1_26_0-alpine3.15"],
            "kube-proxy:v1.26.0-alpine3.15",
        ),
    ] {
        for name in names {
            let attribute = attributes.get(name).unwrap();
            assert_eq!(
                (all(attribute), attribute.reference()),
                (names.iter().map(|name| (*name).to_owned()).collect(), reference.to_owned())
            );
        }
    }
    assert!(attributes.get("kube-proxy-v1_26_0-micro").is_err(), "it has no micro form");
    let names: Vec<String> = attributes.iter().flat_map(all).collect();
    let mut different = names.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), names.len(), "a name of two attributes");
}

#[test]
fn the_default_is_the_newest_plain_image_on_the_default_base() {
    let catalog = frozen();
    let attributes = Attributes::of(&catalog);
    assert_eq!(attributes.default_for("arm64").unwrap().name, "kubelet-v1_26_0-arm64");
}

#[test]
fn a_program_has_the_name_that_its_module_had_then() {
    let path = "github.com/kubernetes-sigs/cri-tools/cmd/crictl";
    let earlier = format!("\n[[program.earlier]]\nuntil = \"v1.25.0\"\npackage = \"{path}\"");
    let text = with(
        &format!("package = \"{path}\"\nclosure = \"kubeadm\""),
        &format!("package = \"x.y/cmd/crictl\"\nclosure = \"kubeadm\"{earlier}"),
    );
    let catalog = Catalog::parse(&text, "catalog.toml").unwrap();
    let program = catalog.program("crictl").unwrap();
    let package = |release: &str| program.package_in(catalog.release(release).unwrap());
    assert_eq!((package("v1.26.0"), package("v1.25.5")), ("x.y/cmd/crictl", path));
    assert_eq!(program.packages().collect::<Vec<_>>(), ["x.y/cmd/crictl", path]);
    for until in ["1.25", "v1.25"] {
        assert!(
            refused(&text.replace("until = \"v1.25.0\"", &format!("until = \"{until}\"")))
                .contains("is not a version")
        );
    }
}

/// The frozen catalog, its newest release with newer plugins, of which `vlan` is in `since` and later or `until` and before.
fn with_plugins(bounds: &str, own: &str) -> String {
    let text = with("cni-plugins = \"v0.9.1\"", "cni-plugins = \"v1.10.0\"");
    let text = text.replace("programs = [\"bridge\"]", &format!("programs = [\"bridge\", \"vlan\"]\n{own}"));
    format!("{}\n{bounds}\n", text.trim_end())
}

#[test]
fn a_release_has_the_programs_that_its_versions_have() {
    let vlan = |bounds: &str, own: &str| {
        let catalog = Catalog::parse(&with_plugins(bounds, own), "catalog.toml").unwrap();
        let component = catalog.component("cni-flannel").unwrap();
        let Content::Go(go) = component.content() else { panic!("no programs") };
        let program = catalog.program("vlan").unwrap();
        ["v1.26.0", "v1.25.5"].map(|release| go.has(program, catalog.release(release).unwrap()))
    };
    // The newer release takes v1.10.0, the older v0.9.1: 10 is more than 9.
    assert_eq!(vlan("", ""), [true, true]);
    assert_eq!(vlan("since = \"v1.9.0\"", ""), [true, false]);
    assert_eq!(vlan("until = \"v0.9.1\"", ""), [false, true]);
    assert_eq!(vlan("since = \"v0.9.2\"\nuntil = \"v1.9.1\"", ""), [false, false]);
    // A component that carries it on has it in newer releases, too, and in none that are too old for it.
    let (own, moved) = ("carry = [\"vlan\"]", "until = \"v0.9.1\"\nmoved-to = \"e.x/vlan\"");
    assert_eq!(vlan(moved, own), [true, true]);
    assert_eq!(vlan(moved, ""), [false, true]);
    assert_eq!(
        vlan("since = \"v1.11.0\"\nuntil = \"v1.11.0\"\nmoved-to = \"e.x/vlan\"", own),
        [false, false]
    );
    let catalog = Catalog::parse(&with_plugins(moved, own), "catalog.toml").unwrap();
    let carried =
        |release: &str| catalog.program("vlan").unwrap().carried_in(catalog.release(release).unwrap());
    assert_eq!((carried("v1.26.0"), carried("v1.25.5")), (Some(("e.x/vlan", "v0.9.1")), None));

    insta::assert_snapshot!(refused(&with_plugins("until = \"v0.9.1\"", own)), @"catalog.toml:150: `vlan` cannot be carried on: it takes a CNI plugin with `until` and `moved-to` for that");
    insta::assert_snapshot!(refused(&with_plugins("moved-to = \"e.x/vlan\"", own)), @"catalog.toml:150: `vlan` cannot be carried on: it takes a CNI plugin with `until` and `moved-to` for that");
    insta::assert_snapshot!(refused(&with_plugins(moved, "carry = [\"kubelet\"]")), @"catalog.toml:150: `kubelet` is not among the component's programs");
    insta::assert_snapshot!(refused(&with_plugins("since = \"1.9\"", "")), @"catalog.toml:229: `1.9` is not a version `vX.Y.Z`, `until` none older than `since`");
    insta::assert_snapshot!(refused(&with_plugins("since = \"v1.9.0\"\nuntil = \"v1.8.9\"", "")), @"catalog.toml:230: `v1.8.9` is not a version `vX.Y.Z`, `until` none older than `since`");
    let kubelet = "programs = [\"kubelet\"]";
    insta::assert_snapshot!(refused(&with(kubelet, &format!("{kubelet}\ncarry = [\"kubelet\"]"))), @"catalog.toml:129: `kubelet` cannot be carried on: it takes a CNI plugin with `until` and `moved-to` for that");
}

#[test]
fn a_commit_need_not_be_known() {
    let text = with("commit = \"b46a3f887ca979b1a5d14fd39cb1af43e7e5d12d\"\n", "");
    assert!(Catalog::parse(&text, "catalog.toml").unwrap().releases[0].commit.is_none());
}

#[test]
fn an_unknown_attribute_gets_the_nearest_names() {
    let catalog = frozen();
    let error = Attributes::of(&catalog).get("kubelet-v1_26-amd64").err().unwrap();
    assert_eq!(fault::exit_code(&error), 4);
    insta::assert_snapshot!(fault::of(&error).unwrap().hint().unwrap(), @"nearest: `kubelet-v1_26_0-amd64`, `kubelet-v1_26_0-arm64`, `kubelet-v1_26_0-cni-amd64`; `cargo xtask list` prints them all");
}

#[test]
fn every_kind_of_mistake_is_refused_with_its_line() {
    let cases = [
        with("licenses =", "licences ="),
        with("name = \"micro\"\n", "name = \"micro\"\ncolour = \"red\"\n"),
        with("pack = \"none\"", "pack = \"zip\""),
        with("[component.rust]", "[component.cobol]"),
        with("[component.rust]", "[component.links]\nto = \"a\"\npaths = []\n[component.rust]"),
        with("[component.rust]\n", ""),
        with("programs = [\"kubelet\"]", "programs = [\"kubelet\"]\nprogrammes = []"),
        with("version = \"v1.25.5\"", "version = \"v1.26.0\""),
        with("version = \"v1.25.5\"", "version = \"v1.27.0\""),
        with("version = \"v1.25.5\"", "version = \"1.25.5\""),
        with("components = [\"kubelet\", \"cni\"]", "components = []"),
        with("components = [\"kubelet\", \"cni\"]", "components = [\"kubelet\", \"cnj\"]"),
        with("components = [\"kubelet\", \"cni\"]", "components = [\"kubelet\", \"kubelet\"]"),
        with("name = \"flannel\"", "name = \"Flannel\""),
        with("name = \"flannel\"", "name = \"flannel\"\nsuffix = \"\""),
        with("bases = [\"alpine3.15\"]", "bases = [\"alpine3.16\"]"),
        with("default = true\n", ""),
        with("closure = \"kubeadm\"", "closure = \"kubeadn\""),
        with("date = \"2022-12-08T19:51:45Z\"", "date = \"2022-13-08T19:51:45Z\""),
        with("commit = \"b46a", "commit = \"xyz"),
        with("path = \"usr/bin/entrypoint\"", "path = \"/usr/bin/../entrypoint\""),
        with("version = 1\n", "version = 2\n"),
        with("[[release]]", "[[release]"),
        with("product = \"kubelet\" #", "product = \"cubelet\" #"),
        with("dl-cdn.alpinelinux.org/alpine", "dl-cdn.alpinelinux.org/alpine/"),
        with("branch = \"v3.15\"", "branch = \"v3.15/..\""),
        with("repositories = [\"main\"]", "repositories = []"),
        with("\nkube-proxy = [", "\nkube-proxies = ["),
        with("[base.alpine.rootfs.arm64]", "[base.alpine.rootfs.riscv64]"),
        with("path = \"v3.15/releases", "path = \"../v3.15/releases"),
        with("sha256 = \"1040", "sha256 = \"x040"),
        with("\"{variant}\"", "\"{flavour}\""),
        with("command = [\"/usr/bin/entrypoint\", \"probe\"]", "command = []"),
        with("[[budget.base]]\nbase = \"micro\"", "[[budget.base]]\nbase = \"macro\""),
        with("releases = [\"v1.26.0\"", "releases = [\"v1.26.1\""),
        with("mean = { compressed = 0.", "mean = { compressed = -0."),
        with("zstd-mean = { compressed = 0.", "zstd-mean = { compressed = 10."),
        with("growth = { compressed", "growth = { uncompressed"),
    ];
    let messages: Vec<_> = cases.iter().map(|text| refused(text)).collect();
    insta::assert_snapshot!(messages.join("\n"));
}

/// A branch has one lock, which is of one base's worlds.
#[test]
fn two_bases_on_one_branch_are_refused_and_on_two_are_not() {
    let rootfs = |arch: &str| {
        let sum = "0".repeat(64);
        format!("[base.alpine.rootfs.{arch}]\npath = \"rootfs.tar.gz\"\nsize = 1\nsha256 = \"{sum}\"\n")
    };
    let base = |branch: &str| {
        let rootfs: String = ["amd64", "arm64"].map(rootfs).concat();
        let text = format!(
            "[[base]]\nname = \"alpine-next\"\ncomponents = [\"entrypoint\"]\n[base.alpine]\nbranch = \"{branch}\"\n\
             url = \"https://example.org/alpine\"\nrepositories = [\"main\"]\n[base.alpine.worlds]\n{rootfs}"
        );
        with("[[variant]]", &format!("{text}[[variant]]"))
    };
    let found = refused(&base("v3.15"));
    assert!(
        found.contains("base `alpine-next` is on v3.15, as `alpine3.15` is: a branch has one lock"),
        "{found}"
    );
    let catalog = Catalog::parse(&base("v3.22"), "catalog.toml").unwrap();
    assert!(Attributes::of(&catalog).find("kubelet-v1_26_0-alpine-next-amd64").is_some());
}

#[test]
fn an_empty_catalog_is_refused() {
    insta::assert_snapshot!(refused("version = 1\nproduct = []"), @"catalog.toml:1: missing field `release`");
}

/// As the frozen catalog with these entries has them.
const UPSTREAM: &str = "[[compile.upstream]]\nclosure = \"kube\"\nfrom = \"v1.26.0\"\ntags = [\"new\"]\ncgo = [\"kubelet\"]\n\
    [[compile.upstream]]\nclosure = \"kube\"\ntags = [\"old\"]\n\n";

fn with_upstream(from: &str, to: &str) -> String {
    assert!(UPSTREAM.contains(from), "{from}");
    let (before, after) = FROZEN.split_once("[budget]").unwrap();
    format!("{before}{}[budget]{after}", UPSTREAM.replacen(from, to, 1))
}

#[test]
fn upstreams_flags_are_those_of_the_version() {
    let catalog = Catalog::parse(&with_upstream("", ""), "catalog.toml").unwrap();
    let tags =
        |version| catalog.compile.upstream_of(Closure::Kube, version).map(|entry| entry.tags[0].as_str());
    let versions = ["v1.27.1", "v1.26.0", "v1.25.9"];
    assert_eq!(versions.map(tags), [Some("new"), Some("new"), Some("old")]);
    assert!(catalog.compile.upstream_of(Closure::CniPlugins, "v0.9.1").is_none());
    // The repository's own has them for every program.
    let catalog = repository();
    for (program, release) in
        catalog.programs.iter().flat_map(|program| catalog.releases.iter().map(move |it| (program, it)))
    {
        let found = catalog.compile.upstream_of(program.closure, program.version_in(release));
        let cgo = found
            .unwrap_or_else(|| panic!("{}", program.name))
            .cgo
            .iter()
            .any(|name| *name == *program.name.as_str());
        assert_eq!(cgo, program.name == *"kubelet", "{}", program.name);
    }
}

#[test]
fn upstreams_flags_out_of_order_are_refused() {
    insta::assert_snapshot!(refused(&with_upstream("from = \"v1.26.0\"\n", "")), @"catalog.toml: [[compile.upstream]]: of a closure the newest entry comes first, the one without `from` last");
    insta::assert_snapshot!(refused(&with_upstream("tags = [\"old\"]", "from = \"v1.26.0\"")), @"catalog.toml:199: [[compile.upstream]]: of a closure the newest entry comes first, the one without `from` last");
    insta::assert_snapshot!(refused(&with_upstream("v1.26.0", "1.26")), @"catalog.toml:194: `1.26` is not a version `vX.Y.Z`");
    insta::assert_snapshot!(refused(&with_upstream("cgo = [\"kubelet\"]", "cgo = [\"kublet\"]")), @"catalog.toml:196: there is no program `kublet`");
}
