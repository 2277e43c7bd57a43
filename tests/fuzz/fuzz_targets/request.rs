//! Any bytes in pieces of any size: the matcher never panics, says the same however the bytes are
//! cut, never takes a decision back, and decides at the first byte that settles it.
#![no_main]

use flashpolicyd::daemon::server::request::{Matcher, Progress, MAX_REQUEST_BYTES};
use libfuzzer_sys::fuzz_target;

// How the bytes are cut: the length of each piece; then the bytes.
fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, bytes) = input;
    let mut at_once = Matcher::default();
    let expected = at_once.feed(&bytes);

    let mut in_pieces = Matcher::default();
    let mut progress = in_pieces.feed(&[]);
    assert_eq!(progress, Progress::Incomplete);
    let mut rest = &bytes[..];
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
        let before = progress;
        progress = in_pieces.feed(piece);
        assert!(before == Progress::Incomplete || before == progress);
        rest = after;
    }
    progress = in_pieces.feed(rest);
    assert_eq!(progress, expected);

    assert_eq!(progress == Progress::Complete, is_request(&bytes));
    if bytes.len() >= MAX_REQUEST_BYTES {
        assert_ne!(progress, Progress::Incomplete);
    }
    // What is not looked at changes nothing.
    let looked_at = &bytes[..bytes.len().min(MAX_REQUEST_BYTES)];
    assert_eq!(Matcher::default().feed(looked_at), expected);
});

/// What a request is, said once more in another way.
fn is_request(bytes: &[u8]) -> bool {
    let looked_at = &bytes[..bytes.len().min(MAX_REQUEST_BYTES)];
    let Some(rest) = looked_at.strip_prefix(b"<policy-file-request") else {
        return false;
    };
    let blanks = rest.iter().take_while(|b| b" \t\r\n".contains(b)).count();
    rest[blanks..].starts_with(b"/>")
}
