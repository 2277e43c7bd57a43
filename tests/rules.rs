//! The rule book, `src/policy/rules.md`: each rule has its number, its reliability and its sources,
//! and what the sources cite is there.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const RULES: &str = include_str!("../src/policy/rules.md");

/// The numbers of the rules, `3.1`, and of the sections, `3`.
fn numbers() -> BTreeSet<String> {
    let heads = RULES.lines().filter_map(|line| line.strip_prefix("## "));
    let sections = heads.filter_map(|head| head.split_once(". "));
    let rules = rules().into_iter().map(|(number, _)| number);
    let sections = sections.map(|(number, _)| number.to_owned());
    rules.chain(sections).chain(["5a".to_owned()]).collect()
}

/// Each rule with its number.
fn rules() -> Vec<(String, &'static str)> {
    let lines = RULES.lines().filter_map(|line| line.strip_prefix("- **"));
    let rules = lines.filter_map(|line| line.split_once("** "));
    let numbered = rules.filter(|(number, _)| number.starts_with(|c: char| c.is_ascii_digit()));
    numbered
        .map(|(number, rule)| (number.to_owned(), rule))
        .collect()
}

/// The numbers that stand behind "rule book" in a text, each with what stands round it.
fn cited(text: &str) -> Vec<(String, String)> {
    let lines = text
        .lines()
        .map(|line| line.trim_start().trim_start_matches(['/', '!']));
    let text = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("ule book") {
        let mut rest = text[at + "ule book".len()..].trim_start();
        for word in ["sections", "section", "rules", "rule"] {
            rest = rest.strip_prefix(word).unwrap_or(rest).trim_start();
        }
        let near: String = text[at..].chars().take(60).collect();
        loop {
            let end = rest.find(|c: char| !c.is_ascii_digit() && !".a".contains(c));
            let (number, behind) = rest.split_at(end.unwrap_or(rest.len()));
            let number = number.trim_end_matches('.');
            if !number.starts_with(|c: char| c.is_ascii_digit()) {
                break;
            }
            found.push((number.to_owned(), near.clone()));
            // The names of sources may stand in brackets between two numbers.
            let behind = behind.trim_start();
            let behind = match behind.split_once("\\]") {
                Some((_, behind)) if rest.contains("\\[") && behind_bracket(rest) => behind,
                _ => behind,
            };
            let next = [", ", "and ", " and "]
                .iter()
                .find_map(|word| behind.strip_prefix(word));
            let Some(next) = next else { break };
            rest = next;
        }
    }
    found
}

/// Whether the number at the start of this is followed by a bracket.
fn behind_bracket(text: &str) -> bool {
    let behind = text.trim_start_matches(|c: char| c.is_ascii_digit() || ".a".contains(c));
    behind.trim_start().starts_with("\\[")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_rule_that_is_cited_exists() {
    let numbers = numbers();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let mut count = 0;
    for file in files {
        for (number, near) in cited(&fs::read_to_string(&file).unwrap()) {
            assert!(
                numbers.contains(&number),
                "{}: {number} in {near}",
                file.display()
            );
            count += 1;
        }
    }
    assert!(count >= 60, "{count}");
}

#[test]
fn a_citation_is_found_however_it_is_written() {
    for (text, expected) in [
        ("/// x (rule book 3.1).", &["3.1"][..]),
        ("// Rule book 4.1\n    /// \\[DG, FL8\\]).", &["4.1"]),
        ("Source: rule book sections 1.9, 4.4.", &["1.9", "4.4"]),
        ("(rule book 1.10 \\[SPF, DG\\] and 2.6)", &["1.10", "2.6"]),
        ("(rule book 1.10 \\[SPF\\], 4.4)", &["1.10", "4.4"]),
        ("/// the rule\n/// book", &[]),
        ("/// (rule book\n    /// 2.2 \\[FP9\\])", &["2.2"]),
        ("rule book section 5a (\\[D\\])", &["5a"]),
        ("rule book 9.99", &["9.99"]),
        ("the rule book's", &[]),
    ] {
        let found: Vec<_> = cited(text).into_iter().map(|(number, _)| number).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn every_rule_has_its_number_its_reliability_and_its_source() {
    let mut last = (String::new(), 0);
    for (number, rule) in rules() {
        let (section, item) = number.split_once('.').unwrap();
        let item: usize = item.parse().unwrap();
        let expected = if section == last.0 { last.1 + 1 } else { 1 };
        assert_eq!(item, expected, "{number}");
        last = (section.to_owned(), item);
        let marks = ["(P: ", "(D: ", "(O: ", "(2: ", "(I", "(U)"];
        assert!(
            marks.iter().any(|mark| rule.contains(mark)),
            "{number}: {rule}"
        );
    }
    assert!(rules().len() >= 65, "{}", rules().len());
}

/// A source in capitals is one of the list.
#[test]
fn every_source_that_a_rule_names_is_listed() {
    let (_, list) = RULES.split_once("## Sources").unwrap();
    let (list, _) = list.split_once("\n## 1. ").unwrap();
    let known: BTreeSet<_> = list
        .split_whitespace()
        .filter_map(|word| word.strip_suffix(':'))
        .collect();
    for (number, rule) in rules() {
        for mark in rule.split('(').skip(1) {
            let mark = mark.split(')').next().unwrap_or_default();
            let kinds = mark.split("; ").filter_map(|part| part.split_once(": "));
            for (kind, names) in kinds.filter(|(kind, _)| ["P", "D", "O", "2"].contains(kind)) {
                for name in names.split([',', ' ']) {
                    let is_key = name.len() > 1
                        && name
                            .chars()
                            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
                        && name.starts_with(|c: char| c.is_ascii_uppercase());
                    assert!(!is_key || known.contains(name), "{number}: {kind}: {name}");
                }
            }
        }
    }
}
