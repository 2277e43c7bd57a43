#!/bin/sh
# The crate simplelog 0.12.2 writes one line of a log in ten pieces.
#
# Expected: WriteLogger hands each line to its `Write` at once, so that a file opened for appending
# stays whole, line by line, also with two processes.
# What happens: hour, colon, minute, colon, second, blank, level, blank, message and line end are a
# write each, ten system calls on a plain File. Lines of two processes mix in the middle.
# Why it matters: a server pays ten system calls for a line where one is enough, and a restart that has
# the old and the new server in one log for a moment spoils lines. A `Write` that collects to the
# line's end cures both.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
rust_program 'simplelog = { version = "=0.12.2", default-features = false }' 'log = "=0.4.29"' <<'END'
use std::io::{Result, Write};
use std::sync::Mutex;

static PIECES: Mutex<Vec<String>> = Mutex::new(Vec::new());
struct Pieces;
impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        PIECES.lock().unwrap().push(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
fn main() {
    let (level, config) = (simplelog::LevelFilter::Info, simplelog::Config::default());
    let Some(file) = std::env::args().nth(1) else {
        simplelog::WriteLogger::init(level, config, Pieces).unwrap();
        log::info!("{}: Policy sent.", "127.0.0.1:50000");
        let pieces = PIECES.lock().unwrap();
        println!("{} pieces, from the level on {:?}", pieces.len(), &pieces[6..]);
        return;
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    simplelog::WriteLogger::init(level, config, file).unwrap();
    for _ in 0..20_000 {
        log::info!("{}: Policy sent.", "127.0.0.1:50000");
    }
}
END
"$PROGRAM" >seen
"$PROGRAM" both.log &
PIDS="$PIDS $!"
"$PROGRAM" both.log
wait
total=$(grep -c 'Policy sent' both.log)
mixed=$(grep -vcE '^[0-9:]{8} \[INFO\] 127\.0\.0\.1:50000: Policy sent\.$' both.log || :)
echo "of two processes with 20,000 lines each, lines that are mixed: $mixed (of $total with the text)" >&2
[ "$mixed" -eq 0 ] || echo 'two processes: lines are mixed' >>seen
as_stated 'simplelog 0.12.2' <<'END'
10 pieces, from the level on ["[INFO]", " ", "127.0.0.1:50000: Policy sent.", "\n"]
two processes: lines are mixed
END
