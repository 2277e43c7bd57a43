//! The text of a policy file, and positions in it. It never interprets the
//! text.

use std::ops::Range;

/// The text of a policy file, with the places where its lines begin.
#[derive(Debug, Clone)]
pub(super) struct SourceText {
    text: String,
    line_starts: Vec<usize>,
}

/// Where a piece of text stands: all numbers in characters, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

impl SourceText {
    pub fn new(text: String) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(line_ends.map(|(at, _)| at + 1))
            .collect();
        SourceText { text, line_starts }
    }

    /// A line by its number from 1, without its end of line.
    pub fn line(&self, number: usize) -> &str {
        let from = number.checked_sub(1).and_then(|n| self.line_starts.get(n));
        let to = self.line_starts.get(number).copied();
        from.and_then(|from| self.text.get(*from..to.unwrap_or(self.text.len())))
            .map_or("", |line| {
                let line = line.strip_suffix('\n').unwrap_or(line);
                line.strip_suffix('\r').unwrap_or(line)
            })
    }

    /// The mark for a range of bytes; one that runs over several lines is cut
    /// at the end of its first.
    pub fn mark(&self, range: Range<usize>) -> Mark {
        let line = self
            .line_starts
            .partition_point(|start| *start <= range.start);
        let start = line
            .checked_sub(1)
            .and_then(|n| self.line_starts.get(n))
            .copied()
            .unwrap_or(0);
        let shown = self.line(line);
        let inside = |at: usize| at.saturating_sub(start).min(shown.len());
        let (from, to) = (inside(range.start), inside(range.end));
        let chars = |range| {
            shown
                .get(range)
                .map_or(0, |part: &str| part.chars().count())
        };
        Mark {
            line,
            column: 1 + chars(0..from),
            width: chars(from..to).max(1),
        }
    }

    /// The byte at a line and column, both from 1; the end of the text where
    /// there is no such place.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let start = line.checked_sub(1).and_then(|n| self.line_starts.get(n));
        start
            .and_then(|start| {
                let rest = self.text.get(*start..)?;
                let (at, _) = rest.char_indices().nth(column.checked_sub(1)?)?;
                Some(start + at)
            })
            .unwrap_or(self.text.len())
    }

    /// The last character that is not blank: where something is missing when
    /// the text ends too early.
    pub fn last_char(&self) -> Range<usize> {
        let text = self.text.trim_end();
        let last = text.char_indices().next_back();
        last.map_or(0, |(at, _)| at)..text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_count_lines_and_characters_from_one() {
        let source = SourceText::new("ab\r\n\u{e4}bc\nd".into());
        let at = source.text.find("bc").unwrap_or_default();
        let mark = source.mark(at..at + 2);
        assert_eq!((mark.line, mark.column, mark.width), (2, 2, 2));
        assert_eq!(source.line(1), "ab");
        assert_eq!(source.line(2), "\u{e4}bc");
        assert_eq!(source.line(3), "d");
        assert_eq!(source.line(4), "");
        assert_eq!(source.offset(2, 2), at);
        assert_eq!(source.offset(9, 9), source.text.len());
    }

    #[test]
    fn a_mark_over_several_lines_ends_with_its_first() {
        let source = SourceText::new("<a\n b\n c>".into());
        let mark = source.mark(1..8);
        assert_eq!((mark.line, mark.column, mark.width), (1, 2, 1));
    }

    #[test]
    fn an_empty_text_has_one_line() {
        let source = SourceText::new(String::new());
        assert_eq!(source.mark(source.last_char()).line, 1);
        assert_eq!(source.mark(0..0).column, 1);
    }
}
