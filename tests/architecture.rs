//! The map of the sources, and the proof that they keep to it. The test reads the paths in `src`,
//! follows `pub use` to the file that has the item, and fails where a file imports one that stands
//! above it, where files import each other in a circle, and where a pure file names sockets, files
//! or the system. It does not look into test modules.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The modules of `src`, each with what it is for; a name also stands for the files of its folder. A
/// module may use those that stand below it.
const ORDER: &[(&str, &str)] = &[
    ("main", "the program: arguments, a command, an exit code"),
    ("cli", "the command line and its reference"),
    ("daemon::commands", "a file for each command about a server"),
    ("daemon::startup", "the steps of a server's start"),
    ("daemon::supervisor", "the main thread of a server"),
    ("daemon::housekeeping", "the thread for all work with files"),
    (
        "daemon::reload",
        "a new configuration, or the last good one",
    ),
    ("daemon::control_socket", "how commands ask a server"),
    (
        "daemon::host_check",
        "what `check` finds on the server's host",
    ),
    ("daemon::status", "what a running server says of itself"),
    ("daemon::server", "listeners, connections, workers"),
    ("daemon::privileges", "the user that the server becomes"),
    ("daemon::pid_file", "the pid file, which is also the lock"),
    ("daemon::logging", "the log: queue, writer, rotation"),
    ("daemon::signals", "signals become control messages"),
    ("daemon::systemd", "what the service manager is told"),
    ("daemon::stats", "counters, and their text for Prometheus"),
    ("daemon::files", "files in folders where others may write"),
    (
        "daemon::listening",
        "which program listens on a port already",
    ),
    ("daemon::processes", "what the system says of a process"),
    ("player::check", "mistakes in a configuration or a policy"),
    ("player::explain", "verdicts from the configuration"),
    ("player::policy", "what would be served, in words"),
    ("player::probe", "asks a server and says what is wrong"),
    ("player::input", "the configuration and its policies, read"),
    ("player::advice", "what to change so that it is allowed"),
    ("player::json", "the types that are printed as JSON"),
    ("player::protocols", "other protocols, by their first bytes"),
    ("config", "`flashpolicy.conf`, its policies, its mistakes"),
    (
        "output",
        "colours, exit codes; and the findings and texts of `policy`",
    ),
    (
        "policy",
        "reading, checking, writing and deciding; a crate of its own",
    ),
    (
        "system",
        "opening files; the one part that differs by system",
    ),
];

/// The folder of the other crate, `flashpolicy`. That it imports nothing of this one, the compiler
/// proves.
const POLICY: &str = "policy";

/// The modules that are built for Linux alone. All others are built for each system.
const LINUX: &[&str] = &["daemon", "system::linux"];

/// The crates and paths that only [`LINUX`] may name.
const LINUX_PATHS: &[&str] = &[
    "std::os",
    "nix",
    "rustix",
    "signal_hook",
    "ctrlc",
    "listenfd",
    "socket2",
    "threadpool",
    "simplelog",
    "humantime",
];

/// Modules that take values and give values: no socket, no file, no call of the system. A name also
/// stands for the files of its folder.
const PURE: &[&str] = &[
    "policy",
    "output::exit",
    "player::advice",
    "player::json",
    "player::protocols",
    "config::allow",
    "config::ignore",
    "config::keys",
    "config::values",
    "config::draft",
    "config::mistakes",
    "daemon::server::request",
    "daemon::server::proxy",
    "daemon::server::table",
    "daemon::server::client_lines",
    "daemon::server::source",
    "daemon::server::tally",
    "player::probe::classify",
    "player::probe::error",
    "player::probe::story",
];

/// The paths that a pure module may not name, by their beginning.
const IMPURE_PATHS: &[&str] = &["std::fs", "std::thread", "nix", "socket2"];

/// The items that a pure module may not name, wherever they come from.
const IMPURE_ITEMS: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "ToSocketAddrs",
    "SystemTime",
];

/// A path such as `crate::policy::Grant`, in its parts.
type Names = Vec<String>;

/// One file: what it declares, what it passes on, what it names.
#[derive(Clone, Default)]
struct Source {
    /// The modules that are declared for tests alone.
    for_tests: BTreeSet<String>,
    /// `pub use`.
    passed_on: Vec<Names>,
    /// `use`, and paths in the code.
    named: Vec<Names>,
    /// Every word of the code.
    words: BTreeSet<String>,
}

/// The files by their module: `server::table`; the root is `lib`.
type Sources = BTreeMap<String, Source>;

/// The text in words and signs, without comments, texts and test modules.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut found, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            'r' if at(i + 1) == '"' || (at(i + 1) == '#' && at(i + 2) == '"') => {
                let end: &[char] = if at(i + 1) == '"' {
                    &['"']
                } else {
                    &['"', '#']
                };
                i += 1 + end.len();
                while i < chars.len() && !chars[i..].starts_with(end) {
                    i += 1;
                }
                i += end.len();
            }
            '"' => {
                i += 1;
                while i < chars.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            // A character, and not a lifetime.
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i += if at(i + 1) == '\\' { 3 } else { 2 };
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            ':' if at(i + 1) == ':' => {
                found.push("::".into());
                i += 2;
            }
            c if is_word(c) => {
                let word: String = chars[i..].iter().take_while(|c| is_word(**c)).collect();
                i += word.chars().count();
                found.push(word);
            }
            c => {
                if !c.is_whitespace() {
                    found.push(c.into());
                }
                i += 1;
            }
        }
    }
    found
}

/// The tokens without the modules that are for tests, and the names of these.
fn without_tests(tokens: &[String]) -> (Vec<String>, BTreeSet<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut names, mut i) = (Vec::new(), BTreeSet::new(), 0);
    while i < tokens.len() {
        if !tokens[i..].iter().take(MARK.len()).eq(MARK.iter()) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i += MARK.len();
        // `#[path = ""]` may stand between.
        let rest = &tokens[i..];
        let Some(at) = rest.iter().take(8).position(|token| token == "mod") else {
            continue;
        };
        names.insert(rest[at + 1].clone());
        i += at + 2;
        let mut depth = 0;
        loop {
            match tokens[i].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            i += 1;
            if depth == 0 {
                break;
            }
        }
    }
    (kept, names)
}

/// The paths of a `use`, from the token behind it, and where it ends.
fn tree(tokens: &[String], mut i: usize, before: &[String]) -> (Vec<Names>, usize) {
    let (mut paths, mut names) = (Vec::new(), before.to_vec());
    loop {
        match tokens[i].as_str() {
            "::" => i += 1,
            "as" => i += 2,
            "{" => {
                i += 1;
                while tokens[i] != "}" {
                    let (inner, end) = tree(tokens, i, &names);
                    paths.extend(inner);
                    i = end + usize::from(tokens[end] == ",");
                }
                return (paths, i + 1);
            }
            "," | ";" | "}" => {
                paths.push(names);
                return (paths, i);
            }
            name => {
                names.push(name.into());
                i += 1;
            }
        }
    }
}

fn read(text: &str) -> Source {
    let (tokens, for_tests) = without_tests(&tokens(text));
    let mut source = Source {
        for_tests,
        ..Source::default()
    };
    let mut i = 0;
    while i < tokens.len() {
        let before = i.checked_sub(1).map_or("", |at| tokens[at].as_str());
        if tokens[i] == "use" {
            let public = matches!(before, "pub" | ")");
            let (paths, end) = tree(&tokens, i + 1, &[]);
            if public {
                source.passed_on.extend(paths);
            } else {
                source.named.extend(paths);
            }
            i = end;
        } else if before != "mod" && before != "." && tokens[i].starts_with(char::is_alphabetic) {
            let mut names = vec![tokens[i].clone()];
            while tokens.get(i + 1).is_some_and(|t| t == "::")
                && tokens
                    .get(i + 2)
                    .is_some_and(|t| t.starts_with(char::is_alphabetic))
            {
                names.push(tokens[i + 2].clone());
                i += 2;
            }
            source.words.extend(names.iter().cloned());
            source.named.push(names);
        }
        i += 1;
    }
    source
}

/// A path as it is seen from the root; none where it leads out of this program.
fn absolute(sources: &Sources, module: &str, path: &[String]) -> Option<Names> {
    let mut from: Names = match module {
        "lib" | "main" => Vec::new(),
        module => module.split("::").map(String::from).collect(),
    };
    let mut rest = path;
    match path.first()?.as_str() {
        // `pub(super)` and the like.
        "crate" | "self" | "super" if path.len() < 2 => return None,
        "flashpolicy" => (from, rest) = (vec![POLICY.into()], &path[1..]),
        "crate" if is_within(module, POLICY) => (from, rest) = (vec![POLICY.into()], &path[1..]),
        "crate" | "flashpolicyd" => (from, rest) = (Vec::new(), &path[1..]),
        "self" | "super" => {
            while let Some("self" | "super") = rest.first().map(String::as_str) {
                if rest[0] == "super" {
                    from.pop();
                }
                rest = &rest[1..];
            }
        }
        child => {
            let mut known = from.clone();
            known.push(child.into());
            if path.len() < 2 || !sources.contains_key(&known.join("::")) {
                return None;
            }
        }
    }
    from.extend(rest.iter().cloned());
    Some(from)
}

/// The file that has what the path leads to.
fn file_of(sources: &Sources, path: &[String]) -> Option<String> {
    let known = (1..=path.len()).rev();
    let (module, length) = known
        .map(|n| (path[..n].join("::"), n))
        .find(|(module, _)| sources.contains_key(module))?;
    let passed_on = path.get(length).and_then(|item| {
        let passed_on = &sources[&module].passed_on;
        let passed_on = passed_on.iter().find(|names| names.last() == Some(item))?;
        absolute(sources, &module, passed_on)
    });
    match passed_on {
        Some(further) if further != path => file_of(sources, &further),
        _ => Some(module),
    }
}

/// What each file imports from other files.
fn imports(sources: &Sources) -> BTreeMap<&str, BTreeSet<String>> {
    let of_file = |(module, source): (&String, &Source)| {
        // What is only passed on is not used here.
        let used = |path: &&Names| path.last().is_some_and(|item| source.words.contains(item));
        let passed_on = source.passed_on.iter().filter(used);
        let paths = source.named.iter().chain(passed_on);
        let absolute = paths.filter_map(|path| absolute(sources, module, path));
        let files = absolute.filter_map(|path| file_of(sources, &path));
        files.filter(|file| file != module).collect()
    };
    let all = sources.iter();
    all.map(|entry| (entry.0.as_str(), of_file(entry)))
        .collect()
}

/// Whether a path is this one, or one below it.
fn is_within(path: &str, name: &str) -> bool {
    let below = path.strip_prefix(name);
    below.is_some_and(|below| below.is_empty() || below.starts_with("::"))
}

/// Everything in which the sources do not keep to the map.
fn faults(sources: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    let imports = imports(sources);
    let level = |module: &str| ORDER.iter().position(|(name, _)| is_within(module, name));
    for (from, files) in &imports {
        for to in files {
            match (level(from), level(to)) {
                (Some(user), Some(used)) if user <= used => {}
                (Some(_), Some(_)) => {
                    faults.push(format!("{from} imports {to}, which stands above it"));
                }
                // The folder of listed modules imports nothing but to pass it on.
                _ => faults.push(format!("{from} imports {to}: one of them is not in ORDER")),
            }
        }
    }
    // What imports no file of those that are left is in no circle, and neither is what no such file
    // imports.
    let mut moving = imports.clone();
    loop {
        let before = moving.len();
        let left: BTreeSet<String> = moving.keys().map(|name| name.to_string()).collect();
        moving.retain(|_, files| files.iter().any(|file| left.contains(file)));
        let imported: BTreeSet<String> = moving.values().flatten().cloned().collect();
        moving.retain(|name, _| imported.contains(*name));
        if moving.len() == before {
            break;
        }
    }
    for (from, files) in &moving {
        let circle = files.iter().filter(|to| moving.contains_key(to.as_str()));
        faults.extend(circle.map(|to| format!("a circle of imports: {from} imports {to}")));
    }
    for (module, source) in sources {
        let is_in = |names: &[&str]| names.iter().any(|name| is_within(module, name));
        for path in source.named.iter().chain(&source.passed_on) {
            let text = path.join("::");
            let begins = |with: &&str| is_within(&text, with);
            if !is_in(LINUX) && path.len() > 1 && LINUX_PATHS.iter().any(begins) {
                faults.push(format!("{module} is for every system, and names {text}"));
            }
            if is_in(PURE) {
                let item = path
                    .last()
                    .is_some_and(|i| IMPURE_ITEMS.contains(&i.as_str()));
                if item || (path.len() > 1 && IMPURE_PATHS.iter().any(begins)) {
                    faults.push(format!("{module} is pure, and names {text}"));
                }
            }
        }
    }
    faults
}

/// Reads a folder of sources; `module` is the folder's.
fn add_folder(folder: &Path, module: &str, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = match (module, stem) {
            ("", stem) => stem.to_string(),
            (module, "mod" | "lib") => module.to_string(),
            (module, stem) => format!("{module}::{stem}"),
        };
        if path.is_dir() {
            add_folder(&path, &name, texts);
        } else if path.extension().is_some_and(|e| e == "rs") && !stem.ends_with("tests") {
            texts.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

fn texts() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    add_folder(&folder, "", &mut texts);
    texts
}

fn sources(texts: &BTreeMap<String, String>) -> Sources {
    let texts = texts.iter();
    let mut sources: Sources = texts
        .map(|(name, text)| (name.clone(), read(text)))
        .collect();
    let for_tests: Vec<String> = sources
        .iter()
        .flat_map(|(module, source)| {
            let names = source.for_tests.iter();
            names.map(move |name| format!("{module}::{name}"))
        })
        .collect();
    sources.retain(|module, _| !for_tests.contains(module));
    sources
}

#[test]
fn every_file_keeps_to_the_map() {
    let faults = faults(&sources(&texts()));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_map_has_every_module_once() {
    let texts = texts();
    for (name, _) in ORDER {
        assert!(texts.contains_key(*name), "there is no {name}");
    }
    for module in texts.keys().filter(|name| *name != "lib") {
        // The file of a folder may also be the one that declares the listed modules.
        let listed = |(name, _): &&(&str, &str)| is_within(module, name) || is_within(name, module);
        assert!(
            ORDER.iter().any(|entry| listed(&entry)),
            "{module} is not in ORDER"
        );
        let above = ORDER.iter().filter(|(name, _)| is_within(module, name));
        assert!(above.count() < 2, "{module} is in ORDER twice");
    }
    for name in PURE {
        assert!(texts.contains_key(*name), "there is no {name}");
    }
}

#[test]
fn an_arrow_against_the_order_a_circle_and_a_socket_are_found() {
    let texts = texts();
    let sources = sources(&texts);
    let with = |module: &str, code: &str| {
        let mut changed = sources.clone();
        changed.insert(module.into(), read(&format!("{}{code}", texts[module])));
        faults(&changed)
    };
    for (module, code, expected) in [
        (
            "config::allow",
            "use crate::player::check::run;",
            "config::allow imports player::check, ",
        ),
        (
            "config::allow",
            "fn f() { crate::daemon::server::f() }",
            "config::allow imports daemon::server, ",
        ),
        (
            "config",
            "use crate::output::text::{self, Style}; use crate::{cli::HELP};",
            "config imports cli, ",
        ),
        (
            "daemon::server::source",
            "use super::table::Table;",
            "circle of imports: daemon::server::",
        ),
        ("daemon::server", "fn f() -> tally::Tally {}", "nothing"),
        (
            "daemon::server::context",
            "use super::OpenServer;",
            "circle of imports: daemon::server imports",
        ),
        (
            "daemon::server::request",
            "use std::net::{IpAddr, TcpStream};",
            "names std::net::TcpStream",
        ),
        (
            "policy::text",
            "fn f() { std::fs::read(1) }",
            "policy::text is pure, and names std::fs::read",
        ),
        (
            "policy::parse",
            "use nix::unistd::Uid;",
            "policy::parse is pure",
        ),
        (
            "player::check",
            "use std::os::unix::fs::MetadataExt;",
            "player::check is for every system, and names std::os::unix",
        ),
        (
            "player::explain",
            "use crate::daemon::status::Status;",
            "player::explain imports daemon::status, ",
        ),
        (
            "config",
            "// crate::cli::HELP\nconst A: &str = \"crate::cli::HELP\";",
            "nothing",
        ),
        (
            "config",
            "#[cfg(test)] mod tests { use crate::cli::parse; }",
            "nothing",
        ),
    ] {
        let found = with(module, code);
        if expected == "nothing" {
            assert!(found.is_empty(), "{code}: {found:?}");
        } else {
            let hit = found.iter().any(|fault| fault.contains(expected));
            assert!(hit, "{code}: {found:?}");
        }
    }
}
