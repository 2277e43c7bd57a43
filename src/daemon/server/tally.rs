//! Counts events by source, in bounded memory, and names the sources with the most events. It logs
//! nothing.

use std::collections::HashMap;
use std::fmt;

use super::source::Source;

/// Sources that are counted one by one.
const MOST_COUNTED: usize = 256;

/// Sources that a sentence names.
const NAMED: usize = 3;

/// The events of a period.
#[derive(Debug, Default)]
pub struct Tally {
    total: u64,
    by_source: HashMap<Source, u64>,
}

impl Tally {
    /// Counts one event. Where too many sources are counted, each of them loses one event, and
    /// those without any are forgotten: a source with a large share always stays
    /// (the algorithm of Misra and Gries).
    pub fn add(&mut self, source: Source) {
        self.total += 1;
        if let Some(count) = self.by_source.get_mut(&source) {
            *count += 1;
        } else if self.by_source.len() < MOST_COUNTED {
            self.by_source.insert(source, 1);
        } else {
            self.by_source.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// How many events there were.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// The sources with the most events, the worst first, and how many each had.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A count may be too small by this; a source that is not counted has no more.
        let error = self.total / (MOST_COUNTED as u64 + 1);
        let mut worst: Vec<_> = self.by_source.iter().collect();
        worst.retain(|&(_, count)| *count > error);
        if worst.is_empty() {
            return write!(f, "more than {MOST_COUNTED} sources, and none stands out");
        }
        worst.sort_by_key(|&(source, count)| (std::cmp::Reverse(count), source));
        for (index, (source, count)) in worst.into_iter().take(NAMED).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{source} ({count})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        Source::V4(number.into())
    }

    #[test]
    fn the_worst_sources_are_named_worst_first() {
        let mut tally = Tally::default();
        for (number, count) in [(1, 3), (2, 9), (3, 1), (4, 5)] {
            (0..count).for_each(|_| tally.add(source(number)));
        }
        assert_eq!(tally.to_string(), "0.0.0.2 (9), 0.0.0.4 (5), 0.0.0.1 (3)");
        assert_eq!(tally.total(), 18);
    }

    #[test]
    fn a_source_with_a_large_share_is_named_however_many_others_there_are() {
        let mut tally = Tally::default();
        for number in 0..20_000 {
            tally.add(source(number));
            if number % 10 == 0 {
                tally.add(source(1 << 31));
            }
        }
        assert!(tally.by_source.len() <= MOST_COUNTED);
        assert!(tally.to_string().starts_with("128.0.0.0 ("), "{tally}");
    }

    #[test]
    fn where_no_source_has_a_large_share_the_sentence_says_so() {
        let mut tally = Tally::default();
        (0..257).for_each(|number| tally.add(source(number)));
        assert_eq!(tally.total(), 257);
        assert!(tally.to_string().contains("none stands out"), "{tally}");
    }
}
