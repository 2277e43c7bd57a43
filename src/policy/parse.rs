//! From bytes to a policy: size, encoding, and the XML parser's limits.
//!
//! Never panics, recurses or allocates without bound, whatever the bytes are:
//! a policy may come from a stranger's server. The elements themselves are
//! judged in `elements`, broken XML in `malformed`.

use roxmltree::Error;

use super::{
    MASTER_PORT, Offer, Player, Policy, elements,
    findings::{Code, Finding, Found, Severity},
    lightspark::{self, LightsparkReading},
    malformed,
    source::Lines,
};
use crate::diagnostic::{self, Diagnostic};
use crate::text::Style;

/// The largest policy that is read, in bytes. Clients stop long before it:
/// at 5,000 (Unity) or 10,000 (Adobe's sample servers; rule book 1.8).
pub const MAX_POLICY_BYTES: usize = 64 * 1024;

/// Some clients take what their first read of 4,096 bytes gives (rule book
/// 1.7 \[LS\]).
const LARGE: usize = 4_095;

/// Adobe's sample servers refuse more (rule book 1.8 \[ADS\]).
const VERY_LARGE: usize = 10_000;

/// roxmltree's time grows with the cube of the nested namespace declarations:
/// 64 KiB of them took 37 seconds. A policy needs one.
const MAX_NAMESPACES: usize = 64;

/// The result of [`read`].
#[derive(Debug, Clone)]
pub struct Reading {
    /// The policy, unless there is an error among the findings.
    pub policy: Option<Policy>,
    /// Everything found, in the order of the file, but of each code at most
    /// [`MOST_OF_A_KIND`](crate::diagnostic::MOST_OF_A_KIND). Where the text cannot be parsed at
    /// all, what follows that place is not looked at.
    pub findings: Vec<Finding>,
    /// How many more there are of which codes.
    pub left_out: Vec<(Code, usize)>,
    /// What Lightspark takes from it; none where there is no text to show.
    lightspark: Option<LightsparkReading>,
    /// The text of the file without its byte-order mark and its final NULs.
    pub text: String,
}

impl Reading {
    /// What this player takes from the file, where it is served from `port`; none where there is an
    /// error among the findings, unless it is Lightspark, which reads on its own.
    pub fn offer(&self, player: Player, port: u16) -> Option<Offer<'_>> {
        if player != Player::Lightspark {
            return Some(Offer::new(port, self.policy.as_ref()?));
        }
        let read = self.lightspark.as_ref()?;
        let taken = match port {
            MASTER_PORT => &read.master,
            _ => &read.elsewhere,
        };
        Some(Offer {
            stop: taken.stop.as_deref(),
            ..Offer::new(port, &taken.policy)
        })
    }

    /// What of the file nobody knows how this player takes: a sentence without its full stop.
    pub fn doubt(&self, player: Player) -> Option<&str> {
        let unknown = |finding: &&Finding| finding.code == Code::LateDeclaration;
        let found = self.findings.iter().find(unknown)?;
        found.code.matters_to(player).then_some(&found.cause)
    }

    /// All findings, each with the line that it is about, and then the numbers of those that are
    /// left out; `name` is the file's.
    pub fn diagnostics(&self, name: &str) -> impl Iterator<Item = Diagnostic> {
        let mut lines = Lines::new(name, &self.text);
        let findings = self.findings.iter();
        let placed = findings.map(move |finding| finding.at(lines.place(&finding.range)));
        placed.chain(self.numbers_left_out(name))
    }

    /// The numbers of the findings that are left out.
    pub fn numbers_left_out(&self, name: &str) -> impl Iterator<Item = Diagnostic> {
        let left_out = self.left_out.iter();
        left_out.map(move |&(code, number)| {
            Diagnostic::left_out(Some(code.as_str()), code.severity(), number, name)
        })
    }

    /// Keeps the findings with some of the codes; says how many there were of the others.
    pub fn retain(&mut self, is_kept: impl Fn(Code) -> bool) -> usize {
        let before = self.number();
        self.findings.retain(|finding| is_kept(finding.code));
        self.left_out.retain(|(code, _)| is_kept(*code));
        before - self.number()
    }

    /// How many findings there are, with those that are left out.
    pub fn number(&self) -> usize {
        self.count(Severity::Error) + self.count(Severity::Warning)
    }

    /// How many findings of this severity there are, with those that are left out.
    pub fn count(&self, severity: Severity) -> usize {
        let kept = self.findings.iter().map(|finding| (finding.code, 1));
        let all = kept.chain(self.left_out.iter().copied());
        let counted = all.filter(|(code, _)| code.severity() == severity);
        counted.map(|(_, number)| number).sum()
    }

    /// All findings as text; empty if there is nothing to say.
    pub fn report(&self, name: &str, style: &Style) -> String {
        diagnostic::report(self.diagnostics(name), style)
    }
}

/// Reads and judges a policy file (rule book 8.1, 8.2).
///
/// `served_from` are the ports that serve it; with none given, nothing is
/// said about what depends on them. NULs at the end belong to the file: it is
/// served byte for byte.
pub fn read(bytes: &[u8], served_from: &[u16]) -> Reading {
    let mut found = Found::default();
    let decoded = if bytes.len() > MAX_POLICY_BYTES {
        found.push(Finding::new(
            Code::TooLarge,
            0..0,
            // Whoever read it may have stopped there.
            format!("the policy has more than {MAX_POLICY_BYTES} bytes"),
            "remove comments, and merge the grants of subdomains into one for `*.example.com`",
        ));
        Err(String::new())
    } else {
        check_size(bytes, &mut found);
        decode(bytes, &mut found)
    };
    let fit = decoded.as_deref().ok();
    let policy = fit.and_then(|text| parse(text, served_from, &mut found));
    let text = decoded.unwrap_or_else(|unfit| unfit);
    let lightspark = (!text.is_empty()).then(|| lightspark::read(&text));

    let left_out = found.left_out().collect();
    let mut findings = found.kept;
    findings.sort_by_key(|finding| finding.range.start);
    let is_error = |finding: &Finding| finding.code.severity() == Severity::Error;
    let policy = policy.filter(|_| !findings.iter().any(is_error));
    Reading {
        policy,
        lightspark,
        findings,
        left_out,
        text,
    }
}

fn check_size(bytes: &[u8], found: &mut Found) {
    let served = bytes.len() + usize::from(!bytes.ends_with(b"\0"));
    let (code, cause) = if served > VERY_LARGE {
        (
            Code::VeryLarge,
            "clients and servers have refused more than 10,000",
        )
    } else if served > LARGE {
        (
            Code::Large,
            "some clients read only the first 4,095 of them",
        )
    } else {
        return;
    };
    found.push(Finding::new(
        code,
        0..0,
        format!("the policy has {served} bytes with its NUL; {cause}"),
        "remove comments, and merge the grants of subdomains into one for `*.example.com`",
    ));
}

/// The bytes without the NULs at their end.
pub fn without_nuls(bytes: &[u8]) -> &[u8] {
    let nuls = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    bytes.get(..bytes.len() - nuls).unwrap_or_default()
}

/// The text of the file without its byte-order mark and its final NULs; as an error, text that is
/// not fit to be parsed, for showing only.
fn decode(bytes: &[u8], found: &mut Found) -> Result<String, String> {
    let utf_16 = match bytes {
        // `<` as two bytes, and another character of two bytes behind it.
        [0, b'<', 0, 1..=255, ..] | [b'<', 0, 1..=255, 0, ..] => Some((
            Code::Encoding,
            "the file is UTF-16: each character is two bytes, and clients stop at a NUL",
        )),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            Some((Code::Bom, "the file is UTF-16, with a byte-order mark"))
        }
        _ => None,
    };
    if let Some((code, cause)) = utf_16 {
        let cure = "save the file as plain ASCII or as UTF-8 without a byte-order mark";
        found.push(Finding::new(code, 0..0, cause, cure));
        return Err(String::new());
    }
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if body.len() < bytes.len() {
        found.push(Finding::new(
            Code::Bom,
            0..0,
            "the file begins with a byte-order mark, an invisible character before the XML",
            "save the file as UTF-8 without one",
        ));
    }
    let body = without_nuls(body);
    let nul = body.iter().position(|byte| *byte == 0);
    let (at, code, cause, cure) = match (nul, std::str::from_utf8(body)) {
        (Some(at), _) => (
            at,
            Code::NulInside,
            "a NUL stands in the middle of the file: clients stop reading there",
            "delete it; NULs may only end the file, with nothing after them, not even a line end",
        ),
        (None, _) if declares_latin_1(body) => {
            return Ok(body.iter().map(|byte| char::from(*byte)).collect());
        }
        (None, Ok(text)) => return Ok(text.to_owned()),
        (None, Err(error)) => (
            error.valid_up_to(),
            Code::Encoding,
            "the file is not UTF-8 from here on",
            "save it as plain ASCII or UTF-8, or begin it with `<?xml version=\"1.0\" \
            encoding=\"ISO-8859-1\"?>` if that is what it is",
        ),
    };
    let start = String::from_utf8_lossy(body.get(..at).unwrap_or_default()).len();
    found.push(Finding::new(code, start..start, cause, cure));
    Err(String::from_utf8_lossy(body).into_owned())
}

fn declares_latin_1(body: &[u8]) -> bool {
    let declaration = || {
        let rest = body.strip_prefix(b"<?xml")?;
        let end = rest.windows(2).position(|pair| pair == b"?>")?;
        let text = std::str::from_utf8(rest.get(..end)?).ok()?;
        let (_, value) = text.split_once("encoding")?;
        let value = value.trim_start().strip_prefix('=')?.trim_start();
        value.split(['"', '\'']).nth(1)
    };
    declaration().is_some_and(|name| name.eq_ignore_ascii_case("iso-8859-1"))
}

fn parse(text: &str, served_from: &[u16], found: &mut Found) -> Option<Policy> {
    if let Some(at) = text.find(|c: char| !c.is_ascii()) {
        found.push(Finding::new(
            Code::NonAscii,
            at..at,
            "from here on the file is not plain ASCII, and not every client reads the rest",
            "write it in ASCII, international domains in punycode (`xn--...`)",
        ));
    }
    if let Some(at) = text.find("<!ENTITY") {
        found.push(Finding::new(
            Code::TooComplex,
            at..at + "<!ENTITY".len(),
            "entity declarations are refused, because expanding them can cost any amount of memory",
            "delete the declaration, and write what it stands for wherever it is used",
        ));
        return None;
    }
    if let Some((at, name)) = text.match_indices("xmlns").nth(MAX_NAMESPACES) {
        found.push(Finding::new(
            Code::TooComplex,
            at..at + name.len(),
            format!(
                "more than {MAX_NAMESPACES} namespace declarations are refused, because \
            they can cost any amount of time"
            ),
            "delete them: a policy needs none but `xmlns:xsi`",
        ));
        return None;
    }
    if let Some(page) = malformed::web_page(text) {
        found.push(page);
        return None;
    }
    let late = malformed::late_declaration(text);
    let blanked = late.map(|(before, declaration, behind)| {
        found.push(malformed::blank_before(before.len()));
        // Every byte behind it keeps its place, and every line.
        let blank = declaration
            .bytes()
            .map(|b| if b == b'\n' { '\n' } else { ' ' });
        [before, &String::from_iter(blank), behind].concat()
    });
    let text = blanked.as_deref().unwrap_or(text);
    match malformed::document(text) {
        Ok(document) => elements::policy(&document, served_from, found),
        Err(error) => {
            found.push(malformed::finding(&error, text));
            if let Error::UnknownNamespace(prefix, _) = error {
                read_behind_prefix(text, &prefix, served_from, found);
            }
            None
        }
    }
}

/// An undeclared prefix hides everything else from a strict parser. With its colons out of the
/// way the other errors can be told too, at the same places.
fn read_behind_prefix(text: &str, prefix: &str, served_from: &[u16], found: &mut Found) {
    let text = text.replace(&format!("{prefix}:"), &format!("{prefix}_"));
    if let Ok(document) = malformed::document(&text) {
        let mut more = Found::default();
        elements::policy(&document, served_from, &mut more);
        // Warnings would speak of what the prefix may have meant.
        found.add_errors(more);
    }
}
