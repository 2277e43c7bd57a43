//! The request: do a client's bytes ask for the policy, can they still, or never? The outcome does
//! not depend on how the bytes are cut. Pure: it reads no socket and keeps no bytes.

/// The beginning of every request; blanks and `/>` follow.
const HEAD: &[u8] = b"<policy-file-request";
const TAIL: &[u8] = b"/>";

/// A client's request as Flash Player sends it: 23 bytes, the last one a NUL.
/// Source: rule book section 1.1 (DG).
pub const REQUEST: &[u8] = b"<policy-file-request/>\0";

/// At most this many bytes of a client are parsed.
pub const MAX_REQUEST_BYTES: usize = 128;

/// The state after the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// They may still become a request.
    Incomplete,
    /// They are a request, complete with the `/>`. A NUL, a line end or anything else may follow;
    /// the answer does not wait for it, since some clients never send the NUL.
    Complete(UnreadInput),
    /// Whatever follows, they cannot become a request.
    Never,
}

/// The bytes that may still come after a complete request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadInput {
    /// All that Flash Player ever sends has been read.
    None,
    /// There may be unread bytes, or bytes under way: they would turn a close into a reset.
    Possible,
}

/// Parses the first bytes of a client, all of them each time.
pub fn parse_request(received: &[u8]) -> Progress {
    let parsed = &received[..received.len().min(MAX_REQUEST_BYTES)];
    let (head, rest) = parsed.split_at(parsed.len().min(HEAD.len()));
    let blanks = rest.iter().take_while(|b| b" \t\r\n".contains(b)).count();
    let tail = &rest[blanks..];
    if !HEAD.starts_with(head) {
        Progress::Never
    } else if tail.starts_with(TAIL) {
        Progress::Complete(if received == REQUEST {
            UnreadInput::None
        } else {
            UnreadInput::Possible
        })
    } else if TAIL.starts_with(tail) && parsed.len() < MAX_REQUEST_BYTES {
        Progress::Incomplete
    } else {
        Progress::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use Progress::{Complete, Incomplete, Never};
    use UnreadInput::Possible;

    #[test]
    fn the_players_request_is_complete_with_and_without_its_nul() {
        assert_eq!(parse_request(REQUEST), Complete(UnreadInput::None));
        assert_eq!(parse_request(b"<policy-file-request/>"), Complete(Possible));
    }

    #[test]
    fn blanks_are_allowed_before_the_slash_only() {
        assert_eq!(
            parse_request(b"<policy-file-request \t\r\n/>"),
            Complete(Possible)
        );
        assert_eq!(parse_request(b" <policy-file-request/>"), Never);
        assert_eq!(parse_request(b"<policy-file-request/ >"), Never);
        assert_eq!(parse_request(b"<policy -file-request/>"), Never);
    }

    #[test]
    fn a_wrong_byte_is_final_at_once() {
        for bytes in [&b"G"[..], b"\0", b"\x16\x03\x01", b"<policy-file-requesT"] {
            assert_eq!(parse_request(bytes), Never, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn blanks_do_not_go_on_for_ever() {
        let mut long = HEAD.to_vec();
        long.resize(MAX_REQUEST_BYTES - 1, b' ');
        assert_eq!(parse_request(&long), Incomplete);
        long.push(b' ');
        assert_eq!(parse_request(&long), Never);
        long.extend(TAIL);
        assert_eq!(parse_request(&long), Never);
    }

    #[test]
    fn the_last_byte_that_is_parsed_may_complete_the_request() {
        let mut bytes = HEAD.to_vec();
        bytes.resize(MAX_REQUEST_BYTES - TAIL.len(), b' ');
        bytes.extend(TAIL);
        assert_eq!(bytes.len(), MAX_REQUEST_BYTES);
        assert_eq!(parse_request(&bytes), Complete(Possible));
    }

    #[test]
    fn something_may_follow_all_but_the_players_own_bytes() {
        for more in [&b"\n"[..], b"\0x", &[b'x'; 500]] {
            let bytes = [b"<policy-file-request/>", more].concat();
            assert_eq!(parse_request(&bytes), Complete(Possible));
        }
    }

    /// A second definition of a request, for comparison.
    fn is_request(bytes: &[u8]) -> bool {
        let parsed = &bytes[..bytes.len().min(MAX_REQUEST_BYTES)];
        let Some(rest) = parsed.strip_prefix(HEAD) else {
            return false;
        };
        let blanks = rest.iter().take_while(|b| b" \t\r\n".contains(b)).count();
        rest[blanks..].starts_with(TAIL)
    }

    fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => Just(HEAD.to_vec()),
            4 => Just(TAIL.to_vec()),
            4 => "[ \t\r\n]{0,140}".prop_map(String::into_bytes),
            1 => proptest::collection::vec(any::<u8>(), 0..40),
        ];
        proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    /// The same by one byte after the other, for comparison.
    fn by_bytes(bytes: &[u8]) -> Progress {
        let (mut seen, mut tail) = (0, 0);
        for &byte in bytes.iter().take(MAX_REQUEST_BYTES) {
            let fits = match seen {
                0..20 => byte == HEAD[seen],
                _ if byte == TAIL[tail] => {
                    tail += 1;
                    true
                }
                _ => tail == 0 && b" \t\r\n".contains(&byte),
            };
            seen += 1;
            if tail == TAIL.len() {
                let exact = bytes == REQUEST;
                return Complete(if exact { UnreadInput::None } else { Possible });
            }
            if !fits || seen == MAX_REQUEST_BYTES {
                return Never;
            }
        }
        Incomplete
    }

    proptest! {
        #[test]
        fn it_is_what_a_byte_after_the_other_says_and_no_decision_is_taken_back(
            bytes in nearly_a_request(),
        ) {
            let whole = parse_request(&bytes);
            prop_assert_eq!(whole, by_bytes(&bytes));
            prop_assert_eq!(matches!(whole, Complete(_)), is_request(&bytes));
            for cut in 0..bytes.len() {
                match parse_request(&bytes[..cut]) {
                    Incomplete => {}
                    Never => prop_assert_eq!(whole, Never),
                    Complete(_) => prop_assert!(matches!(whole, Complete(_))),
                }
            }
        }

        #[test]
        fn incomplete_means_that_a_request_can_still_follow(bytes in nearly_a_request()) {
            if parse_request(&bytes) == Incomplete {
                let can_follow = (0..=HEAD.len()).any(|from| {
                    [&HEAD[from..], b""].iter().any(|head| {
                        [&b"/>"[..], b">"].iter().any(|tail| {
                            matches!(
                            parse_request(&[&bytes[..], head, tail].concat()),
                            Complete(_)
                        )
                        })
                    })
                });
                // The last byte of the limit may be a blank or the slash: then nothing fits any more.
                prop_assert!(can_follow || bytes.len() + TAIL.len() > MAX_REQUEST_BYTES);
            }
        }
    }
}
