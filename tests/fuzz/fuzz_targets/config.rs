//! Any text as a configuration: parsing never panics or hangs, and every mistake has its line.
#![no_main]

use std::path::Path;

use flashpolicyd::config::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(mistakes) = parse(text, Path::new("f.conf"), &[]) {
        let lines = text.lines().count();
        for mistake in mistakes {
            assert!(mistake.place.line.is_some_and(|line| (1..=lines).contains(&line)));
            assert!(!mistake.to_string().chars().any(char::is_control));
        }
    }
});
