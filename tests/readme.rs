//! What the README promises and shows: its size, its links, the outputs, the defaults, the commands.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Setup, run_in, stderr};

const README: &str = include_str!("../README.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The blocks of a text and the words behind their fences.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let blocks = text.split("\n```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').unwrap())
}

/// The text from this heading to the next one of its kind.
fn section(title: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n## {title}\n")).unwrap();
    rest.split("\n## ").next().unwrap()
}

#[test]
fn it_has_at_most_250_lines_and_16_kilobytes() {
    assert!(README.lines().count() <= 250, "{}", README.lines().count());
    assert!(README.len() <= 16_000, "{}", README.len());
}

#[test]
fn its_links_lead_somewhere() {
    let headings: Vec<String> = README
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| {
            let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-';
            title
                .chars()
                .filter(kept)
                .collect::<String>()
                .to_lowercase()
                .replace(' ', "-")
        })
        .collect();
    let mut followed = 0;
    for link in README.split("](").skip(1) {
        let link = link.split(')').next().unwrap();
        if link.starts_with("https://") {
            continue;
        }
        match link.strip_prefix('#') {
            Some(heading) => assert!(headings.iter().any(|h| h == heading), "{link}"),
            None => assert!(root().join(link).exists(), "{link}"),
        }
        followed += 1;
    }
    assert!(followed >= 5, "{followed}");
}

/// Each block of "Write your policy": a configuration, or commands and what they print.
#[test]
fn it_shows_what_policy_and_explain_really_print() {
    let (mut config, mut replayed) = (String::new(), 0);
    for (_, block) in blocks(section("Write your policy")) {
        let folder = tempfile::tempdir().unwrap();
        let mut configurations = 0;
        for command in format!("\n{block}").split("\n$ ").skip(1) {
            let (command, expected) = command.split_once('\n').unwrap();
            if command == "cat flashpolicy.conf" {
                config = expected.into();
                configurations += 1;
                continue;
            }
            fs::write(folder.path().join("flashpolicy.conf"), &config).unwrap();
            let arguments: Vec<_> = command.split_whitespace().skip(1).collect();
            let output = run_in(folder.path(), &arguments);
            let line_end = if command.ends_with(" policy") {
                "\n"
            } else {
                ""
            };
            let printed =
                String::from_utf8_lossy(&output.stdout).into_owned() + line_end + &stderr(&output);
            assert_eq!(printed.trim_end(), expected.trim_end(), "{config}{command}");
            replayed += 1;
        }
        if configurations == 0 && !block.starts_with('$') {
            config = block.into();
            fs::write(folder.path().join("flashpolicy.conf"), &config).unwrap();
            let output = run_in(folder.path(), &["check"]);
            assert_eq!(output.status.code(), Some(0), "{config}{}", stderr(&output));
        }
    }
    assert!(replayed >= 2, "{replayed}");
}

#[test]
fn it_names_every_key_of_the_configuration() {
    let named = section("Configuration");
    let conf = include_str!("../flashpolicy.conf");
    let keys = conf
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once(" = "))
        .filter(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    let mut seen = 0;
    for (key, _) in keys {
        assert!(named.contains(&format!("`{key}`")), "{key}");
        seen += 1;
    }
    assert!(seen >= 19, "{seen}");
}

/// The commands by which a newcomer asks the server for the first time.
#[test]
fn the_first_questions_get_their_answers() {
    let server = Setup::new().line("allow = * *").start();
    let port = server.address().port().to_string();
    let (_, block) = blocks(section("Start here"))
        .find(|(_, block)| block.contains("probe"))
        .unwrap();
    let block = block
        .replace("target/release/flashpolicyd", support::binary_path())
        .replace("8843", &port);
    let mut asked = 0;
    for line in block.lines().filter(|line| !line.is_empty()) {
        if line.contains("| nc ") && !support::have("nc") {
            continue;
        }
        let command = Command::new("sh")
            .args(["-c", line])
            .stdin(Stdio::null())
            .output();
        let text = String::from_utf8_lossy(&command.unwrap().stdout).into_owned();
        let expected = match line.contains("probe") {
            true => "POLICY ",
            false => "<allow-access-from domain=\"*\" to-ports=\"*\" />",
        };
        assert!(text.contains(expected), "{line}: {text}");
        asked += 1;
    }
    assert!(asked >= 1);
    assert!(
        section("Start here")
            .contains(&*String::from_utf8_lossy(support::BUILT_IN).replace('\0', ""))
    );
}

#[test]
fn its_shell_blocks_name_files_that_exist_and_options_that_are_understood() {
    let mut files = 0;
    for (language, block) in blocks(README) {
        if language != "sh" {
            continue;
        }
        let checked = Command::new("sh").args(["-n", "-c", block]).status();
        assert!(checked.unwrap().success(), "{block}");
        for word in block.split_whitespace() {
            if word.starts_with("scripts/") || word == "flashpolicy.conf" {
                assert!(root().join(word).exists(), "{word}");
                files += 1;
            }
        }
    }
    assert!(files >= 6, "{files}");
    for topic in README
        .split("`flashpolicyd help ")
        .skip(1)
        .chain(README.split("`help ").skip(1))
    {
        let topic = topic.split('`').next().unwrap();
        if topic != "CODE" {
            let output = run_in(root(), &["help", topic]);
            assert_eq!(output.status.code(), Some(0), "{topic}");
        }
    }
}

/// `CONTRIBUTING.md` and the other texts of `.github` name files, tests' folders and variables.
#[test]
fn the_texts_for_contributors_name_files_and_variables_that_exist() {
    let sources =
        ["src", "tests", ".cargo", "scripts"].map(|folder| texts_below(&root().join(folder)));
    let sources = sources.concat().concat();
    let mut named = 0;
    for text in texts_below(&root().join(".github")) {
        for word in text.split('`').skip(1).step_by(2) {
            let path = word.split([' ', '*', ':']).next().unwrap();
            let is_path = [
                "src/",
                "tests/",
                "scripts/",
                "findings/",
                ".ci/",
                ".github/",
                ".cargo/",
            ]
            .iter()
            .any(|folder| path.starts_with(folder));
            if is_path && !path.contains("NAME") {
                assert!(root().join(path).exists(), "{path}");
                named += 1;
            }
            let variable = word.split('=').next().unwrap();
            let is_variable = variable.len() > 8
                && variable.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                && variable != "PROPTEST_CASES";
            if is_variable {
                assert!(sources.contains(variable), "{variable}");
                named += 1;
            }
        }
    }
    assert!(named >= 30, "{named}");
}

/// The texts of all files below a folder.
fn texts_below(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => texts_below(&path),
            false => fs::read_to_string(path).into_iter().collect(),
        })
        .collect()
}

#[test]
fn each_finding_says_what_was_expected_what_happens_with_which_version_and_why_it_matters() {
    let scripts: Vec<_> = fs::read_dir(root().join("findings"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "sh"))
        .collect();
    assert!(scripts.len() >= 8, "{scripts:?}");
    for path in scripts {
        let text = fs::read_to_string(&path).unwrap();
        for part in [
            "\n# Expected: ",
            "\n# What happens",
            "\n# Why it matters: ",
            "\n. \"$(dirname \"$0\")/common\"\n",
            "\nas_stated ",
        ] {
            assert!(text.contains(part), "{}: {part}", path.display());
        }
        let is_executable = fs::metadata(&path).unwrap().permissions().mode() & 0o111 != 0;
        assert!(is_executable, "{}", path.display());
    }
}
