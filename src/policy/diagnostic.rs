//! One thing that was found wrong, in a policy or in the configuration: its place, cause and cure,
//! as text like a compiler's, as one line for the log, or as JSON.
//!
//! It judges nothing, and never lets a character through that a terminal would obey.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::text::{Colour, Style, is_printable, printable};

/// How much of a line is shown before the place in question, as a part of the width: two fifths.
const BEFORE: (usize, usize) = (2, 5);

/// The most findings of one kind about one file that are kept: a file of 64 KiB can hold 16,000. The
/// number of the others is kept.
pub const MOST_OF_A_KIND: usize = 100;

/// The narrowest excerpt, in columns.
const MIN_WINDOW: usize = 20;

/// How bad a finding is. Only what is known to break a client is an error
/// (rule book 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy is not served, or the server does not start.
    Error,
    /// It is served; it may not do what its author meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }

    /// The colour of its label.
    pub fn colour(self) -> Colour {
        match self {
            Severity::Error => Colour::Bad,
            Severity::Warning => Colour::Doubtful,
        }
    }
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// A file, a policy or an option, printable.
    pub name: Arc<str>,
    /// The line, from 1; none where it is about the whole.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// How many characters are concerned, at least 1.
    #[serde(skip)]
    pub width: usize,
    /// The text of the line, as it stands there. Places on one line share it: a line can have 64 KiB.
    #[serde(skip)]
    pub text: Arc<str>,
}

impl Place {
    /// A file or an option as a whole.
    pub fn whole(name: impl AsRef<str>) -> Place {
        Place {
            name: printable(name.as_ref()).into(),
            line: None,
            column: None,
            width: 1,
            text: "".into(),
        }
    }
}

impl fmt::Display for Place {
    /// `NAME`, or `NAME:LINE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

/// One thing found. All texts are printable on one line, whatever the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The stable name of what it is; none for a mistake in the configuration and for what cannot
    /// be read.
    pub code: Option<&'static str>,
    /// How bad it is.
    pub severity: Severity,
    /// The cause.
    pub cause: String,
    /// The cure; empty where the cause says it.
    pub cure: String,
    /// Where.
    pub place: Place,
    /// How many findings it stands for: 1, or those that are [left out](Diagnostic::left_out).
    #[serde(skip)]
    pub number: usize,
}

impl Diagnostic {
    /// An error without a code.
    pub fn error(place: Place, cause: impl Into<String>, cure: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code: None,
            severity: Severity::Error,
            cause: cause.into(),
            cure: cure.into(),
            place,
            number: 1,
        }
    }

    /// In place of the findings of one kind that are more than [`MOST_OF_A_KIND`]; `name` is the
    /// file's.
    pub fn left_out(
        code: Option<&'static str>,
        severity: Severity,
        number: usize,
        name: &str,
    ) -> Diagnostic {
        Diagnostic {
            code,
            severity,
            number,
            ..Diagnostic::error(
                Place::whole(name),
                format!("and {number} more like these"),
                "",
            )
        }
    }

    /// Whether it keeps a policy from being served, or the server from starting.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    fn position(&self) -> String {
        match (self.code, self.place.column) {
            (Some(_), Some(column)) => format!("{}:{column}", self.place),
            _ => self.place.to_string(),
        }
    }

    fn label(&self) -> String {
        match self.code {
            Some(code) => format!("{}[{code}]", self.severity.as_str()),
            None => self.severity.as_str().into(),
        }
    }

    /// Like a compiler's: the headline, the line that it is about with the place marked, and the
    /// cure; each line ends with a line end.
    pub fn report(&self, style: &Style) -> String {
        let colour = self.severity.colour();
        let label = style.paint(colour, &self.label());
        let headline = format!("{}: {label}: {}", self.position(), self.cause);
        let mut text = style.wrap(&headline, 2) + "\n";
        let number = self
            .place
            .line
            .map_or_else(String::new, |line| line.to_string());
        let gutter = " ".repeat(number.len());
        if let (false, Some(column)) = (self.place.text.is_empty(), self.place.column) {
            let window = style.width.saturating_sub(number.len() + 3).max(MIN_WINDOW);
            let (shown, indent, carets) =
                excerpt(&self.place.text, column, self.place.width, window);
            let (indent, carets) = (" ".repeat(indent), "^".repeat(carets));
            let carets = style.paint(colour, &carets);
            text.push_str(&format!("{gutter} |\n{number} | {shown}\n"));
            text.push_str(&format!("{gutter} | {indent}{carets}\n"));
        }
        if !self.cure.is_empty() {
            let line = format!("{gutter} = cure: {}", self.cure);
            text.push_str(&(style.wrap(&line, gutter.len() + 3) + "\n"));
        }
        text
    }
}

impl fmt::Display for Diagnostic {
    /// `NAME:LINE:COLUMN: SEVERITY[CODE]: CAUSE; CURE`, without a line end. A mistake of the
    /// configuration is shorter: `NAME:LINE: CAUSE; CURE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.position())?;
        if self.code.is_some() {
            write!(f, "{}: ", self.label())?;
        }
        f.write_str(&self.cause)?;
        if self.cure.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", self.cure)
    }
}

/// How many findings these stand for.
pub fn number<'a>(findings: impl IntoIterator<Item = &'a Diagnostic>) -> usize {
    findings.into_iter().map(|finding| finding.number).sum()
}

/// All of them, each with its excerpt, a blank line between two.
pub fn report<D: Borrow<Diagnostic>>(
    findings: impl IntoIterator<Item = D>,
    style: &Style,
) -> String {
    let shown = findings.into_iter().map(|f| f.borrow().report(style));
    let shown: Vec<_> = shown.collect();
    shown.join("\n")
}

/// The part of a line round a column that fits into `window` columns, how far its mark is
/// indented, and how wide the mark is, all as shown.
fn excerpt(line: &str, column: usize, width: usize, window: usize) -> (String, usize, usize) {
    const CUT: &str = "...";
    // No more of a long line is looked at than could be shown, and the character that is cut.
    let near = window + 1;
    let from = column.saturating_sub(1).saturating_sub(near);
    let pieces: Vec<String> = line.chars().skip(from).take(2 * near).map(show).collect();
    let columns = |pieces: &[String]| -> usize { pieces.iter().map(|p| p.chars().count()).sum() };
    let at = (column.saturating_sub(1) - from).min(pieces.len());
    let room = match columns(&pieces) {
        all if all <= window => all,
        _ => window.saturating_sub(2 * CUT.len()),
    };
    // The end of the line is no reason to leave columns empty.
    let behind = columns(pieces.get(at..).unwrap_or_default());
    let before = (room * BEFORE.0 / BEFORE.1).max(room.saturating_sub(behind));
    let (mut start, mut end) = (at, at);
    while start > 0 && columns(&pieces[start - 1..at]) <= before {
        start -= 1;
    }
    while end < pieces.len() && columns(&pieces[start..=end]) <= room {
        end += 1;
    }
    let mut shown = String::from(if start > 0 { CUT } else { "" });
    let indent = shown.len() + columns(pieces.get(start..at).unwrap_or_default());
    let marked = pieces.get(at..(at + width).min(end)).unwrap_or_default();
    let carets = columns(marked).max(1);
    shown.push_str(&pieces.get(start..end).unwrap_or_default().concat());
    if end < pieces.len() {
        shown.push_str(CUT);
    }
    (shown, indent, carets)
}

fn show(c: char) -> String {
    match c {
        '\t' => "    ".into(),
        c if is_printable(c) => c.into(),
        c => c.escape_debug().collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str, column: usize, width: usize) -> Diagnostic {
        Diagnostic {
            code: Some("ip-domain"),
            severity: Severity::Warning,
            cause: "the cause".into(),
            cure: "the cure".into(),
            place: Place {
                name: "p".into(),
                line: Some(12),
                column: Some(column),
                width,
                text: text.into(),
            },
            number: 1,
        }
    }

    #[test]
    fn a_report_shows_the_line_the_place_and_the_cure() {
        assert_eq!(
            at("\tallow = 10.0.0.1 80", 10, 8).report(&Style::PLAIN),
            "p:12:10: warning[ip-domain]: the cause\n   \
               |\n\
             12 |     allow = 10.0.0.1 80\n   \
               |             ^^^^^^^^\n   \
               = cure: the cure\n"
        );
        let mistake = Diagnostic::error(Place::whole("x\n.conf"), "no file", "");
        assert_eq!(mistake.report(&Style::PLAIN), "x\\n.conf: error: no file\n");
        assert_eq!(mistake.to_string(), "x\\n.conf: no file");
    }

    #[test]
    fn the_log_gets_one_line() {
        assert_eq!(
            at("", 3, 1).to_string(),
            "p:12:3: warning[ip-domain]: the cause; the cure"
        );
    }

    #[test]
    fn colours_are_used_only_when_wanted() {
        let coloured = Style {
            colour: true,
            ..Style::PLAIN
        };
        let report = at("abc", 2, 1).report(&coloured);
        assert!(report.contains("\u{1b}[1;33mwarning[ip-domain]\u{1b}[0m"));
        assert!(report.contains(" \u{1b}[1;33m^\u{1b}[0m\n"), "{report:?}");
        assert!(!at("abc", 2, 1).report(&Style::PLAIN).contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn the_excerpt_fits_and_marks_its_place(
            line in "[a-z\t\u{9b}]{0,300}",
            column in 1usize..300,
            width in 1usize..300,
            window in 40usize..200,
        ) {
            let length = line.chars().count();
            let column = column.min(length + 1);
            let (shown, indent, carets) = excerpt(&line, column, width, window);
            prop_assert!(shown.chars().count() <= window, "{shown}");
            // Past the end of a line the mark stands behind it.
            prop_assert!(indent + carets <= window + 1);
            if let Some(c) = line.chars().nth(column - 1) {
                let marked: String = shown.chars().skip(indent).collect();
                prop_assert!(marked.starts_with(&show(c)), "{shown} {indent} {c:?}");
            }
        }
    }
}
