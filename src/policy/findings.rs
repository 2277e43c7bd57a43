//! What can be found wrong with a policy: the codes, and a finding.
//!
//! Decides nothing about a file and prints nothing: `parse`, `malformed` and
//! `elements` find, [`diagnostic`](crate::diagnostic) shows.

use std::ops::Range;

pub use crate::diagnostic::Severity;

use super::Player;
use crate::diagnostic::{Diagnostic, MOST_OF_A_KIND, Place};

/// One thing found in a policy file. All texts are printable on one line,
/// whatever the file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The code; the severity follows from it.
    pub code: Code,
    /// The bytes of [`Reading::text`](super::Reading::text) that are concerned.
    pub range: Range<usize>,
    /// The cause.
    pub cause: String,
    /// The cure.
    pub cure: String,
}

impl Finding {
    pub(super) fn new(
        code: Code,
        range: Range<usize>,
        cause: impl Into<String>,
        cure: impl Into<String>,
    ) -> Finding {
        Finding {
            code,
            range,
            cause: cause.into(),
            cure: cure.into(),
        }
    }

    /// It as one about this place.
    pub fn at(&self, place: Place) -> Diagnostic {
        Diagnostic {
            code: Some(self.code.as_str()),
            severity: self.code.severity(),
            cause: self.cause.clone(),
            cure: self.cure.clone(),
            place,
            number: 1,
        }
    }
}

/// The findings so far: of each code the first [`MOST_OF_A_KIND`], so that whatever is decided by a
/// code is right, and the number of all.
#[derive(Default)]
pub(super) struct Found {
    pub(super) kept: Vec<Finding>,
    numbers: Vec<(Code, usize)>,
}

impl Found {
    pub(super) fn push(&mut self, finding: Finding) {
        let number = self.number(finding.code);
        *number += 1;
        if *number <= MOST_OF_A_KIND {
            self.kept.push(finding);
        }
    }

    /// Adds the errors of another text.
    pub(super) fn add_errors(&mut self, more: Found) {
        let is_error = |code: Code| code.severity() == Severity::Error;
        let left_out: Vec<_> = more.left_out().collect();
        let errors = more.kept.into_iter().filter(|f| is_error(f.code));
        errors.for_each(|error| self.push(error));
        for (code, number) in left_out.into_iter().filter(|(code, _)| is_error(*code)) {
            *self.number(code) += number;
        }
    }

    /// How many findings of each code are not kept.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (Code, usize)> {
        let numbers = self.numbers.iter();
        numbers.filter_map(
            |&(code, number)| match number.saturating_sub(MOST_OF_A_KIND) {
                0 => None,
                more => Some((code, more)),
            },
        )
    }

    fn number(&mut self, code: Code) -> &mut usize {
        let known = self.numbers.iter().position(|(known, _)| *known == code);
        let at = known.unwrap_or_else(|| {
            self.numbers.push((code, 0));
            self.numbers.len() - 1
        });
        &mut self.numbers[at].1
    }
}

macro_rules! codes {
    ($($severity:ident { $($variant:ident $name:literal $explanation:literal)+ })+) => {
        /// The codes of findings. The names are stable: scripts may
        /// rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $explanation] $variant,)+)+
        }

        impl Code {
            /// Every code, errors first.
            pub fn all() -> &'static [Code] {
                &[$($(Code::$variant,)+)+]
            }

            /// The stable name, in kebab-case.
            pub fn as_str(self) -> &'static str {
                match self { $($(Code::$variant => $name,)+)+ }
            }

            /// One line on what it means, in Markdown.
            pub fn explanation(self) -> &'static str {
                match self { $($(Code::$variant => $explanation,)+)+ }
            }

            /// A code has one severity.
            pub fn severity(self) -> Severity {
                match self { $($(Code::$variant => Severity::$severity,)+)+ }
            }
        }
    };
}

codes! {
    Error {
        TooLarge "too-large" "The file is over 64 KiB, which no client reads."
        Bom "bom" "The file begins with a byte-order mark."
        NulInside "nul-inside" "A NUL stands before the end: clients stop reading there."
        Encoding "encoding" "The file is neither UTF-8 nor declared as ISO-8859-1."
        TooComplex "too-complex" "The file declares entities, or namespaces by the dozen, which can cost any amount of time and memory."
        Malformed "malformed" "The file is not well-formed XML: Flash Player ignores all of it."
        OutsideRoot "outside-root" "Something other than comments, blanks, an XML declaration or a DOCTYPE stands outside the root element: Flash Player ignores the whole file."
        WrongRoot "wrong-root" "The root element is not `cross-domain-policy`."
        Namespace "namespace" "The root element is in an XML namespace, which Flash Player does not parse."
        DomainMissing "domain-missing" "A grant has no `domain`, or an empty one."
        DomainInvalid "domain-invalid" "A `domain` has a `*` in the wrong place, a port, a path, a blank, or a scheme other than `http` and `https`: it cannot match."
        ToPortsMissing "to-ports-missing" "A grant has no `to-ports`, or an empty one; for sockets it is mandatory."
        ToPortsInvalid "to-ports-invalid" "A `to-ports` is no list of ports from 1 to 65535 and of ranges."
        SecureInvalid "secure-invalid" "A `secure` is neither `true` nor `false`."
        SiteControlRepeated "site-control-repeated" "There is more than one `site-control`."
        SiteControlMissingValue "site-control-missing-value" "A `site-control` has no `permitted-cross-domain-policies`, or an empty one."
        SiteControlInvalid "site-control-invalid" "The meta-policy has an unknown value."
        MetaPolicyNotForSockets "meta-policy-not-for-sockets" "The meta-policy `by-content-type` or `by-ftp-filename` exists for URL policies only."
    }
    Warning {
        LateDeclaration "late-declaration" "Blanks or comments stand before the XML declaration: whether Flash Player takes the file then is not known; Lightspark does."
        BlanksInPorts "blanks-in-ports" "Blanks in `to-ports`, which Flash Player is reported to dislike; Lightspark takes no `*` with blanks for every port."
        HttpHeadersElement "http-headers-element" "`allow-http-request-headers-from` is for HTTP: what Flash Player does with it here is not known, and Lightspark reads no further."
        IdentityElement "identity-element" "`allow-access-from-identity` is for signed documents: what Flash Player does with it here is not known."
        UnknownElement "unknown-element" "An element that no policy knows, or that stands where it has no effect: what Flash Player does with it is not known."
        UnknownAttribute "unknown-attribute" "An attribute that the element does not know: what Flash Player does with it is not known."
        SiteControlOrder "site-control-order" "`site-control` stands after an `allow-*` element; the DTD wants it first, and Lightspark takes it anywhere."
        SiteControlNotMaster "site-control-not-master" "`site-control` in a policy that is not served from port 843: it only counts there, and Lightspark drops the whole file over it."
        SecureGrant "secure-grant" "A grant with `secure=\"true\"` is for content loaded over HTTPS only, while the socket itself is plain."
        GrantsBesideNone "grants-beside-none" "The meta-policy `none` denies everything, so the grants beside it do nothing."
        NoGrant "no-grant" "The policy grants nothing."
        AllowsEverything "allows-everything" "A grant lets any content connect to any port."
        IpDomain "ip-domain" "A `domain` is an IP address, which matches only content loaded by that literal address."
        DomainUnmatchable "domain-unmatchable" "A `domain` holds a character that no host name has, or an empty part: it matches nothing."
        StrayText "stray-text" "Text stands between the elements, where it has no effect."
        NonAscii "non-ascii" "The file holds non-ASCII characters; not every client reads them."
        Large "large" "The policy with its NUL is over 4,095 bytes; some clients read only once."
        VeryLarge "very-large" "The policy with its NUL is over 10,000 bytes; clients and servers have refused that much."
        PortRange "port-range" "A range of ports: Lightspark counts only its first port, Unity Web Player leaves out its last."
        GrantAttributes "grant-attributes" "A grant has more than three attributes: Lightspark stops reading here. It keeps the earlier part only on port 843 and only after a `site-control`."
        ControlAttributes "site-control-attributes" "`site-control` has more than its one attribute: Lightspark reads no further."
        TrailingDot "trailing-dot" "A `domain` ends in a dot: Lightspark compares it literally, and it matches nothing."
        DomainScheme "domain-scheme" "A `domain` has a scheme. The grant is then for content loaded by that scheme alone, as far as is known; Lightspark takes it for nothing."
        WildcardTld "wildcard-tld" "A `domain` is `*.` and a single word, such as `*.com`: outside of Adobe's specification, and not known to match anything in Flash Player."
        BlockedPort "blocked-port" "A grant names a port that Flash Player version 24 and later refuses itself, whatever a policy grants."
        PortDigits "port-digits" "The ports look like one number that was taken apart into its digits."
        LowPortFromHigh "low-port-from-high" "A grant names ports below 1024 in a policy served from port 1024 or above, where they grant nothing."
    }
}

impl Code {
    /// Whether it makes any difference to this player; all errors do.
    pub fn matters_to(self, player: Player) -> bool {
        match self {
            Code::PortRange => player != Player::Flash,
            Code::BlockedPort => player == Player::Flash,
            Code::LateDeclaration => player != Player::Lightspark,
            Code::GrantAttributes | Code::ControlAttributes | Code::TrailingDot => {
                player == Player::Lightspark
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_in_kebab_case() {
        let mut names: Vec<_> = Code::all().iter().map(|code| code.as_str()).collect();
        assert!(
            names
                .iter()
                .all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::all().len());
    }

    #[test]
    fn every_explanation_is_one_sentence_on_one_line() {
        for code in Code::all() {
            let explanation = code.explanation();
            assert!(
                explanation.ends_with('.') && !explanation.contains(['\n', '|']),
                "{explanation}"
            );
        }
    }
}
