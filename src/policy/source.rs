//! The text of a policy file: positions in it, and how to show it safely.
//!
//! A policy may come from a stranger's server and hold terminal escapes, so
//! nothing of it goes into a message except through [`printable`] or
//! [`quote`]. This module never interprets the text.

use std::ops::Range;

/// The longest piece of input that a message quotes, in characters.
const MAX_QUOTED: usize = 60;

/// Names longer than this are no typing error of a known one; the bound
/// keeps the comparison cheap.
const MAX_COMPARED: usize = 64;

/// The text of a policy file, with the places where its lines begin.
#[derive(Debug, Clone)]
pub(super) struct Source {
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

impl Source {
    pub fn new(text: String) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(line_ends.map(|(at, _)| at + 1))
            .collect();
        Source { text, line_starts }
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

/// Whether a character can be shown as it is, without moving the cursor,
/// hiding, or turning the direction of the text.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// The text with every character that is not printable escaped.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_debug());
        }
    }
    shown
}

/// A piece of input for a message: in backquotes, printable, and cut short.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("`{}...`", printable(text.get(..end).unwrap_or_default())),
        None => format!("`{}`", printable(text)),
    }
}

/// The known name that was probably meant, if one is near enough.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > MAX_COMPARED {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let distances = known.iter().map(|k| (strsim::osa_distance(&name, k), *k));
    let (distance, best) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= best.len()).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_count_lines_and_characters_from_one() {
        let source = Source::new("ab\r\n\u{e4}bc\nd".into());
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
        let source = Source::new("<a\n b\n c>".into());
        let mark = source.mark(1..8);
        assert_eq!((mark.line, mark.column, mark.width), (1, 2, 1));
    }

    #[test]
    fn an_empty_text_has_one_line() {
        let source = Source::new(String::new());
        assert_eq!(source.mark(source.last_char()).line, 1);
        assert_eq!(source.mark(0..0).column, 1);
    }

    #[test]
    fn terminal_escapes_and_direction_changes_are_shown_not_obeyed() {
        assert_eq!(printable("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert_eq!(printable("\u{9b}\u{202e}\u{7f}"), "\\u{9b}\\u{202e}\\u{7f}");
        assert_eq!(printable(r#"it's "\ok""#), r#"it's "\ok""#);
        assert_eq!(printable("m\u{fc}nchen"), "m\u{fc}nchen");
    }

    #[test]
    fn long_input_is_cut_in_messages() {
        assert_eq!(quote(&"x".repeat(61)), format!("`{}...`", "x".repeat(60)));
        assert_eq!(quote(&"x".repeat(60)), format!("`{}`", "x".repeat(60)));
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["allow-access-from", "site-control"];
        assert_eq!(
            nearest("allow-acces-from", &known),
            Some("allow-access-from")
        );
        assert_eq!(nearest("Site-Control", &known), Some("site-control"));
        assert_eq!(nearest("script", &known), None);
        assert_eq!(nearest(&"a".repeat(10_000), &known), None);
    }
}
