//! Flash Player's rules as tables: each row names the rule that it stands for.
//!
//! A policy is written short: an optional meta-policy and grants, separated
//! by `|`, such as `master-only | *.a.example 80,90-95 secure`.

use super::{
    Denial, DomainPattern, Grant, Offer, Origin, Player, Policy, PortSet, Reason, Refusal, Verdict,
    decide, explain, grant_number, read, render,
};

fn policy(short: &str) -> Policy {
    let mut policy = Policy {
        meta: None,
        grants: Vec::new(),
    };
    for part in short
        .split('|')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let words: Vec<_> = part.split_whitespace().collect();
        match words.as_slice() {
            [meta] => policy.meta = Some(meta.parse().unwrap()),
            [domain, ports, secure @ ..] => policy.grants.push(Grant {
                domain: DomainPattern::parse(domain).unwrap(),
                ports: PortSet::parse(ports).unwrap(),
                secure: secure == ["secure"],
            }),
            [] => {}
        }
    }
    policy
}

fn denial_tag(denial: &Denial) -> String {
    match denial {
        Denial::MetaPolicyNone => "none".into(),
        Denial::Unread { .. } => "unread".into(),
        Denial::LowPort { .. } => "low".into(),
        Denial::Grants(refusals) if refusals.is_empty() => "empty".into(),
        Denial::Grants(refusals) => {
            let tags = refusals.iter().map(|refusal| match refusal {
                Refusal::Domain { .. } => "domain",
                Refusal::NotHttps => "https",
                Refusal::Ports { .. } => "ports",
            });
            tags.collect::<Vec<_>>().join("+")
        }
    }
}

/// Rule, domain of the only grant, origin, whether it matches.
#[rustfmt::skip]
const DOMAINS: &[(&str, &str, &str, bool)] = &[
    ("3.1 the star is everything", "*", "game.example.com", true),
    ("3.1 the star is everything", "*", "localhost", true),
    ("3.1 the star is everything", "*", "203.0.113.7", true),
    ("3.1 the star is everything", "*", "[::1]", true),
    ("3.1 the star is everything", "*", "https://example.com", true),
    ("3.1 a host is itself", "example.com", "example.com", true),
    ("3.1 a host is itself", "game.example.com", "game.example.com", true),
    ("3.1 a host is no other", "example.com", "example.org", false),
    ("3.1 a host is no other", "example.com", "example.co", false),
    ("3.1 a host is no other", "example.com", "example.com.evil.example", false),
    ("3.1 a host is no other", "example.com", "xexample.com", false),
    ("3.1 a host is no other", "example.com", "com", false),
    ("3.1 subdomains are distinct", "example.com", "www.example.com", false),
    ("3.1 subdomains are distinct", "www.example.com", "example.com", false),
    ("3.1 subdomains are distinct", "www.example.com", "game.example.com", false),
    ("3.1 subdomains are distinct", "www.example.com", "a.www.example.com", false),
    ("3.1 a wildcard matches the apex", "*.example.com", "example.com", true),
    ("3.1 a wildcard matches one level", "*.example.com", "game.example.com", true),
    ("3.1 a wildcard matches two levels", "*.example.com", "a.b.example.com", true),
    ("3.1 a wildcard matches any depth", "*.example.com", "a.b.c.d.e.example.com", true),
    ("3.1 a wildcard ends at a dot", "*.example.com", "badexample.com", false),
    ("3.1 a wildcard ends at a dot", "*.example.com", "a.badexample.com", false),
    ("3.1 a wildcard is the end of the name", "*.example.com", "example.com.evil.example", false),
    ("3.1 a wildcard is the end of the name", "*.example.com", "example.org", false),
    ("3.1 a wildcard does not match its parent", "*.example.com", "com", false),
    ("3.1 a wildcard below a subdomain", "*.game.example.com", "game.example.com", true),
    ("3.1 a wildcard below a subdomain", "*.game.example.com", "eu.game.example.com", true),
    ("3.1 a wildcard below a subdomain", "*.game.example.com", "example.com", false),
    ("3.1 a wildcard below a subdomain", "*.game.example.com", "www.example.com", false),
    ("3.1 a wildcard of a whole zone", "*.com", "example.com", true),
    ("3.1 a wildcard of a whole zone", "*.com", "com", true),
    ("3.1 a wildcard of a whole zone", "*.com", "example.org", false),
    ("3.2 an address is itself", "203.0.113.7", "203.0.113.7", true),
    ("3.2 an address is itself", "203.0.113.7", "http://203.0.113.7:8080/g.swf", true),
    ("3.2 an address is no other", "203.0.113.7", "203.0.113.8", false),
    ("3.2 an address is no other", "203.0.113.7", "203.0.113.77", false),
    ("3.2 an address is no name", "203.0.113.7", "game.example.com", false),
    ("3.2 a name is no address", "game.example.com", "203.0.113.7", false),
    ("3.2 a wildcard is no address", "*.example.com", "203.0.113.7", false),
    ("3.2 no patterns for addresses", "*.0.113.7", "203.0.113.7", false),
    ("3.2 no patterns for addresses", "*.7", "203.0.113.7", false),
    ("3.2 a six-part address is itself", "[::1]", "[::1]", true),
    ("3.2 an address is compared as one", "::1", "[0:0:0:0:0:0:0:1]", true),
    ("3.2 an address is compared as one", "[2001:DB8::1]", "http://[2001:db8:0::1]/", true),
    ("3.2 an address is no other", "[::1]", "[::2]", false),
    ("3.2 an address is no other", "[::1]", "127.0.0.1", false),
    ("3.2 an address is no other", "127.0.0.1", "[::ffff:127.0.0.1]", false),
    ("3.2 an address is no name", "[::1]", "localhost", false),
    ("3.2 a wildcard is no address", "*.1", "[::1]", false),
    ("3.3 case does not count", "Game.Example.COM", "game.example.com", true),
    ("3.3 case does not count", "game.example.com", "GAME.example.COM", true),
    ("3.3 case does not count", "*.EXAMPLE.com", "Game.Example.Com", true),
    ("3.3 case does not count", "*.EXAMPLE.com", "example.com", true),
    ("3.4 a scheme is that of the content", "http://example.com", "http://example.com", true),
    ("3.4 a scheme is that of the content", "http://example.com", "https://example.com", false),
    ("3.4 a scheme is that of the content", "HTTPS://example.com", "https://example.com", true),
    ("3.4 a scheme is that of the content", "https://*.example.com", "https://a.example.com", true),
    ("3.4 a scheme is that of the content", "https://*.example.com", "a.example.com", false),
    ("3.4 a scheme is that of the content", "http://203.0.113.7", "203.0.113.7", true),
    ("3.4 local content has no scheme of these", "http://*", "file:", false),
    ("3.4 the origin's port does not count", "example.com", "http://example.com:8080", true),
    ("3.4 the origin's path does not count", "example.com", "http://example.com/a/b.swf", true),
    ("3.4 the origin's scheme does not count", "example.com", "https://example.com/", true),
    ("3.5 localhost is a name", "localhost", "localhost", true),
    ("3.5 localhost is no address", "localhost", "127.0.0.1", false),
    ("3.5 localhost is no address", "127.0.0.1", "localhost", false),
    ("3.5 localhost is no address", "localhost", "[::1]", false),
    ("3.5 localhost is a name", "*.localhost", "a.localhost", true),
    ("3.6 punycode is compared as it stands", "xn--mnchen-3ya.example", "xn--mnchen-3ya.example", true),
    ("3.6 punycode is compared as it stands", "*.example", "xn--mnchen-3ya.example", true),
    ("3.6 punycode is not decoded", "m\u{fc}nchen.example", "xn--mnchen-3ya.example", false),
    ("3.7 local content needs the star", "*", "file:", true),
    ("3.7 local content needs the star", "*", "file:///C:/game.swf", true),
    ("3.7 local content needs the star", "localhost", "file:", false),
    ("3.7 local content needs the star", "*.example.com", "file:", false),
    ("3.7 local content needs the star", "example.com", "file://example.com/g.swf", false),
    ("3.7 local content needs the star", "127.0.0.1", "file:", false),
    ("3.7 local content needs the star", "[::1]", "file:", false),
    ("a trailing dot means nothing", "example.com.", "example.com", true),
    ("a trailing dot means nothing", "example.com", "example.com.", true),
    ("a trailing dot means nothing", "*.example.com.", "a.example.com", true),
    ("a trailing dot means nothing", "*.example.com", "a.example.com.", true),
    ("a trailing dot means nothing", "example.com.", "a.example.com", false),
    ("a dot in a pattern is a dot", "a.example", "axexample", false),
    ("a leading dot is no wildcard", ".example.com", "a.example.com", false),
    ("a leading dot is no wildcard", ".example.com", "example.com", false),
];

/// Rule, port that serves the policy, the policy, origin, destination port,
/// and `N` for allowed by grant N, or why each grant refuses.
#[rustfmt::skip]
const DECISIONS: &[(&str, u16, &str, &str, u16, &str)] = &[
    // 4.1: where a policy may grant what
    ("4.1 below 1024 any port may be granted", 843, "* *", "a.example", 1, "1"),
    ("4.1 below 1024 any port may be granted", 843, "* *", "a.example", 80, "1"),
    ("4.1 below 1024 any port may be granted", 843, "* *", "a.example", 1023, "1"),
    ("4.1 below 1024 any port may be granted", 843, "* *", "a.example", 1024, "1"),
    ("4.1 below 1024 any port may be granted", 843, "* *", "a.example", 65535, "1"),
    ("4.1 below 1024 any port may be granted", 843, "* 80", "a.example", 80, "1"),
    ("4.1 below 1024 any port may be granted", 1, "* 80", "a.example", 80, "1"),
    ("4.1 1023 is below 1024", 1023, "* 1023", "a.example", 1023, "1"),
    ("4.1 1023 is below 1024", 1023, "* *", "a.example", 1, "1"),
    ("4.1 1024 grants nothing below", 1024, "* *", "a.example", 1023, "low"),
    ("4.1 1024 grants nothing below", 1024, "* 80", "a.example", 80, "low"),
    ("4.1 1024 grants nothing below", 1024, "* 1-65535", "a.example", 1, "low"),
    ("4.1 1024 grants itself", 1024, "* *", "a.example", 1024, "1"),
    ("4.1 from 1024 only upwards", 1024, "* *", "a.example", 1025, "1"),
    ("4.1 from 1024 only upwards", 10843, "* *", "a.example", 1024, "1"),
    ("4.1 from 1024 only upwards", 10843, "* 1-65535", "a.example", 2001, "1"),
    ("4.1 from 1024 only upwards", 10843, "* *", "a.example", 843, "low"),
    ("4.1 from 1024 only upwards", 65535, "* *", "a.example", 1023, "low"),
    ("4.1 from 1024 only upwards", 65535, "* *", "a.example", 65535, "1"),
    ("4.1 the rule comes before the grants", 2001, "b.example 80", "a.example", 80, "low"),
    ("4.1 the rule comes before the grants", 2001, "", "a.example", 80, "low"),
    // 2.10: lists, ranges and the star
    ("2.10 one port", 843, "* 2001", "a.example", 2001, "1"),
    ("2.10 one port", 843, "* 2001", "a.example", 2000, "ports"),
    ("2.10 one port", 843, "* 2001", "a.example", 2002, "ports"),
    ("2.10 a list", 843, "* 80,443,2001", "a.example", 443, "1"),
    ("2.10 a list", 843, "* 80,443,2001", "a.example", 2001, "1"),
    ("2.10 a list", 843, "* 80,443,2001", "a.example", 81, "ports"),
    ("2.10 a range holds its first port", 843, "* 3000-3010", "a.example", 3000, "1"),
    ("2.10 a range holds its middle", 843, "* 3000-3010", "a.example", 3005, "1"),
    ("2.10 a range holds its last port", 843, "* 3000-3010", "a.example", 3010, "1"),
    ("2.10 a range ends", 843, "* 3000-3010", "a.example", 3011, "ports"),
    ("2.10 a range begins", 843, "* 3000-3010", "a.example", 2999, "ports"),
    ("2.10 a list with a range", 843, "* 80,3000-3010", "a.example", 80, "1"),
    ("2.10 a list with a range", 843, "* 80,3000-3010", "a.example", 3010, "1"),
    ("2.10 a range of one", 843, "* 80-80", "a.example", 80, "1"),
    ("2.10 the whole range", 843, "* 1-65535", "a.example", 65535, "1"),
    ("2.10 overlapping ranges", 843, "* 1-100,50-200", "a.example", 150, "1"),
    ("2.10 the star is every port", 843, "a.example *", "a.example", 65535, "1"),
    // 4.2: a union, no deny
    ("4.2 the first that matches is named", 843, "* * | a.example 80", "a.example", 80, "1"),
    ("4.2 any grant suffices", 843, "b.example * | a.example 80", "a.example", 80, "2"),
    ("4.2 any grant suffices", 843, "a.example 81 | a.example 80", "a.example", 80, "2"),
    ("4.2 any grant suffices", 843, "b.example 1 | c.example 1 | *.example 80", "a.example", 80, "3"),
    ("4.2 a narrow grant denies nothing", 843, "a.example 80 | * *", "a.example", 81, "2"),
    ("4.2 grants do not add up crosswise", 843, "a.example 80 | b.example 81", "a.example", 81, "ports+domain"),
    ("4.2 each grant has its reason", 843, "b.example * | a.example 81 | * * secure", "a.example", 80, "domain+ports+https"),
    ("4.2 no grant, no connection", 843, "", "a.example", 80, "empty"),
    ("4.2 no grant, no connection", 843, "all", "a.example", 80, "empty"),
    // 2.11: secure
    ("2.11 secure asks for https", 843, "* * secure", "https://a.example", 80, "1"),
    ("2.11 secure asks for https", 843, "* * secure", "http://a.example", 80, "https"),
    ("2.11 secure asks for https", 843, "* * secure", "a.example", 80, "https"),
    ("2.11 secure asks for https", 843, "* * secure", "203.0.113.7", 80, "https"),
    ("2.11 secure asks for https", 843, "* * secure", "https://203.0.113.7", 80, "1"),
    ("2.11 local content is not https", 843, "* * secure", "file:", 80, "https"),
    ("2.11 without secure both", 843, "* *", "https://a.example", 80, "1"),
    ("2.11 without secure both", 843, "a.example 80", "http://a.example", 80, "1"),
    ("2.11 secure frees from no other rule", 843, "b.example * secure", "https://a.example", 80, "domain"),
    ("2.11 secure frees from no other rule", 843, "* 81 secure", "https://a.example", 80, "ports"),
    ("2.11 secure frees from no other rule", 10843, "* * secure", "https://a.example", 80, "low"),
    ("2.11 secure and not", 843, "* * secure | a.example 80", "http://a.example", 80, "2"),
    // 2.4 to 2.6: the meta-policy
    ("2.4 all changes nothing here", 843, "all | * *", "a.example", 80, "1"),
    ("2.4 master-only changes nothing here", 843, "master-only | * *", "a.example", 80, "1"),
    ("2.5 none denies the master's own grants", 843, "none | * *", "a.example", 80, "none"),
    ("2.5 none denies the master's own grants", 843, "none | a.example 80", "https://a.example", 80, "none"),
    ("2.5 none denies local content too", 843, "none | * *", "file:", 80, "none"),
    ("2.6 none counts in the master only", 842, "none | * *", "a.example", 80, "1"),
    ("2.6 none counts in the master only", 10843, "none | * *", "a.example", 2001, "1"),
    ("2.6 master-only counts in the master only", 10843, "master-only | * *", "a.example", 2001, "1"),
    ("2.6 elsewhere it does not lift 4.1", 10843, "all | * *", "a.example", 80, "low"),
    // 3.7 with ports
    ("3.7 the star is still bound to its ports", 843, "* 80", "file:", 81, "ports"),
    ("3.7 the star is still bound to its ports", 843, "* 80", "file:", 80, "1"),
    ("3.7 one grant of several", 843, "localhost * | * 80", "file:", 80, "2"),
    // the reason that is given first
    ("the domain before the ports", 843, "b.example 81", "a.example", 80, "domain"),
    ("the domain before https", 843, "b.example 81 secure", "a.example", 80, "domain"),
    ("https before the ports", 843, "* 81 secure", "a.example", 80, "https"),
];

/// Rule, master, other policies with their ports, origin, destination port,
/// and `PORT/N` for allowed by grant N of that port's policy, or the reasons.
type Explained = (
    &'static str,
    Option<&'static str>,
    &'static [(u16, &'static str)],
    &'static str,
    u16,
    &'static str,
);

#[rustfmt::skip]
const EXPLANATIONS: &[Explained] = &[
    // 4.4, first row: no connection to 843, or a time-out
    ("4.4 no master: the others are used", None, &[(2001, "* *")], "a.example", 2001, "2001/1"),
    ("4.4 no master: the others are used", None, &[(10843, "* *"), (2001, "")], "a.example", 2001, "10843/1"),
    ("4.4 no master, no other", None, &[], "a.example", 2001, "no-master"),
    ("4.4 no master, no grant", None, &[(2001, "b.example *")], "a.example", 2001, "no-master, 2001:domain"),
    // second row: no site-control, or `all`
    ("4.4 no site-control: its grants are used", Some("* *"), &[], "a.example", 2001, "843/1"),
    ("4.4 all: its grants are used", Some("all | * *"), &[], "a.example", 2001, "843/1"),
    ("4.4 no site-control: the others are used", Some("b.example *"), &[(2001, "* *")], "a.example", 2001, "2001/1"),
    ("4.4 no site-control: the others are used", Some(""), &[(2001, "* *")], "a.example", 2001, "2001/1"),
    ("4.4 all: the others are used", Some("all"), &[(2001, "* *")], "a.example", 2001, "2001/1"),
    ("4.4 all: the others are used", Some("all | * 80"), &[(2001, "* 2001")], "a.example", 2001, "2001/1"),
    ("4.4 all: nothing grants", Some("all | * 80"), &[(2001, "b.example *")], "a.example", 2001, "843:ports, 2001:domain"),
    // third row: `master-only`
    ("4.4 master-only: its grants are used", Some("master-only | * *"), &[], "a.example", 2001, "843/1"),
    ("4.4 master-only: its grants are used", Some("master-only | b.example * | * 2001"), &[(2001, "* *")], "a.example", 2001, "843/2"),
    ("4.4 master-only: the others are ignored", Some("master-only | * 80"), &[(2001, "* *")], "a.example", 2001, "843:ports, ignored 2001"),
    ("4.4 master-only: the others are ignored", Some("master-only"), &[(10843, "* *"), (2001, "* *")], "a.example", 2001, "843:empty, ignored 10843, ignored 2001"),
    ("4.4 master-only: the others are ignored below 1024 too", Some("master-only"), &[(80, "* *")], "a.example", 80, "843:empty, ignored 80"),
    // fourth row: `none`
    ("4.4 none: its grants are ignored", Some("none | * *"), &[], "a.example", 2001, "843:none"),
    ("4.4 none: the others are ignored", Some("none"), &[(2001, "* *")], "a.example", 2001, "843:none, ignored 2001"),
    ("4.4 none: all are ignored", Some("none | * *"), &[(10843, "* *"), (2001, "* *")], "a.example", 2001, "843:none, ignored 10843, ignored 2001"),
    // 1.10: the order
    ("1.10 the master comes first", Some("* *"), &[(2001, "* *")], "a.example", 2001, "843/1"),
    ("1.10 the others in their order", Some(""), &[(10843, "* *"), (2001, "* *")], "a.example", 2001, "10843/1"),
    ("1.10 the others in their order", Some(""), &[(2001, "* *"), (10843, "* *")], "a.example", 2001, "2001/1"),
    ("1.10 the destination port is the last resort", Some("* 80"), &[(10843, "* 80"), (2001, "* *")], "a.example", 2001, "2001/1"),
    ("1.11 843 does not override under all", Some("all | b.example *"), &[(2001, "a.example 2001")], "a.example", 2001, "2001/1"),
    // 4.1 in each of them
    ("4.1 holds for the destination port", None, &[(2001, "* *")], "a.example", 80, "no-master, 2001:low"),
    ("4.1 holds for loadPolicyFile", Some(""), &[(10843, "* *"), (80, "* 80")], "a.example", 80, "80/1"),
    ("4.1 holds for loadPolicyFile", Some(""), &[(10843, "* 80")], "a.example", 80, "843:empty, 10843:low"),
    ("4.1 does not bind the master", Some("* 80"), &[(10843, "* *")], "a.example", 80, "843/1"),
    ("4.1 a low port may serve itself", None, &[(80, "* 80")], "a.example", 80, "80/1"),
    ("4.1 a low port may serve a high one", None, &[(80, "* 2001")], "a.example", 2001, "80/1"),
    // 2.6: a meta-policy elsewhere
    ("2.6 none counts in the master only", None, &[(2001, "none | * *")], "a.example", 2001, "2001/1"),
    ("2.6 master-only counts in the master only", None, &[(10843, "master-only"), (2001, "* *")], "a.example", 2001, "2001/1"),
    ("2.6 all elsewhere does not reopen", Some("master-only"), &[(2001, "all | * *")], "a.example", 2001, "843:empty, ignored 2001"),
    // the rest
    ("4.2 a union over the files", Some("a.example 80"), &[(10843, "b.example 2001"), (2001, "a.example 2001")], "a.example", 2001, "2001/1"),
    ("2.11 secure in one file, not in another", Some("* * secure"), &[(2001, "* *")], "a.example", 2001, "2001/1"),
    ("2.11 secure asks for https", Some("* * secure"), &[], "https://a.example", 2001, "843/1"),
    ("3.7 local content needs the star", Some("localhost *"), &[(2001, "* *")], "file:", 2001, "2001/1"),
];

#[test]
fn domains_match_by_the_rules() {
    for (rule, domain, origin, expected) in DOMAINS {
        let policy = policy(&format!("{domain} *"));
        let origin = Origin::parse(origin).unwrap();
        let decision = decide(Player::Flash, &Offer::new(843, &policy), &origin, 2001);
        assert_eq!(
            decision == Ok(0),
            *expected,
            "{rule}: {domain} for {origin}"
        );
    }
}

#[test]
fn a_policy_decides_by_the_rules() {
    for (rule, served_from, short, origin, destination, expected) in DECISIONS {
        let origin = Origin::parse(origin).unwrap();
        let policy = policy(short);
        let offer = Offer::new(*served_from, &policy);
        let told = match decide(Player::Flash, &offer, &origin, *destination) {
            Ok(grant) => (grant + 1).to_string(),
            Err(denial) => denial_tag(&denial),
        };
        assert_eq!(
            told, *expected,
            "{rule}: {short} from {served_from}, {origin} to {destination}"
        );
    }
}

#[test]
fn several_policies_count_in_the_players_order() {
    for (rule, master, others, origin, destination, expected) in EXPLANATIONS {
        let master = master.map(policy);
        let others: Vec<_> = others
            .iter()
            .map(|(port, short)| (*port, policy(short)))
            .collect();
        let offers: Vec<_> = others
            .iter()
            .map(|(port, policy)| Offer::new(*port, policy))
            .collect();
        let origin = Origin::parse(origin).unwrap();
        let master = master.as_ref().map(|policy| Offer::new(843, policy));
        let told = match explain(
            Player::Flash,
            master.as_ref(),
            &offers,
            &origin,
            *destination,
        ) {
            Verdict::Allowed { port, grant } => format!("{port}/{}", grant + 1),
            Verdict::Denied(reasons) => {
                let tags = reasons.iter().map(|reason| match reason {
                    Reason::NoMaster => "no-master".into(),
                    Reason::Policy { port, denial } => format!("{port}:{}", denial_tag(denial)),
                    Reason::Ignored { port } => format!("ignored {port}"),
                });
                tags.collect::<Vec<_>>().join(", ")
            }
        };
        assert_eq!(told, *expected, "{rule}");
    }
}

#[test]
fn there_are_enough_rows() {
    assert!(DOMAINS.len() + DECISIONS.len() + EXPLANATIONS.len() >= 150);
}

#[test]
fn a_denial_says_all_reasons_in_words() {
    let (master, none) = (
        policy("b.example * | a.example 81 | * * secure"),
        policy("none"),
    );
    let (low, other) = (policy("* *"), policy("*.c.example *"));
    let name = Origin::parse("a.example").unwrap();
    let offers = [Offer::new(10_843, &low), Offer::new(80, &other)];
    let master_of = |policy| Some(Offer::new(843, policy));
    for (master, offers, origin, port, words) in [
        (
            master_of(&master),
            &offers[..],
            name.clone(),
            80,
            "the policy on port 843: grant 1 is for b.example, not for a.example; \
             grant 2 is for port 81, not for 80; grant 3 is for content loaded over HTTPS only; \
             the policy on port 10843: served from port 10843, it cannot grant ports below 1024; \
             the policy on port 80: grant 1 is for *.c.example, not for a.example",
        ),
        (
            master_of(&none),
            &offers,
            name.clone(),
            80,
            "the policy on port 843: its meta-policy is `none`, which denies everything; \
             the policy on port 10843 does not count: the master's meta-policy is not `all`; \
             the policy on port 80 does not count: the master's meta-policy is not `all`",
        ),
        (None, &[], name.clone(), 80, "port 843 has no policy"),
        (
            master_of(&policy("")),
            &[],
            name.clone(),
            80,
            "the policy on port 843: it grants nothing",
        ),
        (
            master_of(&other),
            &[],
            Origin::Local,
            80,
            "the policy on port 843: grant 1 is for *.c.example, and only `*` matches local content",
        ),
        (
            master_of(&other),
            &[],
            Origin::parse("[::1]").unwrap(),
            80,
            "the policy on port 843: grant 1 is for *.c.example, not for [::1] (names and addresses never match each other)",
        ),
    ] {
        let Verdict::Denied(reasons) =
            explain(Player::Flash, master.as_ref(), offers, &origin, port)
        else {
            panic!("allowed, and not: {words}");
        };
        let (asked, name) = (port.to_string(), |_, grant| grant_number(grant));
        let told: Vec<_> = reasons.iter().map(|r| r.in_words(&asked, &name)).collect();
        assert_eq!(told.join("; "), words);
    }
}

/// Player, the port that serves the policy, the policy, origin, destination, and as in
/// [`DECISIONS`]. Source: rule book 7.2, 7.9.
type Differing = (Player, u16, &'static str, &'static str, u16, &'static str);

#[rustfmt::skip]
const DIFFERENCES: &[Differing] = &[
    (Player::Lightspark, 843, "* 3000-3010", "a.example", 3000, "1"),
    (Player::Lightspark, 843, "* 3000-3010", "a.example", 3001, "ports"),
    (Player::Lightspark, 843, "* 3000,3001", "a.example", 3001, "1"),
    (Player::Lightspark, 10843, "* 80", "a.example", 80, "1"),
    (Player::Lightspark, 10843, "master-only | * *", "a.example", 2001, "unread"),
    (Player::Lightspark, 843, "master-only | * *", "a.example", 2001, "1"),
    (Player::Lightspark, 843, "a.example. *", "a.example", 80, "domain"),
    (Player::Lightspark, 843, "*.0.0.1 *", "127.0.0.1", 80, "1"),
    (Player::Lightspark, 843, "*.example *", "a.b.example", 80, "1"),
    (Player::Lightspark, 843, "none | * *", "a.example", 80, "none"),
    (Player::Unity, 843, "* 3000-3010", "a.example", 3009, "1"),
    (Player::Unity, 843, "* 3000-3010", "a.example", 3010, "ports"),
    (Player::Unity, 843, "* 3010", "a.example", 3010, "1"),
    (Player::Unity, 843, "a.example *", "a.example", 80, "domain"),
    (Player::Unity, 843, "none | * *", "a.example", 80, "1"),
    (Player::Unity, 1024, "* *", "a.example", 80, "1"),
    (Player::Unity, 1025, "* *", "a.example", 80, "low"),
];

#[test]
fn other_players_differ_where_the_rule_book_says() {
    for (player, served_from, short, origin, destination, expected) in DIFFERENCES {
        let origin = Origin::parse(origin).unwrap();
        let reading = read(render(&policy(short)).as_bytes(), &[]);
        let offer = reading.offer(*player, *served_from).unwrap();
        let told = match decide(*player, &offer, &origin, *destination) {
            Ok(grant) => (grant + 1).to_string(),
            Err(denial) => {
                let own_rule = !["none", "low"].contains(expected);
                let words = denial.in_words(&destination.to_string(), &grant_number);
                assert!(!own_rule || words.contains(&player.to_string()), "{words}");
                denial_tag(&denial)
            }
        };
        assert_eq!(
            told, *expected,
            "{player}: {short} from {served_from} to {destination}"
        );
    }
}
