//! What the log says, when, and that nothing about it ever delays a client.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{BUILT_IN, REQUEST, Server, Setup, wait_for};

/// The lines of the log without their times, after a look at each time and level.
fn messages(server: &Server) -> Vec<String> {
    server
        .log()
        .lines()
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap();
            assert!(is_rfc_3339_with_microseconds(time), "{line}");
            rest.to_string()
        })
        .collect()
}

fn is_rfc_3339_with_microseconds(time: &str) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    time.len() == pattern.len()
        && time
            .chars()
            .zip(pattern.chars())
            .all(|(found, expected)| match expected {
                'd' => found.is_ascii_digit(),
                other => found == other,
            })
}

#[test]
fn a_run_leaves_these_lines_in_this_order() {
    let mut server = Setup::new()
        .line("timeout = 0.3")
        .line("log_level = debug")
        .start();
    let listening = format!("[INFO] Listening on {}", server.address());
    let mut peers = Vec::new();
    for bytes in [REQUEST, b"GET / HTTP/1.1\r\n\r\n\x1b[2J\xff", b""] {
        let mut client = server.connect();
        peers.push(client.stream.local_addr().unwrap());
        client.send(bytes);
        client.rest();
    }
    drop(server.connect());
    server.logged("Closed before a request.");
    assert!(server.stop().success());
    let messages = messages(&server);
    let [served, junk, silent] = peers[..] else {
        panic!("three clients");
    };
    let expected = [
        "[INFO] Starting server...".to_string(),
        "[INFO] Configuration: flashpolicy.conf.".into(),
        listening,
        format!("[INFO] {served}: Connection accepted."),
        format!("[INFO] {served}: Policy sent. Closing connection."),
        format!("[INFO] {junk}: Connection accepted."),
        format!("[INFO] {junk}: Not a policy request, but HTTP (GET). Closing connection."),
        format!("[DEBUG] {junk}: It began with \"GET / HTTP/1.1\\r\\n\\r\\n\\x1b[2J\\xff\"."),
        format!("[INFO] {silent}: Connection accepted."),
        format!("[INFO] {silent}: Timed out. Closing."),
        "[INFO] Stopping server...".into(),
    ];
    let mut rest = messages.iter();
    for line in expected {
        assert!(
            rest.any(|message| *message == line),
            "{line} in {messages:#?}"
        );
    }
    let totals = messages.last().unwrap();
    assert!(
        totals.starts_with(
            "[INFO] Totals: 4 accepted, 1 served, 1 not a request, 1 timed out, \
             1 gone before the request; "
        ),
        "{totals}"
    );
}

#[test]
fn a_line_appears_soon_and_without_a_stop() {
    let server = Server::start();
    assert_eq!(server.ask(), BUILT_IN);
    let before = Instant::now();
    server.logged("Policy sent. Closing connection.");
    // 250 ms are promised.
    assert!(
        before.elapsed() < Duration::from_secs(2),
        "{:?}",
        before.elapsed()
    );
}

#[test]
fn the_level_decides_what_is_logged() {
    let address = format!("127.0.0.1:{}", support::free_port());
    let mut server = Setup::new()
        .line("log_level = warn")
        .line("ignore = loopback-only")
        .line(format!("listen = {address}"))
        .start_without_waiting();
    let answer = wait_for("an answer", || {
        let stream = std::net::TcpStream::connect(&address).ok()?;
        let mut client = support::Client::new(stream);
        client.send(REQUEST);
        Some(client.rest())
    });
    assert_eq!(answer, BUILT_IN);
    assert!(server.stop().success());
    let messages = messages(&server);
    let others: Vec<_> = messages
        .iter()
        .filter(|message| !message.contains("Running as root"))
        .collect();
    assert_eq!(others.len(), 1, "{messages:?}");
    assert!(others[0].starts_with("[WARN] No policy is configured"));
}

#[test]
fn the_log_is_appended_to() {
    let setup = Setup::new().file("flashpolicy.log", "an earlier line\n");
    let server = setup.start();
    assert!(server.log().starts_with("an earlier line\n"));
}

#[test]
fn no_log_file_means_none() {
    let mut server = Setup::new()
        .line("log_file = none")
        .line("log_console = yes")
        .line("listen = 127.0.0.1:0")
        .stdout(Stdio::piped())
        .start_without_waiting();
    let mut console = server.child.stdout.take().unwrap();
    let mut said = String::new();
    let mut bytes = [0; 4096];
    while !said.contains("Listening on") {
        let count = console.read(&mut bytes).unwrap();
        assert!(count > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    server.stop();
    console.read_to_string(&mut said).unwrap();
    assert!(said.contains("[INFO] Totals: "), "{said}");
    assert!(!server.path("flashpolicy.log").exists());
}

/// What a server that has ended printed on its standard output, which is a pipe.
fn printed(server: &mut Server) -> String {
    let mut printed = String::new();
    let mut stdout = server.child.stdout.take().unwrap();
    stdout.read_to_string(&mut printed).unwrap();
    printed
}

#[test]
fn the_console_gets_the_same_lines_as_the_file() {
    let mut server = Setup::new()
        .line("log_console = yes")
        .stdout(Stdio::piped())
        .start();
    assert_eq!(server.ask(), BUILT_IN);
    server.stop();
    assert_eq!(printed(&mut server), server.log());
}

#[test]
fn standard_output_that_is_no_terminal_gets_one_line_and_no_log_by_default() {
    let mut server = Setup::new().stdout(Stdio::piped()).start();
    assert_eq!(server.ask(), BUILT_IN);
    server.stop();
    let printed = printed(&mut server);
    assert_eq!(printed.matches('\n').count(), 1, "{printed}");
}

#[test]
fn a_pipe_that_nobody_reads_delays_neither_clients_nor_the_file_nor_the_end() {
    let mut server = Setup::new()
        .line("log_console = yes")
        .line("log_level = debug")
        .stdout(Stdio::piped())
        .start();
    // Two lines a client: far more than a pipe and the buffer hold together.
    let clients = 4000;
    let before = Instant::now();
    for _ in 0..clients {
        assert_eq!(server.ask(), BUILT_IN);
    }
    let stop = Instant::now();
    assert!(server.stop().success());
    assert!(
        stop.elapsed() < Duration::from_secs(10),
        "{:?}",
        stop.elapsed()
    );
    assert_eq!(server.log().matches("Policy sent.").count(), clients);
    println!("{clients} clients in {:?}", before.elapsed());
}

#[test]
fn a_full_disk_delays_no_client_and_the_lost_lines_are_counted() {
    let size = 4 * 1024 * 1024;
    let Some(disk) = support::Disk::of(size) else {
        return;
    };
    fs::write(disk.path("ballast"), vec![0; size - 64 * 1024]).unwrap();
    let mut server = Setup::new()
        .line("log_level = debug")
        .log_file(disk.path("full.log"))
        .line("log_console = yes")
        .stdout(Stdio::piped())
        .start();
    let mut console = server.child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        console.read_to_string(&mut said).unwrap();
        said
    });
    for _ in 0..8000 {
        assert_eq!(server.ask(), BUILT_IN);
    }
    fs::remove_file(disk.path("ballast")).unwrap();
    let lost = wait_for("the lost lines to be said", || {
        let log = fs::read_to_string(disk.path("full.log")).ok()?;
        let line = log
            .lines()
            .find(|line| line.contains("log lines were lost"))?;
        line.split(' ').nth(2)?.parse::<u64>().ok()
    });
    assert!(lost > 100, "{lost}");
    assert!(server.stop().success());
    let said = reader.join().unwrap();
    assert_eq!(
        said.matches("Cannot write the log to").count(),
        1,
        "said once"
    );
    assert!(said.contains("No space left on device"));
}

#[test]
fn a_deleted_folder_delays_no_client_and_the_log_goes_on_when_it_is_back() {
    let setup = Setup::new().line("log_level = debug");
    let folder = setup.path("logs");
    fs::create_dir(&folder).unwrap();
    let server = setup.log_file(folder.join("x.log")).start();
    fs::remove_dir_all(&folder).unwrap();
    for _ in 0..100 {
        assert_eq!(server.ask(), BUILT_IN);
    }
    fs::create_dir(&folder).unwrap();
    wait_for("every line since, in the new file", || {
        let log = fs::read_to_string(folder.join("x.log")).ok()?;
        (log.matches("Policy sent.").count() == 100).then_some(())
    });
}

#[test]
fn a_moved_log_is_followed_by_a_new_one_and_no_line_is_lost() {
    let server = Server::start();
    assert_eq!(server.ask(), BUILT_IN);
    server.logged("Policy sent.");
    fs::rename(server.path("flashpolicy.log"), server.path("old.log")).unwrap();
    assert_eq!(server.ask(), BUILT_IN);
    server.logged("Policy sent.");
    let old = fs::read_to_string(server.path("old.log")).unwrap();
    assert_eq!(old.matches("Policy sent.").count(), 1);
    assert_eq!(server.log().matches("Policy sent.").count(), 1);
}

/// The lines of the log and of all its old ones.
fn all_lines(server: &Server) -> Vec<String> {
    let folder = server.log.parent().unwrap();
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let logs = entries.filter(|path| path.to_string_lossy().contains("flashpolicy.log"));
    // A file of a server that rotates may have another name by now.
    let texts = logs.filter_map(|path| fs::read_to_string(path).ok());
    texts
        .flat_map(|text| text.lines().map(String::from).collect::<Vec<_>>())
        .collect()
}

/// How many lines the totals say were lost.
fn lost(server: &Server) -> usize {
    let log = server.log();
    let totals = log.lines().last().unwrap();
    if !totals.contains(" log lines lost") {
        assert!(totals.contains("Totals: "), "{totals}");
        return 0;
    }
    let before = totals.split(" log lines lost").next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Connects clients, then has `fail` make rotation impossible, lets them all ask, and asserts that
/// no line is lost that is not counted.
fn assert_nothing_is_lost_uncounted(mut server: Server, fail: impl FnOnce(&Server)) {
    // Enough for the file to reach twice its size.
    const CLIENTS: usize = 250;
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    wait_for("all of them to be accepted", || {
        let lines = all_lines(&server);
        let accepted = lines.iter().filter(|l| l.contains("Connection accepted."));
        (accepted.count() == CLIENTS).then_some(())
    });
    fail(&server);
    for client in &mut clients {
        client.send(REQUEST);
        assert_eq!(client.rest(), BUILT_IN);
    }
    assert!(server.stop().success());
    let lines = all_lines(&server);
    let there = |text: &str| lines.iter().filter(|l| l.contains(text)).count();
    let clients_lines = there("Connection accepted.") + there("Policy sent.");
    // Other lines may be among the lost ones, too.
    assert!(
        clients_lines + lost(&server) >= 2 * CLIENTS,
        "{clients_lines} lines and {} lost",
        lost(&server)
    );
    assert!(clients_lines + lost(&server) < 2 * CLIENTS + 30);
    // Said once; that line may be gone with the others.
    assert!(there("Cannot rotate the log") <= 1, "{lines:#?}");
    assert!(there("was full and was emptied") > 0, "{lines:#?}");
}

#[test]
fn rotation_without_a_free_descriptor_loses_no_line_that_is_not_counted() {
    if !support::have("prlimit") {
        return;
    }
    let server = Setup::new()
        .line("log_level = debug")
        .line("log_max_size = 10K")
        .line("timeout = 30")
        .start();
    assert_nothing_is_lost_uncounted(server, |server| {
        let limited = std::process::Command::new("prlimit")
            .args(["--nofile=8:4096", "--pid", &server.child.id().to_string()])
            .status();
        assert!(limited.unwrap().success());
    });
}

#[test]
fn rotation_on_a_file_system_that_takes_no_more_files_loses_no_line_that_is_not_counted() {
    let Some(disk) = support::Disk::of(4 * 1024 * 1024) else {
        return;
    };
    let server = Setup::new()
        .line("log_level = debug")
        .log_file(disk.path("flashpolicy.log"))
        .line("log_max_size = 10K")
        .line("timeout = 30")
        .start();
    assert_nothing_is_lost_uncounted(server, |_| disk.take_no_more_files());
}

#[test]
fn a_line_that_is_longer_than_the_log_may_be_is_written_and_costs_nothing() {
    let mut server = Setup::new().line("log_max_size = 10K").start();
    assert_eq!(server.ask(), BUILT_IN);
    let long = "x".repeat(12_000);
    let config = format!("listen = {}\npolicy_file = {long}\n", server.address());
    fs::write(server.path("flashpolicy.conf"), config).unwrap();
    server.signal("HUP");
    wait_for("the long line", || {
        let lines = all_lines(&server);
        lines.iter().any(|l| l.contains(&long)).then_some(())
    });
    assert_eq!(server.ask(), BUILT_IN);
    server.logged("Policy sent.");
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
    let ticks: Vec<u64> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // The fields 14 and 15 of all, in hundredths of a second; the first letter is no number.
    assert!(ticks[10] + ticks[11] < 100, "{stat}");
    assert!(server.stop().success());
    assert_eq!(lost(&server), 0);
    let lines = all_lines(&server);
    for text in ["Starting server...", "Reload failed", "Totals: 2 accepted"] {
        assert!(lines.iter().any(|line| line.contains(text)), "{text}");
    }
}

#[test]
fn a_policy_with_thousands_of_findings_leaves_twenty_of_them_in_the_log() {
    let policy = format!(
        "<cross-domain-policy>{}<allow-access-from domain=\"a.example\" to-ports=\"1\"/>\
         </cross-domain-policy>",
        "<a/>".repeat(3_000)
    );
    let server = Setup::new()
        .file("p.xml", &policy)
        .line("policy_file = p.xml")
        .start();
    let found = |text: &str| server.log().matches(text).count();
    assert_eq!(found("[WARN] p.xml:"), 20);
    server.logged("more; see 'flashpolicyd check'");
    let mistakes = format!("listen = {}\n{}", server.address(), "x = 1\n".repeat(500));
    fs::write(server.path("flashpolicy.conf"), mistakes).unwrap();
    server.signal("HUP");
    server.logged("and 480 more; see 'flashpolicyd check'");
    assert_eq!(found("[ERROR] flashpolicy.conf:"), 20);
}

#[test]
fn a_limit_on_the_size_of_files_ends_the_log_and_not_the_server() {
    // 10 KB.
    let limited = ["sh", "-c", "ulimit -f 20 && exec \"$0\" \"$@\""];
    let mut server = Setup::new()
        .line("log_level = debug")
        .through(&limited)
        .start();
    for _ in 0..150 {
        assert_eq!(server.ask(), BUILT_IN);
    }
    wait_for("a full log", || {
        let length = fs::metadata(&server.log).unwrap().len();
        (length > 10_000).then_some(())
    });
    assert_eq!(server.ask(), BUILT_IN);
    assert!(server.stop().success());
}
