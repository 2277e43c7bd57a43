//! Domain patterns: what they match, and what is wrong with them.

use proptest::prelude::*;

use super::*;

fn fault(text: &str) -> String {
    DomainPattern::parse(text).unwrap_err().to_string()
}

#[test]
fn the_four_kinds_are_read_and_written() {
    for text in [
        "*",
        "game.example.com",
        "*.example.com",
        "203.0.113.7",
        "[::1]",
        "localhost",
        "*.com",
        "a_b",
        "http://a.example",
        "https://*.a.example",
        "https://10.0.0.1",
    ] {
        assert_eq!(DomainPattern::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(
        DomainPattern::parse("2001:DB8::1").unwrap().to_string(),
        "[2001:db8::1]"
    );
}

#[test]
fn what_cannot_match_is_refused_with_a_cure() {
    assert_eq!(
        fault("http://a.example/x"),
        "`http://a.example/x` has a path; write the host alone: `a.example`"
    );
    assert_eq!(
        fault("a.example/test"),
        "`a.example/test` has a path; write the host alone: `a.example`"
    );
    assert!(fault("a.example:80").ends_with("write the host alone: `a.example`"));
    assert!(fault("none.*").contains("has a `*` where none is possible"));
    assert!(fault("a b").contains("holds a blank"));
    assert_eq!(
        fault("://"),
        "`://` has a scheme over which no content is loaded; write `*`, a host, `*.example.com` or an IP address"
    );
    for bad in [
        "",
        ".",
        "*.",
        "**",
        "*.*",
        "*.*.com",
        "*example.com",
        "www.*.com",
        "192.168.*",
        "[::1",
        "::1:80:zz",
        "a\u{202e}b",
        "a\tb",
    ] {
        assert!(DomainPattern::parse(bad).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn what_no_host_is_called_is_told_from_names() {
    let odd = |text: &str| {
        DomainPattern::parse(text)
            .unwrap()
            .reason_it_never_matches()
    };
    for text in [
        "\"a.example\"",
        "'a.example'",
        "a.example;",
        "(a.example)",
        "a$b",
        ".a.example",
        "a..b",
        "*..a",
        "0.0.0.0",
        "[::]",
        "a.example,b.example",
        "a.example..",
    ] {
        assert!(odd(text).is_some(), "{text}");
    }
    for text in [
        "*",
        "a.example",
        "*.a-b.example",
        "a_b",
        "a.example.",
        "10.0.0.1",
        "m\u{fc}n.example",
    ] {
        assert_eq!(odd(text), None, "{text}");
    }
}

#[test]
fn a_half_address_is_told_from_a_name() {
    for (text, like) in [
        ("10.0.0.1", true),
        ("*.0.0.1", true),
        ("10.0.0.256", true),
        ("*", false),
        ("a1.b2", false),
        ("[::1]", true),
    ] {
        assert_eq!(
            DomainPattern::parse(text).unwrap().is_address_like(),
            like,
            "{text}"
        );
    }
}

#[test]
fn networks_are_told_from_names_and_ports() {
    for text in [
        "192.168.1.0/24",
        "10.0.0.0/255.0.0.0",
        "fd00::/8",
        "192.168.1.*",
        "192.168.",
        "10.x.x.x",
        "192.168.1.1-192.168.1.50",
        "192.168.1.1-50",
    ] {
        assert!(is_network(text), "{text}");
    }
    for text in [
        "*",
        "*.0.0.1",
        "192.168.1.5",
        "192.168.1.5.",
        "192.168.1.5/game.swf",
        "www.example.com/24",
        "3000-3010",
        "2001",
        "1.example",
        "",
    ] {
        assert!(!is_network(text), "{text}");
    }
}

proptest! {
    #[test]
    fn a_written_pattern_reads_back_the_same(pattern in crate::strategies::domain()) {
        prop_assert_eq!(DomainPattern::parse(&pattern.to_string()), Ok(pattern));
    }

    #[test]
    fn any_text_is_read_or_refused_without_raw_escapes(text in any::<String>()) {
        match DomainPattern::parse(&text) {
            Ok(pattern) => prop_assert!(pattern.to_string().chars().all(is_printable)),
            Err(fault) => prop_assert!(fault.to_string().chars().all(is_printable)),
        }
    }
}
