//! Any text as a configuration: parsing never panics or hangs, and every mistake has its line, but the
//! sum of those that are left out.
#![no_main]

use std::path::Path;

use flashpolicyd::config::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(mistakes) = parse(text, Path::new("f.conf"), &[]) {
        let lines = text.lines().count();
        for mistake in mistakes {
            let is_sum = mistake.cause.ends_with("more like these");
            let has_line = mistake.place.line.is_some_and(|line| (1..=lines).contains(&line));
            assert!(has_line || is_sum, "{mistake}");
            assert!(!mistake.to_string().chars().any(char::is_control));
        }
    }
});
