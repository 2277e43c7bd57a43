//! Any bytes as what a server answers, cut and ended in any way: the probe never panics or hangs
//! over them, and nothing of them reaches a terminal that is not printable.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use flashpolicyd::policy::Policy;
use flashpolicyd::player::probe::ask::{End, Exchange, MAX_BYTES};
use flashpolicyd::player::probe::classify::classify;
use flashpolicyd::player::probe::{first_line, json, report_of, story, AnswerState, Arguments, Plan};
use flashpolicyd::output::text::Style;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u16, u16, bool, &[u8])| {
    let (end, first_piece, millis, stands_for_843, bytes) = input;
    let exchange = Exchange {
        address: SocketAddr::from(([127, 0, 0, 1], if stands_for_843 { 843 } else { 10_843 })),
        connected: Ok(Duration::from_millis(1)),
        bytes: bytes[..bytes.len().min(MAX_BYTES)].to_vec(),
        pieces: usize::from(first_piece) % 5,
        first_piece: first_piece.into(),
        end: [End::Closed, End::Reset, End::Open, End::TooMuch][usize::from(end % 4)],
        time: Duration::from_millis(millis.into()),
        deadline: Duration::from_secs(3),
        tls: None,
    };
    let answer = classify(&exchange, exchange.address.port());
    let policy: Option<&Policy> = answer.policy();
    assert_eq!(policy.is_some(), answer.state == AnswerState::Counts);
    assert_eq!(answer.error().is_none(), answer.state == AnswerState::Counts);

    let arguments = Arguments {
        host: "127.0.0.1".into(),
        from: Some("www.example.com".into()),
        to: Some(if stands_for_843 { "80,2001" } else { "*" }.into()),
        player: Some(["flash", "lightspark", "unity"][usize::from(end) % 3].into()),
        ignore: vec!["left-open,ip-domain".into()],
        ..Arguments::default()
    };
    let plan = Plan::new(&arguments).expect("a plan");
    let report = report_of(plan, exchange);
    let told = [first_line(&report), json(&report), story(&report, &Style::PLAIN)].concat();
    let printable = |c: char| c == '\n' || matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    assert!(told.chars().all(printable), "{told:?}");
    assert!(told.len() < 64 * 1024, "{}", told.len());
});
