//! What the speed measurement writes: its JSON, its Markdown and its pictures.

#![cfg(target_os = "linux")]

#[path = "bench/speed/plot.rs"]
mod plot;
#[path = "bench/results.rs"]
mod results;

use std::fs;

use results::{Axis, Chart, Figure, Results, Scale, Series, Table, put_into};

fn figure(runs: &[f64]) -> Figure {
    Figure {
        runs: runs.to_vec(),
    }
}

fn axis(label: &str, scale: Scale) -> Axis {
    Axis {
        label: label.into(),
        scale,
    }
}

/// One point for each server, of several runs.
fn chart(id: &str, names: &[&str]) -> Chart {
    let series = |(i, name): (usize, &&str)| Series {
        name: name.to_string(),
        points: [1.0, 4.0, 1024.0]
            .map(|x| (x, figure(&[x * 10.0 / 3.0, x * 5.0 + i as f64, x * 7.0])))
            .to_vec(),
    };
    Chart {
        id: id.into(),
        title: "Time & \"connections\" <1,024".into(),
        x: axis("clients at once", Scale::Log2),
        y: axis("time to the answer", Scale::Latency),
        series: names.iter().enumerate().map(series).collect(),
    }
}

fn table(id: &str, cell: &str) -> Table {
    Table {
        id: id.into(),
        heads: vec!["server".into(), "RSS, KiB".into()],
        rows: vec![
            vec!["flashpolicyd".into(), cell.into()],
            vec!["a|b".into(), "12,345".into()],
        ],
    }
}

fn results() -> Results {
    let mut results = Results {
        machine: "two cores".into(),
        command: "cargo bench --bench speed".into(),
        ..Results::default()
    };
    results.put_chart(chart("many", &["flashpolicyd", "bare loop"]));
    results.put_chart(chart("few", &["flashpolicyd"]));
    results.put_table(table("memory", "2,048"));
    results
}

#[test]
fn what_is_saved_is_loaded_again_to_the_last_digit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new").join("results.json");
    assert_eq!(Results::load(&path).unwrap(), Results::default());

    let mut saved = results();
    // Numbers that a reader of JSON who is not exact gets wrong by one bit.
    let awkward = [
        0.1 + 0.2,
        27.123456789012345,
        5e-324,
        1.7976931348623157e308,
    ];
    saved.charts[0].series[0].points[0].1 = figure(&awkward);
    saved.charts[0].series[0].points[1].1 = figure(&[]);
    saved.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let loaded = Results::load(&path).unwrap();
    assert_eq!(loaded, saved);
    loaded.save(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn what_is_not_measured_again_stays_the_same_line_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("results.json");
    let mut saved = results();
    saved.save(&path).unwrap();
    let before = fs::read_to_string(&path).unwrap();
    saved.put_chart(chart("many", &["gevent"]));
    saved.save(&path).unwrap();
    let after = fs::read_to_string(&path).unwrap();
    let changed = before.lines().zip(after.lines()).filter(|(a, b)| a != b);
    let changed: Vec<_> = changed.map(|(_, after)| after).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].contains("\"id\":\"many\""), "{changed:?}");
}

#[test]
fn a_broken_file_is_an_error_and_not_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("results.json");
    fs::write(&path, "{\"machine\": ").unwrap();
    assert!(Results::load(&path).is_err());
}

#[test]
fn what_is_measured_again_replaces_its_own_id_alone() {
    let before = results();
    let mut after = before.clone();
    after.put_chart(chart("many", &["gevent"]));
    after.put_table(table("memory", "1"));
    after.put_table(table("cpu", "2"));

    let ids: Vec<&str> = after.charts.iter().map(|chart| &chart.id[..]).collect();
    assert_eq!(ids, ["few", "many"]);
    assert_eq!(after.charts[0], before.charts[0]);
    assert_eq!(after.charts[1].series[0].name, "gevent");
    let ids: Vec<&str> = after.tables.iter().map(|table| &table.id[..]).collect();
    assert_eq!(ids, ["cpu", "memory"]);
    assert_eq!(after.tables[1].rows[0][1], "1");
}

#[test]
fn the_median_is_in_the_middle_and_the_spread_around_it() {
    let odd = figure(&[29.3, 26.0, 27.1]);
    assert_eq!((odd.low(), odd.median(), odd.high()), (26.0, 27.1, 29.3));
    assert_eq!(figure(&[4.0, 1.0, 3.0, 100.0]).median(), 3.5);
    assert_eq!(figure(&[7.0]).median(), 7.0);
    assert!(figure(&[]).median().is_nan());
    assert!(figure(&[]).low().is_nan());
}

#[test]
fn a_figure_shows_three_digits_and_every_one_before_the_point() {
    for (runs, shown) in [
        (&[29.3, 26.0, 27.1][..], "27.1 (26.0-29.3)"),
        (&[0.01234, 0.02, 0.01], "0.0123 (0.0100-0.0200)"),
        (&[12345.6, 9999.5, 1234567.0], "12,346 (10,000-1,234,567)"),
        (&[9.996, 9.0, 11.0], "10.0 (9.0-11.0)"),
        (&[0.0, 0.0, 0.5], "0.000 (0.000-0.500)"),
        (&[0.0, 0.0], "0 (0-0)"),
        (&[-1234.0], "-1,234"),
        (&[1.5], "1.50"),
        (&[], "-"),
    ] {
        assert_eq!(figure(runs).to_string(), shown);
    }
}

#[test]
fn a_table_is_aligned_and_a_bar_in_a_cell_is_no_column() {
    assert_eq!(
        table("memory", "2,048").markdown(),
        "| server       | RSS, KiB |\n\
         | ------------ | -------: |\n\
         | flashpolicyd |    2,048 |\n\
         | a\\|b         |   12,345 |\n"
    );
}

#[test]
fn a_table_replaces_what_stands_between_its_markers() {
    let document = "above\n<!-- bench:memory -->\nold\n<!-- /bench:memory -->\nbelow\n";
    let put = put_into(document, "memory", "| new |\n").unwrap();
    assert_eq!(
        put,
        "above\n<!-- bench:memory -->\n\n| new |\n\n<!-- /bench:memory -->\nbelow\n"
    );
    assert_eq!(put_into(&put, "memory", "| new |\n").unwrap(), put);
}

#[test]
fn markers_that_are_missing_or_out_of_order_are_an_error() {
    let (open, close) = ("<!-- bench:a -->", "<!-- /bench:a -->");
    for (document, said) in [
        (close.to_string(), "there is no <!-- bench:a -->"),
        (open.to_string(), "there is no <!-- /bench:a -->"),
        (format!("{close} {open}"), "stands before"),
        (format!("{open} {close} {open} {close}"), "twice"),
        (format!("{open} <!-- bench:b --> {close}"), "another marker"),
        (
            format!("{open} <!-- /bench:b --> {close}"),
            "another marker",
        ),
        (
            String::from("<!-- bench:ab --> <!-- /bench:ab -->"),
            "there is no",
        ),
    ] {
        let error = put_into(&document, "a", "new").unwrap_err();
        assert!(error.contains(said), "{document}: {error}");
    }
}

const NINE: &[&str] = &[
    "flashpolicyd",
    "bare loop",
    "gevent",
    "plain pool",
    "e",
    "f",
    "g",
    "h",
    "i",
];

#[test]
fn a_picture_is_well_formed_and_says_its_title() {
    let chart = chart("many", NINE);
    let svg = plot::svg(&chart).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("aria-label"), Some(&chart.title[..]));
    let title = root.children().find(|node| node.has_tag_name(title_name()));
    assert_eq!(title.unwrap().text(), Some(&chart.title[..]));
    for text in ["100 µs", "1 ms", "1", "2", "1,024", "clients at once", "i"] {
        assert!(
            document
                .descendants()
                .any(|node| node.text().map(str::trim) == Some(text)),
            "{text}"
        );
    }
}

fn title_name() -> (&'static str, &'static str) {
    ("http://www.w3.org/2000/svg", "title")
}

/// Relative luminance and contrast as the W3C's accessibility guidelines define them.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| {
        [(1, 0.2126), (3, 0.7152), (5, 0.0722)]
            .map(|(at, weight)| {
                let part = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
                let part = f64::from(part) / 255.0;
                weight
                    * match part {
                        ..=0.04045 => part / 12.92,
                        _ => ((part + 0.055) / 1.055).powf(2.4),
                    }
            })
            .iter()
            .sum::<f64>()
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn a_picture_hides_no_background_and_is_readable_on_white_and_on_black() {
    let svg = plot::svg(&chart("many", NINE)).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let mut colours = 0;
    for node in document.descendants() {
        assert_ne!(node.tag_name().name(), "rect");
        for colour in ["fill", "stroke"].map(|name| node.attribute(name)) {
            let Some(colour) = colour.filter(|&colour| colour != "none") else {
                continue;
            };
            colours += 1;
            for background in ["#ffffff", "#0d1117"] {
                let contrast = contrast(colour, background);
                assert!(contrast >= 3.5, "{colour} on {background}: {contrast}");
            }
        }
    }
    assert!(colours > 100);
}

#[test]
fn the_same_data_are_the_same_bytes_and_a_name_keeps_its_colour() {
    let chart = chart("many", NINE);
    let svg = plot::svg(&chart).unwrap();
    assert_eq!(plot::svg(&chart).unwrap(), svg);

    let alone = plot::svg(&self::chart("few", &["gevent"])).unwrap();
    let blue = "#2D78D8";
    assert!(svg.contains(blue));
    assert!(alone.contains(blue));
    assert!(
        !plot::svg(&self::chart("few", &["bare loop"]))
            .unwrap()
            .contains(blue)
    );
}

#[test]
fn what_cannot_be_drawn_truthfully_is_an_error() {
    let mut ten = NINE.to_vec();
    ten.push("j");
    let error = plot::svg(&chart("ten", &ten)).unwrap_err().to_string();
    assert!(error.contains("no colour is left for 'j'"), "{error}");

    let mut nought = chart("nought", &["gevent"]);
    nought.series[0].points[1].1.runs[2] = 0.0;
    let error = plot::svg(&nought).unwrap_err().to_string();
    assert!(error.contains("chart 'nought': 0 has no place"), "{error}");
    nought.y.scale = Scale::Linear;
    plot::svg(&nought).unwrap();

    let error = plot::svg(&chart("none", &[])).unwrap_err().to_string();
    assert!(error.contains("nothing to draw"), "{error}");
}

#[test]
fn one_point_is_enough_on_every_axis() {
    for scale in [Scale::Linear, Scale::Log2, Scale::Log10, Scale::Latency] {
        for value in [0.3, 1.0, 1000.0, 1e9] {
            let mut chart = chart("one", &["flashpolicyd"]);
            chart.x.scale = scale;
            chart.y.scale = scale;
            chart.series[0].points = vec![(value, figure(&[value])), (9.0, figure(&[]))];
            let svg = plot::svg(&chart).unwrap();
            assert!(svg.contains("<circle"), "{scale:?} {value}");
        }
    }
}
