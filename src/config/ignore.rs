//! Accepted warnings: `--ignore CODE[,CODE]` and the key `ignore`. Errors cannot be accepted,
//! because a policy with an error is not served. The caller gives the known codes.

use crate::output::diagnostic::{self, Diagnostic, Severity};
use crate::output::text::{did_you_mean, quote};
use crate::policy::ParseError;

/// The codes of warnings that are not to be shown or counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(Vec<&'static str>);

impl Ignored {
    /// Reads codes separated by commas or blanks; `known` are the names that exist.
    ///
    /// # Errors
    /// The name that does not exist, with the one that was probably meant; or that an error is not
    /// ignored.
    pub fn parse(text: &str, known: &[(&'static str, Severity)]) -> Result<Ignored, ParseError> {
        let mut codes = Vec::new();
        let names = text.split([',', ' ', '\t']).filter(|name| !name.is_empty());
        for name in names {
            match known.iter().find(|(code, _)| *code == name) {
                Some((code, Severity::Warning)) if codes.contains(code) => {}
                Some((code, Severity::Warning)) => codes.push(*code),
                Some(_) => {
                    let cause = format!("{} is an error, which keeps players out", quote(name));
                    return Err(ParseError::new(cause, "only warnings can be ignored"));
                }
                None => return Err(unknown(name, known)),
            }
        }
        if codes.is_empty() {
            let cure = "write such as `secure-grant,ip-domain`";
            return Err(ParseError::new("no code is named", cure));
        }
        Ok(Ignored(codes))
    }

    /// Accepts what `other` accepts, too.
    pub fn add(&mut self, other: &Ignored) {
        let new = other.0.iter().filter(|code| !self.0.contains(code));
        let new: Vec<_> = new.copied().collect();
        self.0.extend(new);
    }

    /// Whether findings with this code are accepted.
    pub fn has(&self, code: &str) -> bool {
        self.0.contains(&code)
    }

    /// The findings that remain, and how many were accepted.
    pub fn sift(&self, findings: Vec<Diagnostic>) -> (Vec<Diagnostic>, usize) {
        let accepted = |finding: &Diagnostic| {
            finding.severity == Severity::Warning && finding.code.is_some_and(|code| self.has(code))
        };
        let (accepted, left): (Vec<_>, _) = findings.into_iter().partition(accepted);
        (left, diagnostic::number(&accepted))
    }
}

fn unknown(name: &str, known: &[(&'static str, Severity)]) -> ParseError {
    let warnings: Vec<_> = known
        .iter()
        .filter(|(_, severity)| *severity == Severity::Warning)
        .map(|(code, _)| *code)
        .collect();
    let cure = did_you_mean(name, &warnings, "`")
        .unwrap_or_else(|| format!("expected some of {}", warnings.join(", ")));
    ParseError::new(format!("{} is no code", quote(name)), cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [(&str, Severity); 3] = [
        ("bom", Severity::Error),
        ("secure-grant", Severity::Warning),
        ("ip-domain", Severity::Warning),
    ];

    #[test]
    fn codes_are_separated_by_commas_or_blanks() {
        for text in ["secure-grant,ip-domain", " secure-grant  ip-domain,"] {
            let ignored = Ignored::parse(text, &KNOWN).unwrap();
            assert!(ignored.has("ip-domain") && ignored.has("secure-grant") && !ignored.has("bom"));
        }
    }

    #[test]
    fn what_cannot_be_ignored_is_told() {
        for (text, expected) in [
            ("secure-grants", "did you mean `secure-grant`?"),
            (
                "xyz\u{1b}",
                "`xyz\\u{1b}` is no code; expected some of secure-grant, ip-domain",
            ),
            ("bom", "`bom` is an error, which keeps players out"),
            (" ,", "no code is named"),
        ] {
            let error = Ignored::parse(text, &KNOWN).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
