//! What was found, for people and for programs.

use super::finding::{Finding, Status};
use super::flags::Starter;

/// The version of the JSON form.
const VERSION: u32 = 1;

/// All rows as a table, then what repairs those that are wrong, by each way to start a container.
pub(crate) fn human(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let Finding { name, found, why, .. } = finding;
        text += &format!("{:10} {name:width$}  {found}", finding.status.name());
        if finding.status != Status::Ok {
            text += &format!(" ({why})");
        }
        text.push('\n');
    }
    for finding in findings
        .iter()
        .filter(|finding| finding.status >= Status::Warning || finding.status == Status::Repairable)
    {
        let Some(repair) = &finding.repair else { continue };
        text += &format!("\n{}:\n", finding.name);
        if finding.status == Status::Repairable {
            text += "  is repaired when the kubelet starts; or give the container:\n";
        }
        if repair.is_text() {
            text += &format!("  {}\n", repair.by(Starter::Docker));
        } else {
            for starter in Starter::ALL {
                text += &format!("  {:10} {}\n", starter.name(), repair.by(starter));
            }
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let (errors, warnings) = (count(Status::Error), count(Status::Warning));
    let verdict = if errors > 0 { "the kubelet would not start" } else { "the kubelet can start" };
    text + &format!("\n{verdict} (errors: {errors}, warnings: {warnings})\n")
}

/// All rows as one JSON document.
pub(crate) fn json(findings: &[Finding]) -> String {
    let rows: Vec<String> = findings.iter().map(row).collect();
    let ok = findings.iter().all(|finding| finding.status != Status::Error);
    format!("{{\"version\":{VERSION},\"ok\":{ok},\"rows\":[\n{}\n]}}\n", rows.join(",\n"))
}

fn row(finding: &Finding) -> String {
    let repair = match &finding.repair {
        None => "null".to_owned(),
        Some(repair) => {
            let by =
                |starter: &Starter| format!("{}:{}", quoted(starter.name()), quoted(&repair.by(*starter)));
            format!("{{{}}}", Starter::ALL.iter().map(by).collect::<Vec<_>>().join(","))
        }
    };
    format!(
        "{{\"name\":{},\"status\":{},\"found\":{},\"why\":{},\"repair\":{repair}}}",
        quoted(&finding.name),
        quoted(finding.status.name()),
        quoted(&finding.found),
        quoted(finding.why)
    )
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control < ' ' => quoted += &format!("\\u{:04x}", u32::from(control)),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

/// A line or two at the start of the kubelet: what is wrong, and what repairs it where this container was started so.
pub(crate) fn line(finding: &Finding, starter: Starter) -> String {
    let Finding { name, found, why, .. } = finding;
    let repair = match &finding.repair {
        Some(repair) if repair.is_text() => format!("\n  {}", repair.by(starter)),
        Some(repair) => format!("\n  {}: {}", starter.name(), repair.by(starter)),
        None => String::new(),
    };
    format!("entrypoint: {}: {name}: {found} ({why}){repair}", finding.status.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::flags::Repair;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::ok("pid namespace", "processes", "the host's"),
            Finding::bad(Status::Error, "swap", "refuses", "\"on\"\n", Repair::Text("swapoff -a".to_owned())),
            Finding::bad(Status::Warning, "UTS namespace", "name", "own", Repair::HostUts),
        ]
    }

    #[test]
    fn json_has_every_row() {
        assert_eq!(
            json(&findings()),
            r#"{"version":1,"ok":false,"rows":[
{"name":"pid namespace","status":"ok","found":"the host's","why":"processes","repair":null},
{"name":"swap","status":"error","found":"\"on\"\u000a","why":"refuses","repair":{"docker":"swapoff -a","ctr":"swapoff -a","podman":"swapoff -a","kubernetes":"swapoff -a"}},
{"name":"UTS namespace","status":"warning","found":"own","why":"name","repair":{"docker":"--uts=host","ctr":"--with-ns uts:/proc/1/ns/uts","podman":"--uts=host","kubernetes":"hostNetwork: true"}}
]}
"#
        );
    }

    #[test]
    fn people_see_what_is_wrong_and_how_to_repair_it() {
        let text = human(&findings()[..1]);
        assert_eq!(
            text,
            "ok         pid namespace  the host's\n\nthe kubelet can start (errors: 0, warnings: 0)\n"
        );
        let text = human(&findings());
        assert!(text.contains("\nUTS namespace:\n  docker     --uts=host\n  ctr        --with-ns uts:"));
        assert!(text.ends_with("the kubelet would not start (errors: 1, warnings: 1)\n"));
        assert_eq!(
            line(&findings()[2], Starter::Podman),
            "entrypoint: warning: UTS namespace: own (name)\n  podman: --uts=host"
        );
    }
}
