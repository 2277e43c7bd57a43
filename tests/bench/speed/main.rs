//! Measures flashpolicyd beside the other servers that people run for the same purpose, in one go:
//! the runs of all servers take turns, so that a slow moment of the machine is everybody's.
//!
//! ```sh
//! scripts/bench.sh                             # everything, about 17 minutes
//! scripts/bench.sh summary clients             # these parts; their names: see `PARTS`
//! scripts/bench.sh --only floor,ours,go sizes  # these servers; stores nothing
//! scripts/bench.sh --rounds 9 --seconds 1      # more rounds, longer runs
//! scripts/bench.sh --dry clients               # prints, and leaves the stored results alone
//! ```
//!
//! What is measured is printed, stored in `tests/bench/results`, drawn there, and put into the
//! tables of the README. All traffic is loopback's.

#[path = "../../support/attack.rs"]
mod attack;
mod experiments;
mod load;
mod measure;
mod plot;
mod results;
mod servers;
#[path = "../../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use experiments::{Bench, PARTS};
use results::Results;
use servers::Server;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, policy_file] = &arguments[..] {
        if first == "floor" {
            servers::be_the_floor(Path::new(policy_file));
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
    println!("\n{}", failures.markdown());
    if everything {
        bench.results.put_table(failures);
    }
    if !dry {
        store(bench.results);
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
    let all: Vec<_> = Server::all().into_iter().map(|server| server.key).collect();
    let names: Vec<String> = list.split(',').map(str::to_owned).collect();
    if let Some(unknown) = names.iter().find(|name| !all.contains(&name.as_str())) {
        refuse(&format!(
            "--only {unknown}: no such server; expected some of {}",
            all.join(",")
        ));
    }
    names
}

/// Puts what was measured now in the place of what was measured before.
fn store(new: Results) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.join("tests/bench/results");
    let file = folder.join("results.json");
    let mut all = Results::load(&file).expect("the stored results");
    all.machine = machine();
    all.command = "scripts/bench.sh".into();
    for chart in &new.charts {
        let svg = plot::svg(chart).expect("a chart");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("{}.svg", chart.id)), svg).expect("a picture");
        all.put_chart(chart.clone());
    }
    for table in new.tables {
        put_into_documents(here, &table.id, &table.markdown());
        all.put_table(table);
    }
    put_into_documents(here, "machine", &format!("{}\n", all.machine));
    all.save(&file).expect("the results");
    println!("\nstored in tests/bench/results");
}

/// Replaces a table wherever a document has a place for it.
fn put_into_documents(here: &Path, id: &str, markdown: &str) {
    for document in ["README.md", "tests/bench/README.md"] {
        let path: PathBuf = here.join(document);
        let text = fs::read_to_string(&path).expect("a document");
        if text.contains(&format!("<!-- bench:{id} -->")) {
            let text = results::put_into(&text, id, markdown).expect("two markers");
            fs::write(&path, text).expect("a document");
        }
    }
}

/// What the figures were measured on, without a name.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |model| {
        model.trim_start_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    format!("{cores} cores ({model}), shared with the clients; Linux {kernel}")
}
