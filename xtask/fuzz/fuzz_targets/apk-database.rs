#![no_main]

use apk::database::Database;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|files: (&str, &[u8], &str)| {
    if let Ok(database) = Database::parse(files.0, files.1, files.2) {
        let _ = (database.installed(), database.scripts(0), database.triggers());
    }
});
