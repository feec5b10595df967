//! What to start: from the arguments of the container to a program and its arguments.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// The flags the image starts the kubelet with. A user's flag follows them, and the last of a kind wins.
pub(crate) const KUBELET_FLAGS: [&str; 4] = [
    "--config=/var/lib/kubelet/config.yaml",
    "--register-node",
    "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
    "--kubeconfig=/etc/kubernetes/kubelet.conf",
];

/// A program and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// A name to look up in PATH, or a path.
    pub(crate) program: OsString,
    /// Its arguments, without the program's name.
    pub(crate) args: Vec<OsString>,
    /// Does the image choose the arguments, which a user's flags only add to?
    pub(crate) defaults: bool,
}

/// The kubelet with its default flags when there is no argument or the first is a flag; else what is given.
pub(crate) fn command(mut args: Vec<OsString>) -> Command {
    if args.first().is_none_or(|first| first.as_bytes().starts_with(b"-")) {
        let flags = KUBELET_FLAGS.iter().map(OsString::from).chain(args).collect();
        return Command { program: "kubelet".into(), args: flags, defaults: true };
    }
    let program = args.remove(0);
    Command { program, args, defaults: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = "kubelet --config=/var/lib/kubelet/config.yaml --register-node \
        --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf";

    #[test]
    fn arguments_to_command() {
        let table: &[(&[&str], &str)] = &[
            (&[], ""),
            (&["--v=4"], "--v=4"),
            (&["-v", "4"], "-v 4"),
            (&["--config=/x", "--hostname-override=n"], "--config=/x --hostname-override=n"),
            (&["--version"], "--version"),
            (&["-h"], "-h"),
            (&["--", "x"], "-- x"),
            (&["-"], "-"),
        ];
        for (input, more) in table {
            let expected = format!("{DEFAULTS} {more}");
            assert_eq!(line(input), expected.trim_end(), "{input:?}");
        }
    }

    #[test]
    fn a_first_word_is_run_as_given() {
        let table: &[&[&str]] = &[
            &["kubelet"],
            &["kubelet", "--v=4"],
            &["kubeadm", "join", "--token", "a.b"],
            &["crictl", "ps"],
            &["/opt/cni/bin/bridge"],
            &["./x", "-y"],
            &["sh", "-c", "echo 'a  b'"],
            &[""],
        ];
        for input in table {
            assert_eq!(line(input), input.join(" "), "{input:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![b'-', 0xff, 0xfe]);
        assert_eq!(command(vec![odd.clone()]).args.last(), Some(&odd));
    }

    fn line(input: &[&str]) -> String {
        let command = command(input.iter().map(OsString::from).collect());
        let words = std::iter::once(&command.program).chain(&command.args);
        words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }
}
