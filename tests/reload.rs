//! Reload without a gap: on SIGHUP, and when a policy file changes.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use support::{BUILT_IN, Server, Setup, wait_for};

fn policy(port: u16) -> String {
    format!(
        "<cross-domain-policy>\n<allow-access-from domain=\"a.example\" to-ports=\"{port}\"/>\n\
         </cross-domain-policy>\n"
    )
}

fn served(port: u16) -> Vec<u8> {
    [policy(port).as_bytes(), b"\0"].concat()
}

fn with_file() -> Setup {
    Setup::new()
        .file("p.xml", policy(1))
        .line("policy_file = p.xml")
        .line("policy_watch = 0.2")
}

/// Replaces the file as an editor does that keeps the old one until the new one is complete.
fn replace(server: &Server, content: &str) {
    fs::write(server.path("new"), content).unwrap();
    fs::rename(server.path("new"), server.path("p.xml")).unwrap();
}

#[test]
fn a_changed_policy_file_is_served_soon_without_a_signal() {
    let server = with_file().start();
    assert_eq!(server.ask(), served(1));
    replace(&server, &policy(2));
    wait_for("the new policy", || {
        (server.ask() == served(2)).then_some(())
    });
    fs::write(server.path("p.xml"), policy(3)).unwrap();
    wait_for("the newest policy", || {
        (server.ask() == served(3)).then_some(())
    });
    server.logged("Changed: p.xml. The new policy is served.");
}

#[test]
fn a_broken_policy_file_is_complained_about_once_and_the_last_good_one_goes_on() {
    let server = with_file().start();
    for broken in [
        "",
        "<cross-domain-policy",
        "<cross-domain-policy/> and more",
    ] {
        let complaints = || {
            server
                .log()
                .matches("has errors; the last good one")
                .count()
        };
        let before = complaints();
        fs::write(server.path("p.xml"), broken).unwrap();
        wait_for("the complaint", || (complaints() > before).then_some(()));
        // Several more looks at the same file.
        std::thread::sleep(Duration::from_millis(900));
        assert_eq!(complaints(), before + 1, "{}", server.log());
        assert_eq!(server.ask(), served(1));
    }
    fs::remove_file(server.path("p.xml")).unwrap();
    server.logged("cannot read the policy: No such file");
    assert_eq!(server.ask(), served(1));
    replace(&server, &policy(1));
    server.logged("The policy files are free of errors again.");
    replace(&server, &policy(2));
    wait_for("the new policy", || {
        (server.ask() == served(2)).then_some(())
    });
}

#[test]
fn a_file_that_is_rewritten_in_place_is_never_served_half_written() {
    use std::os::unix::fs::FileExt;
    let two = |port: u16| {
        let grant = format!("<allow-access-from domain=\"a.example\" to-ports=\"{port}\"/>");
        format!("<cross-domain-policy>{grant}{grant}</cross-domain-policy>")
    };
    let server = Setup::new()
        .file("p.xml", two(1))
        .line("policy_file = p.xml")
        .line("policy_watch = 1")
        .start();
    let file = fs::File::options()
        .write(true)
        .open(server.path("p.xml"))
        .unwrap();
    for port in [2, 1] {
        let (old, new) = (two(3 - port), two(port));
        let half = new.len() / 2;
        file.write_all_at(&new.as_bytes()[..half], 0).unwrap();
        // The writer pauses until one look has seen the half, and the next one has not: the last
        // change was taken over by a look just now.
        let pause = std::time::Instant::now() + Duration::from_millis(1100);
        while std::time::Instant::now() < pause {
            assert_eq!(server.ask(), format!("{old}\0").as_bytes());
        }
        file.write_all_at(&new.as_bytes()[half..], half as u64)
            .unwrap();
        wait_for("the new policy", || {
            let answer = server.ask();
            if answer == format!("{new}\0").as_bytes() {
                return Some(());
            }
            assert_eq!(answer, format!("{old}\0").as_bytes());
            None
        });
    }
}

#[test]
fn sighup_takes_over_policies_and_the_log_level_and_names_what_needs_a_restart() {
    let server = Setup::new().line("workers = 3").start();
    assert_eq!(server.ask(), BUILT_IN);
    let config = format!(
        "listen = {}\nlisten = 127.0.0.3:0\nworkers = 4\ntimeout = 2\nlog_level = debug\n\
         allow = a.example 2001\n",
        server.address()
    );
    fs::write(server.path("flashpolicy.conf"), config).unwrap();
    server.signal("HUP");
    let restart = server.logged("take effect only with a restart");
    assert!(
        restart.ends_with("restart: listen, workers, timeout."),
        "{restart}"
    );
    server.logged("Reloaded flashpolicy.conf; the policies changed.");
    assert!(
        server
            .ask()
            .starts_with(b"<cross-domain-policy><allow-access-from domain=\"a.example\"")
    );
    server.connect().send(b"junk");
    server.logged("[DEBUG]");
}

#[test]
fn a_reload_with_mistakes_changes_nothing_and_says_where_they_are() {
    let server = Setup::new().line("allow = a.example 2001").start();
    let before = server.ask();
    for (config, expected) in [
        (
            "worker = 1\nallow = b.example 1",
            "[ERROR] flashpolicy.conf:1: unknown key 'worker'",
        ),
        (
            "policy_file = none.xml",
            "cannot read the policy: No such file",
        ),
    ] {
        fs::write(server.path("flashpolicy.conf"), config).unwrap();
        server.signal("HUP");
        server.logged(expected);
        assert_eq!(server.ask(), before);
    }
    server.logged("Reload failed; the last good configuration goes on:");
}

#[test]
fn a_configuration_that_is_empty_half_written_or_gone_does_not_open_the_host_to_everybody() {
    let server = Setup::new().line("allow = a.example 2001").start();
    let before = server.ask();
    let file = server.path("flashpolicy.conf");
    for content in ["", "listen = 127.0.0.1:0\n# allow = a.exa"] {
        fs::write(&file, content).unwrap();
        server.signal("HUP");
        let failures = || {
            server
                .log()
                .matches("has no `allow` or `policy_file` line any more")
                .count()
        };
        wait_for("the complaint", || (failures() > 0).then_some(()));
        assert_eq!(server.ask(), before);
    }
    fs::remove_file(&file).unwrap();
    server.signal("HUP");
    server.logged("flashpolicy.conf: cannot read the configuration file: No such file");
    assert_eq!(server.ask(), before);
}

#[test]
fn sighup_lets_the_command_line_win_as_at_the_start() {
    let server = Setup::new()
        .file("p.xml", policy(7))
        .argument("--policy")
        .argument("p.xml")
        .start();
    fs::write(server.path("flashpolicy.conf"), "log_level = debug").unwrap();
    server.signal("HUP");
    server.logged("the policies are the same");
    assert_eq!(server.ask(), served(7));
}

#[test]
fn the_log_file_that_was_moved_away_is_opened_anew() {
    let server = Server::start();
    fs::rename(server.path("flashpolicy.log"), server.path("old.log")).unwrap();
    server.signal("HUP");
    server.logged("Reloaded flashpolicy.conf");
    let old = fs::read_to_string(server.path("old.log")).unwrap();
    assert!(
        old.contains("Listening on") && !old.contains("Reloading"),
        "{old}"
    );
}

#[test]
fn ten_thousand_requests_during_a_hundred_reloads_get_one_policy_or_the_other() {
    const REQUESTS: usize = 10_000;
    const RELOADS: usize = 100;
    let server = with_file().start();
    let asked = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while asked.fetch_add(1, Ordering::Relaxed) < REQUESTS {
                    let answer = server.ask();
                    if answer != served(1) && answer != served(2) {
                        failed.store(true, Ordering::Relaxed);
                        panic!("{}", answer.escape_ascii());
                    }
                }
            });
        }
        for round in 0..RELOADS {
            // Spread over the whole run.
            wait_for("the clients", || {
                let due = round * REQUESTS / RELOADS;
                (asked.load(Ordering::Relaxed) >= due || failed.load(Ordering::Relaxed))
                    .then_some(())
            });
            let next = policy(1 + (round % 2) as u16);
            if round % 4 < 2 {
                replace(&server, &next);
            } else {
                fs::write(server.path("p.xml"), next).unwrap();
            }
            server.signal("HUP");
        }
    });
    replace(&server, &policy(1));
    server.signal("HUP");
    wait_for("the last policy", || {
        (server.ask() == served(1)).then_some(())
    });
}
