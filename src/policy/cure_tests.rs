//! Cures are honest: each is applied to a text with the fault, and the finding is gone. Where the
//! cure names what to write, exactly that is written; where it is words, the row has the text that
//! follows from them.

use super::{Code, Finding, Reading, read};
use crate::diagnostic::Place;

/// How a cure is applied.
enum Apply {
    /// The place that is marked is replaced by what the cure has in backquotes.
    Write,
    /// The same, inside of the quotes that the mark takes in.
    WriteValue,
    /// The element that is marked is deleted, up to its `>`.
    DeleteElement,
    /// The attribute that is marked is deleted, with its value.
    DeleteAttribute,
    /// The place that is marked is deleted.
    Delete,
    /// What the cure has in backquotes is added behind the root's opening tag.
    AddInside,
    /// The cure is words: they contain these, and this is the text after it.
    Words(&'static str, Vec<u8>),
    /// The cure is words, and it is served from this port then.
    ServeFrom(&'static str, u16),
}

struct Row {
    code: Code,
    text: Vec<u8>,
    served_from: &'static [u16],
    apply: Apply,
}

const GRANT: &str = r#"<allow-access-from domain="a.example" to-ports="2001"/>"#;

fn with(elements: &str) -> String {
    format!("<cross-domain-policy>{elements}</cross-domain-policy>")
}

fn grant(attributes: &str) -> String {
    with(&format!("<allow-access-from {attributes}/>"))
}

fn control(rest: &str) -> String {
    with(&format!(
        "<site-control permitted-cross-domain-policies={rest}/>{GRANT}"
    ))
}

fn row(code: Code, text: impl Into<Vec<u8>>, apply: Apply) -> Row {
    Row {
        code,
        text: text.into(),
        served_from: &[],
        apply,
    }
}

fn words(phrase: &'static str, text: impl Into<Vec<u8>>) -> Apply {
    Apply::Words(phrase, text.into())
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn in_files() -> Vec<Row> {
    let good = with(GRANT);
    let long = |length: usize| with(&format!("{GRANT}<!--{}-->", "x".repeat(length)));
    vec![
        row(Code::TooLarge, " ".repeat(70_000), words("remove", &*good)),
        row(
            Code::Bom,
            format!("\u{feff}{good}"),
            words("UTF-8 without one", &*good),
        ),
        row(
            Code::Bom,
            [b"\xFF\xFE", &*utf_16(&good)].concat(),
            words("as plain ASCII", &*good),
        ),
        row(
            Code::NulInside,
            format!("{good}\0\n"),
            words("delete it", &*good),
        ),
        row(
            Code::Encoding,
            b"<cross-domain-policy>\xFC</cross-domain-policy>".to_vec(),
            words("save it as plain ASCII or UTF-8", with("\u{fc}")),
        ),
        row(
            Code::Encoding,
            utf_16(&good),
            words("as plain ASCII", &*good),
        ),
        row(
            Code::TooComplex,
            format!("<!DOCTYPE p [<!ENTITY a 'b'>]>{good}"),
            words("delete the declaration", &*good),
        ),
        row(
            Code::TooComplex,
            with(&format!("<a {}/>", "xmlns:b='c' ".repeat(70))),
            words("delete them", &*good),
        ),
        row(Code::Malformed, with("a & b"), Apply::Write),
        row(
            Code::Malformed,
            with("a &#x1b; b"),
            words("delete it", with("a  b")),
        ),
        row(
            Code::Malformed,
            with("<x:a/>"),
            words("write the name without a prefix", with("<a/>")),
        ),
        row(
            Code::Malformed,
            grant("domain=\u{201c}*\u{201d} to-ports='2'"),
            words("write plain quotes", grant("domain=\"*\" to-ports='2'")),
        ),
        row(
            Code::Malformed,
            grant("domain=* to-ports='2'"),
            words(
                "put every attribute's value in quotes",
                grant("domain='*' to-ports='2'"),
            ),
        ),
        row(
            Code::Malformed,
            grant("domain=\"\"*\"\" to-ports='2'"),
            words(
                "write one quote on each side",
                grant("domain=\"*\" to-ports='2'"),
            ),
        ),
        row(
            Code::Malformed,
            grant("domain='*'to-ports='2'"),
            words(
                "put a blank before every attribute",
                grant("domain='*' to-ports='2'"),
            ),
        ),
        row(
            Code::Malformed,
            "<cross-domain-policy>",
            words("the root with `</cross-domain-policy>`", with("")),
        ),
        row(
            Code::Malformed,
            format!("<? xml version='1.0'?>{good}"),
            words("delete that blank", format!("<?xml version='1.0'?>{good}")),
        ),
        row(
            Code::LateDeclaration,
            format!("\n<?xml version='1.0'?>{good}"),
            words(
                "delete whatever stands before `<?xml`",
                format!("<?xml version='1.0'?>{good}"),
            ),
        ),
        row(
            Code::DomainScheme,
            grant("domain='https://a.example' to-ports='2'"),
            Apply::Write,
        ),
        row(
            Code::WildcardTld,
            grant("domain='*.com' to-ports='2'"),
            Apply::Write,
        ),
        row(
            Code::BlockedPort,
            grant("domain='a' to-ports='6667'"),
            words(
                "move the game to another port",
                grant("domain='a' to-ports='6767'"),
            ),
        ),
        row(
            Code::PortDigits,
            grant("domain='a' to-ports='9,3,3,9'"),
            Apply::Write,
        ),
        row(Code::OutsideRoot, format!("{good}\\0"), Apply::Delete),
        row(Code::OutsideRoot, format!("{good}x"), Apply::Delete),
        row(
            Code::OutsideRoot,
            format!("{good}{good}"),
            words("put all grants into one", with(&GRANT.repeat(2))),
        ),
        row(Code::OutsideRoot, format!("<?php?>{good}"), Apply::Delete),
        row(
            Code::WrongRoot,
            "<policy/>",
            words("the root has to be `cross-domain-policy`", &*good),
        ),
        row(
            Code::WrongRoot,
            "<!DOCTYPE html><p>",
            words("write the policy itself", &*good),
        ),
        row(
            Code::Namespace,
            format!("<cross-domain-policy xmlns='urn:x'>{GRANT}</cross-domain-policy>"),
            words("delete its prefix or its `xmlns=` attribute", &*good),
        ),
        row(
            Code::DomainMissing,
            grant("to-ports='2'"),
            words(
                "write `domain=\"*.example.com\"`",
                grant("domain=\"*.example.com\" to-ports='2'"),
            ),
        ),
        row(
            Code::DomainInvalid,
            grant("domain='http://a.example/x' to-ports='2'"),
            Apply::Write,
        ),
        row(
            Code::DomainInvalid,
            grant("domain='*.*' to-ports='2'"),
            Apply::Write,
        ),
        row(
            Code::DomainInvalid,
            grant("domain='a.*' to-ports='2'"),
            Apply::Write,
        ),
        row(
            Code::DomainInvalid,
            grant("domain='a b' to-ports='2'"),
            words("delete it", grant("domain='ab' to-ports='2'")),
        ),
        row(
            Code::ToPortsMissing,
            grant("domain='a'"),
            words(
                "such as `to-ports=\"2001,3000-3010\"`",
                grant("domain='a' to-ports=\"2001,3000-3010\""),
            ),
        ),
        row(
            Code::ToPortsInvalid,
            grant("domain='a' to-ports='2-1'"),
            Apply::Write,
        ),
        row(
            Code::ToPortsInvalid,
            grant("domain='a' to-ports='0'"),
            words("begin at port 1", grant("domain='a' to-ports='2'")),
        ),
        row(
            Code::ToPortsInvalid,
            grant("domain='a' to-ports='0-100000'"),
            Apply::Write,
        ),
        row(
            Code::ToPortsInvalid,
            grant("domain='a' to-ports='http'"),
            Apply::Write,
        ),
        row(
            Code::SecureInvalid,
            grant("domain='a' to-ports='2' secure='yes'"),
            Apply::Write,
        ),
        row(
            Code::SiteControlRepeated,
            with(&format!(
                "{0}{0}{GRANT}",
                "<site-control permitted-cross-domain-policies='all'/>"
            )),
            Apply::DeleteElement,
        ),
        row(
            Code::SiteControlMissingValue,
            control("''"),
            Apply::WriteValue,
        ),
        row(
            Code::SiteControlInvalid,
            control("'masteronly'"),
            Apply::Write,
        ),
        row(Code::SiteControlInvalid, control("'xyz'"), Apply::Write),
        row(
            Code::MetaPolicyNotForSockets,
            control("'by-content-type'"),
            Apply::Write,
        ),
        row(
            Code::BlanksInPorts,
            grant("domain='a' to-ports='2, 3'"),
            Apply::Write,
        ),
        row(
            Code::HttpHeadersElement,
            with(&format!(
                "{GRANT}<allow-http-request-headers-from domain='*' headers='*'/>"
            )),
            Apply::DeleteElement,
        ),
        row(
            Code::IdentityElement,
            with(&format!("{GRANT}<allow-access-from-identity/>")),
            Apply::DeleteElement,
        ),
        row(
            Code::UnknownElement,
            with(&format!("{GRANT}<x/>")),
            Apply::DeleteElement,
        ),
        row(
            Code::UnknownElement,
            with("<allow-acces-from domain='a' to-ports='2'/>"),
            Apply::Write,
        ),
        row(
            Code::UnknownAttribute,
            grant("domain='a' to-ports='2' x='y'"),
            Apply::DeleteAttribute,
        ),
        row(
            Code::UnknownAttribute,
            grant("domain='a' to-port='2'"),
            Apply::Write,
        ),
        row(
            Code::SiteControlOrder,
            with(&format!(
                "{GRANT}<site-control permitted-cross-domain-policies='all'/>"
            )),
            words("move it to the front", control("'all'")),
        ),
        Row {
            served_from: &[1023],
            ..row(
                Code::SiteControlNotMaster,
                control("'all'"),
                Apply::DeleteElement,
            )
        },
        Row {
            served_from: &[1023],
            ..row(
                Code::SiteControlNotMaster,
                control("'all'"),
                Apply::ServeFrom("serve the policy from port 843", 843),
            )
        },
        row(
            Code::SecureGrant,
            grant("domain='a' to-ports='2' secure='true'"),
            words("delete it", grant("domain='a' to-ports='2'")),
        ),
        row(
            Code::GrantsBesideNone,
            control("'none'"),
            words("write `master-only`", control("'master-only'")),
        ),
        row(Code::NoGrant, with("<!-- -->"), Apply::AddInside),
        row(
            Code::AllowsEverything,
            grant("domain='*' to-ports='*'"),
            words("name the domains and the ports", &*good),
        ),
        row(
            Code::IpDomain,
            grant("domain='10.0.0.1' to-ports='2'"),
            words("write the host name", &*good),
        ),
        row(
            Code::DomainUnmatchable,
            grant("domain='a,b' to-ports='2'"),
            words("write a grant for each domain", with(&GRANT.repeat(2))),
        ),
        row(
            Code::DomainUnmatchable,
            grant("domain='0.0.0.0' to-ports='2'"),
            Apply::Write,
        ),
        row(Code::StrayText, with(&format!("x{GRANT}")), Apply::Delete),
        row(
            Code::NonAscii,
            format!("<!-- \u{fc} -->{good}"),
            words("write it in ASCII", &*good),
        ),
        row(Code::Large, long(4_000), words("remove comments", &*good)),
        row(
            Code::VeryLarge,
            long(10_000),
            words("remove comments", &*good),
        ),
        row(
            Code::PortRange,
            grant("domain='a' to-ports='3000-3010'"),
            Apply::Write,
        ),
        row(
            Code::PortRange,
            grant("domain='a' to-ports='1-65535'"),
            Apply::Write,
        ),
        row(
            Code::PortRange,
            grant("domain='a' to-ports='3000-4000'"),
            words("or `*`", grant("domain='a' to-ports='*'")),
        ),
        row(
            Code::GrantAttributes,
            grant("domain='a' to-ports='2' secure='false' x='y'"),
            words(
                "keep `domain`, `to-ports` and `secure` alone",
                grant("domain='a' to-ports='2' secure='false'"),
            ),
        ),
        row(
            Code::ControlAttributes,
            control("'all' x='y'"),
            words(
                "keep `permitted-cross-domain-policies` alone",
                control("'all'"),
            ),
        ),
        row(
            Code::TrailingDot,
            grant("domain='a.example.' to-ports='2'"),
            Apply::Write,
        ),
        Row {
            served_from: &[1024],
            ..row(
                Code::LowPortFromHigh,
                grant("domain='a' to-ports='80'"),
                Apply::ServeFrom("serve it from port 843", 843),
            )
        },
        Row {
            served_from: &[1024],
            ..row(
                Code::LowPortFromHigh,
                grant("domain='a' to-ports='80'"),
                words(
                    "grant ports from 1024 upwards",
                    grant("domain='a' to-ports='1024'"),
                ),
            )
        },
    ]
}

/// What the cure has in its first backquotes.
fn literal(finding: &Finding) -> &str {
    finding
        .cure
        .split('`')
        .nth(1)
        .expect("the cure names what to write")
}

/// The text with the marked place, and `more` behind it, replaced.
fn replaced(text: &str, place: &Place, more: usize, by: &str) -> Vec<u8> {
    assert_eq!(place.line, Some(1), "the texts of the table have one line");
    let chars: Vec<char> = text.chars().collect();
    let start = place.column.unwrap() - 1;
    let (before, rest) = chars.split_at(start);
    let after = rest.iter().skip(place.width + more);
    let replaced: String = before
        .iter()
        .copied()
        .chain(by.chars())
        .chain(after.copied())
        .collect();
    replaced.into_bytes()
}

fn apply(row: &Row, finding: &Finding, place: &Place) -> (Vec<u8>, Vec<u16>, String) {
    let text = String::from_utf8_lossy(&row.text);
    let served = row.served_from.to_vec();
    let mark = place.column.unwrap() - 1 + place.width;
    let behind = |end: &str| {
        text.chars()
            .skip(mark)
            .collect::<String>()
            .find(end)
            .unwrap()
            + end.len()
    };
    let delete = |what: &str| {
        let says_so = finding.cure.starts_with("delete") || finding.cure.starts_with("keep one");
        assert!(says_so, "{what}: {}", finding.cure);
    };
    let (cured, how) = match &row.apply {
        Apply::Write => {
            let by = literal(finding);
            (replaced(&text, place, 0, by), format!("write {by}"))
        }
        Apply::WriteValue => {
            let (name, _) = text.split_once("=''").unwrap();
            let value = literal(finding);
            let rest = text.split_once("=''").unwrap().1;
            (
                format!("{name}='{value}'{rest}").into_bytes(),
                format!("write {value}"),
            )
        }
        Apply::DeleteElement => {
            delete("the element");
            let more = behind(">");
            let whole = Place {
                column: place.column.map(|column| column - 1),
                width: place.width + 1,
                ..place.clone()
            };
            (
                replaced(&text, &whole, more, ""),
                "delete the element".into(),
            )
        }
        Apply::DeleteAttribute => {
            delete("the attribute");
            let value = behind("'")
                + text
                    .chars()
                    .skip(mark + behind("'"))
                    .collect::<String>()
                    .find('\'')
                    .unwrap()
                + 1;
            (
                replaced(&text, place, value, ""),
                "delete the attribute".into(),
            )
        }
        Apply::Delete => {
            delete("the place");
            (replaced(&text, place, 0, ""), "delete it".into())
        }
        Apply::AddInside => {
            let added = text.replacen('>', &format!(">{}", literal(finding)), 1);
            (added.into_bytes(), "add the grant".into())
        }
        Apply::Words(phrase, cured) => {
            assert!(finding.cure.contains(phrase), "{phrase}: {}", finding.cure);
            (cured.clone(), format!("words: {phrase}"))
        }
        Apply::ServeFrom(phrase, port) => {
            assert!(finding.cure.contains(phrase), "{phrase}: {}", finding.cure);
            return (row.text.clone(), vec![*port], format!("words: {phrase}"));
        }
    };
    (cured, served, how)
}

fn find(reading: &Reading, code: Code) -> Option<&Finding> {
    reading.findings.iter().find(|finding| finding.code == code)
}

#[test]
fn every_cure_applied_to_the_text_takes_its_finding_away() {
    let mut table = String::new();
    let rows = in_files();
    for row in &rows {
        let shown = String::from_utf8_lossy(&row.text);
        let reading = read(&row.text, row.served_from);
        let finding = find(&reading, row.code);
        let finding = finding.unwrap_or_else(|| panic!("{:?} is not in {shown}", row.code));
        let at = reading.findings.iter().position(|f| f == finding).unwrap();
        let place = &reading.diagnostics("").nth(at).unwrap().place;
        let (cured, served_from, how) = apply(row, finding, place);
        let after = read(&cured, &served_from);
        let told = String::from_utf8_lossy(&cured);
        assert!(
            find(&after, row.code).is_none(),
            "{how}: {:?} is still in {told}",
            row.code
        );
        // No cure makes another fault.
        let errors = |reading: &Reading| {
            let errors = reading.findings.iter().map(|f| f.code.severity());
            errors.filter(|s| *s == super::Severity::Error).count()
        };
        assert!(errors(&after) <= errors(&reading), "{how}: {told}");
        table.push_str(&format!("| {} | {how} | gone |\n", row.code.as_str()));
    }
    for code in Code::all() {
        assert!(
            rows.iter().any(|row| row.code == *code),
            "{code:?} has no row"
        );
    }
    println!("{table}");
}
