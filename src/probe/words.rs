//! Small words for the story: times, counts, lists. It knows nothing of probes.

use std::time::Duration;

/// The longest line of the story, in characters: a stranger's policy can hold 64 KiB in one grant.
const LONGEST: usize = 400;

/// A time as people read it: `0.4 ms`, `3.0 s`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.9995 {
        format!("{:.1} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// A count and its noun: `1 byte`, `2 bytes`.
pub fn count(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// `1`, `1 and 2`, `1, 2 and 3`.
pub fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => items.concat(),
    }
}

/// The beginning of a line that a stranger's policy has made too long.
pub fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        for (micros, told) in [
            (400, "0.4 ms"),
            (12_340, "12.3 ms"),
            (999_499, "999.5 ms"),
            (999_600, "1.0 s"),
            (3_040_000, "3.0 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), told);
        }
    }

    #[test]
    fn lists_and_counts_read_like_english() {
        assert_eq!(list(&[1]), "1");
        assert_eq!(list(&[1, 2]), "1 and 2");
        assert_eq!(list(&[1, 2, 3]), "1, 2 and 3");
        assert_eq!(
            (count(1, "byte"), count(2, "byte")),
            ("1 byte".into(), "2 bytes".into())
        );
        assert_eq!(clip(&"x".repeat(401)).len(), 403);
    }
}
