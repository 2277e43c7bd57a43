//! Measures flashpolicyd beside the other servers that people run for the same purpose, in one go:
//! the runs of all servers take turns, so that a slow moment of the machine is everybody's.
//!
//! ```sh
//! cargo bench --bench speed                                # all parts, about 14 minutes
//! cargo bench --bench speed -- summary clients             # these parts; names: see `PARTS`
//! cargo bench --bench speed -- --only floor,ours,go sizes  # these servers; stores nothing
//! cargo bench --bench speed -- --rounds 9 --seconds 1      # more rounds, longer runs
//! cargo bench --bench speed -- --dry clients               # stores nothing
//! FLASHPOLICY_BEFORE=/tmp/before cargo bench --bench speed -- --only floor,ours,before clients
//! ```
//!
//! The last one measures the program of an earlier build beside this one.
//!
//! What is measured is printed, stored in `tests/bench/results`, drawn there, and put into the
//! READMEs. All traffic is loopback's.

#[path = "../../support/attack.rs"]
mod attack;
mod bench;
#[path = "../load.rs"]
mod load;
mod measure;
#[path = "../outcome.rs"]
mod outcome;
mod parts;
mod peers;
mod plot;
#[path = "../results.rs"]
mod results;
mod servers;
#[path = "../store.rs"]
mod store;
#[path = "../../support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;

use bench::Bench;
use parts::PARTS;
use results::Results;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, policy_file] = &arguments[..] {
        match first.as_str() {
            "floor" => peers::be_the_floor(Path::new(policy_file)),
            "pool" => peers::be_the_pool(Path::new(policy_file)),
            _ => {}
        }
    }
    // `cargo test --benches` runs this too.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let mut bench = Bench::new();
    let mut parts = Vec::new();
    let mut dry = false;
    // cargo's own word, which it puts behind ours.
    let mut words = arguments.iter().filter(|word| *word != "--bench");
    while let Some(word) = words.next() {
        let mut value = |what: &str| {
            let value = words.next();
            value.unwrap_or_else(|| refuse(&format!("{word}: nothing behind it; expected {what}")))
        };
        match word.as_str() {
            "--dry" => dry = true,
            "--rounds" => bench.rounds = number(word, value("a number of rounds"), 1.0) as usize,
            "--seconds" => bench.seconds = number(word, value("seconds"), 0.1),
            "--only" => bench.only = servers_of(value("servers, such as floor,ours")),
            part => match PARTS.iter().find(|known| known.0 == part) {
                Some(known) => parts.push(known),
                None => {
                    let names: Vec<_> = PARTS.iter().map(|part| part.0).collect();
                    refuse(&format!(
                        "{part}: no part and no option; expected --rounds, --seconds, --only, \
                         --dry, or one of {}",
                        names.join(", ")
                    ));
                }
            },
        }
    }
    // What is stored has all servers in it.
    dry |= !bench.only.is_empty();
    let everything = parts.is_empty();
    if everything {
        parts.extend(PARTS);
    }
    for (name, run) in parts {
        println!("\n== {name}");
        run(&mut bench);
    }
    let failures = bench.failures();
    if !failures.rows.is_empty() {
        println!("\n{}", failures.markdown());
    }
    if everything {
        bench.results.put_table(failures);
    }
    if !dry {
        keep(bench.results);
    }
}

/// A mistake on the command line.
fn refuse(what: &str) -> ! {
    eprintln!("bench: {what}");
    std::process::exit(2);
}

fn number(option: &str, value: &str, least: f64) -> f64 {
    match value.parse() {
        Ok(number) if (least..=1000.0).contains(&number) => number,
        _ => refuse(&format!(
            "{option} {value}: expected a number from {least} to 1000"
        )),
    }
}

fn servers_of(list: &str) -> Vec<String> {
    let mut all: Vec<_> = peers::all().iter().map(|server| server.key).collect();
    all.push(peers::plain_pool().key);
    let names: Vec<String> = list.split(',').map(str::to_owned).collect();
    if let Some(unknown) = names.iter().find(|name| !all.contains(&name.as_str())) {
        refuse(&format!(
            "--only {unknown}: no such server; expected some of {}",
            all.join(",")
        ));
    }
    names
}

/// Draws what was measured now, and puts it in the place of what was measured before.
fn keep(new: Results) {
    let folder = store::folder();
    fs::create_dir_all(&folder).expect("a folder");
    for chart in &new.charts {
        let svg = plot::svg(chart).expect("a chart");
        fs::write(folder.join(format!("{}.svg", chart.id)), svg).expect("a picture");
    }
    store::store(new);
}
