#![no_main]

use libfuzzer_sys::fuzz_target;
use registry::Reference;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string(), text);
        // They become parts of URLs.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        assert!(reference.repository.bytes().all(plain));
        assert!(!reference.repository.split('/').any(|part| part.starts_with('.') || part.is_empty()));
        assert!(!reference.host.contains(['/', '@', '?', '#', '\\']));
        assert!(reference.tag.is_none_or(|tag| tag.bytes().all(|byte| plain(byte) && byte != b'/')));
    }
});
