//! Measures flashpolicyd beside the other servers that people run for the same purpose, in one go:
//! the runs of all servers take turns, so that a slow moment of the machine is everybody's.
//!
//! ```sh
//! scripts/bench.sh                             # everything, about 17 minutes
//! scripts/bench.sh summary clients             # these parts; their names: see `PARTS`
//! scripts/bench.sh --only floor,ours,go sizes  # these servers; their names: see `servers`
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
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .unwrap_or_else(|| panic!("{word} needs a value"))
        };
        match word.as_str() {
            "--bench" => {}
            "--dry" => dry = true,
            "--rounds" => bench.rounds = value().parse().expect("a number of rounds"),
            "--seconds" => bench.seconds = value().parse().expect("seconds"),
            "--only" => bench.only = value().split(',').map(str::to_owned).collect(),
            part => match PARTS.iter().find(|known| known.0 == part) {
                Some(known) => parts.push(known),
                None => {
                    let names: Vec<_> = PARTS.iter().map(|part| part.0).collect();
                    panic!("no part is called {part}; there are {}", names.join(", "));
                }
            },
        }
    }
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
