//! The choice itself, by the rules of Kubernetes' iptables-wrappers, which its own kube-proxy image has.

use super::Backend;
use super::rules::Rules;

/// A backend and, for people, why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) backend: Backend,
    pub(super) why: String,
}

impl Answer {
    fn new(backend: Backend, why: impl Into<String>) -> Self {
        Self { backend, why: why.into() }
    }
}

/// Chooses by what `read` finds: the rules of a backend, of one table or of all that are there.
///
/// 1. The one that holds the kubelet's chains, which it makes to say just this. nft's is asked first, and only for the
///    table they are in. The legacy one's is asked for all its tables: naming one would make the kernel create it.
/// 2. With `nf_tables` out of order, the legacy one if that works.
/// 3. The one with more rules; if both have the same number, as on a host without any, the one that the host's own iptables
///    is, where `hosts` can tell; else nft.
///
/// The error is one that hangs, where nothing else decides: what it has is not known, and not guessed.
pub(super) fn choose(
    read: impl Fn(Backend, Option<&str>) -> Rules,
    hosts: impl Fn() -> Option<Backend>,
) -> Result<Answer, Backend> {
    const HINT: &str = "the kubelet's chains are there";
    let mangle = read(Backend::Nft, Some("mangle"));
    if mangle.hint {
        return Ok(Answer::new(Backend::Nft, HINT));
    }
    let legacy = read(Backend::Legacy, None);
    if legacy.hint {
        return Ok(Answer::new(Backend::Legacy, HINT));
    }
    let nft = if mangle.late { mangle } else { read(Backend::Nft, None) };
    for (backend, rules) in [(Backend::Nft, nft), (Backend::Legacy, legacy)] {
        if rules.late {
            return Err(backend);
        }
    }
    Ok(match (nft.answered, legacy.answered) {
        (false, true) => Answer::new(Backend::Legacy, "nft does not work here"),
        (false, false) => Answer::new(Backend::Nft, "neither it nor legacy shows its rules"),
        (true, _) if legacy.count > nft.count => {
            let why = format!("it has {}, nft {}", rules(legacy.count), nft.count);
            Answer::new(Backend::Legacy, why)
        }
        (true, true) if legacy.count == nft.count && hosts() == Some(Backend::Legacy) => {
            let why = format!("so is the host's own, and it has {}, nft {}", rules(legacy.count), nft.count);
            Answer::new(Backend::Legacy, why)
        }
        (true, _) => {
            Answer::new(Backend::Nft, format!("it has {}, legacy {}", rules(nft.count), legacy.count))
        }
    })
}

fn rules(count: u64) -> String {
    if count == 1 { "1 rule".to_owned() } else { format!("{count} rules") }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn found(hint: bool, count: u64) -> Rules {
        Rules { hint, count, answered: true, late: false }
    }

    const FAILED: Rules = Rules { hint: false, count: 0, answered: false, late: false };
    const LATE: Rules = Rules { late: true, ..FAILED };

    /// The answer for what all tables hold, and what was asked to find it.
    fn asked(nft: Rules, legacy: Rules, hosts: Option<Backend>) -> (String, String) {
        let log = RefCell::new(Vec::new());
        let answer = choose(
            |backend, table| {
                log.borrow_mut().push(format!("{}:{}", backend.name(), table.unwrap_or("all")));
                if backend == Backend::Nft { nft } else { legacy }
            },
            || {
                log.borrow_mut().push("host".to_owned());
                hosts
            },
        );
        let said = match answer {
            Ok(answer) => format!("{}: {}", answer.backend.name(), answer.why),
            Err(backend) => format!("{} hangs", backend.name()),
        };
        (said, log.into_inner().join(" "))
    }

    #[test]
    fn the_kubelets_chains_decide() {
        let says = |nft, legacy| asked(nft, legacy, None).0;
        assert_eq!(says(found(true, 1), found(false, 90)), "nft: the kubelet's chains are there");
        assert_eq!(says(found(false, 90), found(true, 1)), "legacy: the kubelet's chains are there");
        assert_eq!(says(FAILED, found(true, 0)), "legacy: the kubelet's chains are there");
        assert_eq!(says(found(true, 0), found(true, 0)), "nft: the kubelet's chains are there");
    }

    #[test]
    fn else_the_number_of_rules() {
        let says = |nft, legacy| asked(nft, legacy, None).0;
        assert_eq!(says(found(false, 2), found(false, 3)), "legacy: it has 3 rules, nft 2");
        assert_eq!(says(found(false, 3), found(false, 3)), "nft: it has 3 rules, legacy 3");
        assert_eq!(says(found(false, 0), found(false, 1)), "legacy: it has 1 rule, nft 0");
        assert_eq!(says(found(false, 0), found(false, 0)), "nft: it has 0 rules, legacy 0");
    }

    #[test]
    fn what_does_not_work_is_not_chosen() {
        let says = |nft, legacy| asked(nft, legacy, None).0;
        assert_eq!(says(FAILED, found(false, 0)), "legacy: nft does not work here");
        assert_eq!(says(found(false, 0), FAILED), "nft: it has 0 rules, legacy 0");
        assert_eq!(says(FAILED, FAILED), "nft: neither it nor legacy shows its rules");
    }

    #[test]
    fn no_more_is_read_than_needed_and_no_legacy_table_named() {
        let log = |nft, legacy| asked(nft, legacy, None).1;
        assert_eq!(log(found(true, 0), found(false, 0)), "nft:mangle");
        assert_eq!(log(found(false, 0), found(true, 0)), "nft:mangle legacy:all");
        assert_eq!(log(found(false, 1), found(false, 0)), "nft:mangle legacy:all nft:all");
        assert_eq!(log(found(false, 0), found(false, 0)), "nft:mangle legacy:all nft:all host");
        assert_eq!(log(LATE, found(false, 0)), "nft:mangle legacy:all");
    }

    #[test]
    fn with_the_same_number_the_hosts_own_decides() {
        let says = |nft, legacy| asked(nft, legacy, Some(Backend::Legacy)).0;
        let expected = "legacy: so is the host's own, and it has 0 rules, nft 0";
        assert_eq!(says(found(false, 0), found(false, 0)), expected);
        assert_eq!(says(found(false, 1), found(false, 0)), "nft: it has 1 rule, legacy 0");
        assert_eq!(says(found(false, 0), FAILED), "nft: it has 0 rules, legacy 0");
        let nft = asked(found(false, 2), found(false, 2), Some(Backend::Nft)).0;
        assert_eq!(nft, "nft: it has 2 rules, legacy 2");
    }

    #[test]
    fn what_hangs_decides_nothing() {
        let says = |nft, legacy| asked(nft, legacy, None).0;
        assert_eq!(says(LATE, found(false, 9)), "nft hangs");
        assert_eq!(says(found(false, 9), LATE), "legacy hangs");
        assert_eq!(says(LATE, LATE), "nft hangs");
        assert_eq!(says(LATE, found(true, 0)), "legacy: the kubelet's chains are there");
        assert_eq!(says(found(true, 0), LATE), "nft: the kubelet's chains are there");
    }
}
