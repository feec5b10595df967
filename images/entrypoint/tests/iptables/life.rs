//! In the life of a container: chosen once, ended by signals, told of rules that a newer iptables wrote.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::image::{Image, first_child, is_root, wait_for};
use crate::{ENTRYPOINT, HINT};

/// Hints that come later change nothing any more, for whoever calls `iptables` in the container.
#[test]
fn the_choice_is_made_once_in_the_life_of_a_container() {
    if !is_root("the_choice_is_made_once_in_the_life_of_a_container") {
        return;
    }
    let image = Image::new("life");
    image.multi("legacy", "", "");
    let later = format!("rules legacy iptables {HINT:?}");
    let call = "iptables -w 5 -L";
    let [nft, legacy] = ["nft", "legacy"].map(|backend| format!("{backend} {call}"));
    for (what, script, expected) in [
        (
            "by the first call",
            format!("{call}; {later}; {call}; ip6tables --version"),
            vec![&nft[..], &nft, "nft ip6tables --version"],
        ),
        (
            "by kube-proxy as kubeadm starts it",
            format!("kube-proxy 0 >/dev/null; {later}; {call}"),
            vec![&nft],
        ),
        (
            "by kube-proxy as the entrypoint starts it, for what is run in its container",
            format!("$E kube-proxy 0 >/dev/null 2>&1; {later}; {call}; $E kube-proxy 0 2>&1 >/dev/null"),
            vec![&nft, "entrypoint: iptables is nft: it was chosen before in this container"],
        ),
        ("by the kubelet", format!("$E kubelet >/dev/null 2>&1; {later}; {call}"), vec![&nft]),
        (
            "but not where the host's /dev is mounted",
            format!("umount -l /dev; {call}; {later}; {call}"),
            vec![&nft, &legacy],
        ),
        (
            "nor over a wish",
            format!("{call}; KUBE_PROXY_IPTABLES=legacy {call}; {call}"),
            vec![&nft, &legacy, &nft],
        ),
        ("nor by a wish", format!("KUBE_PROXY_IPTABLES=nft {call}; {later}; {call}"), vec![&nft, &legacy]),
        (
            "nor by a container before this one",
            format!("echo nft 1 2 >/dev/.containerized-kubelet-iptables; {later}; {call}; {call}"),
            vec![&legacy, &legacy],
        ),
        (
            "by one of many at once",
            "for i in 1 2 3 4 5 6 7 8; do iptables -L & done; wait; ls -A /dev".to_owned(),
            {
                let mut lines = vec!["nft iptables -L"; 8];
                lines.extend([".containerized-kubelet-iptables", "null", "zero"]);
                lines
            },
        ),
    ] {
        image.program("bin/kubelet", "iptables --version");
        image.multi("nft", "", "");
        image.multi("legacy", "", "");
        assert_eq!(image.contain(&script), expected, "{what}");
    }
    // Kept, nothing is read again.
    image.log();
    image.contain(&format!("{call}; {call}; {call}"));
    assert_eq!(image.log().len(), 6 + 3);
}

/// The kubelet of an image that has iptables of its own makes its chains where the host has its rules.
#[test]
fn a_kubelet_with_its_own_iptables_has_the_same_choice() {
    if !is_root("a_kubelet_with_its_own_iptables_has_the_same_choice") {
        return;
    }
    let image = Image::new("kubelet");
    image.program("bin/kubelet", "iptables -N X; echo \"<$KUBELET_IPTABLES>\"");
    image.multi("nft", "", "");
    image.multi("legacy", "-A INPUT -j DROP", "");
    let start = "$E kubelet --v=2 2>&1";
    let said = "entrypoint: iptables is legacy: it has 1 rule, nft 0";
    assert_eq!(image.contain(start), [said, "legacy iptables -N X", "<legacy>"]);
    let said = "entrypoint: iptables is nft: KUBELET_IPTABLES says so";
    assert_eq!(image.contain(&format!("KUBELET_IPTABLES=nft {start}")), [said, "nft iptables -N X", "<nft>"]);
    // Without its own, as on micro, there is nothing to choose and nothing to say.
    image.program("bin/kubelet", "echo \"<$KUBELET_IPTABLES>\"");
    for backend in ["nft", "legacy"] {
        fs::remove_file(image.dir.join(format!("sbin/xtables-{backend}-multi"))).unwrap();
    }
    assert_eq!(image.contain(start), ["<>"]);
}

/// The entrypoint as PID 1, or beside it, with something that hangs: it ends at once, and all that it runs.
#[test]
fn whatever_hangs_a_start_is_ended_by_signals() {
    if !is_root("whatever_hangs_a_start_is_ended_by_signals") {
        return;
    }
    let image = Image::new("hangs");
    image.multi("legacy", "", "");
    let hang = format!("echo $$ >>{}/hanging; sleep 601 & exec sleep 602", image.dir.display());
    image.program("sbin/xtables-nft-multi", &hang);
    image.program("bin/kubelet", "exec sleep 603");
    let links = image.dir.join("links/iptables").display().to_string();
    for (what, program, args) in [
        ("kube-proxy's choice", ENTRYPOINT, &["kube-proxy", "0"][..]),
        ("a call's choice", &links, &["-L"]),
        ("the kubelet's choice", ENTRYPOINT, &["kubelet"]),
    ] {
        for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)] {
            // A machine that is so busy that what hangs is given up before the signal comes tells nothing.
            let mut told = false;
            for _ in 0..5 {
                let _ = fs::remove_file(image.dir.join("hanging"));
                // Whoever runs the tests in the background may ignore signals, which would stay so.
                let outside = ["--default-signal", "unshare", "-pf", "--kill-child", "--mount-proc", program];
                let begin = Instant::now();
                let mut unshare = image.command("env", &[&outside, args].concat(), None);
                let mut child = unshare.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                let inner = first_child(&child);
                wait_for(what, || image.dir.join("hanging").exists());
                std::thread::sleep(Duration::from_millis(300));
                let late = |begin: Instant| begin.elapsed() > Duration::from_secs(4);
                let gone = child.try_wait().unwrap().is_some();
                assert!(!gone || late(begin), "{what} does not hang");
                let sent =
                    gone || Command::new("kill").args(["-s", signal, &inner]).status().unwrap().success();
                assert!(sent || late(begin));
                let late = late(begin);
                // What hangs does so for ten minutes.
                wait_for(what, || child.try_wait().unwrap().is_some());
                let found = child.wait().unwrap().code();
                if found == Some(code) || !late {
                    assert_eq!(found, Some(code), "{what}, {signal}");
                    told = true;
                    break;
                }
            }
            assert!(told, "{what}, {signal}: always too late");
        }
    }
    // Not as PID 1, what was asked something has to be ended by us.
    let _ = fs::remove_file(image.dir.join("hanging"));
    let mut child = image.command(ENTRYPOINT, &["kube-proxy", "0"], None).spawn().unwrap();
    wait_for("hanging", || {
        fs::read_to_string(image.dir.join("hanging")).is_ok_and(|text| text.ends_with('\n'))
    });
    let asked = fs::read_to_string(image.dir.join("hanging")).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    // Not those that have ended and that their new parent has yet to wait for.
    let left =
        || Command::new("pgrep").args(["-r", "R,S,D,T,t", "-g", asked.trim()]).output().unwrap().stdout;
    wait_for("the end of what was asked", || left().is_empty());
}

/// Hanging for ever, a program is given up, and nothing is guessed of the rules it has.
#[test]
fn a_program_that_hangs_is_given_up() {
    let image = Image::new("late");
    image.program("sbin/xtables-nft-multi", "exec sleep 604");
    image.multi("legacy", HINT, "");
    let begin = Instant::now();
    assert_eq!(image.kube_proxy(None)[0], "entrypoint: iptables is legacy: the kubelet's chains are there");
    image.multi("legacy", "-A INPUT -j DROP", "");
    let output = image.run(ENTRYPOINT, &["kube-proxy", "7"], None);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(69), Vec::new()), "{said}");
    assert!(
        said.contains("xtables-nft-multi did not print its rules in time")
            && said.contains("KUBE_PROXY_IPTABLES=nft"),
        "{said}"
    );
    assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", begin.elapsed());
}

/// Rules that this machine's iptables writes, which an older one in the image would write back without what they match.
#[test]
fn rules_of_a_newer_iptables_are_told_before_any_write() {
    let test = "rules_of_a_newer_iptables_are_told_before_any_write";
    if !is_root(test) {
        return;
    }
    let newer = "/usr/sbin/xtables-nft-multi";
    let version = Command::new(newer).args(["iptables", "--version"]).output();
    if !version.is_ok_and(|it| !String::from_utf8_lossy(&it.stdout).contains("v1.8.7")) {
        eprintln!("skipped {test}: it needs an iptables that is newer than 1.8.7");
        return;
    }
    let image = Image::new("newer");
    image.multi("legacy", "", "");
    let of_version = |version: &str| {
        image.program(
            "sbin/xtables-nft-multi",
            &format!(
                "case $2 in --version) echo 'iptables v{version} (nf_tables)';; *) echo nft \"$@\";; esac"
            ),
        );
    };
    let marked = format!(
        "N={newer}; $N iptables -N KUBE-FIREWALL; $N iptables -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP"
    );
    let others = format!("N={newer}; $N iptables -A OUTPUT -m mark --mark 1 -j DROP");
    let plain = format!(
        "N={newer}; $N iptables -N KUBE-FIREWALL; $N iptables -A KUBE-FIREWALL -s 192.0.2.1 -i lo -m comment --comment x \
         -m conntrack --ctstate NEW -j DROP; $N ip6tables -A INPUT -p icmpv6 -j ACCEPT; $N iptables -A INPUT -p udp -j DROP"
    );
    let start = "$E kube-proxy 0 2>&1 || echo ended: $?";
    let says = |script: &str| image.contain(script).join("\n");
    of_version("1.8.7");
    let said = says(&format!("{marked}; {start}"));
    for words in [
        "v1.8.7",
        "#112477",
        "filter KUBE-FIREWALL",
        "or let the host use legacy",
        "KUBE_PROXY_IPTABLES=nft starts it",
        "ended: 69",
    ] {
        assert!(said.contains(words), "`{words}`: {said}");
    }
    assert!(!said.contains("nft iptables"), "kube-proxy was started: {said}");
    // At a wish, and with rules that it will not write back, it is only said.
    for script in [format!("{marked}; KUBE_PROXY_IPTABLES=nft {start}"), format!("{others}; {start}")] {
        let said = says(&script);
        let warned = said.find("#112477").unwrap_or_else(|| panic!("{said}"));
        assert!(warned < said.find("nft ip6tables-restore").unwrap_or_else(|| panic!("{said}")), "{said}");
    }
    // Started by kubeadm, what would write is refused, again and again, and what reads is not.
    let call =
        "iptables -C X; iptables -A X || echo ended: $?; ip6tables-restore || echo ended: $?; iptables-save";
    let said = says(&format!("{marked}; ({call}) 2>/dev/null"));
    assert_eq!(said, "nft iptables -C X\nended: 4\nended: 4\nnft iptables-save");
    // Nothing is wrong with rules that every iptables reads, nor with a newer iptables in the image.
    assert!(!says(&format!("{plain}; {start}")).contains("#112477"));
    of_version("1.8.8");
    assert!(!says(&format!("{marked}; {start}")).contains("#112477"));
}
