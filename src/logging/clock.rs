//! The time at the beginning of each line: RFC 3339, UTC, microseconds. The part down to the second
//! is formatted once a second, since there can be thousands of lines in it. It writes nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use time::UtcDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// All but the fraction of the second.
const SECOND: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].");

/// Writes the time, and remembers the last second's text.
#[derive(Default)]
pub(super) struct Clock {
    second: Option<u64>,
    text: String,
}

impl Clock {
    /// Appends the time of now and a blank.
    pub(super) fn begin_line(&mut self, line: &mut Vec<u8>) {
        // A clock before 1970 is a host without one: its lines say 1970.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        self.append(now.as_secs(), now.subsec_micros(), line);
    }

    fn append(&mut self, second: u64, micros: u32, line: &mut Vec<u8>) {
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = text(second);
        }
        line.extend_from_slice(self.text.as_bytes());
        let mut digits = *b"000000Z ";
        let mut left = micros;
        for digit in digits[..6].iter_mut().rev() {
            *digit += (left % 10) as u8;
            left /= 10;
        }
        line.extend_from_slice(&digits);
    }
}

fn text(second: u64) -> String {
    i64::try_from(second)
        .ok()
        .and_then(|second| UtcDateTime::from_unix_timestamp(second).ok())
        .and_then(|time| time.format(SECOND).ok())
        // Past the year 9999.
        .unwrap_or_else(|| format!("{second}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_utc_with_microseconds() {
        let mut clock = Clock::default();
        let mut line = Vec::new();
        for (second, micros) in [
            (1_795_361_852, 704_542),
            (1_795_361_852, 7),
            (1_795_361_853, 0),
            (0, 999_999),
        ] {
            clock.append(second, micros, &mut line);
        }
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "2026-11-22T15:37:32.704542Z 2026-11-22T15:37:32.000007Z \
             2026-11-22T15:37:33.000000Z 1970-01-01T00:00:00.999999Z "
        );
    }
}
