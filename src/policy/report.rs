//! Findings as text: like a compiler's, with the line in question, or on one
//! line for the log.
//!
//! Never lets a character of the policy through that a terminal would obey.

use super::{
    findings::{Finding, Severity},
    parse::Reading,
    source::{is_printable, printable},
};

/// How much of a line is shown, in characters.
const WINDOW: usize = 100;

/// How much of a longer line is shown before the place in question.
const BEFORE: usize = 40;

impl Finding {
    /// `FILE:LINE:COLUMN: SEVERITY[CODE]: CAUSE; CURE`, without a line end.
    pub fn one_line(&self, file: &str) -> String {
        format!("{}; {}", self.headline(file), self.cure)
    }

    fn headline(&self, file: &str) -> String {
        format!("{}{}: {}", self.place(file), self.label(), self.cause)
    }

    fn place(&self, file: &str) -> String {
        format!("{}:{}:{}: ", printable(file), self.line, self.column)
    }

    fn label(&self) -> String {
        format!("{}[{}]", self.code.severity().as_str(), self.code.as_str())
    }
}

impl Reading {
    /// All findings, each with the line that it is about and a cure, with
    /// ANSI colours if the reader's terminal shows them. Empty if there is
    /// nothing to say.
    pub fn report(&self, file: &str, colour: bool) -> String {
        let shown = self
            .findings
            .iter()
            .map(|f| self.report_one(f, file, colour));
        shown.collect::<Vec<_>>().join("\n")
    }

    fn report_one(&self, finding: &Finding, file: &str, colour: bool) -> String {
        let (on, off) = match (colour, finding.code.severity()) {
            (false, _) => ("", ""),
            (true, Severity::Error) => ("\u{1b}[1;31m", "\u{1b}[0m"),
            (true, Severity::Warning) => ("\u{1b}[1;33m", "\u{1b}[0m"),
        };
        let (place, label) = (finding.place(file), finding.label());
        let mut text = format!("{place}{on}{label}{off}: {}\n", finding.cause);
        let line = self.source.line(finding.line);
        let number = finding.line.to_string();
        let gutter = " ".repeat(number.len());
        if !line.is_empty() {
            let (shown, indent, carets) = excerpt(line, finding.column, finding.width);
            let (indent, carets) = (" ".repeat(indent), "^".repeat(carets));
            text.push_str(&format!("{gutter} |\n{number} | {shown}\n"));
            text.push_str(&format!("{gutter} | {indent}{on}{carets}{off}\n"));
        }
        text.push_str(&format!("{gutter} = cure: {}\n", finding.cure));
        text
    }
}

/// The part of a line round a column, how far its mark is indented, and how
/// wide the mark is, all as shown.
fn excerpt(line: &str, column: usize, width: usize) -> (String, usize, usize) {
    let length = line.chars().count();
    let at = column.saturating_sub(1);
    let start = at.saturating_sub(BEFORE).min(length.saturating_sub(WINDOW));
    let mut shown = String::from(if start > 0 { "..." } else { "" });
    let (mut indent, mut carets) = (shown.len(), 0);
    for (index, c) in line.chars().enumerate().skip(start).take(WINDOW) {
        let piece = show(c);
        let columns = piece.chars().count();
        if index < at {
            indent += columns;
        } else if index < at + width {
            carets += columns;
        }
        shown.push_str(&piece);
    }
    if start + WINDOW < length {
        shown.push_str("...");
    }
    (shown, indent, carets.max(1))
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
    use crate::policy::read;

    #[test]
    fn a_report_shows_the_line_the_place_and_the_cure() {
        let policy = "<cross-domain-policy>\n\t<allow-access-from domain=\"a.example\" to-ports=\"0\"/>\n</cross-domain-policy>\n";
        assert_eq!(
            read(policy.as_bytes(), &[]).report("p.xml", false),
            "p.xml:2:50: error[to-ports-invalid]: there is no port 0\n  \
               |\n\
             2 |     <allow-access-from domain=\"a.example\" to-ports=\"0\"/>\n  \
               |                                                     ^\n  \
               = cure: begin at port 1\n"
        );
    }

    #[test]
    fn the_log_gets_one_line() {
        let reading = read(b"<access-policy/>", &[]);
        assert_eq!(
            reading.findings[0].one_line("p\n.xml"),
            "p\\n.xml:1:2: error[wrong-root]: this is a Silverlight policy (clientaccesspolicy), not one for Flash; \
             write a `cross-domain-policy`; Silverlight asks on TCP port 943"
        );
    }

    #[test]
    fn terminal_escapes_of_the_policy_never_reach_the_terminal() {
        for policy in [
            "<\u{1b}[2Jcross-domain-policy/>",
            "<cross-domain-policy><a\u{9b}31m/>",
            "\u{1b}]0;owned\u{7}<cross-domain-policy/>",
            "<cross-domain-policy><allow-access-from domain='\u{9b}31m' to-ports='\u{202e}'/></cross-domain-policy>",
        ] {
            let report = read(policy.as_bytes(), &[]).report("p\u{1b}.xml", false);
            assert!(!report.is_empty());
            assert!(report.chars().all(|c| c == '\n' || super::is_printable(c)), "{report:?}");
        }
    }

    #[test]
    fn colours_are_used_only_when_wanted() {
        let reading = read(b"<cross-domain-policy/>", &[]);
        assert!(reading
            .report("p", true)
            .contains("\u{1b}[1;33mwarning[no-grant]\u{1b}[0m"));
        assert!(!reading.report("p", false).contains('\u{1b}'));
    }

    #[test]
    fn a_long_line_is_cut_round_the_place() {
        let spaces = " ".repeat(5000);
        let policy = format!("<cross-domain-policy>{spaces}<x/>{spaces}</cross-domain-policy>");
        let report = read(policy.as_bytes(), &[]).report("p", false);
        assert!(report.lines().all(|line| line.len() < 200), "{report}");
        let lines: Vec<_> = report
            .lines()
            .skip_while(|line| !line.contains("unknown-element"))
            .collect();
        let caret = lines[3].find('^').unwrap();
        assert_eq!(&lines[2][caret..=caret], "x");
    }

    #[test]
    fn a_clean_policy_has_an_empty_report() {
        let policy = b"<cross-domain-policy><allow-access-from domain='a' to-ports='1'/></cross-domain-policy>";
        assert_eq!(read(policy, &[]).report("p", true), "");
    }
}
