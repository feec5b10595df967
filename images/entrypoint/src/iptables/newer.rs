//! Rules of `nf_tables` that an older iptables reads wrongly.
//!
//! From 1.8.8 on iptables writes some matches (`-m mark`, `-p tcp --dport`) in the kernel's own words, of which older ones
//! see nothing: they read `-m mark --mark 0x8000/0x8000 -j DROP` as `-j DROP`, and write it back so, which cuts the node off
//! (kubernetes/kubernetes#112477). So the kernel is asked itself what its rules consist of.
//!
//! Source of what 1.8.7 reads: `nft_parse_meta`, `nft_parse_payload` and `nft_rule_to_iptables_command_state` in
//! iptables/nft-shared.c; of the messages: `linux/netfilter/nf_tables.h` and `nfnetlink.h`.

use std::io;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

/// The first version that reads what it and newer ones write.
pub(super) const FIRST: [u32; 3] = [1, 8, 8];
/// How long the kernel may take for a part of its answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Tables of iptables; others are nft's own, which no iptables touches.
const TABLES: [&[u8]; 5] = [b"filter", b"nat", b"mangle", b"raw", b"security"];
/// Families of addresses, as netfilter numbers them: IPv4 and IPv6.
const FAMILIES: [u8; 2] = [2, 10];

/// Messages of `nf_tables` (`NFNL_SUBSYS_NFTABLES`) and their types.
const SUBSYSTEM: u16 = 10 << 8;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Sizes of a message's two headers.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// Attributes of a rule and, in its expressions, of one of them.
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const EXPRESSIONS: u16 = 4;
const NAME: u16 = 1;
const DATA: u16 = 2;
/// What is looked at by `meta` and `payload`: both have it at the same number.
const KEY_OR_BASE: u16 = 2;
/// Interfaces by number or name, and the protocol.
const META_READ: [u32; 5] = [4, 5, 6, 7, 16];
/// The header of the network's layer.
const NETWORK: u32 = 1;

/// Chains that have such rules, `TABLE CHAIN`, each once and sorted. None where the kernel does not say.
pub(super) fn chains() -> Vec<String> {
    let mut found = Vec::new();
    for family in FAMILIES {
        // Without `nf_tables` in the kernel there are no rules.
        let _ = dump(family, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn dump(family: u8, found: &mut Vec<String>) -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::NETFILTER),
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(LIMIT))?;
    let mut request = Vec::with_capacity(HEADER + FAMILY_HEADER);
    request.extend_from_slice(&20_u32.to_ne_bytes());
    request.extend_from_slice(&GET_RULE.to_ne_bytes());
    request.extend_from_slice(&DUMP.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    request.extend_from_slice(&[family, 0, 0, 0]);
    rustix::net::send(&socket, &request, SendFlags::empty())?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let (count, _) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        if count == 0 || messages(&buffer[..count], found) {
            return Ok(());
        }
    }
}

/// Reads a part of the answer; true if it was the last.
fn messages(mut bytes: &[u8], found: &mut Vec<String>) -> bool {
    while let Some((length, kind)) = u32_at(bytes, 0).zip(u16_at(bytes, 4)) {
        let length = length as usize;
        if length < HEADER || length > bytes.len() || matches!(kind, ERROR | DONE) {
            return true;
        }
        if kind == NEW_RULE
            && let Some(body) = bytes[..length].get(HEADER + FAMILY_HEADER..)
        {
            found.extend(unreadable(body));
        }
        bytes = &bytes[padded(length).min(bytes.len())..];
    }
    false
}

/// The chain of a rule that has something which an older iptables does not read.
fn unreadable(rule: &[u8]) -> Option<String> {
    let table = text(attribute(rule, TABLE)?);
    if !TABLES.contains(&table) {
        return None;
    }
    let chain = text(attribute(rule, CHAIN)?);
    let read = attributes(attribute(rule, EXPRESSIONS)?).all(|(_, expression)| is_read(expression));
    let name = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (!read).then(|| format!("{} {}", name(table), name(chain)))
}

fn is_read(expression: &[u8]) -> bool {
    let value = || {
        let data = attribute(expression, DATA)?;
        Some(u32::from_be_bytes(attribute(data, KEY_OR_BASE)?.try_into().ok()?))
    };
    match attribute(expression, NAME).map(text) {
        Some(b"meta") => value().is_some_and(|key| META_READ.contains(&key)),
        Some(b"payload") => value() == Some(NETWORK),
        Some(
            b"counter" | b"bitwise" | b"cmp" | b"immediate" | b"match" | b"target" | b"limit" | b"lookup",
        ) => true,
        _ => false,
    }
}

/// The attributes of a message or in another attribute: type and content.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        // Without the bits that say how it is to be read.
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let content = bytes.get(4..length)?;
        bytes = &bytes[padded(length).min(bytes.len())..];
        Some((kind, content))
    })
}

fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, content)| content)
}

/// A text, which ends with a zero.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Everything begins at a multiple of four.
fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The version that a program says: `iptables v1.8.7 (nf_tables)`.
pub(super) fn version(text: &str) -> Option<[u32; 3]> {
    let word = text.lines().find_map(|line| line.strip_prefix("iptables v"))?.split_whitespace().next()?;
    let mut numbers = word.split('.').map(str::parse);
    let mut next = || numbers.next().map_or(Some(0), Result::ok);
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: u16, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len() + 4).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(content);
        bytes.resize(padded(bytes.len()), 0);
        bytes
    }

    fn rule(table: &str, expressions: &[(&str, Option<u32>)]) -> Vec<u8> {
        let list = expressions.iter().flat_map(|(name, value)| {
            let data = value.map(|value| part(KEY_OR_BASE, &value.to_be_bytes())).unwrap_or_default();
            part(1, &[part(NAME, format!("{name}\0").as_bytes()), part(DATA, &data)].concat())
        });
        [
            part(TABLE, format!("{table}\0").as_bytes()),
            part(CHAIN, b"KUBE-FIREWALL\0"),
            part(EXPRESSIONS | 0x8000, &list.collect::<Vec<_>>()),
        ]
        .concat()
    }

    #[test]
    fn what_older_ones_read() {
        let says = |table: &str, expressions: &[(&str, Option<u32>)]| unreadable(&rule(table, expressions));
        let chain = Some("filter KUBE-FIREWALL".to_owned());
        for (expressions, expected) in [
            (&[("meta", Some(6)), ("cmp", None), ("counter", None), ("immediate", None)][..], None),
            (&[("payload", Some(1)), ("cmp", None), ("match", None), ("target", None)], None),
            (&[("meta", Some(16)), ("cmp", None), ("limit", None)], None),
            (&[("meta", Some(3)), ("bitwise", None), ("cmp", None), ("immediate", None)], chain.clone()),
            (&[("payload", Some(2)), ("cmp", None)], chain.clone()),
            (&[("ct", None), ("immediate", None)], chain.clone()),
            (&[("meta", None)], chain),
            (&[], None),
        ] {
            assert_eq!(says("filter", expressions), expected, "{expressions:?}");
            assert_eq!(says("of-the-administrator", expressions), None);
        }
    }

    #[test]
    fn any_answer_is_survived() {
        let rule = rule("nat", &[("ct", None)]);
        let length = u32::try_from(HEADER + FAMILY_HEADER + rule.len()).unwrap();
        let mut message = [&length.to_ne_bytes()[..], &NEW_RULE.to_ne_bytes(), &[0; 14], &rule].concat();
        let mut found = Vec::new();
        assert!(!messages(&message, &mut found));
        assert_eq!(found, ["nat KUBE-FIREWALL"]);
        for end in 0..message.len() {
            messages(&message[..end], &mut found);
            unreadable(&rule[..end.min(rule.len())]);
        }
        for at in 0..message.len() {
            message[at] ^= 0xff;
            messages(&message, &mut found);
            message[at] ^= 0xff;
        }
        message[4..6].copy_from_slice(&DONE.to_ne_bytes());
        assert!(messages(&message, &mut found));
    }

    #[test]
    fn versions() {
        for (text, expected) in [
            ("iptables v1.8.7 (nf_tables)\n", Some([1, 8, 7])),
            ("warning\niptables v1.8.10 (legacy)\n", Some([1, 8, 10])),
            ("iptables v1.9\n", Some([1, 9, 0])),
            ("iptables v1.x\n", None),
            ("BusyBox\n", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
        assert!([1, 8, 7] < FIRST && [1, 8, 10] > FIRST);
    }
}
