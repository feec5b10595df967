//! Whether the linker may drop methods that nobody calls.
//!
//! It may as long as no reachable code looks a method up by a name or number that is not a constant: such code keeps
//! every exported method of every type (cmd/link's deadcode pass). The linker tells with `-dumpdep` what it reached,
//! and by which way.

use std::collections::HashMap;
use std::fmt::Write;

use anyhow::Result;
use fault::{Fault, Kind};

use crate::edit::LeftOut;

/// How the linker marks code that looks methods up.
const MARK: &str = " <ReflectMethod>";
/// What a program that loads plugins has: the linker keeps all that these might call.
const PLUGINS: &str = "plugin.Open";
/// How many steps of the way are shown.
const STEPS: usize = 12;

/// Listens to what the linker tells with `-dumpdep`.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Each symbol, and by what it was reached first.
    parents: HashMap<String, String>,
    keeper: Option<String>,
}

impl Watch {
    /// Takes a line; false if it is none of the linker's telling.
    pub(crate) fn take(&mut self, line: &str) -> bool {
        let Some((from, to)) = line.split_once(" -> ") else { return false };
        if (self.keeper.is_none() && to.ends_with(MARK)) || to == PLUGINS {
            self.keeper = Some(name(to).to_owned());
        }
        self.parents.entry(name(to).to_owned()).or_insert_with(|| name(from).to_owned());
        true
    }

    /// Fails if something keeps all methods, perhaps because these edits were left out.
    pub(crate) fn check(&self, program: &str, left_out: &[LeftOut]) -> Result<()> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let does = if keeper == PLUGINS {
            "loads what may call methods that"
        } else {
            "looks methods up by names that"
        };
        let mut message = format!(
            "{program}: {keeper} {does} the linker cannot know, so it keeps all of them; it is reached by"
        );
        let mut at = keeper;
        for _ in 0..STEPS {
            let Some(parent) = self.parents.get(at).filter(|parent| *parent != at) else { break };
            message.push_str("\n  ");
            message.push_str(parent);
            at = parent;
        }
        if !left_out.is_empty() {
            message.push_str("\nread these, of which an edit for another version was left out:");
            for edit in left_out {
                let _ = write!(message, "\n  {edit}");
            }
        }
        let help = "edit or pin the module in images/go/edits.toml, or take `prune` from the component in the catalog";
        Err(Fault::new(Kind::ToolFailed, message).help(help).into())
    }
}

/// A symbol without its marks.
fn name(symbol: &str) -> &str {
    symbol.split(" <").next().unwrap_or(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_methods_is_told_with_the_way_to_it() {
        let mut watch = Watch::default();
        for line in [
            "_ -> main",
            "main -> main.main",
            "main.main -> type:*a.B <UsedInIface>",
            "type:*a.B <UsedInIface> -> a.(*B).Run",
        ] {
            assert!(watch.take(line));
        }
        assert!(!watch.take("# k8s.io/kubernetes/cmd/kubelet"));
        watch.check("kubelet", &[]).unwrap();
        watch.take("a.(*B).Run -> text/template.(*state).evalField <ReflectMethod>");
        watch.take("text/template.(*state).evalField <ReflectMethod> -> reflect.Value.MethodByName");
        let error = watch.check("kubelet", &[]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        kubelet: text/template.(*state).evalField looks methods up by names that the linker cannot know, so it keeps all of them; it is reached by
          a.(*B).Run
          type:*a.B
          main.main
          main
          _
        ");
        // A program with plugins has all methods, and so whatever looks some up.
        watch.take("a.(*B).Run -> plugin.Open");
        let error = watch.check("kubeadm", &[]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        kubeadm: plugin.Open loads what may call methods that the linker cannot know, so it keeps all of them; it is reached by
          a.(*B).Run
          type:*a.B
          main.main
          main
          _
        ");
    }
}
