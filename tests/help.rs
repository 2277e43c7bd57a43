//! The reference in the program: every page, the examples of the codes, the manual that is made from
//! the same texts, and the completions of the shells.
//!
//! Runs on Windows too, apart from the tests that start a server.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Setup, run_in, stderr};

const COMMANDS: [&str; 12] = [
    "init", "serve", "start", "stop", "restart", "reload", "status", "check", "policy", "explain",
    "probe", "help",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The page that is printed for these arguments.
fn page(arguments: &[&str]) -> String {
    let output = run_in(root(), arguments);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{arguments:?}: {}",
        stderr(&output)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What is said in a folder with these files, on both streams.
fn said(files: &[(&str, &[u8])], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let output = run_in(folder.path(), arguments);
    String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output)
}

/// The codes that `help codes` lists.
fn codes() -> Vec<String> {
    let list = page(&["help", "codes"]);
    let codes = list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let code = words.next().filter(|_| !line.starts_with(' '))?;
        let severity = words.next()?;
        ["error", "warning"]
            .contains(&severity)
            .then(|| code.to_string())
    });
    codes.collect()
}

#[test]
fn help_of_a_command_is_the_same_page_as_the_commands_help() {
    for command in COMMANDS {
        let text = page(&["help", command]);
        assert_eq!(text, page(&[command, "--help"]), "{command}");
        assert!(text.starts_with(&format!("flashpolicyd {command}: ")));
    }
    assert_eq!(page(&["help"]), page(&["--help"]));
}

#[test]
fn an_unknown_topic_ends_with_2_and_names_the_nearest() {
    let output = run_in(root(), &["help", "secure-grnat"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean 'secure-grant'?"));
    assert!(output.stdout.is_empty());
}

#[test]
fn every_code_is_listed_and_has_a_page() {
    let codes = codes();
    let of_policies = flashpolicyd::policy::Code::all().iter().map(|c| c.as_str());
    let of_configurations = flashpolicyd::config::CODES.iter().map(|(name, _, _)| *name);
    let classes = flashpolicyd::player::probe::Class::all()
        .iter()
        .map(|c| c.as_str());
    let all: Vec<_> = of_policies
        .chain(of_configurations)
        .chain(classes)
        .collect();
    assert_eq!(codes, all);
    for code in codes {
        let text = page(&["help", &code]);
        for part in ["  example  ", "  cure     ", "  source   "] {
            assert!(text.contains(part), "{code}: {text}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() < 100),
            "{text}"
        );
    }
}

#[test]
fn the_page_of_the_refused_ports_names_each() {
    let page = page(&["help", "blocked-port"]);
    let list = page.split_once("These are ports 1, 7, 9,").unwrap().1;
    for ports in ["101 to 104", "530 to 532", "1723,", "6566", "6665 to 6669."] {
        assert!(list.contains(ports), "{ports}: {page}");
    }
}

/// The causes are sought in this order, and each has a line.
#[test]
fn why_a_player_does_not_ask_has_a_page() {
    let page = page(&["help", "silent-player"]);
    let mut at = 0;
    for cause in [
        "EnableAllowList=1",
        "AllowListUrlPattern",
        "Ruffle",
        "socketProxy",
        "loadPolicyFile alone",
        "#2010",
        "trusted",
        "AIR",
        "DisableSockets=1",
        "EnableSocketsTo=",
        "--share=network",
        "help blocked-port",
        "another host",
        "firewall",
        "SecureSocket",
    ] {
        let found = page[at..].find(cause);
        at += found.unwrap_or_else(|| panic!("{cause} is not behind {at}: {page}"));
    }
}

/// An example of `codes.txt`: a policy or a configuration that really has the code.
#[test]
fn the_examples_have_the_code_that_they_are_for() {
    let texts = include_str!("../src/cli/help/codes.txt");
    let mut checked = 0;
    for block in texts.split("\n\n").skip(1) {
        let (code, rest) = block.trim_start().split_once("\nexample: ").unwrap();
        let example = rest.lines().next().unwrap();
        let is_policy = example.starts_with('<') || example.starts_with("\\u");
        let is_policy = is_policy || code == "outside-root";
        let is_config = example.starts_with("listen = ") || example.starts_with("allow = ");
        let text = if is_policy {
            let bytes = example
                .replace("\\0", "\0")
                .replace("\\u{feff}", "\u{feff}");
            said(&[("p.xml", bytes.as_bytes())], &["check", "p.xml"])
        } else if is_config && support::is_found_here(code) {
            let lines = example.replace(" / ", "\n");
            said(&[("flashpolicy.conf", lines.as_bytes())], &["check"])
        } else {
            continue;
        };
        assert!(
            text.contains(&format!("[{code}]")),
            "{code}: {example}\n{text}"
        );
        checked += 1;
    }
    assert!(checked >= 34, "{checked}");
}

#[test]
fn the_configuration_that_help_shows_is_the_commented_file_and_is_valid() {
    let shown = page(&["help", "config"]);
    assert_eq!(shown, include_str!("../flashpolicy.conf"));
    let text = said(&[("flashpolicy.conf", shown.as_bytes())], &["check"]);
    assert!(text.contains(": 0 errors"), "{text}");
}

#[test]
fn the_defaults_of_the_options_are_those_of_the_configuration() {
    let serve = page(&["help", "serve"]);
    let conf = include_str!("../flashpolicy.conf");
    for (option, key) in [
        ("--listen", "listen"),
        ("--policy", "policy_file"),
        ("--workers", "workers"),
        ("--timeout", "timeout"),
        ("--log-file", "log_file"),
        ("--log-level", "log_level"),
        ("--pid-file", "pid_file"),
    ] {
        let line = conf
            .lines()
            .find_map(|line| line.strip_prefix(&format!("#{key} = ")));
        let default = format!("({})", line.unwrap());
        let shown = serve
            .lines()
            .find(|line| line.trim_start().starts_with(option));
        assert!(
            shown.unwrap().contains(&default),
            "{option} {default}\n{serve}"
        );
    }
}

/// The keys of every object in `value`.
fn keys(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => object.iter().for_each(|(key, value)| {
            found.push(key.clone());
            // Its keys are the names of the statistics.
            if key != "figures" {
                keys(value, found);
            }
        }),
        serde_json::Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
#[cfg(target_os = "linux")]
fn help_json_has_every_key_of_check_policy_explain_and_status() {
    let text = page(&["help", "json"]);
    let words: Vec<_> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let server = Setup::new()
        .line("pid_file = x.pid")
        .line("allow = 203.0.113.7 2001")
        .start();
    let config = server.path("flashpolicy.conf");
    for arguments in [
        &["check", "--json"][..],
        &["policy", "--json"],
        &["explain", "--json", "www.example.com", "80"],
        &["status", "--json"],
    ] {
        let mut command = support::binary();
        command.args(arguments).arg("--config").arg(&config);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let line = output.stdout.strip_suffix(b"\n").unwrap();
        assert!(!line.contains(&b'\n'), "{arguments:?}: one line");
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        let mut found = Vec::new();
        keys(&value, &mut found);
        assert!(found.len() > 8, "{arguments:?}: {found:?}");
        for key in found {
            assert!(words.contains(&key.as_str()), "{arguments:?}: {key}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_manual_of_the_configuration_is_made_from_its_file() {
    let page = include_str!("../scripts/flashpolicy.conf.5");
    let conf = include_str!("../flashpolicy.conf");
    let keys: Vec<_> = conf
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains(" = "))
        .collect();
    assert!(keys.len() >= 19, "{keys:?}");
    let items: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".It Li \"")?.strip_suffix('"'))
        .collect();
    assert_eq!(items, keys);
    let folder = tempfile::tempdir().unwrap();
    let scripts = folder.path().join("scripts");
    fs::create_dir(&scripts).unwrap();
    fs::copy(
        root().join("scripts/make-man.sh"),
        scripts.join("make-man.sh"),
    )
    .unwrap();
    fs::copy(
        root().join("flashpolicy.conf"),
        folder.path().join("flashpolicy.conf"),
    )
    .unwrap();
    let made = Command::new("sh").arg(scripts.join("make-man.sh")).status();
    assert!(made.unwrap().success());
    let made = fs::read_to_string(scripts.join("flashpolicy.conf.5")).unwrap();
    assert_eq!(made, page, "run scripts/make-man.sh");
}

#[test]
#[cfg(target_os = "linux")]
fn the_manual_names_every_metric() {
    let manual = include_str!("../scripts/flashpolicyd.8");
    let mut server = Setup::new().line("stats_file = fp.prom").start();
    assert!(server.stop().success());
    let file = fs::read_to_string(server.path("fp.prom")).unwrap();
    let metrics: Vec<_> = file
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE flashpolicyd_"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(metrics.len() >= 16, "{metrics:?}");
    let words: Vec<_> = manual.split_whitespace().collect();
    for metric in metrics {
        assert!(words.contains(&metric), "{metric}");
    }
}

/// What bash offers for a line that ends at the cursor.
fn completed(line: &str) -> Vec<String> {
    let script = "source scripts/completions/flashpolicyd.bash\n\
         read -ra COMP_WORDS <<<\"$1\"\n\
         case $1 in *' ') COMP_WORDS+=('') ;; esac\n\
         COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n\
         _flashpolicyd\n\
         printf '%s\\n' \"${COMPREPLY[@]}\"";
    let folder = support::binary_path().rsplit_once('/').unwrap().0;
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["-c", script, "bash", line])
        .env("PATH", path)
        .current_dir(root())
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "", "{line}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(Into::into).collect()
}

#[test]
fn bash_completes_commands_options_and_codes() {
    if !support::have("bash") {
        return;
    }
    for (line, expected) in [
        ("flashpolicyd re", &["restart", "reload"][..]),
        ("flashpolicyd probe game --l", &["--load"]),
        (
            "flashpolicyd explain --player ",
            &["flash", "lightspark", "unity"],
        ),
        ("flashpolicyd serve --log-l", &["--log-level"]),
        ("flashpolicyd serve --log-level d", &["debug"]),
        (
            "flashpolicyd help secure",
            &["secure-invalid", "secure-grant"],
        ),
        ("flashpolicyd help man", &["man", "man-conf"]),
        (
            "flashpolicyd check scripts/flashpolicyd.se",
            &["scripts/flashpolicyd.service"],
        ),
    ] {
        assert_eq!(completed(line), expected, "{line}");
    }
    let all = completed("flashpolicyd ");
    for command in COMMANDS {
        assert!(all.iter().any(|word| word == command), "{command}");
    }
}

/// The options of a page, without their dashes.
fn options(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| c.is_whitespace() || "[];,|".contains(c));
    words
        .filter_map(|word| word.strip_prefix("--"))
        .filter(|option| option.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(|option| option.trim_end_matches('.'))
        .collect()
}

#[test]
fn manual_and_completions_know_every_command_and_every_option() {
    let manual = include_str!("../scripts/flashpolicyd.8");
    let bash = include_str!("../scripts/completions/flashpolicyd.bash");
    let zsh = include_str!("../scripts/completions/_flashpolicyd");
    let fish = include_str!("../scripts/completions/flashpolicyd.fish");
    for command in COMMANDS {
        let text = page(&["help", command]);
        assert!(manual.contains(&format!(".It Cm {command}\n")), "{command}");
        assert!(zsh.contains(&format!("'{command}:")), "{command}");
        assert!(fish.contains(&format!("-a {command} ")), "{command}");
        for option in options(&text) {
            assert!(
                manual.contains(&format!("Fl -{option}")),
                "manual: {option}"
            );
            assert!(bash.contains(&format!("--{option}")), "bash: {option}");
            let braces = format!("--{option}}}");
            let plain = format!("--{option}[");
            assert!(
                zsh.contains(&plain) || zsh.contains(&braces),
                "zsh: {option}"
            );
            assert!(fish.contains(&format!("-l {option} ")), "fish: {option}");
        }
    }
    for (shell, file) in [
        ("zsh", "_flashpolicyd"),
        ("fish", "flashpolicyd.fish"),
        ("bash", "flashpolicyd.bash"),
    ] {
        if support::have(shell) {
            let file = root().join("scripts/completions").join(file);
            let status = Command::new(shell).arg("-n").arg(file).status();
            assert!(status.unwrap().success(), "{shell}");
        }
    }
}
