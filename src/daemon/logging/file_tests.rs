//! The log file on a file system whose steps fail: every line is in a file, or was counted.

use std::collections::HashSet;
use std::fs;
use std::sync::Mutex;
use std::thread;

use nix::errno::Errno;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::daemon::logging::disk::FileState;

/// A step that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Open,
    MakeNext,
    Rename,
    RenameToLog,
    State,
    Append,
    Read,
    Cut,
}

const STEPS: [Step; 8] = [
    Step::Open,
    Step::MakeNext,
    Step::Rename,
    Step::RenameToLog,
    Step::State,
    Step::Append,
    Step::Read,
    Step::Cut,
];

const ERRORS: [Errno; 4] = [Errno::EMFILE, Errno::ENOSPC, Errno::EACCES, Errno::EIO];

/// Which call fails, by its number and step, and how.
type Plan = Box<dyn Fn(usize, Step) -> Option<Errno> + Send>;

/// The real disk, with failures as planned.
struct Faulty {
    inner: RealDisk,
    state: Mutex<(usize, Option<Errno>)>,
    plan: Plan,
}

impl Faulty {
    fn fails(&self, step: Step) -> Option<Errno> {
        let mut state = self.state.lock().unwrap();
        let number = state.0;
        state.0 += 1;
        (self.plan)(number, step)
    }

    fn try_to<T>(&self, step: Step, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.fails(step) {
            Some(error) => Err(error.into()),
            None => act(),
        }
    }
}

impl Disk for Faulty {
    fn open(&self) -> io::Result<File> {
        self.try_to(Step::Open, || self.inner.open())
    }

    fn make_next(&self) -> io::Result<File> {
        self.try_to(Step::MakeNext, || self.inner.make_next())
    }

    fn remove_next(&self) {
        self.inner.remove_next();
    }

    fn exists(&self, name: Name) -> bool {
        self.inner.exists(name)
    }

    fn named(&self) -> Option<(u64, u64)> {
        self.inner.named()
    }

    fn rename(&self, from: Name, to: Name) -> io::Result<()> {
        self.try_to(Step::Rename, || self.inner.rename(from, to))
    }

    fn rename_to_log(&self, from: Name) -> io::Result<()> {
        self.try_to(Step::RenameToLog, || self.inner.rename_to_log(from))
    }

    fn state(&self, file: &File) -> io::Result<FileState> {
        self.try_to(Step::State, || self.inner.state(file))
    }

    /// A full disk takes a part first.
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = self.state.lock().unwrap().1.take() {
            return Err(error.into());
        }
        match self.fails(Step::Append) {
            Some(error) => {
                self.state.lock().unwrap().1 = Some(error);
                self.inner.append(file, &bytes[..bytes.len().div_ceil(2)])
            }
            None => self.inner.append(file, bytes),
        }
    }

    fn read(&self, file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.try_to(Step::Read, || self.inner.read(file, bytes, at))
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        self.try_to(Step::Cut, || self.inner.cut(file, length))
    }
}

/// A log in a folder of its own.
struct Bench {
    folder: TempDir,
    warnings: Vec<String>,
    dropped: u64,
    failures: usize,
}

const MOST: u64 = 1_000;

impl Bench {
    fn new() -> Bench {
        Bench {
            folder: tempfile::tempdir().unwrap(),
            warnings: Vec::new(),
            dropped: 0,
            failures: 0,
        }
    }

    fn disk(&self) -> RealDisk {
        RealDisk::new(&self.folder.path().join("x.log"), None)
    }

    fn log(&self, keep: usize, plan: Plan) -> LogFile<Faulty> {
        let disk = self.disk();
        let file = disk.open().unwrap();
        let disk = Faulty {
            inner: disk,
            state: Mutex::default(),
            plan,
        };
        let rotation = Rotation {
            max_size: Some(MOST),
            keep,
        };
        LogFile::new(disk, "x.log", file, rotation)
    }

    /// Writes a batch as the writer's thread does; false where it could not be written in the end.
    fn write<D: Disk>(&mut self, log: &mut LogFile<D>, batch: &[u8]) -> bool {
        let mut next = 0;
        for _ in 0..200 {
            let written = log.write(batch, &mut next);
            let news = log.take_news();
            self.warnings.extend(news.warnings);
            self.dropped += news.dropped;
            self.failures += usize::from(written.is_err());
            if next == batch.len() {
                return true;
            }
        }
        self.dropped += count_lines(&batch[next..]);
        false
    }

    /// Writes 250 numbered lines of different lengths in batches.
    fn write_lines<D: Disk>(&mut self, log: &mut LogFile<D>) {
        for first in (0..LINES).step_by(7) {
            let batch: String = (first..(first + 7).min(LINES)).map(line).collect();
            self.write(log, batch.as_bytes());
        }
    }

    /// All lines of all files, the oldest first.
    fn lines(&self) -> Vec<String> {
        let old = (1..=200).rev().map(|number| format!("x.log.{number}"));
        let files = old.chain(["x.log".into()]);
        let texts = files.filter_map(|name| fs::read_to_string(self.folder.path().join(name)).ok());
        texts
            .flat_map(|text| text.lines().map(String::from).collect::<Vec<_>>())
            .collect()
    }

    fn size(&self, name: &str) -> u64 {
        fs::metadata(self.folder.path().join(name)).map_or(0, |file| file.len())
    }

    /// Each line is there once, whole and in order, or was counted.
    fn assert_all_lines_are_there_or_counted(&self, what: &str) {
        let found = self.lines();
        let mut wanted = (0..LINES).map(line);
        for line in &found {
            let line = format!("{line}\n");
            assert!(wanted.any(|wanted| wanted == line), "{what}: {line}");
        }
        let there = found.len() as u64;
        assert_eq!(
            there + self.dropped,
            LINES as u64,
            "{what}: {:?}",
            self.warnings
        );
    }
}

const LINES: usize = 250;

fn line(number: usize) -> String {
    format!("line {number} {}\n", "x".repeat(number % 11))
}

#[test]
fn whichever_step_fails_once_no_line_is_lost_that_is_not_counted() {
    for error in ERRORS {
        for failing in 0..250 {
            let mut bench = Bench::new();
            let mut log = bench.log(4, Box::new(move |n, _| (n == failing).then_some(error)));
            bench.write_lines(&mut log);
            bench.assert_all_lines_are_there_or_counted(&format!("{error} at call {failing}"));
            assert!(bench.warnings.len() <= 2, "{:?}", bench.warnings);
        }
    }
}

#[test]
fn whichever_step_fails_for_ever_no_line_is_lost_that_is_not_counted() {
    for error in ERRORS {
        for failing in STEPS {
            // Not from the start on: the log is open and has some lines.
            let mut bench = Bench::new();
            let plan: Plan = Box::new(move |n, step| (step == failing && n > 5).then_some(error));
            let mut log = bench.log(4, plan);
            bench.write_lines(&mut log);
            let what = format!("{error} at each {failing:?}");
            bench.assert_all_lines_are_there_or_counted(&what);
            assert!(bench.size("x.log") <= 2 * MOST, "{what}");
            let said = |text: &str| bench.warnings.iter().filter(|w| w.contains(text)).count();
            let fails = matches!(failing, Step::MakeNext | Step::Rename | Step::RenameToLog);
            assert_eq!(said("Cannot rotate"), usize::from(fails), "{what}");
        }
    }
}

#[test]
fn a_full_file_that_cannot_be_rotated_is_emptied_and_one_line_says_how_much_went() {
    for error in ERRORS {
        let mut bench = Bench::new();
        let fails = move |_, step| (step == Step::MakeNext).then_some(error);
        let mut log = bench.log(4, Box::new(fails));
        bench.write_lines(&mut log);
        assert_eq!(bench.failures, 0);
        bench.assert_all_lines_are_there_or_counted("rotation");
        let there = bench.lines();
        assert_eq!(
            there.last().map(String::as_str),
            Some(line(LINES - 1).trim_end())
        );
        assert!(bench.size("x.log") <= 2 * MOST);
        let [rotation, emptied] = &bench.warnings[..] else {
            panic!("{:?}", bench.warnings);
        };
        assert!(rotation.contains("Cannot rotate the log x.log"));
        let gone: String = (0..LINES - there.len()).map(line).collect();
        assert_eq!(
            *emptied,
            format!(
                "The log x.log was full and was emptied, since it cannot be rotated: {} lines ({} \
                 bytes) are gone.",
                bench.dropped,
                gone.len()
            )
        );
    }
}

#[test]
fn a_failed_rotation_leaves_nothing_behind_and_drops_no_old_log() {
    for failing in [Step::Rename, Step::RenameToLog] {
        let mut bench = Bench::new();
        let fails = move |n, step| (step == failing && n < 300).then_some(Errno::EIO);
        let mut log = bench.log(2, Box::new(fails));
        for name in ["x.log.1", "x.log.2"] {
            fs::write(bench.folder.path().join(name), format!("{name}\n")).unwrap();
        }
        for first in 0..8 {
            let batch: String = (first * 10..first * 10 + 10).map(line).collect();
            bench.write(&mut log, batch.as_bytes());
        }
        assert!(!bench.folder.path().join("x.log.new").exists());
        assert!(bench.warnings[0].contains("Cannot rotate"));
        // One of the two had to make room once, and no more.
        let left = bench
            .lines()
            .iter()
            .filter(|l| l.starts_with("x.log"))
            .count();
        assert!(left >= 1, "{:?}", bench.lines());
    }
}

#[test]
fn without_old_logs_a_full_file_is_emptied() {
    let mut bench = Bench::new();
    let mut log = bench.log(0, Box::new(|_, _| None));
    bench.write_lines(&mut log);
    // What the configuration says is no loss.
    assert_eq!(bench.dropped, 0);
    let there = bench.lines();
    let of = |warning: &String| -> usize {
        assert!(
            warning.contains("'log_keep = 0' keeps no old one"),
            "{warning}"
        );
        let before = warning.split(" lines (").next().unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let gone: usize = bench.warnings.iter().map(of).sum();
    assert_eq!(there.len() + gone, LINES);
    assert_eq!(
        there.last().map(String::as_str),
        Some(line(LINES - 1).trim_end())
    );
    assert!(bench.size("x.log") <= MOST);
    assert!(!bench.folder.path().join("x.log.1").exists());
}

#[test]
fn a_line_that_is_longer_than_a_file_may_be_has_one_of_its_own() {
    let mut bench = Bench::new();
    let mut log = bench.log(4, Box::new(|_, _| None));
    let long = format!("{}\n", "y".repeat(1_200));
    let batch = format!("before\n{long}{long}after\n");
    assert!(bench.write(&mut log, batch.as_bytes()));
    assert_eq!(bench.failures, 0);
    assert_eq!(bench.lines().len(), 4);
    let sizes = ["x.log.3", "x.log.2", "x.log.1", "x.log"].map(|name| bench.size(name));
    assert_eq!(sizes, [7, 1_201, 1_201, 6]);
    // In a file that cannot be rotated, too.
    let mut bench = Bench::new();
    let fails = |_, step| (step == Step::MakeNext).then_some(Errno::EACCES);
    let mut log = bench.log(4, Box::new(fails));
    assert!(bench.write(&mut log, batch.as_bytes()));
    assert_eq!(bench.failures, 0);
    assert_eq!(bench.lines().len() as u64 + bench.dropped, 4);
    assert_eq!(bench.lines().last().unwrap(), "after");
}

#[test]
fn servers_that_share_a_log_lose_nothing_while_all_of_them_rotate() {
    const SERVERS: usize = 4;
    for forbidden in [false, true] {
        let bench = Bench::new();
        let dropped: u64 = thread::scope(|scope| {
            let servers: Vec<_> = (0..SERVERS)
                .map(|server| {
                    let fails = move |_, step| {
                        (forbidden && step == Step::MakeNext).then_some(Errno::EACCES)
                    };
                    let mut log = bench.log(200, Box::new(fails));
                    scope.spawn(move || {
                        let mut own = Bench::new();
                        for number in 0..300 {
                            let line = format!("server {server} line {number}\n");
                            assert!(own.write(&mut log, line.as_bytes()));
                        }
                        own.dropped
                    })
                })
                .collect();
            servers.into_iter().map(|s| s.join().unwrap()).sum()
        });
        let lines = bench.lines();
        let different: HashSet<_> = lines.iter().collect();
        assert_eq!(different.len(), lines.len(), "a line is there twice");
        assert_eq!(lines.len() as u64 + dropped, 300 * SERVERS as u64);
        assert_eq!(dropped > 0, forbidden);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn whatever_steps_fail_no_line_is_lost_that_is_not_counted(
        failing in proptest::collection::hash_map(0_usize..500, 0..ERRORS.len(), 0..60)
    ) {
        let mut bench = Bench::new();
        let plan: Plan = Box::new(move |n, _| failing.get(&n).map(|&error| ERRORS[error]));
        let mut log = bench.log(100, plan);
        bench.write_lines(&mut log);
        // What could not be dropped whole may be there twice, and be counted.
        let there: HashSet<_> = bench.lines().into_iter().collect();
        let wanted: HashSet<_> = (0..LINES).map(|n| line(n).trim_end_matches('\n').to_string()).collect();
        let found = there.intersection(&wanted).count() as u64;
        prop_assert!(found + bench.dropped >= LINES as u64, "{} and {}", found, bench.dropped);
    }
}

// Found by the test above: a line was cut short, could not be taken back, and the file was rotated,
// but its state not read afterwards.
#[test]
fn a_line_cut_short_before_a_rotation_is_whole_in_the_next_file() {
    let failing = [60, 61, 67];
    let mut bench = Bench::new();
    let plan: Plan = Box::new(move |n, _| failing.contains(&(n + 18)).then_some(Errno::EMFILE));
    let mut log = bench.log(100, plan);
    bench.write_lines(&mut log);
    let there: HashSet<_> = bench.lines().into_iter().collect();
    for number in 0..LINES {
        assert!(
            there.contains(line(number).trim_end_matches('\n')),
            "{number}"
        );
    }
}
