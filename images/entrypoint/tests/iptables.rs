//! The choice of iptables: with stand-ins for its programs, and with the real ones in network namespaces.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ENTRYPOINT: &str = env!("CARGO_BIN_EXE_entrypoint");
const HINT: &str = ":KUBE-IPTABLES-HINT - [0:0]";
const CANARY: &str = ":KUBE-KUBELET-CANARY - [0:0]";

/// An image: `sbin` has what Alpine's package iptables has there, `links` are ours, `bin` has kube-proxy.
struct Image {
    dir: PathBuf,
}

impl Image {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("entrypoint-iptables-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for name in ["sbin", "links", "bin"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let image = Self { dir };
        for name in ["iptables", "iptables-save", "iptables-restore"] {
            for name in [name.to_owned(), name.replace("ip", "ip6")] {
                symlink(ENTRYPOINT, image.dir.join("links").join(&name)).unwrap();
                // Alpine's own: the legacy one, whatever the host has.
                symlink("xtables-legacy-multi", image.dir.join("sbin").join(name)).unwrap();
            }
        }
        image.program(
            "bin/kube-proxy",
            "iptables --version; iptables-save; ip6tables-restore --noflush\nexit $1",
        );
        image
    }

    fn program(&self, path: &str, script: &str) {
        // By another process: a file that this one has open for writing cannot be executed, and a test beside this one
        // may start a program, which has it open for a moment, too.
        let mut install = Command::new("install");
        install.args(["-m", "755", "/dev/stdin"]).arg(self.dir.join(path)).stdin(Stdio::piped());
        let mut child = install.spawn().unwrap();
        write!(child.stdin.take().unwrap(), "#!/bin/sh\n{script}\n").unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// iptables' program for one backend: it logs how it is called, and saves these lines for IPv4 and IPv6.
    fn multi(&self, backend: &str, ipv4: &str, ipv6: &str) {
        for (command, lines) in [("iptables-save", ipv4), ("ip6tables-save", ipv6)] {
            fs::write(self.dir.join(format!("{backend}-{command}")), format!("{lines}\n")).unwrap();
        }
        let dir = self.dir.display();
        self.program(
            &format!("sbin/xtables-{backend}-multi"),
            &format!(
                "echo {backend} \"$@\" >>{dir}/log\ncase $1 in *-save) cat {dir}/{backend}-$1;; *) echo {backend} \"$@\";; esac"
            ),
        );
    }

    /// One that fails, as on a kernel without what it needs.
    fn broken(&self, backend: &str) {
        self.program(&format!("sbin/xtables-{backend}-multi"), "echo 'Protocol not supported' >&2\nexit 1");
    }

    /// Runs a program of the image, or the entrypoint, with this wish in the environment.
    fn run(&self, program: &str, args: &[&str], wish: Option<&str>) -> Output {
        let at = |name: &str| self.dir.join(name).display().to_string();
        let mut command = Command::new(program);
        command.args(args).env_remove("KUBE_PROXY_IPTABLES");
        command.env("PATH", [at("links"), at("bin"), at("sbin"), "/usr/bin:/bin".into()].join(":"));
        command.envs(wish.map(|wish| ("KUBE_PROXY_IPTABLES", wish)));
        command.output().unwrap()
    }

    /// Starts kube-proxy: what it said, the entrypoint's line first.
    fn kube_proxy(&self, wish: Option<&str>) -> Vec<String> {
        let output = self.run(ENTRYPOINT, &["kube-proxy", "7"], wish);
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let said = [output.stderr, output.stdout].concat();
        String::from_utf8(said).unwrap().lines().map(str::to_owned).collect()
    }

    /// How iptables' programs were called since the last time.
    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let _ = fs::remove_file(self.dir.join("log"));
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

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
    let id = Command::new("id").arg("-u").output().unwrap();
    let [nft, legacy] = ["nft", "legacy"].map(|backend| format!("/usr/sbin/xtables-{backend}-multi"));
    if id.stdout != b"0\n" || !Path::new(&nft).exists() || !Path::new(&legacy).exists() {
        eprintln!("skipped real_rules_decide: it needs root and iptables");
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
