//! Servers that answer, that do not, and that do only when asked again.

mod common;

use std::fs;

use alpine::fetch::{Fetcher, Mirror};
use common::serve::serve;
use common::{MAIN, Place, ROOTFS};
use progress::Silent;

#[test]
fn files_come_from_servers_too_and_a_busy_one_is_asked_again() {
    let served = Place::new();
    let mut place = Place::new();
    fs::remove_dir_all(place.path("v3.15")).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let none = serve(empty.path().to_owned(), false);
    let server = serve(served.path(""), true);
    place.mirrors = [none.as_str(), server.as_str()].iter().filter_map(|url| Mirror::parse(url)).collect();
    let alpine = served.alpine();
    let fetcher = |offline| Fetcher { offline, ..place.fetcher(&alpine) };
    let arches = [place.arch()];
    let request = place.request(&alpine, &arches, None);
    // Offline no server is asked.
    let error = alpine::relock::make(&request, &fetcher(true)).unwrap_err();
    assert_eq!(fault::exit_code(&error), 5);
    let lock = alpine::relock::make(&request, &fetcher(false)).unwrap();
    assert_eq!(lock, served.lock(&alpine, None).unwrap());
}

#[test]
fn what_no_server_has_and_what_is_too_long() {
    let served = Place::new();
    let place = Place::new();
    let server = serve(served.path(""), false);
    let fetcher = |mirrors| Fetcher {
        store: &place.store,
        mirrors,
        url: server.trim_end_matches('/'),
        offline: false,
        progress: &Silent,
    };
    let locked = served.lock(&served.alpine(), None).unwrap().arches["amd64"].packages[0].clone();
    let mut file = locked.file().unwrap();
    file.size -= 1;
    let error = fetcher(&[]).locked(&file).unwrap_err();
    assert_eq!(fault::exit_code(&error), 6);
    assert!(format!("{error:#}").contains("more than the"), "{error:#}");
    fs::remove_file(served.path(&format!("{MAIN}/{}.apk", locked.id()))).unwrap();
    let error = fetcher(&[]).locked(&locked.file().unwrap()).unwrap_err();
    assert_eq!(fault::exit_code(&error), 5);
    assert!(error.to_string().contains("status 404"), "{error}");
    assert!(served.path(ROOTFS).is_file());
    // A server that is not there.
    let gone = Mirror::parse("http://127.0.0.1:1/").unwrap();
    let error = fetcher(&[gone]).locked(&locked.file().unwrap()).unwrap_err();
    assert!(error.to_string().contains("http://127.0.0.1:1/v3.15/main"), "{error}");
}
