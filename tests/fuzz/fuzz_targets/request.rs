//! Any bytes: the parser never panics, never takes a decision back, and decides at the first byte
//! that settles it.
#![no_main]

use flashpolicyd::daemon::server::request::{MAX_REQUEST_BYTES, Progress, parse_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse_request(bytes);
    for cut in 0..bytes.len().min(MAX_REQUEST_BYTES + 2) {
        match parse_request(&bytes[..cut]) {
            Progress::Incomplete => {}
            Progress::Never => assert_eq!(whole, Progress::Never),
            Progress::Complete(_) => assert!(matches!(whole, Progress::Complete(_))),
        }
    }
    assert_eq!(matches!(whole, Progress::Complete(_)), is_request(bytes));
    if bytes.len() >= MAX_REQUEST_BYTES {
        assert_ne!(whole, Progress::Incomplete);
    }
});

/// What a request is, said once more in another way.
fn is_request(bytes: &[u8]) -> bool {
    let parsed = &bytes[..bytes.len().min(MAX_REQUEST_BYTES)];
    let Some(rest) = parsed.strip_prefix(b"<policy-file-request") else {
        return false;
    };
    let blanks = rest.iter().take_while(|b| b" \t\r\n".contains(b)).count();
    rest[blanks..].starts_with(b"/>")
}
