//! Any bytes as the beginning of a connection through a load balancer: looking at them never
//! panics, is bounded, and what was decided stays so, however the bytes are cut.
#![no_main]

use flashpolicyd::daemon::server::proxy::{parse_header, HeaderProgress, MAX_HEADER_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse_header(bytes);
    match whole {
        HeaderProgress::Complete(header) => assert!(header.len <= bytes.len().min(MAX_HEADER_BYTES)),
        HeaderProgress::Incomplete => assert!(bytes.len() < MAX_HEADER_BYTES),
        HeaderProgress::Never => {}
    }
    for cut in 0..bytes.len().min(MAX_HEADER_BYTES + 1) {
        match parse_header(&bytes[..cut]) {
            HeaderProgress::Incomplete => {
                if let HeaderProgress::Complete(header) = whole {
                    assert!(cut < header.len);
                }
            }
            decided => assert_eq!(decided, whole),
        }
    }
});
