//! Positions in the text of a policy file. It never interprets the text.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::Place;
use crate::text::printable;

/// The lines of a file, for the places in it. Places on the same line share its text.
pub(super) struct Lines<'a> {
    name: Arc<str>,
    text: &'a str,
    starts: Vec<usize>,
    /// The line that the last place was on.
    last: (usize, Arc<str>),
}

impl<'a> Lines<'a> {
    pub(super) fn new(name: &str, text: &'a str) -> Lines<'a> {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines {
            name: printable(name).into(),
            text,
            starts: std::iter::once(0).chain(ends).collect(),
            last: (0, "".into()),
        }
    }

    /// Where a range of bytes stands; one that runs over several lines is cut at the end of its
    /// first.
    pub(super) fn place(&mut self, range: &Range<usize>) -> Place {
        let number = self.starts.partition_point(|start| *start <= range.start);
        let start = self.starts.get(number.saturating_sub(1)).copied();
        let start = start.unwrap_or(0);
        if self.last.0 != number {
            let rest = self.text.get(start..).unwrap_or_default();
            let line = rest.split('\n').next().unwrap_or_default();
            self.last = (number, line.strip_suffix('\r').unwrap_or(line).into());
        }
        let line = Arc::clone(&self.last.1);
        let inside = |at: usize| at.saturating_sub(start).min(line.len());
        let (from, to) = (inside(range.start), inside(range.end));
        let chars = |range| line.get(range).map_or(0, |part: &str| part.chars().count());
        Place {
            name: Arc::clone(&self.name),
            line: Some(number),
            column: Some(1 + chars(0..from)),
            width: chars(from..to).max(1),
            text: line,
        }
    }
}

/// The byte at a line and column, both from 1; the end of the text where there is no such place.
pub(super) fn offset(text: &str, line: usize, column: usize) -> usize {
    let lines_before = text.split_inclusive('\n').take(line.saturating_sub(1));
    let start = lines_before.map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    let found = rest.char_indices().nth(column.saturating_sub(1));
    found.map_or(text.len(), |(at, _)| start + at)
}

/// The place of the last character that is not blank: where something is missing when the text ends
/// too early.
pub(super) fn last_char(text: &str) -> usize {
    let last = text.trim_end().char_indices().next_back();
    last.map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(text: &str, range: Range<usize>) -> (usize, usize, usize, String) {
        let place = Lines::new("p", text).place(&range);
        let (line, column) = (place.line.unwrap(), place.column.unwrap());
        (line, column, place.width, place.text.to_string())
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "ab\r\n\u{e4}bc\nd";
        let at = text.find("bc").unwrap();
        assert_eq!(mark(text, at..at + 2), (2, 2, 2, "\u{e4}bc".into()));
        assert_eq!(mark(text, 1..2), (1, 2, 1, "ab".into()));
        assert_eq!(mark(text, text.len()..text.len()), (3, 2, 1, "d".into()));
        assert_eq!(offset(text, 2, 2), at);
        assert_eq!(offset(text, 9, 9), text.len());
    }

    #[test]
    fn a_place_over_several_lines_ends_with_its_first() {
        assert_eq!(mark("<a\n b\n c>", 1..8), (1, 2, 1, "<a".into()));
    }

    #[test]
    fn an_empty_text_has_one_line() {
        assert_eq!(mark("", last_char("")..0), (1, 1, 1, String::new()));
    }
}
