//! Measures what players notice of attacks, of crowds and of an operator's work, and what these cost
//! the server; each scenario is a row.
//!
//! ```sh
//! cargo bench --bench attack                      # everything, about 6 minutes; stores its table
//! cargo bench --bench attack -- --check           # the same; exits with 1 where a promise is broken
//! cargo bench --bench attack -- held few          # these parts; their names: see `PARTS`
//! cargo bench --bench attack -- --seconds 2 held  # shorter runs; stores nothing
//! cargo bench --bench attack -- --dry             # stores nothing
//! cargo bench --bench attack -- million --requests 100000 --only 6   # one kind of request
//! ```
//!
//! Attackers are processes of their own: this one, started once more. Every scenario is bounded in
//! connections and in time, and all traffic is loopback's.

#[path = "../../support/attack.rs"]
mod attack;
mod attackers;
#[path = "../load.rs"]
mod load;
mod million;
mod operate;
#[path = "../outcome.rs"]
mod outcome;
mod players;
mod report;
#[path = "../results.rs"]
mod results;
mod scenes;
#[path = "../store.rs"]
mod store;
#[path = "../../support/mod.rs"]
mod support;

use std::process::exit;

use report::Report;
use results::Results;

/// A part, by the name that the command line knows.
type Part = (&'static str, fn(&Options, &mut Report));

/// All parts.
const PARTS: &[Part] = &[
    ("late", scenes::late_players_alone),
    ("held", scenes::held_connections),
    ("flat-out", scenes::flat_out),
    ("crowds", scenes::crowds),
    ("few", scenes::few_descriptors),
    ("ten", scenes::ten_attacks),
    ("million", million::a_million_requests),
    ("operate", operate::operate),
];

/// What the command line asks for.
pub struct Options {
    /// How long players come in a scenario.
    seconds: f64,
    requests: u64,
    /// The only kind of request of the million.
    only: Option<usize>,
}

const DEFAULT: Options = Options {
    seconds: 6.0,
    requests: 1_000_000,
    only: None,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let ["attacker", words @ ..] = &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        return attackers::be_the_attacker(words);
    }
    // `cargo test --benches` runs this too.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let mut options = DEFAULT;
    let (mut check, mut stores) = (false, true);
    let mut parts = Vec::new();
    // cargo's own word, which it puts behind ours.
    let mut words = arguments.iter().filter(|word| *word != "--bench");
    while let Some(word) = words.next() {
        let mut number = |least: f64, most: f64| {
            stores = false;
            let value = words.next().and_then(|value| value.parse().ok());
            value
                .filter(|value| (least..=most).contains(value))
                .unwrap_or_else(|| refuse(&format!("{word}: expected a number up to {most}")))
        };
        match word.as_str() {
            "--check" => check = true,
            "--dry" => stores = false,
            "--seconds" => options.seconds = number(0.5, 60.0),
            "--requests" => options.requests = number(1.0, 1e8) as u64,
            "--only" => options.only = Some(number(0.0, million::KINDS as f64 - 1.0) as usize),
            part => match PARTS.iter().find(|known| known.0 == part) {
                Some(known) => parts.push(known),
                None => refuse(&format!(
                    "{part}: no part and no option; expected --check, --dry, --seconds, \
                     --requests, --only, or one of {}",
                    PARTS
                        .iter()
                        .map(|part| part.0)
                        .collect::<Vec<_>>()
                        .join(", ")
                )),
            },
        }
    }
    if parts.is_empty() {
        parts.extend(PARTS);
    } else {
        // What is stored has all parts in it.
        stores = false;
    }
    attack::raise_file_limit();
    let mut report = Report::new();
    for (_, run) in parts {
        run(&options, &mut report);
    }
    if stores {
        let mut results = Results::default();
        results.put_table(report.table());
        store::store(results);
    }
    println!("\n{} promises broken", report.broken().len());
    for broken in report.broken() {
        println!("  {broken}");
    }
    if check && !report.broken().is_empty() {
        exit(1);
    }
}

/// A mistake on the command line.
fn refuse(what: &str) -> ! {
    eprintln!("bench: {what}");
    exit(2);
}
