//! The rows of the scenarios, and which promises they break. It measures nothing itself.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::attack::{memory_kib, processor_time};
use crate::outcome::Outcome;
use crate::results::{Table, number};

/// What is promised of a scenario, beside that every player is served.
#[derive(Clone, Copy, Default)]
pub struct Promise {
    /// 99 of 100 players have their answer within this time from speaking.
    pub within: Option<Duration>,
    /// The share of one processor that the server takes at the most.
    pub processor: Option<f64>,
    /// The resident memory that it takes at the most, in MB.
    pub resident: Option<f64>,
}

/// What a scenario cost the server.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Now, and the most since its start, in MB.
    pub resident: f64,
    pub peak: f64,
    pub processor: Duration,
    pub lasted: Duration,
}

/// Measures the cost from its start to [`Meter::read`].
pub struct Meter {
    pid: u32,
    processor: Duration,
    since: Instant,
}

impl Meter {
    pub fn start(pid: u32) -> Meter {
        Meter {
            pid,
            processor: processor_time(pid),
            since: Instant::now(),
        }
    }

    pub fn read(&self) -> Cost {
        let mb = |name| memory_kib(self.pid, name) as f64 * 1024.0 / 1e6;
        Cost {
            resident: mb("VmRSS"),
            peak: mb("VmHWM"),
            processor: processor_time(self.pid) - self.processor,
            lasted: self.since.elapsed(),
        }
    }
}

const HEADS: [&str; 9] = [
    "scenario",
    "attack/s",
    "players served",
    "half within",
    "99 % within",
    "slowest",
    "resident, MB",
    "peak, MB",
    "processor, s",
];

/// All rows so far.
pub struct Report {
    rows: Vec<Vec<String>>,
    broken: Vec<String>,
}

impl Report {
    /// Prints the heads, too.
    pub fn new() -> Report {
        let report = Report {
            rows: Vec::new(),
            broken: Vec::new(),
        };
        print_line(&HEADS.map(String::from));
        report
    }

    /// Adds a row, and prints it. Where anybody was not served, or a promise is broken, it says so.
    pub fn row(
        &mut self,
        name: &str,
        attack: Option<f64>,
        outcome: &Outcome,
        cost: Option<Cost>,
        promise: Promise,
    ) {
        let time = |part| {
            let micros = outcome.micros(part);
            micros.map_or("-".into(), |micros| format!("{:.1} ms", micros / 1e3))
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let mb = |mb: f64| format!("{mb:.1}");
        let (answered, asked) = (outcome.answered as f64, outcome.asked as f64);
        let row = vec![
            name.to_owned(),
            or_dash(attack.map(|rate| number(rate, 0))),
            format!("{} of {}", number(answered, 0), number(asked, 0)),
            time(0.5),
            time(0.99),
            time(1.0),
            or_dash(cost.map(|cost| mb(cost.resident))),
            or_dash(cost.map(|cost| mb(cost.peak))),
            or_dash(cost.map(|cost| {
                let (processor, lasted) = (cost.processor, cost.lasted);
                format!(
                    "{:.2} in {:.1}",
                    processor.as_secs_f64(),
                    lasted.as_secs_f64()
                )
            })),
        ];
        print_line(&row);
        self.rows.push(row);
        self.check(name, outcome, cost, promise);
    }

    fn check(&mut self, name: &str, outcome: &Outcome, cost: Option<Cost>, promise: Promise) {
        let Outcome {
            asked,
            answered,
            lost,
            reset,
            wrong,
            ..
        } = *outcome;
        if asked == 0 || answered < asked || lost + reset + wrong > 0 {
            let not = format!("of {asked}: {lost} not answered, {reset} reset, {wrong} wrong");
            self.breaks(name, &not);
        }
        if let (Some(within), Some(micros)) = (promise.within, outcome.micros(0.99)) {
            if micros > within.as_micros() as f64 {
                let was = format!("99 % within {:.1} ms, promised {within:?}", micros / 1e3);
                self.breaks(name, &was);
            }
        }
        let Some(cost) = cost else { return };
        let share = cost.processor.div_duration_f64(cost.lasted);
        if let Some(most) = promise.processor.filter(|most| share > *most) {
            self.breaks(name, &format!("{share:.2} of a processor, promised {most}"));
        }
        if let Some(most) = promise.resident.filter(|most| cost.resident > *most) {
            let was = format!("{:.1} MB resident, promised {most}", cost.resident);
            self.breaks(name, &was);
        }
    }

    /// Notes a promise that is broken.
    pub fn breaks(&mut self, name: &str, how: &str) {
        println!("    BROKEN: {how}");
        self.broken.push(format!("{name}: {how}"));
    }

    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    pub fn table(&self) -> Table {
        Table {
            id: "attack".into(),
            heads: HEADS.map(String::from).to_vec(),
            rows: self.rows.clone(),
        }
    }
}

fn print_line(cells: &[String]) {
    let mut line = format!("{:<70}", cells[0]);
    for cell in &cells[1..] {
        line += &format!(" {cell:>14}");
    }
    println!("{line}");
    let _ = io::stdout().flush();
}
