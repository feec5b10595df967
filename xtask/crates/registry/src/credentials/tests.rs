use serde_json::json;

use super::*;

fn of(reference: &str) -> Reference {
    reference.parse().unwrap()
}

/// Who is shown, of these entries.
fn user(auths: &Value, reference: &str) -> Option<String> {
    let found = from_config(&json!({ "auths": auths }), Path::new("config.json"), &of(reference)).unwrap()?;
    Some(match found {
        Credentials::Password(user, _) => user,
        Credentials::Identity(token) => format!("token {token}"),
    })
}

fn login(user: &str) -> Value {
    json!({"auth": STANDARD.encode(format!("{user}:pass:word"))})
}

#[test]
fn entries_are_for_hosts_or_for_what_lies_below_their_path() {
    let auths = json!({"https://a.b/v1/": login("old"), "c.d/team": login("team"), "c.d/team/one": login("one"),
        "e.f": {"username": "plain", "password": "x"}, "g.h": {"identitytoken": "t"}, "i.j": {}, "K.l": login("k"),
        "l.m:443": login("port")});
    for (reference, expected) in [
        ("a.b/x", Some("old")),
        ("c.d/team/x", Some("team")),
        ("c.d/team", Some("team")),
        ("c.d/team/one/x", Some("one")),
        ("c.d/teammate/x", None),
        ("c.d/x", None),
        ("c.d:5000/team/x", None),
        ("e.f/x", Some("plain")),
        ("g.h/x", Some("token t")),
        ("i.j/x", None),
        ("k.l/x", Some("k")),
        ("a.b.c/x", None),
        ("a.b:443/x", Some("old")),
        ("l.m/x", Some("port")),
        ("l.m:443/x", Some("port")),
        ("l.m:80/x", None),
    ] {
        assert_eq!(user(&auths, reference).as_deref(), expected, "{reference}");
    }
}

#[test]
fn docker_hub_is_known_by_all_its_names() {
    for key in ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io", "index.docker.io"] {
        for host in HUB {
            assert_eq!(user(&json!({key: login("me")}), &format!("{host}/me/x")).as_deref(), Some("me"));
        }
        assert_eq!(user(&json!({key: login("me")}), "a.b/me/x"), None);
    }
}

#[test]
fn a_secret_is_never_in_an_error() {
    let broken = json!({"auths": {"a.b": {"auth": "c2VjcmV0"}}});
    let error = from_config(&broken, Path::new("x.json"), &of("a.b/c")).err().unwrap();
    let text = format!("{error:#}");
    assert!(!text.contains("c2VjcmV0") && text.contains("a.b") && text.contains("x.json"), "{text}");
}

#[test]
fn files_are_those_of_docker_and_podman() {
    let files = |vars: &[(&str, &str)]| {
        super::files(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value)))
            .iter()
            .map(|file| file.display().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        files(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")]),
        ["/h/.docker/config.json", "/r/containers/auth.json", "/h/.config/containers/auth.json"]
    );
    assert_eq!(files(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d")]), ["/d/config.json"]);
    assert!(files(&[]).is_empty());
}

/// What comes of a helper that is this script.
fn helper(script: &str) -> Option<&'static str> {
    let mut child = Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let out = answer(&mut child, Duration::from_millis(1500)).unwrap();
    let _ = child.kill();
    child.wait().unwrap();
    out.err()
}

#[test]
fn a_helper_that_hangs_or_talks_without_end_is_left() {
    assert_eq!(helper("echo '{}'"), None);
    assert_eq!(helper("exec sleep 60"), Some("does not answer"));
    assert_eq!(helper("exec cat /dev/zero"), Some("says too much"));
    // Gone itself, while what it started keeps its output open.
    assert_eq!(helper("sleep 5 & exit 0"), Some("does not answer"));
}

#[test]
fn a_helper_is_a_name_and_no_path() {
    let error = ask("../../evil", "a.b", PATIENCE).err().unwrap();
    assert_eq!(fault::exit_code(&error), 7);
    let error = ask("that-nobody-has-installed", "a.b", PATIENCE).err().unwrap();
    assert!(error.to_string().contains("cannot be started"), "{error}");
}
