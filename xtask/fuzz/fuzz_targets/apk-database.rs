//! `installed`, `triggers` and `scripts.tar`, with [`fuzz::SEPARATOR`] between them.
#![no_main]

use apk::database::Database;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|files: &[u8]| {
    let [installed, triggers, scripts] = fuzz::parts(files);
    let (Ok(installed), Ok(triggers)) = (std::str::from_utf8(installed), std::str::from_utf8(triggers))
    else {
        return;
    };
    if let Ok(database) = Database::parse(installed, scripts, triggers) {
        let _ = (database.installed(), database.scripts(0), database.triggers());
    }
});
