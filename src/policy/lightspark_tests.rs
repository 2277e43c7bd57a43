//! Lightspark's parser as tables and as promises for every text. What is right was found with the
//! player's own parser, `src/parsing/crossdomainpolicy.cpp` of its commit d51ab60 (rule book 7.1).

use proptest::prelude::*;

use super::*;
use crate::{Origin, Player, decide, read as read_policy, render, strategies};

const GRANT: &str = r#"<allow-access-from domain="a.example" to-ports="2001"/>"#;
const ALL: &str = r#"<site-control permitted-cross-domain-policies="all"/>"#;
const NONE: &str = r#"<site-control permitted-cross-domain-policies="none"/>"#;
const FOUR: &str = r#"<allow-access-from domain="*" to-ports="80" secure="false" a="1"/>"#;
const HEADERS: &str = r#"<allow-http-request-headers-from domain="*" headers="*"/>"#;

fn root(elements: &[&str]) -> String {
    format!(
        "<cross-domain-policy>{}</cross-domain-policy>",
        elements.concat()
    )
}

/// Whether Lightspark lets content from a.example connect to port 2001, by this text on 843 and on
/// another port.
fn allows(text: &str) -> (bool, bool) {
    let origin = Origin::parse("a.example").unwrap();
    let reading = read_policy(text.as_bytes(), &[]);
    let on = |port| {
        let offer = reading.offer(Player::Lightspark, port);
        offer.is_some_and(|offer| decide(Player::Lightspark, &offer, &origin, 2001).is_ok())
    };
    (on(843), on(10_843))
}

#[test]
fn it_stops_at_the_first_element_that_it_does_not_take() {
    for (elements, expected) in [
        (&[GRANT][..], (true, true)),
        (&[ALL, GRANT], (true, false)),
        // Order is no fault.
        (&[GRANT, ALL], (true, false)),
        (&[NONE, GRANT], (false, false)),
        (&[GRANT, NONE], (false, false)),
        // In the master, what stood before counts where a `site-control` was among it.
        (&[GRANT, FOUR], (false, false)),
        (&[ALL, GRANT, FOUR], (true, false)),
        (&[GRANT, ALL, HEADERS], (true, false)),
        (&[GRANT, HEADERS], (false, false)),
        (&[HEADERS, ALL, GRANT], (false, false)),
        (&[ALL, FOUR, GRANT], (false, false)),
        (&[ALL, GRANT, ALL], (true, false)),
        (&[ALL, GRANT, NONE], (true, false)),
        (&[ALL, GRANT, "<site-control/>"], (true, false)),
        (&[GRANT, "<site-control/>"], (false, false)),
        (&[GRANT, "<allow-access-from domain='*'/>"], (false, false)),
        (
            &[GRANT, "<allow-access-from to-ports='*'/>"],
            (false, false),
        ),
        (
            &[GRANT, "<allow-access-from domain='' to-ports='*'/>"],
            (false, false),
        ),
        // What it does not know it passes over, with all that stands in it.
        (&["<x><allow-access-from/></x>", GRANT], (true, true)),
        (
            &["<allow-access-from-identity/>text<!-- -- -->", GRANT],
            (true, true),
        ),
        (&["<![CDATA[<x>]]>", GRANT], (true, true)),
    ] {
        assert_eq!(allows(&root(elements)), expected, "{elements:?}");
    }
}

#[test]
fn it_takes_text_that_is_no_xml_as_far_as_it_goes() {
    let (good, open) = (root(&[GRANT]), format!("<cross-domain-policy>{GRANT}"));
    for (text, expected) in [
        (format!("\n <?xml version='1.0'?>{good}"), true),
        (format!("<!-- x --><?xml version='1.0'?>{good}"), true),
        (format!("hello{good}bye"), true),
        (format!("{good}{good}"), true),
        (
            format!("<!DOCTYPE x [<!ELEMENT x (a>b)> <!-- ' -->]>{good}"),
            true,
        ),
        (open.clone(), true),
        (
            format!("{open}<allow-access-from domain=* to-ports='1'/>"),
            false,
        ),
        (format!("{open}</x><site-control/>"), true),
        (format!("<? xml version='1.0'?>{good}"), true),
        (root(&[&GRANT.replace("\" to-", "\"to-")]), true),
        (format!("<!doctype x>{good}"), true),
        (format!("<x/>{good}"), false),
        (format!("<![CDATA[x]]>{good}"), false),
        (
            format!("<x:cross-domain-policy>{GRANT}</x:cross-domain-policy>"),
            false,
        ),
        (
            "<cross-domain-policy><allow-access-from domain='a.example' to-ports='2001".into(),
            true,
        ),
        (String::new(), false),
    ] {
        let read = read(&text).elsewhere;
        let grant = read.policy.grants.first();
        assert_eq!(
            grant.is_some_and(|grant| grant.ports.contains(2001)),
            expected,
            "{text}"
        );
    }
}

#[test]
fn it_says_where_it_stops() {
    let text = format!("<cross-domain-policy>\n{ALL}\n{GRANT}\n{HEADERS}\n</cross-domain-policy>");
    let read = read(&text);
    assert_eq!(
        read.master.stop.unwrap(),
        "reads no further than line 4: `allow-http-request-headers-from` stands there"
    );
    assert_eq!(
        read.elsewhere.stop.unwrap(),
        "drops the whole file over line 2: `site-control` in a policy that is not served from port 843"
    );
}

#[test]
fn a_list_of_ports_is_read_with_its_slips() {
    for (list, expected) in [
        ("80,3000-3010", &[80, 3000][..]),
        (" 80 , 90 ", &[80, 90]),
        ("80x,y", &[80]),
        ("65616", &[80]),
        ("-65456", &[80]),
        (" *", &[]),
        ("*,1-2", &[1]),
        ("99999999999999999999", &[]),
        ("", &[]),
    ] {
        let ports = ports(list);
        let granted = (1..=u16::MAX).filter(|port| Player::Lightspark.grants(&ports, *port));
        assert_eq!(granted.collect::<Vec<_>>(), expected, "{list}");
    }
    for list in ["*", "80,*", "1-2,*", "*,80"] {
        assert_eq!(ports(list), PortSet::ALL, "{list}");
    }
}

#[test]
fn a_domain_is_compared_letter_by_letter() {
    for (domain, origin, expected) in [
        ("A.example", "a.EXAMPLE", true),
        ("a.example.", "a.example", false),
        ("*.0.0.1", "127.0.0.1", true),
        ("*.example", "xexample", false),
        ("http://a.example", "a.example", false),
        ("*", "file:", true),
        ("a.example", "file:", false),
        ("*", "*", true),
        ("*.example", "*", false),
    ] {
        let (pattern, origin) = (DomainPattern::parse(domain), Origin::parse(origin).unwrap());
        assert_eq!(
            Player::Lightspark.matches(&pattern.unwrap(), &origin),
            expected,
            "{domain} {origin}"
        );
    }
}

/// Well-formed policies of elements that Lightspark takes and of such that it does not.
fn text() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec!["", "*", "a.example", "2001", "all", "none", "x"]);
    let names = vec!["domain", "to-ports", "secure", META, "a", "b"];
    let attribute = (prop::sample::select(names), value);
    let element = prop::sample::select(vec![
        CONTROL,
        "allow-access-from",
        "allow-access-from",
        "allow-http-request-headers-from",
        "allow-access-from-identity",
        "x",
    ]);
    let element =
        (element, prop::collection::vec(attribute, 0..6)).prop_map(|(name, mut found)| {
            found.sort_unstable();
            found.dedup_by_key(|(name, _)| *name);
            let attributes = found
                .iter()
                .map(|(name, value)| format!(" {name}='{value}'"));
            format!("<{name}{}/>", attributes.collect::<String>())
        });
    prop::collection::vec(element, 0..6)
        .prop_map(|elements| format!("<{ROOT}>{}</{ROOT}>", elements.concat()))
}

/// The codes that say that Lightspark stops.
const STOPS: [Code; 6] = [
    Code::SiteControlRepeated,
    Code::ControlAttributes,
    Code::SiteControlMissingValue,
    Code::GrantAttributes,
    Code::DomainMissing,
    Code::ToPortsMissing,
];

proptest! {
    /// `check` finds each place where Lightspark stops, and says so nowhere else.
    #[test]
    fn where_it_stops_is_found_and_nothing_else(text in text()) {
        let element_at = |at: usize| text[..at].matches('<').count();
        let mut stops: Vec<_> = stops(&text).iter().map(|stop| element_at(stop.at.start)).collect();
        let reading = read_policy(text.as_bytes(), &[]);
        let found = reading.findings.iter().filter(|found| {
            STOPS.contains(&found.code) || found.code == Code::HttpHeadersElement
        });
        let mut found: Vec<_> = found.map(|found| element_at(found.range.start)).collect();
        stops.sort_unstable();
        found.sort_unstable();
        found.dedup();
        prop_assert_eq!(stops, found);
    }

    /// The first such place is where a file that is not the master's is dropped, and a master's
    /// grants are those before it.
    #[test]
    fn the_first_stop_decides(text in text()) {
        let read = read(&text);
        let stops = stops(&text);
        let before = stops.first().map_or(text.as_str(), |stop| &text[..stop.at.start]);
        let (grants, denies) = (
            before.matches("<allow-access-from ").count(),
            before.contains(CONTROL) && read.master.policy.meta == Some(MetaPolicy::None),
        );
        prop_assert_eq!(read.master.stop.is_some(), !stops.is_empty() && !denies);
        let counts = stops.is_empty() || before.contains("<site-control");
        prop_assert_eq!(read.master.policy.grants.len(), if counts { grants } else { 0 });
        let dropped = !stops.is_empty() || text.contains("<site-control");
        prop_assert_eq!(read.elsewhere.stop.is_some(), dropped);
        prop_assert!(!dropped || read.elsewhere.policy.grants.is_empty());
    }

    #[test]
    fn a_policy_that_is_written_here_is_read_to_its_end(policy in strategies::policy()) {
        let read = read(&render(&policy));
        prop_assert_eq!(&read.master.stop, &None);
        prop_assert_eq!(read.master.policy, policy.clone());
        prop_assert_eq!(read.elsewhere.stop.is_some(), policy.meta.is_some());
    }

    #[test]
    fn what_is_said_of_any_grant_is_printable(domain in any::<String>(), ports in any::<String>()) {
        let text = format!("<{ROOT}><allow-access-from domain='{domain}' to-ports='{ports}'/>");
        for taken in [read(&text).master, read(&text).elsewhere] {
            let words = crate::words(&taken.policy).concat();
            prop_assert!(words.chars().all(crate::text::is_printable), "{words:?}");
            prop_assert!(taken.stop.is_none_or(|stop| stop.chars().all(crate::text::is_printable)));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[<>/=?!'\"\\[\\]a-c :*,0-9\\PC-]{0,200}") {
        read(&format!("<{ROOT}>{text}"));
        stops(&text);
    }
}
