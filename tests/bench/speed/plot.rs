//! Draws a chart as SVG, with `plotters`.
//!
//! The picture stands in a README that some read on white and others on almost black. So nothing
//! is filled behind it, and every colour has a contrast of at least 3.5:1 on both; only the grid
//! is fainter. Colours that bright and that dark are too alike for some eyes, so every series has
//! a marker of its own too. The same data give the same bytes: nothing here asks for a font, the
//! time or the machine, and the width of a text is estimated, never measured.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{
    BoldPoints, KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter,
};
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use crate::results::{Chart, Scale, number};

const SIZE: (u32, u32) = (800, 450);
/// Text and axes.
const TONE: RGBColor = RGBColor(0x77, 0x7d, 0x87);
const GRID_OPACITY: f64 = 0.3;
const TEXT_HEIGHT: f64 = 13.0;
/// Of a letter; wider than most are.
const TEXT_WIDTH: i32 = 7;
const TITLE_HEIGHT: f64 = 16.0;
const MARGIN: i32 = 12;
const LEGEND_LINE: i32 = 24;
const LEGEND_SAMPLE: i32 = 34;

/// The names that look the same in every chart, each by its place in `LOOKS`. A name that is not
/// here gets the first look that no name of its chart has by this list.
const KNOWN: &[&str] = &[
    "flashpolicyd",
    "bare loop",
    "gevent",
    "nginx",
    "nginx, access log",
    "HAProxy, Lua",
    "Node policyfile",
    "Go",
    "Ruby threads",
];

/// The first is what all is about, the second what all is measured against.
const LOOKS: &[Look] = &[
    look(0xe0, 0x44, 0x0e, Marker::Circle).thick(),
    look(0x7a, 0x80, 0x8a, Marker::None).dashed(7, 5),
    look(0x2d, 0x78, 0xd8, Marker::Square),
    look(0x0f, 0x87, 0x4b, Marker::Up),
    look(0xa2, 0x4d, 0xf0, Marker::Diamond),
    look(0x8f, 0x7a, 0x10, Marker::Down),
    look(0xe0, 0x38, 0x9a, Marker::Cross),
    look(0x00, 0x93, 0xb0, Marker::Ring).dashed(4, 4),
    look(0xa0, 0x62, 0x7c, Marker::Plus).dashed(10, 4),
];

#[derive(Clone, Copy)]
struct Look {
    colour: RGBColor,
    marker: Marker,
    width: u32,
    /// Length and gap.
    dash: Option<(i32, i32)>,
}

#[derive(Clone, Copy)]
enum Marker {
    None,
    Circle,
    Square,
    Up,
    Diamond,
    Down,
    Cross,
    Ring,
    Plus,
}

const fn look(red: u8, green: u8, blue: u8, marker: Marker) -> Look {
    Look {
        colour: RGBColor(red, green, blue),
        marker,
        width: 2,
        dash: None,
    }
}

impl Look {
    const fn thick(mut self) -> Look {
        self.width = 4;
        self
    }

    const fn dashed(mut self, length: i32, gap: i32) -> Look {
        self.dash = Some((length, gap));
        self
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// In pixels from the top left.
type Place = (i32, i32);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A point whose figure has no runs is left out. An error is a chart that cannot be drawn
/// truthfully: without any point, with nought on a logarithmic axis, or with more series than can
/// be told apart.
pub fn svg(chart: &Chart) -> Outcome<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(chart, &area).map_err(|error| format!("chart '{}': {error}", chart.id))?;
        area.present()?;
    }
    // plotters has no way to say it.
    let title = escape(&chart.title);
    Ok(svg.replacen(
        '>',
        &format!(" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>"),
        1,
    ))
}

fn draw(chart: &Chart, area: &Area) -> Outcome<()> {
    let looks = looks(chart)?;
    let mut xs = Vec::new();
    let mut ys = Vec::new();
    for (x, figure) in chart.series.iter().flat_map(|series| &series.points) {
        if !figure.runs.is_empty() {
            xs.push(position(chart.x.scale, *x)?);
            ys.push(position(chart.y.scale, figure.low())?);
            ys.push(position(chart.y.scale, figure.high())?);
        }
    }
    if chart.y.scale == Scale::Linear {
        ys.push(0.0);
    }
    let x = Span::over(chart.x.scale, &xs).ok_or("there is nothing to draw")?;
    let y = Span::over(chart.y.scale, &ys).ok_or("there is nothing to draw")?;

    let text = |height: f64| {
        // plotters divides every height by this.
        let style = ("sans-serif", height * 1.24).into_font();
        style.color(&TONE)
    };
    let names = chart.series.iter().map(|series| width(&series.name)).max();
    let legend = SIZE.0 as i32 - MARGIN - names.unwrap_or(0) - LEGEND_SAMPLE - 6;
    let ticks = y.ticks.iter().map(|at| width(&y.format_ext(at)));
    let y_labels = ticks.max().unwrap_or(0) + 34;

    area.draw_text(&chart.title, &text(TITLE_HEIGHT), (MARGIN, MARGIN))?;
    let mut context = ChartBuilder::on(area)
        .margin(MARGIN)
        .margin_top(MARGIN * 2 + TITLE_HEIGHT as i32 + 4)
        .margin_right(SIZE.0 as i32 - legend + MARGIN + 4)
        .x_label_area_size(48)
        .y_label_area_size(y_labels)
        .build_cartesian_2d(x, y)?;
    context
        .configure_mesh()
        .axis_style(TONE)
        .bold_line_style(TONE.mix(GRID_OPACITY))
        .light_line_style(TRANSPARENT)
        .label_style(text(TEXT_HEIGHT))
        .axis_desc_style(text(TEXT_HEIGHT))
        .x_desc(&chart.x.label)
        .y_desc(&chart.y.label)
        .draw()?;

    // What stands first in `LOOKS` is drawn last, over the others.
    let mut order: Vec<usize> = (0..chart.series.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(looks[i]));
    for i in order {
        let look = &LOOKS[looks[i]];
        let mut medians = Vec::new();
        for (x, figure) in &chart.series[i].points {
            if figure.runs.is_empty() {
                continue;
            }
            let x = position(chart.x.scale, *x)?;
            let place = |value| -> Outcome<Place> {
                Ok(context.backend_coord(&(x, position(chart.y.scale, value)?)))
            };
            error_bar(area, place(figure.low())?, place(figure.high())?, look)?;
            medians.push(place(figure.median())?);
        }
        line(area, &medians, look)?;
    }

    let top = MARGIN * 2 + TITLE_HEIGHT as i32 + 14;
    for (i, series) in chart.series.iter().enumerate() {
        let y = top + i as i32 * LEGEND_LINE;
        let look = &LOOKS[looks[i]];
        let (from, to) = (legend, legend + LEGEND_SAMPLE - 6);
        stroke(area, &[(from, y), (to, y)], look)?;
        marker(area, ((from + to) / 2, y), look)?;
        // Half a small letter above the baseline, as `dy` of a text in the middle would be.
        let at = (legend + LEGEND_SAMPLE, y - (TEXT_HEIGHT * 0.4) as i32);
        area.draw_text(&series.name, &text(TEXT_HEIGHT), at)?;
    }
    Ok(())
}

/// For each series of the chart its place in `LOOKS`.
fn looks(chart: &Chart) -> Result<Vec<usize>, String> {
    let known = |name: &str| KNOWN.iter().position(|&other| other == name);
    let taken: Vec<usize> = chart
        .series
        .iter()
        .filter_map(|series| known(&series.name))
        .collect();
    // The first two looks would say of a stranger what is not true.
    let mut free = (2..LOOKS.len()).filter(|look| !taken.contains(look));
    chart
        .series
        .iter()
        .map(|series| {
            known(&series.name)
                .or_else(|| free.next())
                .ok_or_else(|| format!("no colour is left for '{}'", series.name))
        })
        .collect()
}

/// A part of an axis. Logarithmic axes are linear ones over the logarithms.
struct Span {
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Span {
    /// Over these positions, some of them twice; from tick to tick on a logarithmic axis.
    fn over(scale: Scale, positions: &[f64]) -> Option<Span> {
        let low = positions.iter().copied().reduce(f64::min)?;
        let high = positions.iter().copied().reduce(f64::max)?;
        let ticks = match scale {
            Scale::Linear => return Some(Span::linear(low, high)),
            Scale::Log2 => {
                let first = low.floor() as i32;
                let last = (high.ceil() as i32).max(first + 1);
                // Every power of two, as long as there is room for all of them.
                let step = (last - first + 11) / 12;
                (0..)
                    .map(|i| first + i * step)
                    .take_while(|&power| power < last + step)
                    .map(f64::from)
                    .collect()
            }
            Scale::Log10 | Scale::Latency => decades(low, high),
        };
        let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
        let room = (last - first) * 0.02;
        Some(Span {
            scale,
            low: first - room,
            high: last + room,
            ticks,
        })
    }

    fn linear(low: f64, high: f64) -> Span {
        let room = match high - low {
            0.0 => 1.0,
            length => length * 0.05,
        };
        let (low, high) = (if low == 0.0 { 0.0 } else { low - room }, high + room);
        let ticks = RangedCoordf64::from(low..high).key_points(BoldPoints(8));
        Span {
            scale: Scale::Linear,
            low,
            high,
            ticks,
        }
    }
}

impl Ranged for Span {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }

    fn map(&self, position: &f64, pixels: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(position, pixels)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }
}

impl ValueFormatter<f64> for Span {
    fn format_ext(&self, position: &f64) -> String {
        tick(self.scale, *position)
    }
}

/// 1, 10, 100, with 2 and 5 between them when there are few, from below `low` to above `high`.
fn decades(low: f64, high: f64) -> Vec<f64> {
    /// 1000 is not above 1000, whatever its logarithm says.
    const NEARLY: f64 = 1e-9;
    let (first, last) = (low.floor() as i32, high.ceil() as i32);
    let parts: &[f64] = match last - first {
        ..=3 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let all: Vec<f64> = (first..=last + 1)
        .flat_map(|decade| {
            parts
                .iter()
                .map(move |part| f64::from(decade) + part.log10())
        })
        .collect();
    let start = all.partition_point(|&tick| tick <= low + NEARLY) - 1;
    let end = all.partition_point(|&tick| tick < high - NEARLY);
    all[start..=end.max(start + 1)].to_vec()
}

/// Where a value stands on its axis.
fn position(scale: Scale, value: f64) -> Result<f64, String> {
    let position = match scale {
        Scale::Linear => value,
        Scale::Log2 => value.log2(),
        Scale::Log10 | Scale::Latency => value.log10(),
    };
    match position.is_finite() {
        true => Ok(position),
        false => Err(format!("{value} has no place on an axis that is {scale:?}")),
    }
}

/// What stands at a tick.
fn tick(scale: Scale, position: f64) -> String {
    match scale {
        Scale::Linear => short(position),
        Scale::Log2 => short(position.exp2()),
        Scale::Log10 => short(10_f64.powf(position)),
        Scale::Latency => match 10_f64.powf(position) {
            small if small < 999.0 => short(small) + " µs",
            middle if middle < 999_000.0 => short(middle / 1e3) + " ms",
            large => short(large / 1e6) + " s",
        },
    }
}

/// Without the noughts at the end, and without what a power is away from a round number.
fn short(value: f64) -> String {
    let text = number(value, if value.abs() < 1.0 { 6 } else { 3 });
    let text = text.trim_end_matches('0').trim_end_matches('.');
    String::from(if text == "-0" { "0" } else { text })
}

fn width(text: &str) -> i32 {
    text.chars().count() as i32 * TEXT_WIDTH
}

fn line(area: &Area, medians: &[Place], look: &Look) -> Outcome<()> {
    stroke(area, medians, look)?;
    for &place in medians {
        marker(area, place, look)?;
    }
    Ok(())
}

fn stroke(area: &Area, path: &[Place], look: &Look) -> Outcome<()> {
    let style = look.colour.stroke_width(look.width);
    let path = path.to_vec();
    match look.dash {
        Some((length, gap)) => area.draw(&DashedPathElement::new(path, length, gap, style))?,
        None => area.draw(&PathElement::new(path, style))?,
    }
    Ok(())
}

fn error_bar(area: &Area, low: Place, high: Place, look: &Look) -> Outcome<()> {
    // One that the marker hides says nothing.
    if low.1 - high.1 < 4 {
        return Ok(());
    }
    let cap = |(x, y): Place| [(x - 4, y), (x + 4, y)];
    for path in [[low, high], cap(low), cap(high)] {
        area.draw(&PathElement::new(path, look.colour))?;
    }
    Ok(())
}

fn marker(area: &Area, (x, y): Place, look: &Look) -> Outcome<()> {
    let filled = look.colour.filled();
    let thin = look.colour.stroke_width(2);
    let shape = |corners: &[Place]| {
        let corners: Vec<Place> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        area.draw(&Polygon::new(corners, filled))
    };
    let bars = |ends: [Place; 2]| -> Outcome<()> {
        for (dx, dy) in ends {
            area.draw(&PathElement::new(
                [(x - dx, y - dy), (x + dx, y + dy)],
                thin,
            ))?;
        }
        Ok(())
    };
    match look.marker {
        Marker::None => {}
        Marker::Circle => area.draw(&Circle::new((x, y), 5, filled))?,
        Marker::Ring => area.draw(&Circle::new((x, y), 4, thin))?,
        Marker::Square => shape(&[(-4, -4), (4, -4), (4, 4), (-4, 4)])?,
        Marker::Up => shape(&[(0, -5), (5, 4), (-5, 4)])?,
        Marker::Down => shape(&[(0, 5), (5, -4), (-5, -4)])?,
        Marker::Diamond => shape(&[(0, -6), (6, 0), (0, 6), (-6, 0)])?,
        Marker::Cross => bars([(4, 4), (4, -4)])?,
        Marker::Plus => bars([(5, 0), (0, 5)])?,
    }
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
