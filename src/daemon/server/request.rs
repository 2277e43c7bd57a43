//! The request matcher: is this a policy request, can it still become one, or never?
//! Pure: it reads no socket and keeps no bytes.

/// The beginning of every request; blanks and `/>` follow.
const HEAD: &[u8] = b"<policy-file-request";
const TAIL: &[u8] = b"/>";

/// A client's request as Flash Player sends it: 23 bytes, the last one a NUL.
/// Source: rule book section 1.1 (DG).
pub const REQUEST: &[u8] = b"<policy-file-request/>\0";

/// At most this many bytes of a client are looked at.
pub const MAX_REQUEST_BYTES: usize = 128;

/// The state after the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// They may still become a request.
    Incomplete,
    /// They are a request, complete with the `/>`. A NUL, a line end or anything else may follow;
    /// the answer does not wait for it, since some clients never send the NUL.
    Complete,
    /// Whatever follows, they cannot become a request.
    Never,
}

/// Recognises a request in pieces of any size, each byte looked at once.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    seen: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Inside `HEAD`: as much of it has matched as bytes were seen.
    #[default]
    Head,
    /// After `HEAD`: blanks, or the `/`.
    Blanks,
    /// After the `/`: the `>`.
    Tail,
    Complete,
    Never,
}

impl Matcher {
    /// Looks at the next bytes of the client.
    pub fn feed(&mut self, bytes: &[u8]) -> Progress {
        for &byte in bytes {
            if matches!(self.stage, Stage::Complete | Stage::Never) {
                break;
            }
            self.stage = self.step(byte);
            self.seen += 1;
            if self.seen == MAX_REQUEST_BYTES && self.stage != Stage::Complete {
                self.stage = Stage::Never;
            }
        }
        match self.stage {
            Stage::Complete => Progress::Complete,
            Stage::Never => Progress::Never,
            Stage::Head | Stage::Blanks | Stage::Tail => Progress::Incomplete,
        }
    }

    fn step(&self, byte: u8) -> Stage {
        match self.stage {
            Stage::Head if HEAD.get(self.seen) != Some(&byte) => Stage::Never,
            Stage::Head if self.seen + 1 == HEAD.len() => Stage::Blanks,
            Stage::Head => Stage::Head,
            Stage::Blanks if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') => Stage::Blanks,
            Stage::Blanks if byte == TAIL[0] => Stage::Tail,
            Stage::Tail if byte == TAIL[1] => Stage::Complete,
            Stage::Blanks | Stage::Tail | Stage::Never => Stage::Never,
            Stage::Complete => Stage::Complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> Progress {
        Matcher::default().feed(bytes)
    }

    #[test]
    fn the_players_request_is_complete_with_and_without_its_nul() {
        assert_eq!(whole(REQUEST), Progress::Complete);
        assert_eq!(whole(b"<policy-file-request/>"), Progress::Complete);
    }

    #[test]
    fn blanks_are_allowed_before_the_slash_only() {
        assert_eq!(whole(b"<policy-file-request \t\r\n/>"), Progress::Complete);
        assert_eq!(whole(b" <policy-file-request/>"), Progress::Never);
        assert_eq!(whole(b"<policy-file-request/ >"), Progress::Never);
        assert_eq!(whole(b"<policy -file-request/>"), Progress::Never);
    }

    #[test]
    fn a_wrong_byte_is_final_at_once() {
        for bytes in [&b"G"[..], b"\0", b"\x16\x03\x01", b"<policy-file-requesT"] {
            assert_eq!(whole(bytes), Progress::Never, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn blanks_do_not_go_on_for_ever() {
        let mut long = HEAD.to_vec();
        long.resize(MAX_REQUEST_BYTES - 1, b' ');
        assert_eq!(whole(&long), Progress::Incomplete);
        long.push(b' ');
        assert_eq!(whole(&long), Progress::Never);
        long.extend(TAIL);
        assert_eq!(whole(&long), Progress::Never);
    }

    #[test]
    fn the_last_byte_that_is_looked_at_may_complete_the_request() {
        let mut bytes = HEAD.to_vec();
        bytes.resize(MAX_REQUEST_BYTES - TAIL.len(), b' ');
        bytes.extend(TAIL);
        assert_eq!(bytes.len(), MAX_REQUEST_BYTES);
        assert_eq!(whole(&bytes), Progress::Complete);
    }

    /// A second definition of a request, for comparison.
    fn is_request(bytes: &[u8]) -> bool {
        let looked_at = &bytes[..bytes.len().min(MAX_REQUEST_BYTES)];
        let Some(rest) = looked_at.strip_prefix(HEAD) else {
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

    proptest! {
        #[test]
        fn the_answer_does_not_depend_on_how_the_bytes_are_cut(
            bytes in nearly_a_request(),
            cuts in proptest::collection::vec(1usize..50, 0..40),
        ) {
            let mut matcher = Matcher::default();
            let mut progress = matcher.feed(&[]);
            let mut rest = &bytes[..];
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                progress = matcher.feed(piece);
                rest = after;
            }
            if !rest.is_empty() {
                progress = matcher.feed(rest);
            }
            prop_assert_eq!(progress, whole(&bytes));
            prop_assert_eq!(progress == Progress::Complete, is_request(&bytes));
        }

        #[test]
        fn incomplete_means_that_a_request_can_still_follow(bytes in nearly_a_request()) {
            if whole(&bytes) == Progress::Incomplete {
                let can_follow = (0..=HEAD.len()).any(|from| {
                    [&HEAD[from..], b""].iter().any(|head| {
                        [&b"/>"[..], b">"].iter().any(|tail| {
                            whole(&[&bytes[..], head, tail].concat()) == Progress::Complete
                        })
                    })
                });
                // The last byte of the limit may be a blank or the slash: then nothing fits any more.
                prop_assert!(can_follow || bytes.len() + TAIL.len() > MAX_REQUEST_BYTES);
            }
        }
    }
}
