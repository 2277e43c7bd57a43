//! Sets of ports, and what is wrong with the text for one.

use proptest::prelude::*;

use super::*;

fn fault(text: &str) -> String {
    PortSet::parse(text).unwrap_err().to_string()
}

#[test]
fn lists_ranges_and_the_star_are_read() {
    let set = PortSet::parse("80,3000-3010,65535").unwrap();
    for (port, inside) in [
        (80, true),
        (81, false),
        (3000, true),
        (3010, true),
        (3011, false),
    ] {
        assert_eq!(set.contains(port), inside, "port {port}");
    }
    assert!(PortSet::parse("*").unwrap().contains(1));
    assert_eq!(
        PortSet::parse(" 80 , 90 - 95 ").unwrap().to_string(),
        "80,90-95"
    );
    assert_eq!(PortSet::parse("0080").unwrap().to_string(), "80");
}

#[test]
fn what_is_no_port_list_is_refused_with_a_cure() {
    assert_eq!(fault("0"), "there is no port 0; begin at port 1");
    for (range, right) in [
        ("0-100000", "1-65535"),
        ("0-80", "1-80"),
        ("80-70000", "80-65535"),
    ] {
        let cure = format!("; the first port is 1, the last 65535; write `{right}`");
        assert!(fault(range).ends_with(&cure), "{}", fault(range));
    }
    assert!(fault("70000-80000").ends_with("; the last port is 65535"));
    assert_eq!(
        fault("65536"),
        "there is no port `65536`; the last port is 65535"
    );
    assert_eq!(
        fault("90-80"),
        "the range `90-80` runs backwards; write `80-90`"
    );
    assert_eq!(
        fault("80,,90"),
        "the list of ports has an empty entry; delete the extra comma"
    );
    assert!(fault("80-").starts_with("the range `80-` lacks an end"));
    assert!(fault("*,80").starts_with("`*,80` mixes `*`"));
    for bad in [
        "", " ", "+80", "-80", "8 0", "80;90", "80-90-95", "http", "80,", "0x50", "\u{a0}80",
    ] {
        assert!(PortSet::parse(bad).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn only_named_ports_below_1024_are_low() {
    for (text, low) in [
        ("*", false),
        ("1024", false),
        ("1023", true),
        ("20-65535", true),
        ("2000,80", true),
    ] {
        assert_eq!(
            PortSet::parse(text).unwrap().names_low_ports(),
            low,
            "{text}"
        );
    }
}

#[test]
fn neighbours_are_written_as_a_range() {
    for (set, written) in [
        ("5000,5001,5002,9339", "5000-5002,9339"),
        ("80,81,90", "80,81,90"),
        ("9339,5000-5010,5011", "9339,5000-5011"),
        ("*", "*"),
    ] {
        let set = PortSet::parse(set).unwrap();
        assert_eq!(set.coalesced().to_string(), written);
    }
}

#[test]
fn every_port_is_every_port_however_it_is_written() {
    for (text, everything) in [
        ("*", true),
        ("1-65535", true),
        ("30-65535,1-29", true),
        ("1-100,50-65535", true),
        ("2-65535", false),
        ("1-65534", false),
        ("1-9,11-65535", false),
    ] {
        let set = PortSet::parse(text).unwrap();
        assert_eq!(set.is_everything(), everything, "{text}");
    }
}

#[test]
fn up_to_sixteen_ports_are_asked_and_of_more_the_edges() {
    let sample = |asked: &str, granted: &[&str]| {
        let granted: Vec<_> = granted.iter().map(|g| PortSet::parse(g).unwrap()).collect();
        PortSet::parse(asked).unwrap().sample(&granted)
    };
    let few = sample("9339,5000-5010,9339", &[]);
    assert_eq!((few.ports[0], few.ports.len(), few.of), (9339, 12, 12));
    assert!(!few.is_partial());
    let many = sample("5000-5100", &["*", "5010-5020", "5090"]);
    assert_eq!(
        many.ports,
        [5000, 5009, 5010, 5020, 5021, 5089, 5090, 5091, 5100]
    );
    assert_eq!((many.of, many.is_partial()), (101, true));
    assert_eq!(sample("*", &[]).ports, [1, 1023, 1024, 65535]);
    let list: Vec<_> = (0..200).map(|n| (1 + 3 * n).to_string()).collect();
    let thinned = sample(&list.join(","), &[]);
    assert_eq!((thinned.ports.len(), thinned.of), (MAX_ASKED, 200));
    assert_eq!((thinned.ports[0], thinned.ports[15]), (1, 598));
}

proptest! {
    #[test]
    fn a_sample_is_small_and_from_the_set(
        asked in crate::strategies::ports(),
        granted in crate::strategies::ports(),
    ) {
        let sample = asked.sample([&granted]);
        prop_assert!(!sample.ports.is_empty() && sample.ports.len() <= MAX_ASKED);
        prop_assert!(sample.ports.iter().all(|port| asked.contains(*port)));
    }

    #[test]
    fn a_written_set_reads_back_the_same(set in crate::strategies::ports()) {
        prop_assert_eq!(PortSet::parse(&set.to_string()), Ok(set));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9,* -]{0,12}|\\PC{0,20}") {
        if let Ok(set) = PortSet::parse(&text) {
            prop_assert_eq!(PortSet::parse(&set.to_string()), Ok(set));
        }
    }
}
