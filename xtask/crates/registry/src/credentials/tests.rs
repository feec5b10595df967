use std::fs;

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
        "l.m:443": login("port"), "https://m.n/team/": login("below"), "https://n.o/v2/": login("two"),
        "o.p": {}, "https://o.p/v1/": login("kept"), "p.q": login("new"), "https://p.q/v1/": login("old"),
        "https://q.r": login("old"), "q.r": login("new"), "r.s:5000": login("port"), "http://s.t/": login("plain"),
        "t.u/team//": login("slashes"), "t.u/": login("slash"), "[::1]:5000": login("six"),
        "u.v": {"auth": format!(" {}\n", STANDARD.encode("spaced:x"))}, "v.w": {"username": "", "password": "", "auth": ""},
        "w.x/a/b:v1": login("tag")});
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
        ("m.n/team/x", Some("below")),
        ("m.n/x", None),
        ("m.n/teams", None),
        ("n.o/x", Some("two")),
        ("o.p/x", Some("kept")),
        ("p.q/x", Some("new")),
        ("q.r/x", Some("new")),
        ("r.s:5000/x", Some("port")),
        ("r.s/x", None),
        ("r.s:5001/x", None),
        ("s.t/x", Some("plain")),
        ("t.u/team/x", Some("slashes")),
        ("t.u/x", Some("slash")),
        ("[::1]:5000/x", Some("six")),
        ("u.v/x", Some("spaced")),
        ("v.w/x", None),
        ("w.x/a/b", None),
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
    // Its own images have a directory that nobody writes.
    let team = json!({"docker.io/library": login("own"), "docker.io/team": login("team")});
    for (reference, expected) in
        [("docker.io/busybox", Some("own")), ("docker.io/team/x", Some("team")), ("docker.io/other/x", None)]
    {
        assert_eq!(user(&team, reference).as_deref(), expected, "{reference}");
    }
}

/// Files as people have them: what each says of `a.b/x`, or that it cannot be read.
#[test]
fn files_are_read_as_people_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auth.json");
    let auth = STANDARD.encode("me:x");
    for (text, expected) in [
        (String::new(), Some(None)),
        ("  \n".to_owned(), Some(None)),
        ("{}".to_owned(), Some(None)),
        ("null".to_owned(), Some(None)),
        ("[]".to_owned(), Some(None)),
        (r#"{"auths": null, "credHelpers": null, "credsStore": null}"#.to_owned(), Some(None)),
        (r#"{"auths": []}"#.to_owned(), Some(None)),
        (r#"{"auths": {"a.b": null}}"#.to_owned(), Some(None)),
        (r#"{"credsStore": "", "credHelpers": {}}"#.to_owned(), Some(None)),
        (format!(r#"{{"credsStore": "", "auths": {{"a.b": {{"auth": "{auth}"}}}}}}"#), Some(Some("me"))),
        (
            format!(
                r#"{{"credsStore": "nobody-has", "credHelpers": {{"a.b": ""}}, "auths": {{"a.b": {{"auth": "{auth}"}}}}}}"#
            ),
            Some(Some("me")),
        ),
        (format!(r#"{{"auths": {{"a.b": {{"auth": "{auth}"}}}}, "HttpHeaders": 7}}"#), Some(Some("me"))),
        ("{".to_owned(), None),
        ("auths:\n  a.b: {}\n".to_owned(), None),
        (r#"{"auths": {"a.b": {"auth": "!"}}}"#.to_owned(), None),
        (r#"{"credsStore": "nobody-has"}"#.to_owned(), None),
        (r#"{"credHelpers": {"a.b": "../x"}}"#.to_owned(), None),
    ] {
        fs::write(&file, &text).unwrap();
        match (Credentials::find(&of("a.b/x"), Some(&file)), expected) {
            (Ok(found), Some(expected)) => {
                let user = found.map(|found| match found {
                    Credentials::Password(user, _) => user,
                    Credentials::Identity(token) => token,
                });
                assert_eq!(user.as_deref(), expected, "{text}");
            }
            (Err(error), None) => {
                assert!(matches!(fault::exit_code(&error), 3 | 7), "{text}: {error:#}");
                let said = format!("{error:#}");
                assert!(said.contains("auth.json") || said.contains("docker-credential-"), "{text}: {said}");
            }
            (found, _) => panic!("{text}: {:?}", found.map(drop)),
        }
    }
    let error = Credentials::find(&of("a.b/x"), Some(&dir.path().join("none"))).map(drop).unwrap_err();
    assert_eq!(fault::exit_code(&error), 4, "{error:#}");
    let error = Credentials::find(&of("a.b/x"), Some(dir.path())).map(drop).unwrap_err();
    assert_eq!(fault::exit_code(&error), 3, "{error:#}");
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
        let var =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value));
        super::files(var, 7).iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        files(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")]),
        ["/h/.docker/config.json", "/r/containers/auth.json", "/h/.config/containers/auth.json"]
    );
    assert_eq!(
        files(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")]),
        ["/h/.docker/config.json", "/run/containers/7/auth.json", "/c/containers/auth.json"]
    );
    assert_eq!(files(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d")]), ["/d/config.json"]);
    assert_eq!(files(&[]), ["/run/containers/7/auth.json"]);
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
    assert_eq!(helper("exec cat /dev/zero"), Some("writes too much"));
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
