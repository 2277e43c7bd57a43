//! PROXY headers: what is taken, what is refused, and how it is cut.

use super::*;
use proptest::prelude::*;

fn found(bytes: &[u8], client: ProxiedClient) {
    let header = Header {
        len: bytes.len(),
        client,
    };
    assert_eq!(
        parse_header(bytes),
        HeaderProgress::Complete(header),
        "{}",
        bytes.escape_ascii()
    );
    let more = [bytes, b"<policy-file-request/>\0"].concat();
    assert_eq!(
        parse_header(&more),
        HeaderProgress::Complete(header),
        "{}",
        more.escape_ascii()
    );
    for cut in 0..bytes.len() {
        assert_eq!(
            parse_header(&bytes[..cut]),
            HeaderProgress::Incomplete,
            "{cut}"
        );
    }
}

fn client(text: &str) -> ProxiedClient {
    ProxiedClient::Known(text.parse().unwrap())
}

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

#[test]
fn a_line_names_the_client() {
    found(
        b"PROXY TCP4 192.0.2.7 198.51.100.1 41122 843\r\n",
        client("192.0.2.7:41122"),
    );
    found(
        b"PROXY TCP6 2001:db8::7 2001:db8::1 41122 843\r\n",
        client("[2001:db8::7]:41122"),
    );
    found(
        b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 843\r\n",
        client("192.0.2.7:1"),
    );
}

#[test]
fn a_line_may_know_no_client_and_then_holds_anything() {
    for line in [
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN a b c d e f g h\r\n",
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
         ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
    ] {
        found(line.as_bytes(), ProxiedClient::Unknown);
    }
}

#[test]
fn the_binary_form_names_the_client_whatever_extensions_follow() {
    let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xa0, 0xa2, 3, 75];
    found(&version_2(0x21, 0x11, &v4), client("192.0.2.7:41122"));
    let with_tlv = [&v4[..], &[0x02, 0, 3], b"fla", &[0x04, 0, 0]].concat();
    found(&version_2(0x21, 0x11, &with_tlv), client("192.0.2.7:41122"));
    let mut v6 = [0; 36];
    v6[..2].copy_from_slice(&[0x20, 0x01]);
    v6[15] = 7;
    v6[33] = 80;
    found(&version_2(0x21, 0x21, &v6), client("[2001::7]:80"));
}

#[test]
fn a_client_without_an_address_and_the_balancer_itself_are_fine() {
    found(&version_2(0x21, 0x00, &[]), ProxiedClient::Unknown);
    found(&version_2(0x21, 0x31, &[0; 216]), ProxiedClient::Unknown);
    found(&version_2(0x20, 0x00, &[]), ProxiedClient::Balancer);
    found(&version_2(0x20, 0x11, &[]), ProxiedClient::Balancer);
    found(&version_2(0x20, 0xff, &[1, 2, 3]), ProxiedClient::Balancer);
}

#[test]
fn anything_else_is_refused_with_the_byte_that_tells() {
    for bytes in [
        &b"<"[..],
        b"\0",
        b"\x16\x03\x01",
        b"PROXy",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 41122\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 41122 843\n",
        b"PROXY TCP4 2001:db8::7 198.51.100.1 41122 843\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 843\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 +41122 843\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 041122 843\r\n",
        b"PROXY TCP4 192.0.2.7  198.51.100.1 41122 843\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 41122 843 1\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4 \xff\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
    ] {
        assert_eq!(
            parse_header(bytes),
            HeaderProgress::Never,
            "{}",
            bytes.escape_ascii()
        );
    }
    for bytes in [
        version_2(0x11, 0x11, &[0; 12]),
        version_2(0x22, 0x11, &[0; 12]),
        version_2(0x21, 0x11, &[0; 11]),
        version_2(0x21, 0x41, &[0; 12]),
        version_2(0x21, 0x13, &[0; 12]),
    ] {
        assert_eq!(
            parse_header(&bytes),
            HeaderProgress::Never,
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn no_header_is_longer_than_the_bound() {
    let mut line = b"PROXY UNKNOWN ".to_vec();
    line.resize(MAX_LINE - 1, b'x');
    assert_eq!(parse_header(&line), HeaderProgress::Incomplete);
    line.push(b'x');
    assert_eq!(parse_header(&line), HeaderProgress::Never);
    let longest = version_2(0x21, 0x00, &[0; MAX_HEADER_BYTES - FIXED]);
    found(&longest, ProxiedClient::Unknown);
    let longer = version_2(0x21, 0x00, &[0; MAX_HEADER_BYTES - FIXED + 1]);
    assert_eq!(
        parse_header(&longer[..FIXED - 1]),
        HeaderProgress::Incomplete
    );
    assert_eq!(
        parse_header(&longer[..FIXED]),
        HeaderProgress::Never,
        "its length tells"
    );
}

#[test]
fn a_header_is_known_by_its_looks_where_none_is_expected() {
    assert!(looks_like_a_header(b"PROXY TCP4 1"));
    assert!(looks_like_a_header(&version_2(0x21, 0x11, &[])));
    assert!(!looks_like_a_header(b"PRO"));
}

/// Nearly a header of one of the versions, and bytes behind it.
fn nearly_a_header() -> impl Strategy<Value = Vec<u8>> {
    let text = "PROXY (TCP4|TCP6|UNKNOWN|UDP4) ([0-9.]{0,16}|[0-9a-f:]{0,40}) \
                ([0-9.]{0,16}|[0-9a-f:]{0,40}) [0-9]{0,6} [0-9]{0,6}(\r\n|\n|\r)";
    let binary = (
        proptest::sample::select(vec![0x20, 0x21, 0x22, 0x11]),
        proptest::sample::select(vec![0x00, 0x11, 0x21, 0x31, 0x41, 0x12]),
        proptest::collection::vec(any::<u8>(), 0..600),
    );
    let header = prop_oneof![
        text.prop_map(String::into_bytes),
        binary.prop_map(|(command, family, rest)| version_2(command, family, &rest)),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    (header, proptest::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(header, rest)| [header, rest].concat())
}

proptest! {
    #[test]
    fn every_cut_leads_to_the_same_header(bytes in nearly_a_header()) {
        let whole = parse_header(&bytes);
        for cut in 0..bytes.len() {
            match parse_header(&bytes[..cut]) {
                HeaderProgress::Incomplete => {
                    prop_assert!(cut < MAX_HEADER_BYTES);
                    if let HeaderProgress::Complete(header) = whole {
                        prop_assert!(cut < header.len);
                    }
                }
                decided => prop_assert_eq!(decided, whole, "what was decided stays so"),
            }
        }
    }
}
