//! What a program leaves behind. Alone in its process: here every child is waited for.

use std::process::Command;

/// A program's program's child, ended by it, is gone: not a zombie that nobody waits for, which its group still has.
#[test]
fn what_a_program_leaves_behind_is_waited_for() {
    let script = r#"
        # A group of its own, whose first process leaves a child behind.
        group=$(setsid sh -c 'sleep 60 >/dev/null 2>&1 & echo $$')
        [ "$(pgrep -g "$group" | wc -l)" = 1 ] || exit 2
        kill -KILL -"$group"
        for i in $(seq 100); do
            pgrep -g "$group" >/dev/null || exit 0
            sleep 0.1
        done
        exit 3
    "#;
    let status = exec::status(Command::new("sh").args(["-c", script])).unwrap();
    assert_eq!(status.code(), Some(0), "2: not left behind; 3: a zombie");
}
