//! Positions in the text of a policy file. It never interprets the text.

use std::ops::Range;

use crate::diagnostic::Place;
use crate::text::printable;

/// The places where the lines of a text begin.
pub(super) fn line_starts(text: &str) -> Vec<usize> {
    let ends = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).collect()
}

/// Where a range of bytes stands in the text of the file with this name; one that runs over several
/// lines is cut at the end of its first.
pub(super) fn place(name: &str, text: &str, line_starts: &[usize], range: &Range<usize>) -> Place {
    let number = line_starts.partition_point(|start| *start <= range.start);
    let start = line_starts.get(number.saturating_sub(1)).copied();
    let start = start.unwrap_or(0);
    let line = text.get(start..).and_then(|rest| rest.split('\n').next());
    let line = line.unwrap_or_default();
    let line = line.strip_suffix('\r').unwrap_or(line);
    let inside = |at: usize| at.saturating_sub(start).min(line.len());
    let (from, to) = (inside(range.start), inside(range.end));
    let chars = |range| line.get(range).map_or(0, |part: &str| part.chars().count());
    Place {
        name: printable(name),
        line: Some(number),
        column: Some(1 + chars(0..from)),
        width: chars(from..to).max(1),
        text: line.into(),
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
        let place = place("p", text, &line_starts(text), &range);
        let (line, column) = (place.line.unwrap(), place.column.unwrap());
        (line, column, place.width, place.text)
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
