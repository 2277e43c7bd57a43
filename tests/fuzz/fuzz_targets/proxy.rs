//! Any bytes as the beginning of a connection through a load balancer: looking at them never
//! panics, is bounded, and what was decided stays so, however the bytes are cut.
#![no_main]

use flashpolicyd::server::proxy::{look, Look, MAX_HEADER_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = look(bytes);
    match whole {
        Look::Complete(header) => assert!(header.len <= bytes.len().min(MAX_HEADER_BYTES)),
        Look::Incomplete => assert!(bytes.len() < MAX_HEADER_BYTES),
        Look::Never => {}
    }
    for cut in 0..bytes.len().min(MAX_HEADER_BYTES + 1) {
        match look(&bytes[..cut]) {
            Look::Incomplete => {
                if let Look::Complete(header) = whole {
                    assert!(cut < header.len);
                }
            }
            decided => assert_eq!(decided, whole),
        }
    }
});
