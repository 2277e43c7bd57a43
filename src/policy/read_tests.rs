//! What `read` finds in policies of every kind, good and bad.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Code, MAX_POLICY_BYTES, Reading, Severity, read, render, strategies};
use crate::diagnostic::{self, Place};
use crate::text::{Style, is_printable};

const GRANT: &str = r#"<allow-access-from domain="a.example" to-ports="2001"/>"#;

/// A policy with these elements.
fn with(elements: &str) -> String {
    format!("<cross-domain-policy>{elements}</cross-domain-policy>")
}

/// A policy with a grant that has these attributes.
fn grant(attributes: &str) -> String {
    with(&format!("<allow-access-from {attributes}/>"))
}

/// A policy with this attribute text on `site-control`, and a good grant.
fn control(attribute: &str) -> String {
    with(&format!("<site-control {attribute}/>{GRANT}"))
}

fn codes(reading: &Reading) -> String {
    let codes: Vec<_> = reading
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    codes.join(" ")
}

/// Where the findings are.
fn places(reading: &Reading) -> Vec<Place> {
    let shown = reading.diagnostics("p");
    shown.map(|diagnostic| diagnostic.place).collect()
}

/// The only finding's cause and cure.
fn only(bytes: &[u8]) -> String {
    let reading = read(bytes, &[]);
    assert_eq!(
        reading.findings.len(),
        1,
        "{}",
        reading.report("p", &Style::PLAIN)
    );
    format!(
        "{}; {}",
        reading.findings[0].cause, reading.findings[0].cure
    )
}

/// Policies served from nowhere in particular, with what is found in them.
fn cases() -> Vec<(String, &'static str)> {
    let all = "permitted-cross-domain-policies='all'";
    let schema = "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:noNamespaceSchemaLocation='http://www.adobe.com/xml/schemas/PolicyFileSocket.xsd'";
    let declared = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>";
    vec![
        (with(GRANT), ""),
        (
            format!(
                "<?xml version='1.0'?>\n<!DOCTYPE cross-domain-policy SYSTEM '/xml/dtds/cross-domain-policy.dtd'>\n<!-- x -->\n{}\r\n\n<!-- y -->",
                with(GRANT)
            ),
            "",
        ),
        (format!("<!-- first -->\n{}", with(GRANT)), ""),
        (format!("<?xml\nversion='1.0'?>{}", with(GRANT)), ""),
        (
            format!(
                "<!DOCTYPE cross-domain-policy [<!ELEMENT x EMPTY>]>{}",
                with(GRANT)
            ),
            "",
        ),
        (with(&format!("<!-- c --><?pi?>{GRANT}")), ""),
        (
            format!("<cross-domain-policy {schema}>{GRANT}</cross-domain-policy>"),
            "",
        ),
        (control(all), ""),
        (
            grant("domain='a.example' to-ports='2,65535,3' secure='false'"),
            "",
        ),
        (grant("domain='&#x61;.example' to-ports='20&#x30;1'"), ""),
        (format!("{}\0", with(GRANT)), ""),
        (format!("{}\n\0\0\0", with(GRANT)), ""),
        // Errors in the bytes
        (" ".repeat(MAX_POLICY_BYTES + 1), "too-large"),
        (format!("\u{feff}{}", with(GRANT)), "bom"),
        (
            format!("\u{feff}{}", grant("domain='a' to-ports='0'")),
            "bom to-ports-invalid",
        ),
        (format!("{}\0\n", with(GRANT)), "nul-inside"),
        (format!("\0{}", with(GRANT)), "nul-inside"),
        // Errors in the XML
        (String::new(), "malformed"),
        ("\0".into(), "malformed"),
        (" \n ".into(), "malformed"),
        ("<!-- only a comment -->".into(), "malformed"),
        ("<cross-domain-policy>".into(), "malformed"),
        ("<cross-domain-policy".into(), "malformed"),
        (with("<a>"), "malformed"),
        (with("<!-- a -- b -->"), "malformed"),
        (with("<a b=c/>"), "malformed"),
        (with("<a b/>"), "malformed"),
        (with("<a b=''c''/>"), "malformed"),
        (with("<a b='1'c='2'/>"), "malformed"),
        (with("<a b='1' b='2'/>"), "malformed"),
        (with("<a b='<'/>"), "malformed"),
        (with("a & b"), "malformed"),
        (with("&nbsp;"), "malformed"),
        (with("< a/>"), "malformed"),
        (with("<x:a/>"), "malformed"),
        (with("\u{1}"), "malformed"),
        (format!("{}<?xml version='1.0'?>", with(GRANT)), "malformed"),
        (with(&format!("<?xml version='1.0'?>{GRANT}")), "malformed"),
        (
            format!("x<?xml version='1.0'?>{}", with(GRANT)),
            "outside-root",
        ),
        (
            format!("<? xml version='1.0'?>{}", with(GRANT)),
            "malformed",
        ),
        (format!("{}\\0", with(GRANT)), "outside-root"),
        (
            format!(
                "<cross-domain-policy xsi:noNamespaceSchemaLocation='x'>{GRANT}</cross-domain-policy>"
            ),
            "malformed",
        ),
        (
            format!("<!DOCTYPE p [<!ENTITY a 'b'>]>{}", with(GRANT)),
            "too-complex",
        ),
        (format!("x{}", with(GRANT)), "outside-root"),
        (format!("{}x", with(GRANT)), "outside-root"),
        (format!("{}{}", with(GRANT), with(GRANT)), "outside-root"),
        (format!("{}</a>", with(GRANT)), "outside-root"),
        (format!("{}<!DOCTYPE a>", with(GRANT)), "outside-root"),
        (format!("<?php?>{}", with(GRANT)), "outside-root"),
        (format!("{}<?pi?>", with(GRANT)), "outside-root"),
        ("<access-policy/>".into(), "wrong-root"),
        ("<Cross-Domain-Policy/>".into(), "wrong-root"),
        (
            format!("<cross-domain-policy xmlns='urn:x'>{GRANT}</cross-domain-policy>"),
            "namespace",
        ),
        (
            format!("<cross-domain-policy xmlns=''>{GRANT}</cross-domain-policy>"),
            "",
        ),
        // Errors in the elements
        (grant("to-ports='2'"), "domain-missing"),
        (grant("domain='' to-ports='2'"), "domain-missing"),
        (grant("domain=' ' to-ports='2'"), "domain-missing"),
        (
            grant("domain='ftp://a.example' to-ports='2'"),
            "domain-invalid",
        ),
        (
            grant("domain='a.example:80' to-ports='2'"),
            "domain-invalid",
        ),
        (grant("domain='a.example/x' to-ports='2'"), "domain-invalid"),
        (grant("domain='a.*' to-ports='2'"), "domain-invalid"),
        (grant("domain='a b' to-ports='2'"), "domain-invalid"),
        (grant("domain='a.example'"), "to-ports-missing"),
        (grant("domain='a.example' to-ports=''"), "to-ports-missing"),
        (grant(""), "to-ports-missing domain-missing"),
        (grant("domain='a' to-ports='0'"), "to-ports-invalid"),
        (grant("domain='a' to-ports='65536'"), "to-ports-invalid"),
        (grant("domain='a' to-ports='2-1'"), "to-ports-invalid"),
        (grant("domain='a' to-ports='http'"), "to-ports-invalid"),
        (
            grant("domain='a' to-ports='2' secure='yes'"),
            "secure-invalid",
        ),
        (grant("domain='a' to-ports='2' secure=''"), "secure-invalid"),
        (
            grant("domain='*.*' to-ports='0' secure='1'"),
            "domain-invalid to-ports-invalid secure-invalid",
        ),
        (
            with(&format!(
                "<site-control {all}/><site-control {all}/>{GRANT}"
            )),
            "site-control-repeated",
        ),
        (control(""), "site-control-missing-value"),
        (
            control("permitted-cross-domain-policies=''"),
            "site-control-missing-value",
        ),
        (
            control("permitted-cross-domain-policies='ALL'"),
            "site-control-invalid",
        ),
        (
            control("permitted-cross-domain-policies='by-content-type'"),
            "meta-policy-not-for-sockets",
        ),
        (
            control("permitted-cross-domain-policies='by-ftp-filename'"),
            "meta-policy-not-for-sockets",
        ),
        (
            grant("domain='http://a.example/' to-ports='2'"),
            "domain-invalid",
        ),
        (grant("domain='a' to-ports='8,0,8,0'"), "to-ports-invalid"),
        // Warnings
        (
            format!("\n<?xml version='1.0'?>{}", with(GRANT)),
            "late-declaration",
        ),
        (
            format!("<!-- x -->\r\n<?xml\tversion='1.0'?>\n{}", with(GRANT)),
            "late-declaration",
        ),
        (
            format!(" <?xml\nversion='1.0'?>{}", grant("domain='' to-ports='2'")),
            "late-declaration domain-missing",
        ),
        (
            grant("domain='http://a.example' to-ports='2'"),
            "domain-scheme",
        ),
        (
            grant("domain='HTTPS://*.example.com' to-ports='2'"),
            "domain-scheme",
        ),
        (grant("domain='*.com' to-ports='2'"), "wildcard-tld"),
        (grant("domain='a' to-ports='531,6667'"), "blocked-port"),
        (
            grant("domain='a' to-ports='6000-7000'"),
            "blocked-port port-range",
        ),
        (grant("domain='a' to-ports='*'"), ""),
        (grant("domain='a' to-ports='9,3,3,9'"), "port-digits"),
        (grant("domain='a' to-ports='8,1,2,3'"), "port-digits"),
        (
            grant("domain='a' to-ports='5, 5'"),
            "port-digits blanks-in-ports",
        ),
        (grant("domain='a' to-ports='8,4,3'"), "port-digits"),
        (grant("domain='a' to-ports='2,3'"), ""),
        (
            grant("domain='a' to-ports=' 2, 3 - 4'"),
            "blanks-in-ports port-range",
        ),
        (grant("domain='a' to-ports=' 2, 3'"), "blanks-in-ports"),
        (grant("domain='a' to-ports='2,3000-3010'"), "port-range"),
        (grant("domain='a.example.' to-ports='2'"), "trailing-dot"),
        (
            grant("domain='a' to-ports='2' secure='false' x='y'"),
            "unknown-attribute grant-attributes",
        ),
        (
            control(&format!("{all} x='y'")),
            "unknown-attribute site-control-attributes",
        ),
        (
            with(&format!(
                "{GRANT}<allow-http-request-headers-from domain='*' headers='*'/>"
            )),
            "http-headers-element",
        ),
        (
            with(&format!(
                "{GRANT}<allow-access-from-identity><signatory><certificate/></signatory></allow-access-from-identity>"
            )),
            "identity-element",
        ),
        (
            with(&format!("<allow-acces-from/>{GRANT}")),
            "unknown-element",
        ),
        (
            "<cross-domain-policy xsi:x='y'><allow-access-from domain='a'/></cross-domain-policy>"
                .into(),
            "malformed to-ports-missing",
        ),
        (
            with(&format!("\n allow-access-from domain='a'/>{GRANT}")),
            "stray-text",
        ),
        (
            with(&format!("<x:allow-access-from xmlns:x='urn:x'/>{GRANT}")),
            "unknown-element",
        ),
        (
            with(&format!(
                "<allow-access-from domain='a' to-ports='2'>{GRANT}</allow-access-from>"
            )),
            "unknown-element",
        ),
        (
            grant("domain='a' to-ports='2' to-port='2' xml:lang='en'"),
            "unknown-attribute unknown-attribute grant-attributes",
        ),
        (
            format!("<cross-domain-policy version='1'>{GRANT}</cross-domain-policy>"),
            "unknown-attribute",
        ),
        (
            with(&format!("{GRANT}<site-control {all}/>")),
            "site-control-order",
        ),
        (
            grant("domain='a' to-ports='2' secure='true'"),
            "secure-grant",
        ),
        (
            control("permitted-cross-domain-policies='none'"),
            "grants-beside-none",
        ),
        (with(""), "no-grant"),
        (
            with("<site-control permitted-cross-domain-policies='none'/>"),
            "",
        ),
        (grant("domain='*' to-ports='*'"), "allows-everything"),
        (
            grant("domain='*' to-ports='1-65535'"),
            "allows-everything port-range",
        ),
        (grant("domain='0.0.0.0' to-ports='2'"), "domain-unmatchable"),
        (
            format!("<!DOCTYPE html>\n<html><meta charset=utf-8>{}", with(GRANT)),
            "wrong-root",
        ),
        (
            grant("domain=\u{201c}*\u{201d} to-ports='2'"),
            "non-ascii malformed",
        ),
        (grant("domain='10.0.0.1' to-ports='2'"), "ip-domain"),
        (grant("domain='*.0.0.1' to-ports='2'"), "ip-domain"),
        (grant("domain='[::1]' to-ports='2'"), "ip-domain"),
        (
            grant("domain='.example.com' to-ports='2'"),
            "domain-unmatchable",
        ),
        (
            grant("domain='a.example,b.example' to-ports='2'"),
            "domain-unmatchable",
        ),
        (
            grant("domain='m\u{fc}nchen.example' to-ports='2'"),
            "non-ascii",
        ),
        (with(&format!("<!-- \u{fc} \u{fc} -->{GRANT}")), "non-ascii"),
        (format!("{declared}{}", with(GRANT)), ""),
        (
            with(&format!("{GRANT}<!--{}-->", "x".repeat(4_000))),
            "large",
        ),
        (
            with(&format!("{GRANT}<!--{}-->", "x".repeat(10_000))),
            "very-large",
        ),
        // Several at once
        (
            with(
                "<site-control permitted-cross-domain-policies='none'/><allow-access-from domain='*' to-ports='*' secure='true'/>",
            ),
            "grants-beside-none secure-grant",
        ),
    ]
}

#[test]
fn each_policy_has_exactly_its_findings() {
    for (policy, expected) in cases() {
        let reading = read(policy.as_bytes(), &[]);
        let mut found: Vec<_> = reading
            .findings
            .iter()
            .map(|finding| finding.code.as_str())
            .collect();
        let mut expected: Vec<_> = expected.split_whitespace().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{policy}");
        let errors = reading
            .findings
            .iter()
            .any(|finding| finding.code.severity() == Severity::Error);
        assert_eq!(reading.policy.is_none(), errors, "{policy}");
    }
}

#[test]
fn every_code_has_a_case() {
    let elsewhere = [
        Code::Encoding,
        Code::SiteControlNotMaster,
        Code::LowPortFromHigh,
    ];
    for code in Code::all() {
        let mut expected = cases()
            .into_iter()
            .flat_map(|(_, codes)| codes.split_whitespace());
        let tried = expected.any(|name| name == code.as_str());
        assert!(tried || elsewhere.contains(code), "{code:?} has no case");
    }
}

#[test]
fn what_depends_on_the_port_is_said_only_where_it_is_known() {
    let policy = with(&format!(
        "<site-control permitted-cross-domain-policies='all'/>{}",
        "<allow-access-from domain='a' to-ports='80,2001'/>"
    ));
    for (served_from, expected) in [
        (&[][..], ""),
        (&[843], ""),
        (&[843, 900], ""),
        (&[1023], "site-control-not-master"),
        (&[1024], "site-control-not-master low-port-from-high"),
        (&[843, 10_843], "low-port-from-high"),
    ] {
        assert_eq!(
            codes(&read(policy.as_bytes(), served_from)),
            expected,
            "{served_from:?}"
        );
    }
    let none = policy
        .replace("'all'", "'none'")
        .replace("'80,2001'", "'*'")
        .replace("'a'", "'*'");
    for (served_from, expected) in [
        (&[][..], "grants-beside-none"),
        (&[843], "grants-beside-none"),
        (&[10_843], "site-control-not-master allows-everything"),
    ] {
        assert_eq!(codes(&read(none.as_bytes(), served_from)), expected);
    }
    let star = grant("domain='a' to-ports='*'");
    assert_eq!(codes(&read(star.as_bytes(), &[10_843])), "");
}

#[test]
fn sizes_are_measured_as_served() {
    let sized = |length: usize| {
        let empty = with(&format!("{GRANT}<!---->")).len();
        with(&format!("{GRANT}<!--{}-->", "x".repeat(length - empty)))
    };
    for (length, nuls, expected) in [
        (4_094, 0, ""),
        (4_095, 0, "large"),
        (4_094, 1, ""),
        (4_094, 2, "large"),
        (9_999, 1, "large"),
        (10_000, 0, "very-large"),
    ] {
        let policy = sized(length) + &"\0".repeat(nuls);
        assert_eq!(
            codes(&read(policy.as_bytes(), &[])),
            expected,
            "{length} + {nuls}"
        );
    }
    let largest = sized(MAX_POLICY_BYTES);
    assert!(read(largest.as_bytes(), &[]).policy.is_some());
}

#[test]
fn latin_1_is_read_where_it_is_declared_and_nowhere_else() {
    let latin_1 = b"<?xml version='1.0' encoding='iso-8859-1'?><cross-domain-policy><allow-access-from domain='m\xFCnchen' to-ports='2'/></cross-domain-policy>";
    let reading = read(latin_1, &[]);
    assert_eq!(codes(&reading), "non-ascii");
    assert_eq!(
        reading.policy.unwrap().grants[0].domain.to_string(),
        "m\u{fc}nchen"
    );

    let undeclared = b"<cross-domain-policy>\n <!-- \xFC --></cross-domain-policy>";
    let reading = read(undeclared, &[]);
    assert_eq!(codes(&reading), "encoding");
    let place = &places(&reading)[0];
    assert_eq!((place.line, place.column), (Some(2), Some(7)));
    assert!(
        reading
            .report("p", &Style::PLAIN)
            .contains("<!-- \u{fffd} -->")
    );

    assert_eq!(codes(&read(b"\xFF\xFE<\0a\0", &[])), "bom");
}

#[test]
fn utf_16_is_named_with_and_without_its_mark() {
    let policy = grant("domain='*' to-ports='80'");
    let units = || policy.encode_utf16();
    let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
    for bytes in [&little, &big] {
        let said = only(bytes);
        assert!(said.starts_with("the file is UTF-16"), "{said}");
        assert_eq!(codes(&read(bytes, &[])), "encoding");
    }
    let marked = [b"\xFE\xFF", &big[..]].concat();
    assert!(only(&marked).starts_with("the file is UTF-16, with a byte-order mark"));
}

#[test]
fn typographic_quotes_are_called_by_their_name() {
    let policy = grant("domain=\u{201c}*\u{201d} to-ports='80'");
    let reading = read(policy.as_bytes(), &[]);
    let malformed = reading
        .findings
        .iter()
        .find(|f| f.code == Code::Malformed)
        .unwrap();
    assert!(
        malformed.cause.contains("typographic quotes (\u{201c})"),
        "{}",
        malformed.cause
    );
    assert!(malformed.cure.contains("`\"`"));
}

#[test]
fn findings_point_at_what_they_are_about() {
    let policy = "<cross-domain-policy>\n  <allow-access-from\n    domain = 'a b'\n    to-ports=\"\"  tp='1' />\n</cross-domain-policy>";
    let reading = read(policy.as_bytes(), &[]);
    let marked: Vec<_> = places(&reading)
        .iter()
        .map(|place| {
            let line = policy.lines().nth(place.line.unwrap() - 1).unwrap();
            line.chars()
                .skip(place.column.unwrap() - 1)
                .take(place.width)
                .collect::<String>()
        })
        .collect();
    assert_eq!(marked, ["a b", "to-ports=\"\"", "tp"]);
}

#[test]
fn a_value_is_found_after_any_number_of_blanks() {
    let policy = grant(&format!("domain{}='*.*' to-ports='2'", " ".repeat(300)));
    let reading = read(policy.as_bytes(), &[]);
    let place = &places(&reading)[0];
    assert_eq!(place.column.unwrap() - 1, policy.find("*.*").unwrap());
    assert_eq!(place.width, 3);
}

#[test]
fn common_mistakes_are_explained() {
    for (policy, words) in [
        (
            grant("domain='*'"),
            "this is a policy for HTTP (crossdomain.xml), not for sockets",
        ),
        (
            grant("domain='a' to-ports='2' x='y'"),
            "delete it: what Flash Player does with it is not known",
        ),
        ("<access-policy/>".into(), "this is a Silverlight policy"),
        (
            "<html/>".into(),
            "the root element is `html`, so this is no Flash policy",
        ),
        (with("<a b=c/>"), "a value is not in quotes; put every"),
        (with("<a b=\"\"c\"\"/>"), "the quotes are doubled"),
        (
            "<!doctype HTML><p>".into(),
            "this is a web page (HTML), not a policy",
        ),
        (
            grant("domain='*.*' to-ports='2'"),
            "has one `*` too many; write `*` for content from anywhere",
        ),
        (
            grant("domain='::' to-ports='2'"),
            "write `*` for content from anywhere",
        ),
        (
            grant("domain='a' to-ports='3-5'"),
            "counts only the first port, and Unity Web Player leaves out the last; write the ports one by one: `3,4,5`",
        ),
        (
            grant("domain='a' to-ports=' *'"),
            "Lightspark does not take it for every port; write `*`",
        ),
        (with("<a b='1'c='2'/>"), "a blank is missing"),
        (
            with("<a b='1><c d='2'/>"),
            "a `<` stands in an attribute's value; close the quote",
        ),
        (with("<a b/>"), "an attribute has no value"),
        (
            with("<a><b></a>"),
            "`a` is closed here, while `b` is still open",
        ),
        (with("<x:a/>"), "the prefix `x` is used but not declared"),
        (with("a & b"), "a `&` stands alone; write `&amp;`"),
        (
            with("a &#x1b; b"),
            "XML does not allow the character `&#x1b;`; delete it",
        ),
        (
            with("a&#0;"),
            "XML does not allow the character `&#0;`; delete it",
        ),
        (
            grant("domain='a&#xFFFF;' to-ports='2'"),
            "XML does not allow the character `&#xFFFF;`; delete it",
        ),
        (
            with("&#99999999999;"),
            "XML does not allow the character `&#99999999999;`; delete it",
        ),
        (with("&#x; b;"), "a `&` stands alone; write `&amp;`"),
        (with("&#x1b b;"), "a `&` stands alone; write `&amp;`"),
        (with("&x;"), "the entity `x` is not defined"),
        (
            format!("\n\n<?xml version='1.0'?>{}", with(GRANT)),
            "whether Flash Player takes the file then is not known; delete whatever stands before",
        ),
        (
            format!("<? xml version='1.0'?>{}", with(GRANT)),
            "there is a blank behind `<?`; delete that blank",
        ),
        (with("< a/>"), "there is a blank behind `<`"),
        (
            format!("<?xml version='1.0'? >{}", with(GRANT)),
            "there is a blank between `?` and `>`",
        ),
        (with("<a / >"), "there is a blank between `/` and `>`"),
        (with("<a b='1'/ >"), "there is a blank between `/` and `>`"),
        (
            format!("{}\\0\\0", with(GRANT)),
            "is not a NUL, but the characters themselves",
        ),
        (with("<a></ a>"), "there is a blank behind `</`"),
        (
            format!("{}\\0", with(GRANT)),
            "`\\0` is not a NUL, but the characters themselves; delete them",
        ),
        (
            format!("{} \"\\x00\"\n", with(GRANT)),
            "is not a NUL, but the characters themselves",
        ),
        (
            format!("{}&#0;", with(GRANT)),
            "is not a NUL, but the characters themselves",
        ),
        (
            format!("{}\\\\0", with(GRANT)),
            "is not a NUL, but the characters themselves",
        ),
        (
            format!("{}<NUL>", with(GRANT)),
            "is not a NUL, but the characters themselves",
        ),
        (
            grant("domain='192.168.1.0/24' to-ports='2'"),
            "is a network; a domain is the site that the content is loaded from",
        ),
        (
            grant("domain='192.168.1.*' to-ports='2'"),
            "is a network; a domain is the site that the content is loaded from",
        ),
        (
            grant("domain='a' to-ports='9,3,3,9'"),
            "ports of one digit each; was 9339 meant? write `9339`",
        ),
        (
            grant("domain='a' to-ports='8,0,8,0'"),
            "there is no port 0; was 8080 meant? write `8080`",
        ),
        (
            grant("domain='a' to-ports='2001,6667,531'"),
            "refuses ports 531 and 6667 itself, whatever a policy grants; move the game to another port",
        ),
        (
            format!("{0}{0}", with(GRANT)),
            "a second root element begins here",
        ),
        (
            format!("HTTP/1.1 200 OK\r\n\r\n{}", with(GRANT)),
            "an answer of a web server",
        ),
        (
            format!("{}\nEOF", with(GRANT)),
            "the text `EOF` stands outside the root",
        ),
        (
            "{\"policy\": 1}".into(),
            "stands before the XML; begin the file with `<`",
        ),
        ("".into(), "the file is empty; write a policy, such as"),
        ("<!-- x -->".into(), "there is no element in the file"),
        (
            "<cross-domain-policy>\n\n".into(),
            "the file ends before its root element does",
        ),
        (with("<!-- a -- b -->"), "a `--` inside a comment"),
        (
            with(&format!("<allow-acces-from/>{GRANT}")),
            "did you mean `allow-access-from`?",
        ),
        (
            grant("domain='a' to-ports='2' secur='true'"),
            "did you mean `secure`?",
        ),
        (
            control("permitted-cross-domain-policies='masteronly'"),
            "did you mean `master-only`?",
        ),
    ] {
        let said = only(policy.as_bytes());
        assert!(said.contains(words), "{policy}: {said}");
    }
}

#[test]
fn a_policy_partly_for_http_is_not_called_one_for_http() {
    let mixed = with(&format!("<allow-access-from domain='a'/>{GRANT}"));
    assert!(only(mixed.as_bytes()).starts_with("`allow-access-from` has no `to-ports`"));
}

/// Time and memory of the worst that fits into 64 KiB; a stack of 128 KiB.
#[test]
fn hostile_policies_are_refused_in_no_time() {
    let fill = |start: &str, piece: &dyn Fn(usize) -> String, end: &str| {
        let mut text = start.to_owned();
        for index in 0.. {
            let piece = piece(index);
            if text.len() + piece.len() + end.len() > MAX_POLICY_BYTES {
                break;
            }
            text.push_str(&piece);
        }
        text + end
    };
    let deep = "<a>".repeat(9_000) + &"</a>".repeat(9_000);
    let laughs: String = (1..10)
        .map(|n| format!("<!ENTITY l{n} '{}'>", format!("&l{};", n - 1).repeat(10)))
        .collect();
    for (policy, expected) in [
        (fill("", &|_| "<a>".into(), ""), "very-large malformed"),
        (with(&deep), "very-large unknown-element no-grant"),
        (
            fill("", &|n| format!("<a xmlns:n{n}='u'>"), ""),
            "very-large too-complex",
        ),
        (
            format!("<!DOCTYPE p [<!ENTITY l0 'lol'>{laughs}]>{}", with("&l9;")),
            "too-complex",
        ),
        (
            fill(
                "<!DOCTYPE p [<!ENTITY a 'xxxxxxxx'>]><p>",
                &|_| "&a;".into(),
                "</p>",
            ),
            "very-large too-complex",
        ),
    ] {
        let start = std::time::Instant::now();
        let small = std::thread::Builder::new().stack_size(128 * 1024);
        let reading = small
            .spawn(move || read(policy.as_bytes(), &[]))
            .unwrap()
            .join()
            .unwrap();
        let mut found: Vec<_> = reading
            .findings
            .iter()
            .map(|finding| finding.code.as_str())
            .collect();
        found.sort_unstable();
        let mut expected: Vec<_> = expected.split_whitespace().collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert!(start.elapsed().as_secs() < 5);
    }
}

#[test]
fn of_thousands_of_findings_the_first_are_kept_and_all_are_counted() {
    let policy = with(&format!(
        "{}<allow-access-from domain='a'/>{}<allow-http-request-headers-from/>",
        "<a/>".repeat(9_000),
        GRANT.replace("to-ports", "x='' to-ports").repeat(300)
    ));
    let reading = read(policy.as_bytes(), &[]);
    assert!(
        reading.policy.is_none(),
        "an error behind all warnings counts"
    );
    let offer = reading
        .offer(crate::Player::Lightspark, crate::MASTER_PORT)
        .unwrap();
    assert!(
        offer.stop.is_some(),
        "the model of Lightspark has no limit of its own"
    );
    let number = |code| {
        let kept = reading.findings.iter().filter(|f| f.code == code).count();
        let more = reading.left_out.iter().filter(|(c, _)| *c == code);
        (kept, more.map(|(_, number)| *number).sum())
    };
    assert_eq!(number(Code::UnknownElement), (100, 8_900));
    assert_eq!(number(Code::UnknownAttribute), (100, 200));
    assert_eq!(number(Code::ToPortsMissing), (1, 0));
    assert_eq!(reading.count(Severity::Error), 1);
    assert_eq!(reading.count(Severity::Warning), 9_000 + 300 + 2);
    let shown: Vec<_> = reading.diagnostics("p").collect();
    assert_eq!(diagnostic::number(&shown), reading.number());
    let line = &shown[1].place.text;
    assert!(
        Arc::ptr_eq(line, &shown[99].place.text),
        "the line is there once"
    );
    let last = shown.last().unwrap().to_string();
    assert_eq!(
        last,
        "p: warning[unknown-attribute]: and 200 more like these"
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
        let report = read(policy.as_bytes(), &[]).report("p\u{1b}.xml", &Style::PLAIN);
        assert!(!report.is_empty());
        assert!(
            report.chars().all(|c| c == '\n' || is_printable(c)),
            "{report:?}"
        );
    }
}

#[test]
fn a_long_line_is_cut_round_the_place() {
    let spaces = " ".repeat(5000);
    let policy = format!("<cross-domain-policy>{spaces}<x/>{spaces}</cross-domain-policy>");
    let report = read(policy.as_bytes(), &[]).report("p", &Style::PLAIN);
    let lines: Vec<_> = report
        .lines()
        .skip_while(|line| !line.contains("unknown-element"))
        .collect();
    assert!(lines[2].len() <= 80, "{report}");
    let caret = lines[3].find('^').unwrap();
    assert_eq!(&lines[2][caret..=caret], "x");
}

/// Every finding lies in the file and is printable, and what was read means
/// the same when it is written again.
fn check_invariants(bytes: &[u8]) -> Result<(), TestCaseError> {
    let reading = read(bytes, &[843, 10_843]);
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
    for (finding, place) in reading.findings.iter().zip(places(&reading)) {
        let (line, column) = (place.line.unwrap(), place.column.unwrap());
        let length = place.text.chars().count();
        prop_assert!(line >= 1 && line <= lines && column >= 1 && place.width >= 1);
        prop_assert!(column <= length + 1, "{finding:?}");
        prop_assert!(
            place.width <= 1 || column + place.width <= length + 1,
            "{finding:?}"
        );
        prop_assert!(
            finding
                .cause
                .chars()
                .chain(finding.cure.chars())
                .all(is_printable),
            "{finding:?}"
        );
    }
    prop_assert_eq!(
        reading.report("p", &Style::PLAIN).is_empty(),
        reading.findings.is_empty()
    );
    if let Some(policy) = reading.policy {
        prop_assert_eq!(read(render(&policy).as_bytes(), &[]).policy, Some(policy));
    }
    Ok(())
}

#[test]
fn the_invariants_hold_for_every_case() {
    for (policy, _) in cases() {
        check_invariants(policy.as_bytes()).unwrap();
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_invariants(&bytes)?;
    }

    #[test]
    fn any_text_of_xml_pieces_is_read_or_refused(pieces in prop::collection::vec(prop::sample::select(vec![
        "<", ">", "/>", "</", "cross-domain-policy", "<cross-domain-policy>", "</cross-domain-policy>", "<allow-access-from",
        " domain=", " to-ports=", "'*'", "\"", "'", "<!--", "-->", "<?xml ", "?>", "<!DOCTYPE a", "[", "]", "&", ";", "&#27;",
        "xmlns", ":", "=", " ", "\n", "\r", "\t", "\u{1b}", "\u{fc}", "\u{feff}", "\0", "<![CDATA[", "]]>", "SYSTEM", "x", "<site-control ",
    ]), 0..30)) {
        check_invariants(pieces.concat().as_bytes())?;
    }

    #[test]
    fn a_damaged_policy_is_read_or_refused(
        policy in strategies::policy(),
        at in any::<prop::sample::Index>(),
        cut in 0usize..4,
        put in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = render(&policy).into_bytes();
        let at = at.index(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, put);
        check_invariants(&bytes)?;
    }
}
