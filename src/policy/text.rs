//! Helpers for the text of messages: foreign text made printable, quoted and cut; counts, times,
//! and lists, also without repetitions; the nearest known name; line breaks. It knows nothing of
//! policies and prints nothing.

use std::io;
use std::time::Duration;

/// The width of a line where there is no terminal that has one, in columns.
pub const DEFAULT_WIDTH: usize = 80;

/// The longest piece of foreign text that a message quotes, in characters.
const MAX_QUOTED: usize = 60;

/// The longest line that is made of foreign text, in characters: a policy can hold 64 KiB in one
/// grant.
const MAX_LINE: usize = 400;

/// A longer name is no typing error of a known one; the bound keeps the comparison cheap.
const MAX_COMPARED: usize = 64;

/// How text is to be shown to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are understood and wanted.
    pub colour: bool,
    /// The columns that an excerpt may take, from 1.
    pub width: usize,
    /// Whether sentences are broken at that width. Only a terminal wants it: a program that reads
    /// the text gets each sentence on one line.
    pub wraps: bool,
}

/// The meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Errors and denials: red.
    Bad,
    /// Warnings: yellow.
    Doubtful,
    /// Connections that are allowed: green.
    Good,
}

impl Style {
    /// No colour, no wrapping, and excerpts of 80 columns.
    pub const PLAIN: Style = Style {
        colour: false,
        width: DEFAULT_WIDTH,
        wraps: false,
    };

    /// The text in bold colour, or as it is.
    pub fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.colour {
            return text.into();
        }
        let code = match colour {
            Colour::Bad => 31,
            Colour::Doubtful => 33,
            Colour::Good => 32,
        };
        format!("\u{1b}[1;{code}m{text}\u{1b}[0m")
    }

    /// The line broken between words; what follows the first line is indented by `indent` columns.
    /// A piece in backquotes is one word, as long as it fits into a line.
    pub fn wrap(&self, line: &str, indent: usize) -> String {
        if !self.wraps || visible(line) <= self.width {
            return line.into();
        }
        let room = self.width.saturating_sub(indent).max(1);
        let mut text = String::with_capacity(line.len() + 16);
        let mut column = 0;
        for word in words(line, room) {
            if column > indent && column + visible(word.trim_end()) > self.width {
                text.truncate(text.trim_end_matches(' ').len());
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            }
            text.push_str(word);
            column += visible(word);
        }
        text
    }
}

/// How many columns a text takes, ANSI colours not counted. Every character counts as one.
fn visible(text: &str) -> usize {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or_default();
    let behind_escapes = pieces.filter_map(|piece| Some(piece.split_once('m')?.1));
    let shown = std::iter::once(first).chain(behind_escapes);
    shown.map(|piece| piece.chars().count()).sum()
}

/// The words of a line, each with the blanks behind it.
fn words(line: &str, room: usize) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let start = rest.len() - rest.trim_start_matches(' ').len();
        let end = word_end(rest, start, room);
        let (word, after) = rest.split_at(end);
        let blanks = after.len() - after.trim_start_matches(' ').len();
        let (word, after) = rest.split_at(word.len() + blanks);
        rest = after;
        Some(word)
    })
}

fn word_end(text: &str, start: usize, room: usize) -> usize {
    let tail = text.get(start..).unwrap_or_default();
    let blank = |text: &str| text.find(' ').unwrap_or(text.len());
    let plain = start + blank(tail);
    let Some(opens) = tail.get(..blank(tail)).and_then(|word| word.find('`')) else {
        return plain;
    };
    let quoted = tail.get(opens + 1..).unwrap_or_default();
    match quoted.find('`') {
        Some(length) if quoted.chars().take(length).count() + 2 <= room => {
            let closes = start + opens + 1 + length + 1;
            closes + blank(text.get(closes..).unwrap_or_default())
        }
        _ => plain,
    }
}

/// Whether a character can be shown as it is: it does not move the cursor, hide, or turn the
/// direction of the text.
pub fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// The text with every character escaped that is not printable.
pub fn printable(text: &str) -> String {
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

/// Foreign bytes as printable ASCII, as they stand between double quotes.
pub fn escaped(bytes: &[u8]) -> String {
    // Each single quote has a backslash of its own before it, which nothing needs.
    bytes.escape_ascii().to_string().replace("\\'", "'")
}

/// Foreign text for a message: printable, and not longer than 60 characters.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}...", printable(text.get(..end).unwrap_or_default())),
        None => printable(text),
    }
}

/// [`shown`] in backquotes.
pub fn quote(text: &str) -> String {
    format!("`{}`", shown(text))
}

/// The first 400 characters of a line.
pub fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into(),
    }
}

/// A count and its noun: `1 error`, `2 addresses`, `3 policies`.
pub fn count(count: usize, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) if noun.ends_with('s') => format!("{count} {noun}es"),
        (_, None) => format!("{count} {noun}s"),
    }
}

/// The items in their order, each once.
pub fn each_once<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for item in items {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}

/// `1`, `1 and 2`, `1, 2 and 3`.
pub fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => items.concat(),
    }
}

/// A time as people read it: `0.4 ms`, `3.0 s`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.9995 {
        format!("{:.1} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// The known name that was probably meant, if one is near enough: a third of its letters may be
/// wrong, or it is the only one that begins or ends with what was written.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.is_empty() || name.len() > MAX_COMPARED {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let distances = known.iter().map(|k| (strsim::osa_distance(&name, k), *k));
    let (distance, best) = distances.min_by_key(|(distance, _)| *distance)?;
    if distance * 3 <= best.len() {
        return Some(best);
    }
    let mut parts = known
        .iter()
        .filter(|k| name.len() > 2 && (k.starts_with(&name) || k.ends_with(&name)));
    match (parts.next(), parts.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// `did you mean NAME?` with the [`nearest`] name in these quotes; none: no name is near enough.
pub fn did_you_mean(name: &str, known: &[&str], quotes: &str) -> Option<String> {
    let meant = nearest(name, known)?;
    Some(format!("did you mean {quotes}{meant}{quotes}?"))
}

/// The system's reason without the number that only developers read. Windows ends it like a
/// sentence, and some have two.
pub fn reason(error: &io::Error) -> String {
    let text = match error.to_string() {
        // Windows has no words for its number.
        number if number.starts_with("OS Error ") => error.kind().to_string(),
        text => text,
    };
    let reason = text.split(" (os error ").next().unwrap_or_default();
    let words: Vec<_> = reason.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_and_direction_changes_are_shown_not_obeyed() {
        assert_eq!(printable("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert_eq!(printable("\u{9b}\u{202e}\u{7f}"), "\\u{9b}\\u{202e}\\u{7f}");
        assert_eq!(printable(r#"it's "\ok""#), r#"it's "\ok""#);
        assert_eq!(printable("m\u{fc}nchen"), "m\u{fc}nchen");
    }

    #[test]
    fn bytes_are_shown_with_no_more_backslashes_than_they_need() {
        assert_eq!(escaped(b"it's\n\0\x1b"), "it's\\n\\x00\\x1b");
        assert_eq!(escaped(br#"a\'b"c\"#), r#"a\\'b\"c\\"#);
    }

    #[test]
    fn a_systems_reason_is_a_part_of_a_sentence() {
        for (said, told) in [
            ("Connection refused (os error 111)", "Connection refused"),
            (
                "No such host is known. (os error 11001)",
                "No such host is known",
            ),
            (
                "Not there.\r\nTry again.\r\n (os error 9)",
                "Not there. Try again",
            ),
            ("it is a folder", "it is a folder"),
        ] {
            assert_eq!(reason(&io::Error::other(said)), told);
        }
    }

    #[test]
    fn long_input_is_cut_in_messages() {
        assert_eq!(quote(&"x".repeat(61)), format!("`{}...`", "x".repeat(60)));
        assert_eq!(quote(&"x".repeat(60)), format!("`{}`", "x".repeat(60)));
        assert_eq!(clip(&"x".repeat(401)).len(), 403);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["allow-access-from", "site-control", "master-only"];
        for (name, meant) in [
            ("allow-acces-from", Some("allow-access-from")),
            ("Site-Control", Some("site-control")),
            ("master", Some("master-only")),
            ("control", Some("site-control")),
            ("script", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
        assert_eq!(nearest(&"a".repeat(10_000), &known), None);
    }

    #[test]
    fn times_lists_and_counts_read_like_english() {
        for (micros, told) in [
            (400, "0.4 ms"),
            (12_340, "12.3 ms"),
            (999_499, "999.5 ms"),
            (999_600, "1.0 s"),
            (3_040_000, "3.0 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), told);
        }
        let lists = [list(&[1]), list(&[1, 2]), list(&[1, 2, 3])];
        assert_eq!(lists, ["1", "1 and 2", "1, 2 and 3"]);
        let counts = [(1, "byte"), (0, "byte"), (3, "policy"), (2, "address")];
        assert_eq!(
            counts.map(|(number, noun)| count(number, noun)),
            ["1 byte", "0 bytes", "3 policies", "2 addresses"]
        );
    }

    const NARROW: Style = Style {
        colour: false,
        width: 20,
        wraps: true,
    };

    #[test]
    fn sentences_break_between_words_and_code_stays_whole() {
        assert_eq!(
            NARROW.wrap("- one two three four five six", 2),
            "- one two three four\n  five six"
        );
        assert_eq!(
            NARROW.wrap("write the line `allow = a 1` there", 0),
            "write the line\n`allow = a 1` there"
        );
        assert_eq!(NARROW.wrap("short", 2), "short");
        let long = "x".repeat(50);
        assert_eq!(
            NARROW.wrap(&format!("a {long} b"), 1),
            format!("a\n {long}\n b")
        );
        let plain = Style::PLAIN.wrap(&"word ".repeat(99), 0);
        assert!(!plain.contains('\n'));
    }

    #[test]
    fn colours_take_no_room() {
        let style = Style {
            colour: true,
            ..NARROW
        };
        let label = style.paint(Colour::Bad, "DENIED");
        assert_eq!(label, "\u{1b}[1;31mDENIED\u{1b}[0m");
        let line = format!("{label}: one two three");
        assert_eq!(style.wrap(&line, 0), format!("{label}: one two\nthree"));
        assert_eq!(NARROW.paint(Colour::Good, "x"), "x");
    }

    proptest::proptest! {
        #[test]
        fn wrapping_loses_no_word(text in "[a-z` ]{0,80}", width in 1usize..30, indent in 0usize..5) {
            let style = Style { width, ..NARROW };
            let wrapped = style.wrap(&text, indent);
            let both = [&text, &wrapped].map(|t| t.split_whitespace().collect::<Vec<_>>().join(" "));
            proptest::prop_assert_eq!(&both[0], &both[1]);
        }
    }
}
