//! What can be found wrong with a policy: the codes, and a finding.
//!
//! Decides nothing about a file and prints nothing: `parse`, `malformed` and
//! `elements` find, [`diagnostic`](crate::diagnostic) shows.

use std::ops::Range;

pub use crate::diagnostic::Severity;

use super::Player;
use crate::codes;
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

codes! {
    /// The codes of findings. The names are stable: scripts may rely on them.
    Code
    Error {
        TooLarge "too-large" "The file is over 64 KiB, which no client reads.",
            example: "a policy file of 70,000 bytes",
            general_cure: "name fewer domains: `*.example.com` stands for all hosts of a domain",
            source: "Adobe's sample servers refuse files over 10,000 bytes; Unity Web Player reads 5,000";
        Bom "bom" "The file begins with a byte-order mark.",
            example: r"\u{feff}<cross-domain-policy/>",
            general_cure: r#"save the file as UTF-8 without a byte-order mark (in Windows' Notepad: "UTF-8", not "UTF-8 with BOM")"#,
            source: r#"Adobe, "Security changes in Flash Player 9": content before the opening tag makes the whole file ignored; whether a mark is such content is not known"#;
        NulInside "nul-inside" "A NUL stands before the end: clients stop reading there.",
            example: r"<cross-domain-policy>\0</cross-domain-policy>",
            general_cure: "delete the NUL; a file in UTF-16 has one in every second byte, so save it as UTF-8",
            source: r#"Adobe, ActionScript 3 guide "Connecting to sockets": the policy ends at the NUL"#;
        Encoding "encoding" "The file is neither UTF-8 nor declared as ISO-8859-1.",
            example: "a file in UTF-16, or in Windows-1252 without an XML declaration",
            general_cure: "save the file as UTF-8; domains with umlauts are written in their xn-- form",
            source: "Unity's documentation of the sandbox asks for ASCII; Adobe says nothing";
        TooComplex "too-complex" "The file declares entities, or namespaces by the dozen, which can cost any amount of time and memory.",
            example: r#"<!DOCTYPE p [<!ENTITY a "b">]><cross-domain-policy/>"#,
            general_cure: "delete the entity declarations and surplus namespaces; no policy needs them",
            source: r#"this server's own limit, against the "billion laughs" attack"#;
        Malformed "malformed" "The file is not well-formed XML: Flash Player ignores all of it.",
            example: "<cross-domain-policy><allow-access-from></cross-domain-policy>",
            general_cure: "close every element and put every value in straight quotes; `flashpolicyd check FILE` shows the place",
            source: r#"Adobe, "Security changes in Flash Player 9": malformed XML makes the whole file ignored"#;
        OutsideRoot "outside-root" "Something other than comments, blanks, an XML declaration or a DOCTYPE stands outside the root element: Flash Player ignores the whole file.",
            example: "hello <cross-domain-policy/>",
            general_cure: "delete what stands before the first `<` or behind the last `>`",
            source: r#"Adobe, "Security changes in Flash Player 9": content outside the root makes the whole file ignored"#;
        WrongRoot "wrong-root" "The root element is not `cross-domain-policy`.",
            example: "<access-policy/>",
            general_cure: "write `<cross-domain-policy>` around the permissions; `access-policy` is Silverlight's",
            source: "Adobe's cross-domain-policy.dtd";
        Namespace "namespace" "The root element is in an XML namespace, which Flash Player does not parse.",
            example: r#"<cross-domain-policy xmlns="http://www.adobe.com/x"/>"#,
            general_cure: "delete `xmlns=...` from the root element",
            source: "Adobe, comment in PolicyFile.xsd: qualified names are not parsed";
        DomainMissing "domain-missing" "A grant has no `domain`, or an empty one.",
            example: r#"<cross-domain-policy><allow-access-from to-ports="80"/></cross-domain-policy>"#,
            general_cure: r#"add the site that the SWF is loaded from, such as `domain="www.example.com"`, or `domain="*"`"#,
            source: "Adobe's cross-domain-policy.dtd: `domain` is required";
        DomainInvalid "domain-invalid" "A `domain` has a `*` in the wrong place, a port, a path, a blank, or a scheme other than `http` and `https`: it cannot match.",
            example: r#"<cross-domain-policy><allow-access-from domain="www.example.com:8080" to-ports="80"/></cross-domain-policy>"#,
            general_cure: "write a host alone (`www.example.com`), `*.example.com`, or `*`",
            source: r#"Adobe, ActionScript 3 guide "Permission controls""#;
        ToPortsMissing "to-ports-missing" "A grant has no `to-ports`, or an empty one; for sockets it is mandatory.",
            example: r#"<cross-domain-policy><allow-access-from domain="*"/></cross-domain-policy>"#,
            general_cure: r#"add the ports of the game, such as `to-ports="2001,3000-3010"`"#,
            source: r#"Adobe, ActionScript 3 guide "Connecting to sockets": `to-ports` is mandatory in socket policies"#;
        ToPortsInvalid "to-ports-invalid" "A `to-ports` is no list of ports from 1 to 65535 and of ranges.",
            example: r#"<cross-domain-policy><allow-access-from domain="*" to-ports="99999"/></cross-domain-policy>"#,
            general_cure: "write numbers from 1 to 65535 and ranges such as 3000-3010, separated by commas, or `*`",
            source: r#"Adobe, ActionScript 3 guide "Connecting to sockets""#;
        SecureInvalid "secure-invalid" "A `secure` is neither `true` nor `false`.",
            example: r#"<cross-domain-policy><allow-access-from domain="*" to-ports="80" secure="yes"/></cross-domain-policy>"#,
            general_cure: r#"write `secure="true"` or `secure="false"`, or leave it out"#,
            source: "Adobe's cross-domain-policy.dtd";
        SiteControlRepeated "site-control-repeated" "There is more than one `site-control`.",
            example: r#"<cross-domain-policy><site-control permitted-cross-domain-policies="all"/><site-control permitted-cross-domain-policies="none"/></cross-domain-policy>"#,
            general_cure: "keep one of them",
            source: "Adobe's cross-domain-policy.dtd; Lightspark rejects the second";
        SiteControlMissingValue "site-control-missing-value" "A `site-control` has no `permitted-cross-domain-policies`, or an empty one.",
            example: "<cross-domain-policy><site-control/></cross-domain-policy>",
            general_cure: r#"write `permitted-cross-domain-policies="master-only"`, or delete the element"#,
            source: "Adobe's cross-domain-policy.dtd: the attribute is required";
        SiteControlInvalid "site-control-invalid" "The meta-policy has an unknown value.",
            example: r#"<cross-domain-policy><site-control permitted-cross-domain-policies="some"/></cross-domain-policy>"#,
            general_cure: "write `all`, `master-only` or `none`",
            source: "Adobe's cross-domain-policy.dtd";
        MetaPolicyNotForSockets "meta-policy-not-for-sockets" "The meta-policy `by-content-type` or `by-ftp-filename` exists for URL policies only.",
            example: r#"<cross-domain-policy><site-control permitted-cross-domain-policies="by-content-type"/></cross-domain-policy>"#,
            general_cure: "write `all`, `master-only` or `none`",
            source: "Adobe's policy file specification: these two are for HTTP and FTP";
    }
    Warning {
        LateDeclaration "late-declaration" "Blanks or comments stand before the XML declaration: whether Flash Player takes the file then is not known; Lightspark does.",
            example: r#"<!-- a comment --><?xml version="1.0"?><cross-domain-policy><allow-access-from domain="*" to-ports="2001"/></cross-domain-policy>"#,
            general_cure: "delete what stands before `<?xml`, blank lines too; or delete the declaration, which no player needs",
            source: "XML wants the declaration first, and Adobe says that malformed files are ignored; whether this is malformed for Flash Player is not known. Lightspark, src/parsing/crossdomainpolicy.cpp, takes it";
        BlanksInPorts "blanks-in-ports" "Blanks in `to-ports`, which Flash Player is reported to dislike; Lightspark takes no `*` with blanks for every port.",
            example: r#"<cross-domain-policy><allow-access-from domain="*" to-ports="80, 443"/></cross-domain-policy>"#,
            general_cure: r#"delete the blanks: `to-ports="80,443"`"#,
            source: "reports of users; Adobe says nothing";
        HttpHeadersElement "http-headers-element" "`allow-http-request-headers-from` is for HTTP: what Flash Player does with it here is not known, and Lightspark reads no further.",
            example: r#"<cross-domain-policy><allow-http-request-headers-from domain="*" headers="*"/><allow-access-from domain="*" to-ports="80"/></cross-domain-policy>"#,
            general_cure: "delete the element; it belongs into the crossdomain.xml of a web server",
            source: "Adobe's policy file specification; Lightspark, src/parsing/crossdomainpolicy.cpp: it stops reading here, and keeps the earlier part only on port 843 and only after a `site-control`";
        IdentityElement "identity-element" "`allow-access-from-identity` is for signed documents: what Flash Player does with it here is not known.",
            example: r#"<cross-domain-policy><allow-access-from-identity/><allow-access-from domain="*" to-ports="80"/></cross-domain-policy>"#,
            general_cure: "delete the element",
            source: "Adobe's policy file specification: it is for signed documents";
        UnknownElement "unknown-element" "An element that no policy knows, or that stands where it has no effect: what Flash Player does with it is not known.",
            example: r#"<cross-domain-policy><allow-acces-from domain="*" to-ports="80"/></cross-domain-policy>"#,
            general_cure: "correct its name, or delete it",
            source: "Adobe's cross-domain-policy.dtd";
        UnknownAttribute "unknown-attribute" "An attribute that the element does not know: what Flash Player does with it is not known.",
            example: r#"<cross-domain-policy><allow-access-from domain="*" to-ports="80" ports="80"/></cross-domain-policy>"#,
            general_cure: "correct its name, or delete it",
            source: "Adobe's cross-domain-policy.dtd";
        SiteControlOrder "site-control-order" "`site-control` stands after an `allow-*` element; the DTD wants it first, and Lightspark takes it anywhere.",
            example: r#"<cross-domain-policy><allow-access-from domain="*" to-ports="80"/><site-control permitted-cross-domain-policies="all"/></cross-domain-policy>"#,
            general_cure: "put `site-control` first",
            source: "Adobe's cross-domain-policy.dtd; many deployed policies have it last, and Lightspark takes that";
        SiteControlNotMaster "site-control-not-master" "`site-control` in a policy that is not served from port 843: it only counts there, and Lightspark drops the whole file over it.",
            example: "a policy with `site-control`, served by `listen = [::]:10843` alone",
            general_cure: "delete `site-control` from this policy, or serve it on port 843",
            source: "Adobe's policy file specification; Lightspark rejects the file";
        SecureGrant "secure-grant" "A grant with `secure=\"true\"` is for content loaded over HTTPS only, while the socket itself is plain.",
            example: "allow = www.example.com 9339 secure",
            general_cure: "where the SWF comes over HTTP too, delete `secure`; where it is meant, `ignore = secure-grant`",
            source: r#"Adobe, ActionScript 3 guide "Permission controls""#;
        GrantsBesideNone "grants-beside-none" "The meta-policy `none` denies everything, so the grants beside it do nothing.",
            example: r#"<cross-domain-policy><site-control permitted-cross-domain-policies="none"/><allow-access-from domain="*" to-ports="80"/></cross-domain-policy>"#,
            general_cure: "write `master-only` in place of `none`",
            source: "Adobe's policy file specification: `none` allows nothing, not even this file";
        NoGrant "no-grant" "The policy grants nothing.",
            example: "<cross-domain-policy/>",
            general_cure: "add a permission, such as `allow = * 9339` in flashpolicy.conf",
            source: r#"Adobe, ActionScript 3 guide "Connecting to sockets": what is not granted is denied"#;
        AllowsEverything "allows-everything" "A grant lets any content connect to any port.",
            example: "allow = * 1-65535",
            general_cure: "name the ports of your game: `allow = * 9339`; where all are meant, `ignore = allows-everything`",
            source: r#"Adobe, ActionScript 3 guide "Permission controls""#;
        IpDomain "ip-domain" "A `domain` is an IP address, which matches only content loaded by that literal address.",
            example: "allow = 203.0.113.7 2001",
            general_cure: "write the host name by which the SWF is loaded; for all players, wherever they are, write `*`",
            source: r#"Adobe, ActionScript 3 guide "Permission controls": names and addresses are not looked up"#;
        DomainUnmatchable "domain-unmatchable" "A `domain` holds a character that no host name has, or an empty part: it matches nothing.",
            example: r#"<cross-domain-policy><allow-access-from domain="www..example.com" to-ports="80"/></cross-domain-policy>"#,
            general_cure: "correct the host name; umlauts are written in their xn-- form",
            source: "the rules of host names, RFC 1123";
        StrayText "stray-text" "Text stands between the elements, where it has no effect.",
            example: r#"<cross-domain-policy>hello<allow-access-from domain="*" to-ports="80"/></cross-domain-policy>"#,
            general_cure: "delete the text, or make it a comment: `<!-- text -->`",
            source: "Adobe's cross-domain-policy.dtd";
        NonAscii "non-ascii" "The file holds non-ASCII characters; not every client reads them.",
            example: r#"<cross-domain-policy><!-- für alle --><allow-access-from domain="*" to-ports="80"/></cross-domain-policy>"#,
            general_cure: "write comments without umlauts and domains in their xn-- form",
            source: "Unity's documentation of the sandbox asks for ASCII";
        Large "large" "The policy with its NUL is over 4,095 bytes; some clients read only once.",
            example: "a policy of 5,000 bytes",
            general_cure: "name fewer domains and ports: `*.example.com`, ranges",
            source: "Lightspark stops at the first read below 4,096 bytes; Unity Web Player reads once";
        VeryLarge "very-large" "The policy with its NUL is over 10,000 bytes; clients and servers have refused that much.",
            example: "a policy of 20,000 bytes",
            general_cure: "name fewer domains and ports: `*.example.com`, ranges",
            source: "Adobe's sample servers refuse files over 10,000 bytes";
        PortRange "port-range" "A range of ports: Lightspark counts only its first port, Unity Web Player leaves out its last.",
            example: r#"<cross-domain-policy><allow-access-from domain="*" to-ports="5000-5010"/></cross-domain-policy>"#,
            general_cure: "list the ports one by one; `allow` lines do that by themselves where it fits",
            source: "Lightspark, observed; Unity (mono, FlashCrossDomainPolicyParser.cs)";
        GrantAttributes "grant-attributes" "A grant has more than three attributes: Lightspark stops reading here. It keeps the earlier part only on port 843 and only after a `site-control`.",
            example: r#"<cross-domain-policy><allow-access-from domain="*" to-ports="80" secure="false" a="1"/></cross-domain-policy>"#,
            general_cure: "keep `domain`, `to-ports` and `secure`",
            source: "Lightspark, src/parsing/crossdomainpolicy.cpp";
        ControlAttributes "site-control-attributes" "`site-control` has more than its one attribute: Lightspark reads no further.",
            example: r#"<cross-domain-policy><site-control permitted-cross-domain-policies="all" a="1"/><allow-access-from domain="*" to-ports="80"/></cross-domain-policy>"#,
            general_cure: "keep `permitted-cross-domain-policies` alone",
            source: "Lightspark, src/parsing/crossdomainpolicy.cpp: it then drops all of the file";
        TrailingDot "trailing-dot" "A `domain` ends in a dot: Lightspark compares it literally, and it matches nothing.",
            example: r#"<cross-domain-policy><allow-access-from domain="www.example.com." to-ports="80"/></cross-domain-policy>"#,
            general_cure: "delete the last dot",
            source: "Lightspark, observed";
        DomainScheme "domain-scheme" "A `domain` has a scheme. The grant is then for content loaded by that scheme alone, as far as is known; Lightspark never matches it.",
            example: r#"<cross-domain-policy><allow-access-from domain="http://www.example.com" to-ports="2001"/></cross-domain-policy>"#,
            general_cure: r#"write the host alone: `domain="www.example.com"`; for HTTPS only, add `secure="true"`"#,
            source: "Ratchet (FlashPolicy.php) and swf2es (policy.ts) take it, by Adobe's schema and specification; Adobe's guides do not say. Lightspark compares it letter by letter";
        WildcardTld "wildcard-tld" "A `domain` is `*.` and a single word, such as `*.com`: outside of Adobe's specification, and not known to match anything in Flash Player.",
            example: "allow = *.com 2001",
            general_cure: "write the domain itself behind `*.`, such as `*.example.com`; for every site, write `*`",
            source: "Adobe's specification, as Ratchet (FlashPolicy.php) quotes it: a wildcard stands before a second-level domain";
        BlockedPort "blocked-port" "A grant names a port that Flash Player version 24 and later refuses itself, whatever a policy grants.",
            example: "allow = * 6667",
            general_cure: "move the game to another port; where no Flash Player from version 24 on is to connect, `ignore = blocked-port`",
            source: "Adobe staff, forum thread 2261853, quoted in scratchfoundation/scratch-flash issue 1261: 67 ports since version 24; Adobe's guides do not say so. Lightspark, Unity Web Player and Ruffle have no such list";
        PortDigits "port-digits" "The ports look like one number that was taken apart into its digits.",
            example: "allow = * 9,3,3,9",
            general_cure: "write the number: `allow = * 9339`; a program that writes the policy has to pass a list of ports, and not a text",
            source: r#"django-flashpolicies 1.14, where `to_ports="9339"` becomes 9,3,3,9"#;
        LowPortFromHigh "low-port-from-high" "A grant names ports below 1024 in a policy served from port 1024 or above, where they grant nothing.",
            example: "listen = [::]:10843 / allow = * 80",
            general_cure: "serve the policy on port 843 too: `listen = [::]:843`",
            source: r#"Adobe, ActionScript 3 guide "Connecting to sockets": such a policy grants ports from 1024 only"#;
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
