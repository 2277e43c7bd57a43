//! No input costs more than a few times its own size: policies, configurations and servers' answers,
//! hostile and random, for every command that reads them. All memory that this process allocates is
//! counted, so one test runs at a time.

#![cfg(target_os = "linux")]

#[path = "support/probing.rs"]
mod probing;
mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flashpolicyd::config;
use flashpolicyd::output::text::Style;
use flashpolicyd::player::probe::{self, Arguments, Plan};
use flashpolicyd::policy::{self, MAX_POLICY_BYTES};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use support::{Setup, binary_path, wait_for};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What may be allocated beside the input, whatever 64 KiB hold.
const MOST_ALLOCATED: usize = 8 * MIB;

/// What a command may print, whatever 64 KiB hold.
const MOST_PRINTED: usize = 2 * MIB;

/// What `work` gives, and the most bytes that were allocated during it beside those that were
/// before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let made = work();
    (made, MEMORY.peak_usage().saturating_sub(before))
}

const START: &str = "<cross-domain-policy>";
const GRANT: &str = "<allow-access-from domain=\"a.example\" to-ports=\"2001\"/>";
const END: &str = "</cross-domain-policy>";

/// A policy of `size` bytes at the most, filled with one piece.
fn filled(piece: &str, size: usize) -> String {
    let frame = START.len() + GRANT.len() + END.len();
    let pieces = piece.repeat((size - frame) / piece.len());
    format!("{START}{GRANT}{pieces}{END}")
}

/// Policies, each with its name and whether it is served.
fn policies() -> Vec<(&'static str, String, bool)> {
    let attribute = |name: &str, value: &str| {
        let grant = GRANT.replace(name, &format!("{name}=\"{value}\" x"));
        format!("{START}{grant}{END}")
    };
    let long = |piece: &str| piece.repeat((MAX_POLICY_BYTES - 200) / piece.len());
    vec![
        ("findings", filled("<a/>", MAX_POLICY_BYTES), true),
        ("lines", filled("<a/>\n", MAX_POLICY_BYTES), true),
        (
            "errors",
            filled("<allow-access-from/>", MAX_POLICY_BYTES),
            false,
        ),
        ("domain", attribute("domain", &long("a")), true),
        (
            "ports",
            attribute("to-ports", &format!("{}1", long("1,"))),
            true,
        ),
        ("10 MB", filled("<a/>", 10_000_000), false),
        ("100,000 lines", filled("<a/>\n", 500_000), false),
    ]
}

/// Starts a program that gets no more memory than this, stacks and all: an allocation beyond it ends
/// the process by SIGABRT.
const LIMITED: [&str; 3] = ["sh", "-c", "ulimit -d 51200 && exec \"$0\" \"$@\""];

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut limited = Command::new(LIMITED[0]);
    limited.args(&LIMITED[1..]).arg(binary_path());
    support::run_command(&mut limited, folder, arguments)
}

/// A server that answers everybody with these bytes.
fn answering(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Once for each test: it stays.
    let bytes: &'static [u8] = bytes.leak();
    probing::serve(listener, move |stream: &mut TcpStream| {
        probing::answer(stream, bytes)
    });
    port
}

#[test]
fn no_command_takes_much_memory_whatever_a_policy_holds() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let config = "log_file = none\nlisten = 127.0.0.1:0\npolicy_file = p.xml\n";
    fs::write(folder.path().join("x.conf"), config).unwrap();
    for (name, policy, served) in policies() {
        fs::write(folder.path().join("p.xml"), &policy).unwrap();
        let from = ["--from", "a.example", "--to", "2001"];
        let port = answering([policy.as_bytes(), b"\0"].concat()).to_string();
        let ask = ["probe", "127.0.0.1", "--port", &port];
        for arguments in [
            &["check", "p.xml"][..],
            &["check", "--json", "p.xml"],
            &["check", "--config", "x.conf"],
            &["policy", "--config", "x.conf"],
            &["policy", "--json", "--config", "x.conf"],
            &[&["explain", "--config", "x.conf"], &from[..]].concat(),
            &ask,
            &[&ask[..], &["--json"]].concat(),
            &[&ask[..], &from].concat(),
        ] {
            let output = run(folder.path(), arguments);
            let ended = output.status.code().is_some_and(|code| code < 4);
            assert!(ended, "{name}: {arguments:?}: {}", output.status);
            let printed = output.stdout.len() + output.stderr.len();
            assert!(printed < MOST_PRINTED, "{name}: {arguments:?}: {printed}");
        }
        if served {
            let server = Setup::new()
                .file("p.xml", &policy)
                .line("policy_file = p.xml")
                .line("policy_watch = 0")
                .line("workers = 2")
                .through(&LIMITED)
                .start();
            for number in 1..=10 {
                server.signal("HUP");
                wait_for("a reload", || {
                    let reloaded = server.log().matches("] Reloaded ").count();
                    (reloaded == number).then_some(())
                });
            }
        }
    }
}

/// Configurations of the largest size, each line with a mistake or one too many.
fn configurations() -> Vec<(&'static str, String)> {
    let lines = |line: &str| line.repeat(MIB / line.len());
    vec![
        ("10 MB", "x\n".repeat(5_000_000)),
        ("no equals sign", lines("x\n")),
        ("unknown keys", lines("worker= 1\n")),
        ("allow lines", lines("allow=* 1\n")),
        ("values with comments", lines("allow=* 0 #\n")),
        ("no address", lines("listen=x\n")),
        (
            "listeners",
            (0..45_000)
                .map(|n| format!("listen=1.{}.{}.1:1\n", n / 250, n % 250))
                .collect(),
        ),
        (
            "a long line of ports",
            format!("allow=* 1{}", ",1".repeat(MIB / 2 - 8)),
        ),
        (
            "a long line of domains",
            format!("allow=a 1{}", ",b 1".repeat(MIB / 4 - 8)),
        ),
        ("one long line", "x".repeat(MIB)),
        (
            "codes",
            format!("ignore=bom{}", ",ip-domain".repeat(100_000)),
        ),
    ]
}

#[test]
fn no_command_takes_much_memory_whatever_a_configuration_holds() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in configurations() {
        fs::write(folder.path().join("x.conf"), &text).unwrap();
        for arguments in [
            &["check", "--config", "x.conf"][..],
            &["check", "--json", "--config", "x.conf"],
            &["policy", "--config", "x.conf"],
            &["serve", "--config", "x.conf"],
            // A server of this host that has the default pid file is none of these.
            &["status", "--config", "x.conf", "--pid-file", "x.pid"],
        ] {
            let output = run(folder.path(), arguments);
            let expected = if arguments[0] == "status" { 3 } else { 2 };
            assert_eq!(
                output.status.code(),
                Some(expected),
                "{name}: {arguments:?}"
            );
            let printed = output.stdout.len() + output.stderr.len();
            assert!(printed < MOST_PRINTED, "{name}: {arguments:?}: {printed}");
        }
    }
}

#[test]
fn a_server_with_many_long_policies_answers_for_its_status() {
    let _alone = alone();
    let ports = format!("2001{}", ",2001".repeat(12_000));
    let policy = format!("{START}{}{END}", GRANT.replace("2001", &ports));
    let setup = (0..60).fold(Setup::new(), |setup, number| {
        let name = format!("{number}.xml");
        let setup = setup.line(format!("listen = 127.0.0.1:0 policy={name}"));
        setup.file(&name, &policy)
    });
    let setup = setup.line("pid_file = x.pid");
    // Twice the others' limit: each of the sixty workers has a stack.
    let limited = ["sh", "-c", "ulimit -d 102400 && exec \"$0\" \"$@\""];
    let server = setup.through(&limited).start();
    for options in [&[][..], &["--json"]] {
        let config = ["status", "--config", "flashpolicy.conf"];
        let output = run(server.folder.path(), &[&config, options].concat());
        assert_eq!(output.status.code(), Some(0), "{options:?}");
        let printed = output.stdout.len();
        assert!((10_000..100 * KIB).contains(&printed), "{printed}");
    }
}

#[test]
fn a_host_without_proc_dev_and_passwd_is_served() {
    let _alone = alone();
    let bare = "for folder in /proc /dev /etc; do mount -t tmpfs none $folder || exit 3; done; \
                exec \"$0\" \"$@\"";
    let bare = ["unshare", "--mount", "sh", "-c", bare];
    let possible = Command::new(bare[0]).args(&bare[1..]).arg("true").output();
    if !support::have_it(possible.is_ok_and(|tried| tried.status.success()), "mounts") {
        return;
    }
    let mut server = Setup::new()
        .line("pid_file = x.pid")
        .line("user = 65534")
        .line("group = 65534")
        .line("allow = a.example 1")
        .through(&bare)
        .start();
    assert!(server.ask().starts_with(b"<cross-domain-policy>"));
    server.signal("HUP");
    server.logged("the policies are the same.");
    assert!(server.stop().success());
}

/// Some pieces, again and again, up to any size that is read, with something random in it.
fn inputs(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![Just(MAX_POLICY_BYTES), 0..=MAX_POLICY_BYTES];
    let pieces = prop::collection::vec(prop::sample::select(pieces), 1..6);
    let start = prop::sample::select(&["", START, "<cross-domain-policy>\n"][..]);
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let noise = (noise, any::<prop::sample::Index>(), 0..4_u8);
    (size, pieces, start, noise).prop_map(|(size, pieces, start, (noise, at, kind))| {
        if kind == 0 {
            return noise
                .iter()
                .copied()
                .cycle()
                .take(if noise.is_empty() { 0 } else { size })
                .collect();
        }
        let mut bytes = start.as_bytes().to_vec();
        let pieces = pieces.concat();
        let room = size.saturating_sub(start.len() + END.len());
        bytes.extend(pieces.repeat(room / pieces.len()).bytes());
        if kind > 1 {
            bytes.extend_from_slice(END.as_bytes());
        } else {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, noise);
        }
        bytes
    })
}

const OF_POLICIES: &[&str] = &[
    "<a/>",
    "<a>",
    "</a>",
    "\n",
    " ",
    "x",
    "\u{fc}",
    "\u{1b}",
    "<!-- -->",
    "<![CDATA[x]]>",
    "<?x y?>",
    "&amp;",
    "&#27;",
    " a='b'",
    "<a b='' c='' d=''/>",
    "<site-control permitted-cross-domain-policies='all'/>",
    "<site-control x=''/>",
    "<allow-access-from domain='a.example' to-ports='1'/>",
    "<allow-access-from domain='1.' to-ports=' 1-3' secure='true' x=''/>",
    "<allow-access-from domain='*' to-ports='1-9,*'/>",
    "<allow-access-from domain='*' to-ports='1,3,5-7'><a/></allow-access-from>",
    "<allow-http-request-headers-from domain='*' headers='*'/>",
    "<n:a xmlns:n='u'/>",
];

const OF_CONFIGURATIONS: &[&str] = &[
    "x\n",
    "\n",
    "=\n",
    "# x\n",
    "allow = * 1\n",
    "allow = *.a.example 1-3,5 secure\n",
    "allow = http://a.example:1 # x\n",
    "allow = a b c d 1 2 3\n",
    ",",
    "1,",
    "allow = ",
    "a.example ",
    "listen = 127.0.0.1:0\n",
    "listen = [::]:843 proxy policy=p.xml\n",
    "listen = 843 # x\n",
    "workers = 1\n",
    "worker = 1\n",
    "meta_policy = al\n",
    "policy_file = p\n",
    "ignore = ip-domain,x\n",
    "timeout = 3 # x\n",
    "\u{1b}\u{fc}",
];

/// All that the commands do with a policy but print it.
fn treat_policy(bytes: &[u8]) -> usize {
    let reading = policy::read(bytes, &[843, 10_843]);
    let mut printed = reading.report("p", &Style::PLAIN).len();
    let all: Vec<_> = reading.diagnostics("p").collect();
    printed += serde_json::to_string(&all).unwrap().len();
    if let Some(policy) = &reading.policy {
        printed += policy::words(policy).concat().len();
        printed += policy::render(&policy::for_every_player(policy)).len();
    }
    printed
}

fn treat_configuration(text: &str) -> usize {
    match config::parse(text, Path::new("x.conf"), &[]) {
        Ok(_) => 0,
        Err(mistakes) => serde_json::to_string(&mistakes).unwrap().len(),
    }
}

fn treat_answer(bytes: Vec<u8>) -> usize {
    let arguments = Arguments {
        host: "127.0.0.1".into(),
        from: Some("a.example".into()),
        to: Some("1,2001".into()),
        port: Some(answering(bytes).to_string()),
        ..Arguments::default()
    };
    let report = probe::run(Plan::new(&arguments).unwrap(), &probe::Progress::default());
    probe::story(&report, &Style::PLAIN).len() + probe::json(&report).len()
}

#[test]
fn no_random_input_costs_more_than_a_few_times_its_size() {
    let _alone = alone();
    let check = |what: &str, (printed, allocated): (usize, usize)| {
        prop_assert!(
            allocated < MOST_ALLOCATED,
            "{what}: {allocated} bytes allocated"
        );
        prop_assert!(printed < MOST_PRINTED, "{what}: {printed} bytes printed");
        Ok(())
    };
    let cases = |cases| ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    };
    proptest!(cases(100), |(bytes in inputs(OF_POLICIES))| {
        check("a policy", peak(|| treat_policy(&bytes)))?;
    });
    proptest!(cases(100), |(bytes in inputs(OF_CONFIGURATIONS))| {
        let text = String::from_utf8_lossy(&bytes);
        check("a configuration", peak(|| treat_configuration(&text)))?;
    });
    proptest!(cases(40), |(bytes in inputs(OF_POLICIES))| {
        check("an answer", peak(|| treat_answer(bytes)))?;
    });
}
