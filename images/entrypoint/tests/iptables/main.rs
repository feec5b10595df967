//! The choice of iptables: with stand-ins for its programs, and with the real ones in network namespaces.

mod image;
mod life;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use image::{Image, is_root};

const ENTRYPOINT: &str = env!("CARGO_BIN_EXE_entrypoint");
const HINT: &str = ":KUBE-IPTABLES-HINT - [0:0]";
const CANARY: &str = ":KUBE-KUBELET-CANARY - [0:0]";

#[test]
fn kube_proxys_iptables_is_the_one_with_the_kubelets_chains() {
    let image = Image::new("hints");
    for (nft, legacy, expected) in [
        ((HINT, ""), ("", ""), "nft"),
        (("", CANARY), ("-A INPUT -j ACCEPT\n-A INPUT -j DROP", ""), "nft"),
        (("-A INPUT -j ACCEPT", "-A INPUT -j ACCEPT"), (CANARY, ""), "legacy"),
        (("", ""), ("", HINT), "legacy"),
        ((CANARY, ""), (CANARY, HINT), "nft"),
    ] {
        image.multi("nft", nft.0, nft.1);
        image.multi("legacy", legacy.0, legacy.1);
        let said = image.kube_proxy(None);
        assert_eq!(said[0], format!("entrypoint: iptables is {expected}: the kubelet's chains are there"));
        assert_eq!(said[1], format!("{expected} iptables --version"));
        assert_eq!(said.last().unwrap(), &format!("{expected} ip6tables-restore --noflush"));
    }
}

#[test]
fn it_is_chosen_once_and_by_no_more_than_it_takes() {
    let image = Image::new("once");
    image.multi("nft", HINT, "");
    image.multi("legacy", "", "");
    image.kube_proxy(None);
    let used = ["nft iptables --version", "nft iptables-save", "nft ip6tables-restore --noflush"];
    let asked = ["nft iptables-save -t mangle", "nft ip6tables-save -t mangle"];
    assert_eq!(image.log(), [asked.as_slice(), &used].concat());
    image.multi("nft", "", "");
    image.kube_proxy(None);
    let more = ["legacy iptables-save", "legacy ip6tables-save", "nft iptables-save", "nft ip6tables-save"];
    assert_eq!(image.log(), [asked.as_slice(), &more, &used].concat());
}

#[test]
fn without_the_kubelets_chains_it_is_the_one_with_more_rules() {
    let image = Image::new("counts");
    let rules = |count: usize| "-A INPUT -j ACCEPT\n".repeat(count);
    for (nft, legacy, expected) in [
        ((0, 0), (0, 0), "nft: it has 0 rules, legacy 0"),
        ((1, 1), (3, 0), "legacy: it has 3 rules, nft 2"),
        ((0, 3), (2, 1), "nft: it has 3 rules, legacy 3"),
        ((3, 0), (0, 1), "nft: it has 3 rules, legacy 1"),
    ] {
        image.multi("nft", &rules(nft.0), &rules(nft.1));
        image.multi("legacy", &rules(legacy.0), &rules(legacy.1));
        assert_eq!(image.kube_proxy(None)[0], format!("entrypoint: iptables is {expected}"));
    }
}

#[test]
fn one_that_does_not_work_or_is_not_there_is_not_chosen() {
    let image = Image::new("broken");
    image.broken("nft");
    image.multi("legacy", "", "");
    let said = image.kube_proxy(None);
    assert_eq!(
        said[..2],
        ["entrypoint: iptables is legacy: nft does not work here", "legacy iptables --version"]
    );
    fs::remove_file(image.dir.join("sbin/xtables-nft-multi")).unwrap();
    assert_eq!(
        image.kube_proxy(None)[0],
        "entrypoint: iptables is legacy: xtables-nft-multi is not in this image"
    );
    image.multi("nft", "", "");
    fs::remove_file(image.dir.join("sbin/xtables-legacy-multi")).unwrap();
    assert_eq!(
        image.kube_proxy(None)[0],
        "entrypoint: iptables is nft: xtables-legacy-multi is not in this image"
    );

    // kube-proxy that needs no iptables, as for its version, is started all the same.
    fs::remove_file(image.dir.join("sbin/xtables-nft-multi")).unwrap();
    let missing = "neither xtables-nft-multi nor xtables-legacy-multi is in this image's PATH";
    let said = image.kube_proxy(None);
    assert_eq!(said[0], format!("entrypoint: kube-proxy: {missing}"));
    assert_eq!(said[1], format!("iptables: {missing}"));
}

#[test]
fn the_choice_can_be_overruled() {
    let image = Image::new("overruled");
    image.multi("nft", HINT, "");
    image.multi("legacy", "", "");
    for wish in ["legacy", "nft"] {
        let said = image.kube_proxy(Some(wish));
        assert_eq!(said[0], format!("entrypoint: iptables is {wish}: KUBE_PROXY_IPTABLES says so"));
        assert_eq!(said[1], format!("{wish} iptables --version"));
        assert_eq!(image.log().len(), 3, "nothing is looked at");
    }
    for wish in ["auto", ""] {
        assert!(image.kube_proxy(Some(wish))[0].contains("iptables is nft: the kubelet's"), "{wish}");
    }
    let refused = |wish: &str| {
        let output = image.run(ENTRYPOINT, &["kube-proxy", "7"], Some(wish));
        assert_eq!(output.stdout, b"", "kube-proxy was started");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let says =
        "entrypoint: kube-proxy: KUBE_PROXY_IPTABLES is iptables, but it can only be nft, legacy or auto\n";
    assert_eq!(refused("iptables"), (1, says.to_owned()));
    fs::remove_file(image.dir.join("sbin/xtables-legacy-multi")).unwrap();
    let says = "entrypoint: kube-proxy: xtables-legacy-multi is not in this image's PATH\n";
    assert_eq!(refused("legacy"), (127, says.to_owned()));
}

/// As kubeadm starts kube-proxy: with nothing of ours before it.
#[test]
fn called_by_itself_the_command_chooses_without_a_word() {
    let image = Image::new("direct");
    image.multi("nft", "", "");
    image.multi("legacy", HINT, "");
    let iptables = image.dir.join("links/iptables");
    let run = |wish| image.run(iptables.to_str().unwrap(), &["-w", "5", "-L"], wish);
    assert_eq!(run(None).stdout, b"legacy iptables -w 5 -L\n");
    assert_eq!(run(None).stderr, b"");
    assert_eq!(run(Some("nft")).stdout, b"nft iptables -w 5 -L\n");
    let kube_proxy = image.dir.join("bin/kube-proxy");
    let output = image.run(kube_proxy.to_str().unwrap(), &["0"], None);
    assert_eq!(
        output.stdout,
        format!("legacy iptables --version\n{HINT}\nlegacy ip6tables-restore --noflush\n").as_bytes()
    );
    let refused = run(Some("x"));
    assert_eq!((refused.status.code(), refused.stdout), (Some(1), Vec::new()));
}

#[test]
fn other_programs_start_as_ever() {
    let image = Image::new("others");
    image.multi("nft", HINT, "");
    image.multi("legacy", "", "");
    let output = image.run(ENTRYPOINT, &["sh", "-c", "echo \"<$KUBE_PROXY_IPTABLES>\""], None);
    assert_eq!((output.stdout, output.stderr), (b"<>\n".to_vec(), Vec::new()));
    assert_eq!(image.log(), Vec::<String>::new());
}

/// With this machine's iptables, in a network namespace that has the rules that `setup` makes.
#[test]
fn real_rules_decide() {
    let [nft, legacy] = ["nft", "legacy"].map(|backend| format!("/usr/sbin/xtables-{backend}-multi"));
    if !is_root("real_rules_decide") {
        return;
    }
    if !Path::new(&nft).exists() || !Path::new(&legacy).exists() {
        eprintln!("skipped real_rules_decide: it needs iptables");
        return;
    }
    let image = Image::new("real");
    for (program, name) in [(&nft, "nft"), (&legacy, "legacy")] {
        symlink(program, image.dir.join(format!("sbin/xtables-{name}-multi"))).unwrap();
    }
    image.program("bin/kube-proxy", "iptables --version");
    for (setup, expected, version) in [
        ("", "nft: it has 0 rules, legacy 0", "nf_tables"),
        ("$LEGACY -A INPUT -j ACCEPT", "legacy: it has 1 rule, nft 0", "legacy"),
        ("$NFT -A INPUT -j ACCEPT; $LEGACY -A INPUT -j ACCEPT", "nft: it has 1 rule, legacy 1", "nf_tables"),
        (
            "$NFT -A INPUT -j ACCEPT; $LEGACY -t mangle -N KUBE-KUBELET-CANARY",
            "legacy: the kubelet's chains are there",
            "legacy",
        ),
        (
            "$LEGACY -A INPUT -j ACCEPT; $NFT6 -t mangle -N KUBE-IPTABLES-HINT",
            "nft: the kubelet's chains are there",
            "nf_tables",
        ),
    ] {
        // A namespace's legacy tables are made when they are first used: asking must not be that.
        let script = format!(
            "NFT='{nft} iptables'; NFT6='{nft} ip6tables'; LEGACY='{legacy} iptables'; {setup}\n\
             before=$(cat /proc/net/ip_tables_names)\n{ENTRYPOINT} kube-proxy 2>&1\n\
             test \"$before\" = \"$(cat /proc/net/ip_tables_names)\" || echo tables were made"
        );
        let output = image.run("unshare", &["--net", "sh", "-ec", &script], None);
        let said = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{setup}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(lines[0], format!("entrypoint: iptables is {expected}"), "{setup}");
        assert!(lines[1].ends_with(&format!("({version})")), "{setup}: {}", lines[1]);
    }
}
