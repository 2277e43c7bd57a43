//! The reference in the program: every page, the examples of the codes, the manual that is made from
//! the same texts, and the completions of the shells.
//!
//! Runs on Windows too, apart from the tests that start a server.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, unused_imports))]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use flashpolicyd::config::ConfigCode;
use flashpolicyd::output::code::CodeDefinition;
use flashpolicyd::player::probe::Class;
use flashpolicyd::policy::Code;
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

/// Those of policies, of configurations and of the probe.
fn definitions() -> impl Iterator<Item = &'static CodeDefinition> {
    let of_policies = Code::all().iter().map(|code| code.definition());
    let classes = Class::all().iter().map(|class| class.definition());
    let of_configurations = ConfigCode::all().iter().map(|code| code.definition());
    of_policies.chain(of_configurations).chain(classes)
}

#[test]
fn every_code_is_listed_and_has_a_page() {
    let codes = codes();
    let all: Vec<_> = definitions().map(|code| code.name).collect();
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

/// An example that is a policy or a configuration really has the code.
#[test]
fn the_examples_have_the_code_that_they_are_for() {
    let mut checked = 0;
    for definition in definitions() {
        let (code, example) = (definition.name, definition.example);
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

/// A `$PATH` on which the program comes first: completions ask it for the codes.
fn path() -> String {
    let folder = support::binary_path().rsplit_once('/').unwrap().0;
    format!("{folder}:{}", std::env::var("PATH").unwrap_or_default())
}

/// What bash offers for a line that ends at the cursor.
fn completed(line: &str) -> Vec<String> {
    let script = "source scripts/completions/flashpolicyd.bash\n\
         read -ra COMP_WORDS <<<\"$1\"\n\
         case $1 in *' ') COMP_WORDS+=('') ;; esac\n\
         COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n\
         _flashpolicyd\n\
         printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["-c", script, "bash", line])
        .env("PATH", path())
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
        ("flashpolicyd check --ignore secure", &["secure-grant"]),
        (
            "flashpolicyd check --ignore ip-domain,secure",
            &["ip-domain,secure-grant"],
        ),
        ("flashpolicyd check --ignore several-p", &[""]),
        ("flashpolicyd probe --ignore several-p", &["several-pieces"]),
        ("flashpolicyd -c x che", &[""]),
        ("flashpolicyd --log-level d", &["debug"]),
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

#[test]
fn zsh_completes_the_options_of_the_command_and_the_codes() {
    if !support::have("zsh") {
        return;
    }
    // What the completion system would be asked for.
    let script = "_arguments() { print -rl -- \"$@\" \"completes: $words, $CURRENT\" }; _describe() { print -rl -- $commands }\n\
         words=(flashpolicyd \"$@\"); CURRENT=$(($# + 1))\n\
         source scripts/completions/_flashpolicyd";
    let asked = |arguments: &[&str]| {
        let mut zsh = Command::new("zsh");
        zsh.args(["-fc", script, "zsh"]).args(arguments);
        let output = zsh
            .env("PATH", path())
            .current_dir(root())
            .output()
            .unwrap();
        assert_eq!(stderr(&output), "", "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let topics = asked(&["help", "sec"]);
    let line = topics.lines().find(|line| line.starts_with(":topic:("));
    let words: Vec<_> = line.unwrap().split([' ', '(', ')']).collect();
    for word in ["probe", "operate", "secure-grant", "unreachable"] {
        assert!(words.contains(&word), "{word}: {topics}");
    }
    assert!(!topics.contains("--listen"), "{topics}");
    for (arguments, expected) in [
        (&["re"][..], "reload:"),
        (
            &["serve", "--log-level", ""],
            "--log-level[what is logged]:level:(error warn ",
        ),
        (
            &["--log-level", ""],
            "completes: flashpolicyd --log-level , 3",
        ),
        (
            &["serve", "--log-level", ""],
            "completes: serve --log-level , 3",
        ),
        (&["check", "--ignore", ""], ": _values -s , code "),
        (&["probe", "--ignore", ""], " several-pieces"),
        (&["probe", "-"], "*--load["),
        (&["probe", "-"], "-q["),
        (&["check", "-"], "*--listen["),
        (&["check", "-"], "*:policy:_files"),
    ] {
        let specs = asked(arguments);
        let is_asked = specs.lines().any(|line| line.contains(expected));
        assert!(is_asked, "{arguments:?}: {specs}");
    }
}

#[test]
fn fish_completes_commands_options_and_codes() {
    if !support::have("fish") {
        return;
    }
    let script = "source scripts/completions/flashpolicyd.fish; complete -C $argv[1]";
    for (line, expected) in [
        ("flashpolicyd re", &["reload", "restart"][..]),
        ("flashpolicyd probe game --l", &["--load"]),
        (
            "flashpolicyd explain --player ",
            &["flash", "lightspark", "unity"],
        ),
        (
            "flashpolicyd --l",
            &["--listen", "--log-file", "--log-level"],
        ),
        ("flashpolicyd serve --log-level d", &["debug"]),
        ("flashpolicyd --log-level d", &["debug"]),
        ("flashpolicyd -c x che", &[]),
        ("flashpolicyd check --ignore secure", &["secure-grant"]),
        (
            "flashpolicyd check --ignore ip-domain,secure",
            &["ip-domain,secure-grant"],
        ),
        ("flashpolicyd check --ignore several-p", &[]),
        ("flashpolicyd probe --ignore several-p", &["several-pieces"]),
        (
            "flashpolicyd help secure",
            &["secure-grant", "secure-invalid"],
        ),
    ] {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", script, line]);
        let output = fish
            .env("PATH", path())
            .current_dir(root())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let words = text.lines().map(|line| line.split('\t').next().unwrap());
        assert_eq!(words.collect::<Vec<_>>(), expected, "{line}");
    }
}

#[test]
fn the_completions_are_free_of_mistakes() {
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

#[test]
fn the_manual_describes_every_command() {
    let manual = include_str!("../scripts/flashpolicyd.8");
    for command in COMMANDS {
        assert!(manual.contains(&format!(".It Cm {command}\n")), "{command}");
    }
}
