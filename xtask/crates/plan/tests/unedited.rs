//! Plans of images as released: `--unedited`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use catalog::Catalog;
use gobuild::{Closure, Spec};
use oci::compress::Compression;
use plan::{Content, Made, Options, Plan, Planner, Sources, Target};

const LABEL: &str = "io.containerized-kubelet.unedited";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn catalog() -> Catalog {
    let text = fs::read_to_string(root().join("images/catalog.toml")).unwrap();
    Catalog::parse(&text, "catalog.toml").unwrap()
}

fn unedited() -> Options {
    Options { unedited: true, ..Options::default() }
}

fn plan_at(root: &Path, names: &[&str], options: &Options) -> anyhow::Result<Plan> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Planner { catalog: &catalog(), sources: &Sources::read(root)?, options }.plan(&names)
}

fn plan(names: &[&str], options: &Options) -> Plan {
    plan_at(&root(), names, options).unwrap()
}

fn recipes(plan: &Plan) -> BTreeMap<String, &gobuild::Recipe> {
    let go = plan.components.values().filter_map(|component| match &component.made {
        Made::Go { recipe, .. } => Some((component.name.clone(), &**recipe)),
        _ => None,
    });
    go.collect()
}

/// What each program is compiled from and how.
fn shown(plan: &Plan) -> String {
    let mut shown = String::new();
    for (name, recipe) in recipes(plan) {
        let flags = serde_json::to_string(&recipe.flags).unwrap();
        let edits: Vec<_> =
            recipe.edits.iter().map(|edit| format!("{} {}", edit.module, edit.file)).collect();
        let joined = if recipe.join.is_some() { ", joined" } else { "" };
        writeln!(shown, "{name}{joined}\n  {flags}\n  edits: {edits:?}").unwrap();
    }
    shown
}

#[test]
fn programs_are_by_themselves_without_edits_and_with_upstreams_flags() {
    let name = "kubelet-v1_37_2-amd64";
    let (edited, as_released) = (plan(&[name], &Options::default()), plan(&[name], &unedited()));
    insta::assert_snapshot!(format!("{}{}", shown(&edited), shown(&as_released)), @r#"
    kubelet v1.37.2 amd64
      {"tags":["providerless"],"gcflags":["k8s.io/...=-l","sigs.k8s.io/...=-l","github.com/...=-l","github.com/gogo/protobuf/...="],"ldflags":[],"prune":true}
      edits: ["golang.org/x/net trace/trace.go", "google.golang.org/protobuf internal/descfmt/stringer.go", "google.golang.org/protobuf internal/descfmt/stringer.go", "github.com/google/go-cmp cmp/internal/value/name.go", "sigs.k8s.io/kustomize/api internal/plugins/loader/load_go_plugin.go", "sigs.k8s.io/kustomize/api internal/plugins/loader/load_go_plugin.go"]
    kubelet v1.37.2 amd64 unedited
      {"tags":["selinux","notest","grpcnotrace"],"gcflags":[],"ldflags":[],"prune":false}
      edits: []
    "#);
    // No pin applies to it: its closure is the very same.
    let go_mod = |plan: &Plan| recipes(plan).values().map(|recipe| recipe.go_mod.clone()).collect::<Vec<_>>();
    assert_eq!(go_mod(&edited), go_mod(&as_released));
}

#[test]
fn nothing_is_joined_and_each_program_is_a_file() {
    let name = "kubelet-v1_26_0-flannel-amd64";
    let options = Options { omit: vec!["kubelet".into()], ..unedited() };
    let plan = plan(&[name], &options);
    let layer = plan.layers.values().find(|layer| layer.name == "cni-flannel").unwrap();
    let paths: Vec<_> = layer.entries.iter().map(|entry| entry.path.as_str()).collect();
    let plugins = ["bridge", "flannel", "host-local", "loopback", "portmap"];
    assert_eq!(paths, plugins.map(|plugin| format!("opt/cni/bin/{plugin}")));
    assert!(layer.entries.iter().all(|entry| matches!(entry.content, Content::File { mode: 0o755, .. })));
    assert_eq!(recipes(&plan).len(), plugins.len());
    assert!(recipes(&plan).values().all(|recipe| recipe.programs.len() == 1 && recipe.flags.pure));
}

#[test]
fn images_and_indexes_have_a_tag_a_layout_and_labels_of_their_own() {
    for (compression, suffix) in
        [(Compression::default(), "-unedited"), (Compression::Zstd, "-unedited-zstd")]
    {
        let options = Options { compression, ..unedited() };
        let plan = plan(&["kubelet-v1_37_2"], &options);
        let [Target::Index(index)] = &plan.targets[..] else { panic!("not an index") };
        let reference = format!("kubelet:v1.37.2-micro{suffix}");
        assert_eq!((index.reference.as_str(), plan.suffix.as_str()), (reference.as_str(), suffix));
        assert_eq!(index.annotations[LABEL], "true");
        for image in plan.images.values() {
            assert_eq!((&image.reference, image.labels[LABEL].as_str()), (&reference, "true"));
            assert_eq!(image.annotations[LABEL], "true");
        }
    }
    let edited = plan(&["kubelet-v1_37_2-amd64"], &Options::default());
    assert!(!edited.images["kubelet-v1_37_2-amd64"].annotations.contains_key(LABEL));
}

/// A checkout with what planning reads of these closures, by directory.
fn checkout(closures: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    fs::create_dir_all(images.join("go")).unwrap();
    for name in ["locks", "rootfs", "entrypoint", "keys", "go/join", "go/edits.toml"] {
        std::os::unix::fs::symlink(
            root().canonicalize().unwrap().join("images").join(name),
            images.join(name),
        )
        .unwrap();
    }
    for (from, to) in closures {
        fs::create_dir_all(images.join("go").join(to)).unwrap();
        for file in ["go.mod", "go.sum"] {
            fs::copy(root().join("images/go").join(from).join(file), images.join("go").join(to).join(file))
                .unwrap();
        }
    }
    dir
}

#[test]
fn where_a_pin_applies_there_is_a_closure_without_it() {
    let catalog = catalog();
    let kubeadm = |release: &str| format!("kubelet-{}-kubeadm-amd64", release.replace('.', "_"));
    let needed = |dir: &Path, release: &str| {
        let sources = Sources::read(dir).unwrap();
        let planner = Planner { catalog: &catalog, sources: &sources, options: &unedited() };
        let specs = planner.closures(&[kubeadm(release)]).unwrap();
        specs.iter().map(|spec| spec.dir().display().to_string()).collect::<Vec<_>>()
    };
    // Nothing tells yet whether there is one.
    let empty = checkout(&[]);
    assert_eq!(needed(empty.path(), "v1.26.0"), ["v1.26.0/kube", "crictl-v1.26.0"]);
    let there = checkout(&[("v1.26.0/kube", "v1.26.0/kube"), ("v1.37.2/kube", "v1.37.2/kube")]);
    assert_eq!(needed(there.path(), "v1.26.0"), ["v1.26.0/kube-unedited", "crictl-v1.26.0"]);
    assert_eq!(needed(there.path(), "v1.37.2"), ["v1.37.2/kube", "crictl-v1.37.0"]);
    // Of all releases that are supported none is raised; of the others all.
    let sources = Sources::read(&root()).unwrap();
    for release in &catalog.releases {
        let spec = Spec::Kube { release: release.version.to_string() };
        let raised = sources.edits.raise(&Closure::read(&sources.go(), &spec).unwrap().go_mod).unwrap();
        assert_eq!(raised, release.numbers() < (1, 34, 0), "{}", release.version);
    }
    // Planned without it, it is named.
    let error = plan_at(there.path(), &["kubelet-v1_26_0-amd64"], &unedited()).unwrap_err();
    assert_eq!(fault::exit_code(&error), 4, "{error}");
    assert!(error.to_string().ends_with("images/go/v1.26.0/kube-unedited/go.mod"), "{error}");
}

#[test]
fn a_program_that_upstream_is_not_known_to_compile_is_refused() {
    let text = fs::read_to_string(root().join("images/catalog.toml")).unwrap();
    let text = text.replace("[[compile.upstream]]\nclosure = \"cni-plugins\"\n", "");
    let catalog = Catalog::parse(&text, "catalog.toml").unwrap();
    let names = ["kubelet-v1_37_2-cni-amd64".to_owned()];
    let sources = Sources::read(&root()).unwrap();
    let planner = Planner { catalog: &catalog, sources: &sources, options: &unedited() };
    let error = planner.plan(&names).unwrap_err();
    assert_eq!(fault::exit_code(&error), 3);
    insta::assert_snapshot!(error, @"images/catalog.toml: no [[compile.upstream]] is for bandwidth");
}
