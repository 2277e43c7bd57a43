#!/bin/sh
# The crate pico-args 0.5.0 takes quotes off a value, and knows no end of the options.
#
# Expected: `--name=value` gives the bytes behind the equals sign, as the shell passed them; behind
# `--` nothing is an option any more, as in every other program.
# What happens: one pair of quotes around the value is taken off, a second time after the shell; with
# a blank in place of the equals sign they stay. Behind `--` options are still found.
# Why it matters: a file or a policy's attribute that has quotes around it cannot be passed with the
# equals sign, and what a script passes behind `--` (a host, a file's name) can be an option.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
rust_program 'pico-args = { version = "=0.5.0", features = ["eq-separator"] }' <<'END'
fn main() {
    let arguments = |given: &[&str]| pico_args::Arguments::from_vec(given.iter().map(Into::into).collect());
    for given in [&["--file='a'"][..], &["--file=\"a\""], &["--file", "'a'"], &["--file="]] {
        let value: Result<String, _> = arguments(given).value_from_str("--file");
        println!("{given:?}: {value:?}");
    }
    let mut given = arguments(&["check", "--", "--verbose"]);
    println!("behind --: --verbose is there: {}, left: {:?}", given.contains("--verbose"), given.finish());
}
END
"$PROGRAM" >seen
as_stated 'pico-args 0.5.0' <<'END'
["--file='a'"]: Ok("a")
["--file=\"a\""]: Ok("a")
["--file", "'a'"]: Ok("'a'")
["--file="]: Err(OptionWithoutAValue("--file"))
behind --: --verbose is there: true, left: ["check", "--"]
END
