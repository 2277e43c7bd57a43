//! What was measured: the data, the JSON file that keeps it, and its Markdown tables.
//!
//! Experiments take long, so a part of them can be measured again: a chart or table replaces the
//! one with the same id and leaves the others, bit for bit. Nothing here measures or draws, and
//! no number is rounded before it is shown.
#![allow(dead_code)]

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What was measured several times over: the runs, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Figure {
    pub runs: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, Figure)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Also the name of its SVG file, without the ending.
    pub id: String,
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    pub label: String,
    pub scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    Linear,
    Log2,
    Log10,
    /// Logarithmic too; the values are microseconds, and each tick says its unit: 500 µs, 1 ms.
    Latency,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub id: String,
    pub heads: Vec<String>,
    /// The first column is text, the others are numbers.
    pub rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub machine: String,
    pub command: String,
    pub charts: Vec<Chart>,
    pub tables: Vec<Table>,
}

impl Figure {
    /// The middle run, or the mean of the two in the middle. Like the other two it is not a number
    /// when nothing was measured.
    pub fn median(&self) -> f64 {
        let mut runs = self.runs.clone();
        runs.sort_by(f64::total_cmp);
        match runs.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => runs[odd / 2],
            even => (runs[even / 2 - 1] + runs[even / 2]) / 2.0,
        }
    }

    pub fn low(&self) -> f64 {
        self.runs.iter().copied().fold(f64::NAN, f64::min)
    }

    pub fn high(&self) -> f64 {
        self.runs.iter().copied().fold(f64::NAN, f64::max)
    }
}

/// `27.1 (26.0-29.3)`: the median with three digits, and the spread as exact as that.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let median = self.median();
        if !median.is_finite() {
            return f.write_str("-");
        }
        let decimals = decimals(if median == 0.0 { self.high() } else { median });
        f.write_str(&number(median, decimals))?;
        if self.runs.len() > 1 {
            let (low, high) = (number(self.low(), decimals), number(self.high(), decimals));
            write!(f, " ({low}-{high})")?;
        }
        Ok(())
    }
}

/// How many decimals show three digits of a value; digits before the point are never cut.
fn decimals(value: f64) -> usize {
    if value == 0.0 {
        return 0;
    }
    // As it is shown: 9.996 is 10.0, not 10.00.
    let rounded: f64 = format!("{:.2e}", value.abs()).parse().unwrap_or(value);
    (2 - rounded.log10().floor() as i32).clamp(0, 9) as usize
}

/// With a comma between thousands: 1,024.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut grouped = String::from(sign);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

impl Results {
    /// What `save` wrote; nothing when there is no such file. A file that cannot be understood is
    /// an error, or the next `save` would lose what it holds.
    pub fn load(path: &Path) -> io::Result<Results> {
        match fs::read(path) {
            Ok(json) => Ok(serde_json::from_slice(&json)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Results::default()),
            Err(error) => Err(error),
        }
    }

    pub fn save(&self, path: &Path) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        // A chart or a table that was not measured again stays the same line.
        let json = format!(
            "{{\n\"machine\": {},\n\"command\": {},\n\"charts\": [\n{}\n],\n\"tables\": [\n{}\n]\n}}\n",
            serde_json::to_string(&self.machine)?,
            serde_json::to_string(&self.command)?,
            lines(&self.charts)?,
            lines(&self.tables)?,
        );
        fs::write(path, json)
    }

    /// Replaces the chart of the same id. They stand in the order of their ids, so that the file
    /// does not depend on the order in which they were measured.
    pub fn put_chart(&mut self, chart: Chart) {
        self.charts.retain(|other| other.id != chart.id);
        let place = self.charts.partition_point(|other| other.id < chart.id);
        self.charts.insert(place, chart);
    }

    /// The same for a table.
    pub fn put_table(&mut self, table: Table) {
        self.tables.retain(|other| other.id != table.id);
        let place = self.tables.partition_point(|other| other.id < table.id);
        self.tables.insert(place, table);
    }
}

impl Table {
    /// Every column as wide as its widest cell, so that it reads well as plain text too.
    pub fn markdown(&self) -> String {
        let escaped = |cells: &Vec<String>| -> Vec<String> {
            cells.iter().map(|cell| cell.replace('|', "\\|")).collect()
        };
        let heads = escaped(&self.heads);
        let rows: Vec<Vec<String>> = self.rows.iter().map(escaped).collect();
        let mut widths = vec![3; heads.len()];
        for cells in std::iter::once(&heads).chain(&rows) {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: &[String]| {
            let mut line = String::from("|");
            for (i, &width) in widths.iter().enumerate() {
                let cell = cells.get(i).map_or("", String::as_str);
                line += &match i {
                    0 => format!(" {cell:<width$} |"),
                    _ => format!(" {cell:>width$} |"),
                };
            }
            line + "\n"
        };
        let rule: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(i, &width)| match i {
                0 => "-".repeat(width),
                _ => "-".repeat(width - 1) + ":",
            })
            .collect();
        let mut markdown = line(&heads) + &line(&rule);
        markdown.extend(rows.iter().map(|row| line(row)));
        markdown
    }
}

/// Replaces what stands between `<!-- bench:ID -->` and `<!-- /bench:ID -->` in a document.
pub fn put_into(document: &str, id: &str, markdown: &str) -> Result<String, String> {
    let (open, close) = (
        format!("<!-- bench:{id} -->"),
        format!("<!-- /bench:{id} -->"),
    );
    for marker in [&open, &close] {
        match document.matches(marker.as_str()).count() {
            0 => return Err(format!("there is no {marker}")),
            1 => {}
            _ => return Err(format!("{marker} stands there twice")),
        }
    }
    let (before, rest) = document.split_once(&open).unwrap_or_default();
    let (old, after) = rest
        .split_once(&close)
        .ok_or_else(|| format!("{close} stands before {open}"))?;
    // Markers that cross each other would lose one that is still needed.
    if old.contains("<!-- bench:") || old.contains("<!-- /bench:") {
        return Err(format!("another marker stands between {open} and {close}"));
    }
    let markdown = markdown.trim_matches('\n');
    Ok(format!("{before}{open}\n\n{markdown}\n\n{close}{after}"))
}

/// Each on a line of its own.
fn lines<T: Serialize>(items: &[T]) -> io::Result<String> {
    let lines: Result<Vec<String>, _> = items.iter().map(serde_json::to_string).collect();
    Ok(lines?.join(",\n"))
}
