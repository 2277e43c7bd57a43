//! What each answer is taken for.

use std::time::Duration;

use super::super::ask::REQUEST;
use super::*;

const POLICY: &str = "<cross-domain-policy><allow-access-from domain=\"a.example\" to-ports=\"80\"/></cross-domain-policy>";

fn came(bytes: &[u8], end: End) -> Exchange {
    Exchange {
        address: ([127, 0, 0, 1], 843).into(),
        connected: Ok(Duration::from_micros(100)),
        bytes: bytes.to_vec(),
        pieces: 1,
        first_piece: bytes.len(),
        end,
        time: Duration::from_millis(1),
        deadline: Duration::from_secs(3),
        tls: None,
    }
}

fn classes(exchange: &Exchange) -> Vec<Class> {
    classify(exchange, 843)
        .remarks
        .iter()
        .map(|remark| remark.class)
        .collect()
}

#[test]
fn what_came_has_its_class() {
    use Class::*;
    let length = |prefix: &[u8]| [prefix, POLICY.as_bytes(), b"\0"].concat();
    let size = POLICY.len() as u8;
    let with_nul = format!("{POLICY}\0");
    for (bytes, end, expected) in [
        (with_nul.as_bytes(), End::Closed, &[][..]),
        (b"", End::Closed, &[ClosedEmpty]),
        (b"", End::Reset, &[ResetBefore]),
        (b"", End::Open, &[Silent]),
        (POLICY.as_bytes(), End::Closed, &[NoNul]),
        (POLICY.as_bytes(), End::Open, &[NoNulOpen]),
        (POLICY.as_bytes(), End::Reset, &[ResetBefore]),
        (with_nul.as_bytes(), End::Open, &[LeftOpen]),
        (with_nul.as_bytes(), End::Reset, &[ResetAfter]),
        (&length(&[0, size]), End::Closed, &[LengthPrefix]),
        (&length(&[size, 0, 0, 0]), End::Closed, &[LengthPrefix]),
        (&length(&[0, 0, 0, size + 1]), End::Closed, &[LengthPrefix]),
        (
            &length(format!("{size}\r\n").as_bytes()),
            End::Closed,
            &[LengthPrefix],
        ),
        (&length(b"220 hello\r\n"), End::Closed, &[JunkBefore]),
        (&length(b"\0\0\0\0"), End::Closed, &[JunkBefore]),
        (b"SSH-2.0-OpenSSH_9.2\r\n", End::Open, &[NotAPolicy]),
        (b"\0<\0c\0r\0o\0s\0s\0", End::Closed, &[Invalid]),
        (b"<\0c\0r\0o\0s\0s\0", End::Open, &[Invalid]),
        (b"hello <b>world</b>", End::Closed, &[NotAPolicy]),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n<html>",
            End::Closed,
            &[Http],
        ),
        (b"\r\n<!DOCTYPE HTML>", End::Closed, &[Http]),
        (b"\x15\x03\x01\0\x02\x02\x0a", End::Closed, &[Tls]),
        (REQUEST, End::Open, &[Echo]),
        (b"<access-policy/>\0", End::Closed, &[Silverlight]),
        (&with_nul.as_bytes()[..60], End::Closed, &[CutOff]),
        (&with_nul.as_bytes()[..60], End::Open, &[NoNulOpen]),
        (
            &[with_nul.as_bytes(), b"\r\n"].concat(),
            End::Closed,
            &[AfterNul],
        ),
        (&[with_nul.as_bytes(), b"\0\0"].concat(), End::Closed, &[]),
        (b"<cross-domain-policy>\0", End::Closed, &[Invalid]),
        (b"\0", End::Closed, &[NotAPolicy]),
        (
            b"\xEF\xBB\xBF<cross-domain-policy/>\0",
            End::Closed,
            &[Invalid],
        ),
        (b"\xFF\xFE<\0c\0", End::Closed, &[Invalid]),
    ] {
        let found = classes(&came(bytes, end));
        assert_eq!(found, expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_policy_that_is_late_or_in_pieces_is_named() {
    let with_nul = format!("{POLICY}\0");
    let mut exchange = came(with_nul.as_bytes(), End::Closed);
    exchange.time = Duration::from_millis(1100);
    assert_eq!(classes(&exchange), [Class::Slow]);
    exchange.time = Duration::from_millis(3100);
    assert_eq!(classes(&exchange), [Class::TooSlow]);
    assert_eq!(classify(&exchange, 843).state, AnswerState::Absent);
    assert!(classify(&exchange, 843).policy().is_none());
    exchange.time = Duration::from_millis(1);
    (exchange.pieces, exchange.first_piece) = (2, 1_199);
    assert_eq!(classes(&exchange), [Class::SeveralPieces]);
    // Networks cut what is longer.
    exchange.first_piece = 1_200;
    assert_eq!(classes(&exchange), []);
}

#[test]
fn a_nul_inside_is_the_policy_modules_to_name() {
    let answer = classify(
        &came(
            b"<cross-domain-policy>\0</cross-domain-policy>\0",
            End::Closed,
        ),
        843,
    );
    assert_eq!(answer.state, AnswerState::Unusable);
    let findings = answer.reading.unwrap().findings;
    assert_eq!(findings[0].code, Code::NulInside);
}

#[test]
fn whatever_came_is_shown_escaped() {
    let exchange = came(b"\x1b]0;owned\x07\x9b31m \xe2\x80\xae", End::Closed);
    let cause = &classify(&exchange, 843).remarks[0].cause;
    assert_eq!(
        cause,
        "what came is no XML: \"\\x1b]0;owned\\x07\\x9b31m \\xe2\\x80\\xae\""
    );
}
