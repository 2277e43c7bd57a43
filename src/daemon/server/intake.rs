//! Collects the bytes of a client until they are a request or cannot become one. Pure: the caller
//! reads the socket.

use super::request::{MAX_REQUEST_BYTES, Matcher, Progress, REQUEST};

/// The bytes that may still come after a complete request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnreadInput {
    /// All that Flash Player ever sends has been read.
    None,
    /// There may be unread bytes, or bytes under way: they would turn a close into a reset.
    Possible,
}

/// The bytes of a client so far.
#[derive(Default)]
pub(super) struct Intake {
    matcher: Matcher,
    received: Vec<u8>,
    /// They are exactly what Flash Player sends.
    exact: bool,
}

impl Intake {
    /// How many more bytes are worth reading.
    pub(super) fn room(&self) -> usize {
        MAX_REQUEST_BYTES.saturating_sub(self.received.len())
    }

    /// Takes the next bytes; what is over [`Intake::room`] is not looked at.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Progress {
        let piece = &bytes[..bytes.len().min(self.room())];
        let progress = self.matcher.feed(piece);
        if self.received.is_empty() && bytes == REQUEST {
            // The usual case: the bytes are needed no more, and are not kept.
            self.exact = true;
        } else {
            self.received.extend_from_slice(piece);
            self.exact = piece.len() == bytes.len() && self.received == REQUEST;
        }
        progress
    }

    /// The received bytes that are no request, as far as they were checked.
    pub(super) fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    /// The bytes that may still come after a complete request.
    pub(super) fn unread(&self) -> UnreadInput {
        if self.exact {
            UnreadInput::None
        } else {
            UnreadInput::Possible
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pieces: &[&[u8]]) -> (Progress, UnreadInput) {
        let mut intake = Intake::default();
        let mut progress = Progress::Incomplete;
        for piece in pieces {
            progress = intake.feed(piece);
        }
        (progress, intake.unread())
    }

    #[test]
    fn nothing_follows_exactly_the_players_bytes_however_they_were_cut() {
        let whole = (Progress::Complete, UnreadInput::None);
        assert_eq!(after(&[REQUEST]), whole);
        assert_eq!(after(&[&REQUEST[..5], &REQUEST[5..]]), whole);
    }

    #[test]
    fn something_may_follow_anything_else() {
        let unsure = (Progress::Complete, UnreadInput::Possible);
        assert_eq!(after(&[b"<policy-file-request/>"]), unsure);
        assert_eq!(after(&[b"<policy-file-request/>\n"]), unsure);
        assert_eq!(after(&[&[REQUEST, b"x"].concat()]), unsure);
        assert_eq!(after(&[&[REQUEST, &[b'x'; 500]].concat()]), unsure);
    }

    #[test]
    fn no_more_is_kept_than_is_looked_at() {
        let mut intake = Intake::default();
        assert_eq!(intake.feed(&[b' '; 900]), Progress::Never);
        assert_eq!(intake.room(), 0);
        assert_eq!(intake.take_received().len(), MAX_REQUEST_BYTES);
    }
}
