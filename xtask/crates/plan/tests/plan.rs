//! Plans of the repository's own catalog.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use catalog::{Catalog, Pack};
use oci::compress::{Compression, Gzip};
use plan::{Content, From, Made, Options, Plan, Planner, Sources, Target, Upx};
use store::Digest;

const UPX: &str = "io.containerized-kubelet.upx";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn catalog() -> String {
    std::fs::read_to_string(root().join("images/catalog.toml")).unwrap()
}

fn plan_with(text: &str, names: &[&str], options: &Options) -> anyhow::Result<Plan> {
    let catalog = Catalog::parse(text, "catalog.toml")?;
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Planner { catalog: &catalog, sources: &Sources::read(&root())?, options }.plan(&names)
}

fn plan(names: &[&str]) -> Plan {
    plan_with(&catalog(), names, &Options::default()).unwrap()
}

fn without_crictl() -> Options {
    Options { omit: vec!["crictl".into()], ..Options::default() }
}

/// The keys of an image's layers.
fn layers(plan: &Plan, attribute: &str) -> Vec<String> {
    plan.images[attribute].layers.iter().map(ToString::to_string).collect()
}

#[test]
fn the_same_files_give_the_same_keys() {
    let name = "kubelet-v1_26_0-cni-arm64";
    assert_eq!(layers(&plan(&[name]), name), layers(&plan(&[name]), name));
}

#[test]
fn images_of_a_release_share_base_kubelet_and_plugins() {
    let [plain, cni, kubeadm] =
        ["kubelet-v1_26_0-amd64", "kubelet-v1_26_0-cni-amd64", "kubelet-v1_26_0-kubeadm-cni-amd64"];
    let plan = plan_with(&catalog(), &[plain, cni, kubeadm], &without_crictl()).unwrap();
    let [plain, cni, kubeadm] = [plain, cni, kubeadm].map(|name| layers(&plan, name));
    assert_eq!(plain[..], cni[..2]);
    assert_eq!((&cni[0], &cni[2]), (&kubeadm[0], &kubeadm[2]));
    assert_ne!(cni[1], kubeadm[1]);
    // Layers: base, kubelet, kubelet+kubeadm, CNI; components: the same with the base as entrypoint and certificates.
    assert_eq!((plan.layers.len(), plan.components.len()), (4, 5));
}

#[test]
fn an_index_holds_one_image_of_each_architecture() {
    let plan = plan(&["kubelet-v1_26_0"]);
    let [Target::Index(index)] = &plan.targets[..] else { panic!("not an index") };
    assert_eq!(index.images, ["amd64", "arm64", "arm32v7"].map(|arch| format!("kubelet-v1_26_0-{arch}")));
    let platforms: BTreeSet<_> = plan.images.values().map(|image| image.platform.to_string()).collect();
    assert_eq!(platforms.into_iter().collect::<Vec<_>>(), ["linux/amd64", "linux/arm/v7", "linux/arm64/v8"]);
}

#[test]
fn what_is_asked_for_twice_is_planned_once() {
    for again in ["kubelet-v1_26_0-amd64", "kubelet-v1_26_0-micro-amd64"] {
        let plan = plan(&["kubelet-v1_26_0-amd64", again]);
        assert_eq!((plan.targets.len(), plan.targets[0].attribute()), (1, "kubelet-v1_26_0-amd64"));
    }
}

#[test]
fn joined_programs_are_one_file_by_several_names() {
    let plan = plan(&["kubelet-v1_26_0-flannel-amd64"]);
    let layer = plan.layers.values().find(|layer| layer.name == "cni-flannel").unwrap();
    let (files, links): (Vec<_>, Vec<_>) = layer
        .entries
        .iter()
        .partition(|entry| matches!(entry.content, Content::File { from: From::Component(_), .. }));
    assert_eq!(files.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["opt/cni/bin/bridge"]);
    assert!(
        links
            .iter()
            .all(|entry| matches!(&entry.content, Content::HardLink { to } if to == "opt/cni/bin/bridge"))
    );
    assert_eq!(links.len(), 4);
}

#[test]
fn what_is_omitted_is_gone_and_recorded() {
    let name = "kubelet-v1_26_0-kubeadm-cni-amd64";
    let all = plan(&[name]);
    assert!(!all.images[name].annotations.contains_key("io.containerized-kubelet.omitted"));
    let options = Options { omit: vec!["crictl".into(), "cni".into()], ..Options::default() };
    let less = plan_with(&catalog(), &[name], &options).unwrap();
    assert_eq!(less.images[name].annotations["io.containerized-kubelet.omitted"], "cni,crictl");
    assert_eq!((all.images[name].layers.len(), less.images[name].layers.len()), (3, 2));
    let programs = |plan: &Plan| {
        let recipes = plan.components.values().filter_map(|component| match &component.made {
            Made::Go { recipe, .. } => {
                Some(recipe.programs.iter().map(|program| program.name.clone()).collect::<Vec<_>>())
            }
            _ => None,
        });
        recipes.collect::<BTreeSet<_>>()
    };
    assert!(programs(&all).contains(["crictl", "kubeadm", "kubelet"].map(str::to_owned).as_slice()));
    assert_eq!(programs(&less), BTreeSet::from([["kubeadm", "kubelet"].map(str::to_owned).to_vec()]));
}

#[test]
fn a_release_has_the_plugins_of_its_version_and_flannels_go_on_beside_newer_ones() {
    let names = |plan: &Plan, layer: &str| {
        let layer = plan.layers.values().find(|found| found.name == layer).unwrap();
        layer
            .entries
            .iter()
            .map(|entry| entry.path.rsplit('/').next().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let version = |plan: &Plan, name: &str| {
        let recipes = plan.components.values().filter_map(|component| match &component.made {
            Made::Go { recipe, .. } if recipe.programs.iter().any(|program| program.name == name) => {
                Some(recipe)
            }
            _ => None,
        });
        let [recipe] = recipes.collect::<Vec<_>>()[..] else { panic!("not one binary has {name}") };
        recipe
            .go_mod
            .lines()
            .find_map(|line| line.trim().strip_prefix("github.com/containernetworking/plugins "))
            .unwrap()
            .to_owned()
    };
    let [old, new] = ["kubelet-v1_26_0-cni-amd64", "kubelet-v1_37_2-cni-amd64"].map(|name| plan(&[name]));
    assert_eq!([version(&old, "bridge"), version(&new, "bridge")], ["v0.9.1", "v1.10.0"]);
    let [before, after] = [names(&old, "cni"), names(&new, "cni")];
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), ["dummy", "tap"]);
    assert_eq!(before.difference(&after).collect::<Vec<_>>(), ["flannel"]);

    let [old, new] =
        ["kubelet-v1_26_0-flannel-amd64", "kubelet-v1_37_2-flannel-amd64"].map(|name| plan(&[name]));
    assert_eq!([version(&old, "flannel"), version(&new, "flannel")], ["v0.9.1", "v1.10.0"]);
    assert_eq!(names(&new, "cni-flannel"), names(&old, "cni-flannel"));
    let package = |plan: &Plan| {
        let recipes = plan.components.values().filter_map(|component| match &component.made {
            Made::Go { recipe, .. } => Some(recipe),
            _ => None,
        });
        let mut programs = recipes.flat_map(|recipe| &recipe.programs);
        programs.find(|program| program.name == "flannel").unwrap().package.clone()
    };
    assert_eq!(package(&old), "github.com/containernetworking/plugins/plugins/meta/flannel");
    assert_eq!(package(&new), "github.com/flannel-io/cni-plugin/plugins/meta/flannel");
}

#[test]
fn an_image_knows_its_release_and_variant() {
    let [micro, cni] = ["kubelet-v1_26_0-amd64", "kubelet-v1_26_0-cni-amd64"];
    let plan = plan(&[micro, cni]);
    let env = |image: &str, name: &str| plan.images[image].env[name].clone();
    let variables = ["KUBELET_IMAGE_RELEASE", "KUBELET_IMAGE_VARIANT"];
    assert_eq!(variables.map(|name| env(micro, name)), ["v1.26.0", "kubelet"]);
    assert_eq!(variables.map(|name| env(cni, name)), ["v1.26.0", "cni"]);
    assert!(env(micro, "PATH").starts_with('/'));
    assert_eq!(plan.images[micro].healthcheck.as_ref().unwrap().command, ["/usr/bin/entrypoint", "probe"]);
    // It is the config that says so: the layers stay shared.
    assert_eq!(layers(&plan, micro)[..], layers(&plan, cni)[..2]);
}

#[test]
fn the_default_configuration_is_also_where_no_mount_hides_it() {
    let plan = plan(&["kubelet-v1_26_0-amd64"]);
    let base = plan.layers.values().find(|layer| layer.name == "micro").unwrap();
    let default = base.entries.iter().find(|entry| entry.path == "usr/share/kubelet/config.yaml").unwrap();
    assert!(matches!(&default.content, Content::HardLink { to } if to == "var/lib/kubelet/config.yaml"));
}

#[test]
fn var_run_leads_to_run_wherever_the_image_is_unpacked() {
    let plan = plan(&["kubelet-v1_26_0-amd64"]);
    let base = plan.layers.values().find(|layer| layer.name == "micro").unwrap();
    let link = base.entries.iter().find(|entry| entry.path == "var/run").unwrap();
    assert!(matches!(&link.content, Content::Symlink { target } if target == "../run"), "{link:?}");
    base.outline().unwrap();
}

#[test]
fn a_change_of_one_release_changes_no_other() {
    let names = ["kubelet-v1_26_0-cni-amd64", "kubelet-v1_25_5-cni-amd64"];
    let before = plan(&names);
    let text = catalog().replace("2022-12-08T19:51:45Z", "2022-12-09T19:51:45Z");
    let after = plan_with(&text, &names, &Options::default()).unwrap();
    let changed = names.map(|name| layers(&before, name) != layers(&after, name));
    assert_eq!(changed, [true, false]);
}

#[test]
fn a_change_of_policy_changes_the_component_and_is_recorded() {
    let name = "kubelet-v1_26_0-amd64";
    let plain = plan(&[name]);
    assert!(!plain.images[name].labels.contains_key(UPX));
    let text = catalog().replacen("pack = \"none\"", "pack = \"lzma\"", 1);
    let packed = plan_with(&text, &[name], &Options::default()).unwrap();
    let made = packed.components.values().find(|component| component.plain().is_some()).unwrap();
    let Made::Go { packing, .. } = &made.made else { panic!("not of Go") };
    assert_eq!((packing.pack, packing.upx.as_ref().unwrap().to_string()), (Pack::Lzma, "4.2.4".to_owned()));
    assert_ne!(layers(&packed, name), layers(&plain, name));
    assert_eq!(packed.images[name].labels[UPX], "4.2.4");
    // What is packed is the very component that is not.
    let unpacked = made.plain().unwrap();
    assert!(plain.components.contains_key(&unpacked.key().unwrap()) && unpacked.plain().is_none());

    let other = Upx { version: "4.2.2".into(), other: Some(Digest::of(b"upx")) };
    let options = Options { other_upx: Some(other), ..Options::default() };
    let by_another = plan_with(&text, &[name], &options).unwrap();
    assert_ne!(layers(&by_another, name), layers(&packed, name));
    let recorded = format!("4.2.2 sha256:{}", Digest::of(b"upx"));
    assert_eq!(by_another.images[name].labels[UPX], recorded);
    // Where nothing is packed, it has no say.
    let unpacked = plan_with(&catalog(), &[name], &options).unwrap();
    assert_eq!(layers(&unpacked, name), layers(&plain, name));
}

#[test]
fn each_compression_has_its_layers_of_the_same_components_and_its_record() {
    let name = "kubelet-v1_26_0-amd64";
    let plain = plan(&[name]);
    for compression in [Compression::Gzip(Gzip::Fast), Compression::Zstd] {
        let options = Options { compression, ..Options::default() };
        let other = plan_with(&catalog(), &[name], &options).unwrap();
        assert!(layers(&other, name).iter().all(|key| !layers(&plain, name).contains(key)));
        assert!(other.components.keys().eq(plain.components.keys()));
        let (other, plain) = (&other.images[name], &plain.images[name]);
        assert_eq!(other.annotations["io.containerized-kubelet.encoder"], compression.encoder());
        assert_eq!(other.labels, plain.labels, "the config is the same");
    }
}

#[test]
fn zstd_images_and_indexes_have_tags_and_layouts_of_their_own() {
    let options = Options { compression: Compression::Zstd, ..Options::default() };
    let plan = plan_with(&catalog(), &["kubelet-v1_26_0-cni"], &options).unwrap();
    let [Target::Index(index)] = &plan.targets[..] else { panic!("not an index") };
    assert_eq!((index.reference.as_str(), plan.suffix.as_str()), ("kubelet:v1.26.0-cni-micro-zstd", "-zstd"));
    assert!(plan.images.values().all(|image| image.reference == index.reference));
}

#[test]
fn a_component_is_planned_by_itself_as_images_have_it() {
    let (catalog, sources) = (Catalog::parse(&catalog(), "").unwrap(), Sources::read(&root()).unwrap());
    let planned = |name: &str, pack| {
        let (release, arch) = (catalog.release("v1.26.0").unwrap(), &catalog.arches[0]);
        let planner = Planner { catalog: &catalog, sources: &sources, options: &Options::default() };
        planner.go_component(name, release, arch, pack)
    };
    let whole = plan(&["kubelet-v1_26_0-cni-amd64"]);
    assert!(whole.components.contains_key(&planned("cni", Pack::None).unwrap().key().unwrap()));
    assert!(!whole.components.contains_key(&planned("cni", Pack::Nrv).unwrap().key().unwrap()));
    let refused = |name| {
        let error = planned(name, Pack::None).unwrap_err();
        (fault::exit_code(&error), error.to_string())
    };
    assert_eq!(refused("nope"), (4, "there is no component `nope`".to_owned()));
    assert_eq!(refused("entrypoint"), (2, "`entrypoint` has no Go programs".to_owned()));
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let refused = |names: &[&str], options: &Options| {
        let error = plan_with(&catalog(), names, options)
            .err()
            .map(|error| (fault::exit_code(&error), format!("{error:#}")));
        error.unwrap_or_default()
    };
    assert_eq!(refused(&["kubelet-v9"], &Options::default()).0, 4);
    let text = catalog().replace("branch = \"v3.15\"", "branch = \"v3.99\"");
    let error =
        plan_with(&text, &["kubelet-v1_26_0-cni-alpine3_15-amd64"], &Options::default()).err().unwrap();
    assert_eq!(
        (fault::exit_code(&error), error.to_string().as_str()),
        (9, alpine::lock::missing("v3.99").to_string().as_str())
    );
    let omit = Options { omit: vec!["systemd".into()], ..Options::default() };
    assert_eq!(
        refused(&["kubelet-v1_26_0-amd64"], &omit),
        (4, "there is no component or program `systemd` to omit".to_owned())
    );
    let text = catalog().replace("go = \"1.26.8\"", "go = \"1.99.0\"");
    let error = plan_with(&text, &["kubelet-v1_26_0-amd64"], &Options::default()).err().unwrap();
    assert_eq!(fault::exit_code(&error), 9, "{error:#}");
    // A directory that a higher layer would give another mode.
    let text = catalog().replacen("directory = \"usr/bin\"", "directory = \"tmp\"", 1);
    let error = plan_with(&text, &["kubelet-v1_26_0-amd64"], &Options::default()).err().unwrap();
    assert_eq!(fault::exit_code(&error), 3, "{error:#}");
}

#[test]
fn an_index_may_be_over_some_architectures_of_the_catalog() {
    let of = |arches: &[&str]| {
        let arches = arches.iter().map(|name| (*name).to_owned()).collect();
        plan_with(&catalog(), &["kubelet-v1_26_0"], &Options { arches, ..Options::default() })
    };
    let images = |plan: Plan| match plan.targets.as_slice() {
        [Target::Index(index)] => {
            assert_eq!(plan.images.keys().count(), index.images.len());
            index.images.clone()
        }
        other => panic!("{other:?}"),
    };
    let name = |arch: &str| format!("kubelet-v1_26_0-{arch}");
    assert_eq!(images(of(&["arm64", "amd64"]).unwrap()), [name("amd64"), name("arm64")]);
    assert_eq!(images(of(&[]).unwrap()).len(), 3);
    let error = of(&["amd64", "riscv64"]).unwrap_err();
    assert_eq!(error.to_string(), "there is no architecture `riscv64`");
}

/// All that who adds an architecture writes: into images/catalog.toml, and nowhere else.
#[test]
fn an_architecture_is_added_in_the_catalog_alone() {
    let rootfs = format!("path = \"rootfs.tar.gz\"\nsize = 1\nsha256 = \"{}\"\n", "0".repeat(64));
    let added = format!(
        r#"
[[arch]]
name = "riscv64"
alpine = "riscv64"
architecture = "riscv64"
go-level = ["GORISCV64", "rva20u64"]
zig = "riscv64-linux-musl"
rust = "riscv64gc-unknown-linux-musl"
elf-machine = 243
qemu = "qemu-riscv64"

[base.alpine.rootfs.riscv64]
{rootfs}"#
    );
    let text = catalog();
    let at = text.find("[base.alpine.rootfs.arm32v7]").unwrap();
    let (arch, base) = added.split_at(added.find("[base").unwrap());
    let text = format!("{}{base}\n{}{arch}", &text[..at], &text[at..]);
    let plan = plan_with(&text, &["kubelet-v1_26_0-cni-riscv64"], &Options::default()).unwrap();
    let platforms: Vec<_> = plan.images.values().map(|image| image.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/riscv64"]);
    let targets: BTreeSet<_> = plan
        .components
        .values()
        .filter_map(|component| match &component.made {
            Made::Go { recipe, .. } => recipe.target.zig.clone(),
            Made::Rust { inputs } => Some(inputs.target.clone()),
            Made::Certificates { .. } => None,
        })
        .collect();
    assert_eq!(
        targets.into_iter().collect::<Vec<_>>(),
        ["riscv64-linux-musl", "riscv64gc-unknown-linux-musl"]
    );
}
