//! Any bytes as a policy file: reading never panics or hangs, also as Lightspark reads, findings lie
//! in the file, and what was read means the same when it is written again.
#![no_main]

use flashpolicyd::policy::{Origin, Player, decide, grant_number, read, render, words};
use flashpolicyd::output::text::Style;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let reading = read(bytes, &[843, 10_843]);
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
    // Behind these come the sums of those that are left out, which are about the whole file.
    for finding in reading.diagnostics("policy.xml").take(reading.findings.len()) {
        let place = finding.place;
        let (line, column) = (place.line.unwrap(), place.column.unwrap());
        assert!((1..=lines).contains(&line) && column >= 1 && place.width >= 1);
    }
    let report = reading.report("policy.xml", &Style::PLAIN);
    assert!(!report.chars().any(|c| c != '\n' && c.is_control()));
    for (player, port) in [(Player::Lightspark, 843), (Player::Lightspark, 10_843)] {
        if let Some(offer) = reading.offer(player, port) {
            let denied = decide(player, &offer, &Origin::Anywhere, 2001).err();
            let said = denied.map(|denial| denial.in_words("2001", &grant_number));
            assert!(!said.is_some_and(|said| said.chars().any(char::is_control)));
        }
    }
    if let Some(policy) = reading.policy {
        assert!(!words(&policy).is_empty());
        let written = render(&policy);
        // The written form may be longer, and then too large to be read.
        if written.len() <= flashpolicyd::policy::MAX_POLICY_BYTES {
            assert_eq!(read(written.as_bytes(), &[]).policy, Some(policy));
        }
    }
});
