//! Keeps what was measured: in `tests/bench/results/results.json`, and in the tables of the READMEs.
//! It measures and draws nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::results::{self, Results};

/// The documents that may have a place for a table.
const DOCUMENTS: [&str; 2] = ["README.md", "tests/bench/README.md"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where results and pictures are.
pub fn folder() -> PathBuf {
    here().join("tests/bench/results")
}

/// Puts what was measured now in the place of what was measured before.
pub fn store(new: Results) {
    let file = folder().join("results.json");
    let mut all = Results::load(&file).expect("the stored results");
    all.machine = machine();
    all.command = "scripts/bench.sh".into();
    for chart in new.charts {
        all.put_chart(chart);
    }
    for table in new.tables {
        put_into_documents(&table.id, &table.markdown());
        all.put_table(table);
    }
    put_into_documents("machine", &format!("{}\n", all.machine));
    all.save(&file).expect("the results");
    println!("\nstored in tests/bench/results");
}

/// Replaces a table wherever a document has a place for it.
fn put_into_documents(id: &str, markdown: &str) {
    for document in DOCUMENTS {
        let path = here().join(document);
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
