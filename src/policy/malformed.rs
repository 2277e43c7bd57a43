//! What is wrong with XML that is not well-formed, in words that help.
//!
//! Translates the XML parser's first error, and knows the mistakes that are
//! common in policies; never tries to repair anything.

use std::ops::Range;

use roxmltree::{Document, Error, ParsingOptions};

use super::{
    findings::{Code, Finding},
    source::{last_char, offset},
};
use crate::text::{printable, quote};

/// The quotes that word processors write for `"` and `'`.
const TYPOGRAPHIC: [char; 8] = [
    '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{ab}', '\u{bb}',
];

/// The finding for a web page, which begins like XML and then is none.
pub(super) fn web_page(text: &str) -> Option<Finding> {
    const DOCTYPE: &str = "<!doctype html";
    let start = text.len() - text.trim_start().len();
    let end = start + DOCTYPE.len();
    let is_one = text.get(start..end)?.eq_ignore_ascii_case(DOCTYPE);
    is_one.then(|| {
        Finding::new(
            Code::WrongRoot,
            start..end,
            "this is a web page (HTML), not a policy",
            "write the policy itself, a `cross-domain-policy` element; where a server sent the \
            page, ask a policy server",
        )
    })
}

/// The finding for a parser error.
pub(super) fn finding(error: &Error, text: &str) -> Finding {
    let at = match error {
        Error::UnexpectedEndOfStream | Error::UnclosedRootNode => last_char(text),
        _ => {
            let pos = error.pos();
            offset(text, pos.row as usize, pos.col as usize)
        }
    };
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    let (cause, cure) = match error {
        Error::UnknownToken(_) if stands_outside(before) => return outside(before, rest),
        Error::UnexpectedDeclaration(_) => return misplaced_declaration(at..at + "<?xml".len()),
        Error::NoRootNode if text.trim().is_empty() => (
            "the file is empty".into(),
            "write a policy, such as `<cross-domain-policy><allow-access-from \
            domain=\"*.example.com\" to-ports=\"2001\" /></cross-domain-policy>`",
        ),
        _ => blank_in_a_tag(before, rest)
            .or_else(|| in_the_text(error, rest))
            .or_else(|| in_an_attribute(error, before, rest))
            .unwrap_or_else(|| {
                let error = printable(&error.to_string());
                (
                    format!("this is not well-formed XML ({error})"),
                    "compare the place with a policy that works",
                )
            }),
    };
    Finding::new(Code::Malformed, at..at, cause, cure)
}

/// A blank inside of what begins or ends a tag.
fn blank_in_a_tag(before: &str, rest: &str) -> Option<CauseAndCure> {
    let is_end = |rest: &str| rest.trim_start().starts_with('>');
    let tag = before.rfind('<').and_then(|at| before.get(at..))?;
    let begins = tag.trim_end();
    let blank = begins.len() < tag.len() || rest.starts_with([' ', '\t', '\r', '\n']);
    let place = if blank && matches!(begins, "<" | "</" | "<?") {
        format!("behind `{begins}`")
    } else if rest.strip_prefix('?').is_some_and(is_end) {
        "between `?` and `>`".into()
    } else if blank && begins.ends_with('/') && is_end(rest) {
        "between `/` and `>`".into()
    } else {
        return None;
    };
    Some((format!("there is a blank {place}"), "delete that blank"))
}

/// A NUL as it is written in programs and in manuals, without the backslash.
const WRITTEN_NULS: [&str; 12] = [
    "0", "00", "000", "x0", "x00", "u0000", "%00", "&#0;", "&#x0;", "&#x00;", "^@", "<NUL>",
];

/// What is wrong, and what to do.
type CauseAndCure = (String, &'static str);

/// A fault in how elements, comments and the file begin and end; a character that has a meaning of
/// its own in XML, or none.
fn in_the_text(error: &Error, rest: &str) -> Option<CauseAndCure> {
    Some(match error {
        Error::NoRootNode => (
            "there is no element in the file".into(),
            "write a `<cross-domain-policy>` element; what stands in a comment does not count",
        ),
        Error::UnclosedRootNode => (
            "the file ends before its root element does".into(),
            "end each element with ` />` or its closing tag, the root with \
            `</cross-domain-policy>`",
        ),
        Error::UnexpectedEndOfStream => (
            "the file ends in the middle of something".into(),
            "look for a missing quote, `>` or `-->`",
        ),
        Error::UnexpectedCloseTag(expected, actual, _) => (
            format!(
                "{} is closed here, while {} is still open",
                quote(actual),
                quote(expected)
            ),
            "end each element with ` />` or with a closing tag of the same name",
        ),
        Error::InvalidComment(_) => (
            "there is a `--` inside a comment".into(),
            "delete it; comments do not nest either",
        ),
        Error::MalformedEntityReference(_) => match character_reference(rest) {
            Some(written) => not_allowed(written),
            None => ("a `&` stands alone".into(), "write `&amp;`"),
        },
        Error::UnknownEntityReference(name, _) => (
            format!("the entity {} is not defined", quote(name)),
            "write the character itself; a lone `&` is written `&amp;`",
        ),
        Error::NonXmlChar(c, _) => not_allowed(&c.to_string()),
        Error::InvalidName(_) => (
            "a name is expected here".into(),
            "write `&lt;` where no tag is meant; names have no blank before them and begin \
            with a letter",
        ),
        _ => return None,
    })
}

fn not_allowed(character: &str) -> CauseAndCure {
    let cause = format!("XML does not allow the character {}", quote(character));
    (cause, "delete it")
}

/// The `&#27;` or `&#x1b;` that this text begins with.
fn character_reference(text: &str) -> Option<&str> {
    let (written, _) = text.split_once(';')?;
    let number = written.strip_prefix("&#")?;
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let is_one = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    text.get(..written.len() + 1).filter(|_| is_one)
}

/// A fault in an attribute: its name, its quotes, or its value.
fn in_an_attribute(error: &Error, before: &str, rest: &str) -> Option<CauseAndCure> {
    Some(match error {
        Error::UnknownNamespace(prefix, _) if prefix == "xsi" => (
            "the prefix `xsi` is used but not declared".into(),
            "delete the `xsi:` attribute, or add \
            `xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"` to the root element",
        ),
        Error::UnknownNamespace(prefix, _) => (
            format!("the prefix {} is used but not declared", quote(prefix)),
            "write the name without a prefix: Flash Player parses none",
        ),
        Error::InvalidChar2("a quote", _, _) if rest.starts_with(TYPOGRAPHIC) => (
            format!(
                "the value is in typographic quotes ({}), which XML does not know",
                rest.chars().next().unwrap_or_default()
            ),
            "write plain quotes (`\"`) in place of them",
        ),
        Error::InvalidChar2("a quote", _, _) => (
            "a value is not in quotes".into(),
            "put every attribute's value in quotes, as in `domain=\"*.example.com\"`",
        ),
        Error::InvalidChar2("a whitespace", _, _)
            if before.ends_with("\"\"") || before.ends_with("''") =>
        {
            (
                "the quotes are doubled".into(),
                "write one quote on each side, as in `domain=\"*.example.com\"`",
            )
        }
        Error::InvalidChar2("a whitespace", _, _) => (
            "a blank is missing".into(),
            "put a blank before every attribute",
        ),
        Error::InvalidChar(b'"' | b'\'', _, _) | Error::InvalidAttributeValue(_) => (
            "a `<` stands in an attribute's value".into(),
            "close the quote before it, or write `&lt;`",
        ),
        Error::InvalidChar(b'=', _, _) => (
            "an attribute has no value".into(),
            "write a value in quotes, as in `secure=\"true\"`, or close the tag with `>`",
        ),
        Error::DuplicatedAttribute(name, _) => (
            format!("the attribute {} is given twice", quote(name)),
            "keep one of them; a second domain needs a grant of its own",
        ),
        _ => return None,
    })
}

const TO_THE_START: &str =
    "delete whatever stands before `<?xml`, blank lines too, or delete the declaration";

/// An XML declaration inside or behind the root.
pub(super) fn misplaced_declaration(range: Range<usize>) -> Finding {
    let cause = "the XML declaration is not at the very start of the file";
    Finding::new(Code::Malformed, range, cause, TO_THE_START)
}

/// An XML declaration that has nothing but blanks and comments before it, and has some: the text
/// before it, itself, and the text behind it.
pub(super) fn late_declaration(text: &str) -> Option<(&str, &str, &str)> {
    let at = text.find("<?xml").filter(|at| *at > 0)?;
    let (before, declaration) = text.split_at_checked(at)?;
    let is_one = declaration["<?xml".len()..].starts_with([' ', '\t', '\r', '\n']);
    let end = declaration.find("?>").filter(|_| is_one)? + "?>".len();
    let (declaration, behind) = declaration.split_at_checked(end)?;
    let is_first = matches!(document(before), Err(Error::NoRootNode));
    is_first.then_some((before, declaration, behind))
}

/// The finding for that (rule book 2.9).
pub(super) fn blank_before(at: usize) -> Finding {
    Finding::new(
        Code::LateDeclaration,
        at..at + "<?xml".len(),
        "the XML declaration is not at the very start of the file: whether Flash Player takes the \
         file then is not known",
        TO_THE_START,
    )
}

/// The text as XML. A policy has no more nodes than bytes, and is small.
pub(super) fn document(text: &str) -> Result<Document<'_>, Error> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options)
}

/// Whether a fault stands before or after the root: up to there, all is well.
fn stands_outside(before: &str) -> bool {
    matches!(document(before), Ok(_) | Err(Error::NoRootNode))
}

fn outside(before: &str, rest: &str) -> Finding {
    let token = rest.split_whitespace().next().unwrap_or_default();
    let is_nul = |written: &str| {
        let mut known = WRITTEN_NULS.iter();
        known.any(|known| written.eq_ignore_ascii_case(known))
    };
    let written = token.trim_matches(['"', '\'', '\\']).split('\\');
    let mut written = written.filter(|written| !written.is_empty()).peekable();
    let (cause, cure) = if written.peek().is_some() && written.all(is_nul) {
        (
            format!(
                "{} is not a NUL, but the characters themselves",
                quote(token)
            ),
            "delete them: the NUL is a byte of value 0, and flashpolicyd sends it by itself",
        )
    } else if rest.starts_with("HTTP/") {
        (
            "this is an answer of a web server, not a policy".into(),
            "ask a policy server: HTTP does not serve socket policies",
        )
    } else if rest.starts_with("</") {
        (
            format!("{} closes what is not open", quote(token)),
            "delete it, or the closing tag before it",
        )
    } else if rest.starts_with("<!DOCTYPE") {
        (
            "the DOCTYPE stands in the wrong place".into(),
            "move it before the root element, or delete it",
        )
    } else if rest.starts_with('<') {
        (
            "a second root element begins here".into(),
            "put all grants into one `cross-domain-policy` element",
        )
    } else if before.contains('<') {
        (
            format!("the text {} stands outside the root element", quote(token)),
            "delete it: with it, Flash Player ignores the whole file",
        )
    } else {
        (
            format!("the text {} stands before the XML", quote(token)),
            "begin the file with `<`; a policy is XML",
        )
    };
    Finding::new(
        Code::OutsideRoot,
        before.len()..before.len() + token.len(),
        cause,
        cure,
    )
}
