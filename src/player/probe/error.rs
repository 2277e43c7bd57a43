//! What a SWF is told in the end, and when. Pure.
//!
//! SecurityError #2048 is the event of a timer, and no proof of a fault in a policy: it comes 20 s
//! after `connect()` for each connection that failed or does not stand then, whatever the cause was.
//! Source: rule book section 5 (kb405545, \[D\]).

use super::plan::SOCKET_TIMEOUT;
use crate::policy::SECURITY_ERROR;

/// The error of a connection that fails.
const IO_ERROR: &str = "IOError #2031";

/// How a connection ends for the SWF, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// No policy allows it.
    Denied,
    /// A policy allows it, and comes when the socket has given up.
    TooLate,
    /// The port refuses it.
    Refused,
    /// Nothing comes back from the port.
    Dropped,
    /// The system says that there is no way.
    Unreachable,
    /// The port has no TLS for a SecureSocket.
    NoTls,
    /// The connection stands, and the server ends it before anything is said.
    Ended,
    /// The connection stands, or was not tried.
    Stands,
}

impl Outcome {
    /// The first error of Flash Player; the application content of AIR gets no SecurityError.
    pub(super) fn error(self, is_air: bool) -> Option<&'static str> {
        match self {
            Outcome::Refused | Outcome::Unreachable => Some(IO_ERROR),
            // Which number it has is not known.
            Outcome::NoTls => Some("IOError"),
            Outcome::Dropped if is_air => Some(IO_ERROR),
            Outcome::Ended if is_air => None,
            Outcome::Denied | Outcome::TooLate | Outcome::Dropped | Outcome::Ended => {
                Some(SECURITY_ERROR)
            }
            Outcome::Stands => None,
        }
    }

    /// Seconds from `connect()` to that error, where they are known.
    pub(super) fn after(self, is_air: bool) -> Option<f64> {
        match self {
            Outcome::Refused => Some(0.0),
            _ if self.error(is_air) == Some(SECURITY_ERROR) => Some(SOCKET_TIMEOUT.as_secs_f64()),
            _ => None,
        }
    }

    /// What Flash Player reports, and when: behind "the player reports".
    pub(super) fn in_words(self, is_air: bool) -> String {
        let limit = SOCKET_TIMEOUT.as_secs();
        let late = format!("{SECURITY_ERROR} after {limit} s");
        let unless_closed = match is_air {
            true => String::new(),
            false => format!(" (and {late}, unless the SWF closes the socket)"),
        };
        match self {
            Outcome::Refused => format!("{IO_ERROR} at once{unless_closed}"),
            Outcome::Unreachable => {
                format!("{IO_ERROR} as soon as its system gives up{unless_closed}")
            }
            Outcome::NoTls => format!("an IOError{unless_closed}"),
            Outcome::Dropped if is_air => format!("{IO_ERROR} when its system gives up"),
            Outcome::Ended if is_air => "a close".into(),
            Outcome::Ended => format!("a close, and {late}"),
            _ => late,
        }
    }

    /// The first error and its time, in brackets behind [`Outcome::in_short`].
    pub(super) fn error_in_short(self, is_air: bool) -> String {
        let error = self.error(is_air).unwrap_or("a close");
        match self.after(is_air) {
            Some(after @ 1.0..) => format!("{error} after {after} s"),
            _ => error.into(),
        }
    }

    /// What a SWF has there, behind its origin, in the first line of a report.
    pub(super) fn in_short(self) -> Option<&'static str> {
        match self {
            Outcome::Denied => Some("may not connect to"),
            Outcome::TooLate => Some("waits too long for"),
            Outcome::Refused => Some("is refused by"),
            Outcome::Dropped | Outcome::Unreachable => Some("gets no answer from"),
            Outcome::NoTls => Some("finds no TLS at"),
            Outcome::Ended => Some("is turned away by"),
            Outcome::Stands => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flash_player_reports_and_when() {
        let late = "SecurityError #2048 after 20 s";
        let refused =
            format!("IOError #2031 at once (and {late}, unless the SWF closes the socket)");
        let closed = format!("a close, and {late}");
        for (outcome, words, error, after) in [
            (
                Outcome::Denied,
                late,
                Some("SecurityError #2048"),
                Some(20.0),
            ),
            (Outcome::Refused, &refused, Some("IOError #2031"), Some(0.0)),
            (
                Outcome::Dropped,
                late,
                Some("SecurityError #2048"),
                Some(20.0),
            ),
            (
                Outcome::Ended,
                &closed,
                Some("SecurityError #2048"),
                Some(20.0),
            ),
            (
                Outcome::TooLate,
                late,
                Some("SecurityError #2048"),
                Some(20.0),
            ),
            (Outcome::Stands, late, None, None),
        ] {
            assert_eq!((outcome.error(false), outcome.after(false)), (error, after));
            assert!(outcome == Outcome::Stands || outcome.in_words(false) == words);
            // The application content of AIR gets none of it.
            let air = [outcome.in_words(true), outcome.error_in_short(true)].concat();
            let asks = matches!(
                outcome,
                Outcome::Denied | Outcome::TooLate | Outcome::Stands
            );
            assert!(asks || !air.contains("2048"), "{air}");
        }
    }
}
