//! What to start: from the arguments of the container to a program and its arguments.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

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

/// The kubelet, whose arguments the image completes, when there is no argument or the first is a flag; else what is
/// given, as it is.
pub(crate) fn command(mut args: Vec<OsString>) -> Command {
    if args.first().is_none_or(|first| first.as_bytes().starts_with(b"-")) {
        return Command { program: "kubelet".into(), args, defaults: true };
    }
    let program = args.remove(0);
    Command { program, args, defaults: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_alone_are_the_kubelets() {
        for input in [&[][..], &["--v=4"], &["-v", "4"], &["--version"], &["-h"], &["--", "x"], &["-"]] {
            let command = command(input.iter().map(OsString::from).collect());
            assert_eq!((command.program, command.defaults), ("kubelet".into(), true), "{input:?}");
            assert_eq!(command.args, input, "{input:?}");
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
            let command = command(input.iter().map(OsString::from).collect());
            assert_eq!((command.program.to_str(), command.defaults), (Some(input[0]), false));
            assert_eq!(command.args, input[1..], "{input:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![b'-', 0xff, 0xfe]);
        assert_eq!(command(vec![odd.clone()]).args.last(), Some(&odd));
    }
}
