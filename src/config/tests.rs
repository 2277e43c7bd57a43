//! The configuration: every key, every mistake, and the shipped file.

use std::net::SocketAddr;
use std::time::Duration;

use log::LevelFilter;
use proptest::prelude::*;

use super::draft::draft;
use super::keys::KEYS;
use super::*;
use crate::config::ignore::Ignored;
use crate::output::diagnostic::number;
use crate::policy::{DomainPattern, Grant, MetaPolicy, PortSet};

fn parsed(text: &str) -> Result<Config, Vec<String>> {
    parse(text, Path::new("/etc/x.conf"), &[])
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

fn listen(address: &str) -> Listen {
    Listen::from(address.parse::<SocketAddr>().unwrap())
}

fn mistake(text: &str) -> String {
    let mistakes = parsed(text).expect_err("the text holds a mistake");
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    mistakes.into_iter().next().unwrap()
}

#[test]
fn the_shipped_file_says_exactly_the_defaults() {
    let shipped = include_str!("../../flashpolicy.conf");
    assert_eq!(parsed(shipped), Ok(Config::default()));
    let mut keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    let live: String = shipped
        .lines()
        .filter_map(|line| {
            let line = line.strip_prefix('#')?;
            let key = line.split_once('=')?.0.trim();
            keys.iter()
                .position(|known| *known == key)
                .map(|at| keys.remove(at))?;
            Some(format!("{line}\n"))
        })
        .collect();
    assert_eq!(keys, Vec::<&str>::new(), "keys that the file does not list");
    let relative = parse(&live, Path::new("flashpolicy.conf"), &[]);
    assert_eq!(relative, Ok(Config::default()));
}

#[test]
fn every_key_sets_its_value() {
    let text = "listen = 127.0.0.1:843\nlisten=[::1]:8430 policy=own policy.xml\n\
        allow = *.example.com 2001, 3000-3010\nallow = * * secure\n\
        meta_policy = master-only\npolicy_watch = 0\nworkers = 7\n\
        timeout = 2.5\nmax_connections = 9\nlog_file = none\nlog_max_size = 2M\nlog_keep = 0\nlog_level = debug\nlog_console = yes\n\
        stats_interval = 90s\nstats_file = fp.prom\n\
        ignore = secure-grant, ip-domain\nignore = large\n\
        pid_file = /run/x.pid\nuser = nobody\ngroup = 7";
    for key in KEYS.iter().map(|key| key.name) {
        let is_set = |line: &str| line.trim().starts_with(key);
        // It excludes 'allow', and is set in other tests.
        assert!(key == "policy_file" || text.lines().any(is_set), "{key}");
    }
    let startup = Startup {
        listen: vec![listen("127.0.0.1:843"), listen("[::1]:8430")],
        workers: Some(7),
        timeout: Duration::from_millis(2500),
        max_connections: 9,
        log_file: None,
        log_max_size: Some(2_000_000),
        log_keep: 0,
        log_console: LogConsole::Yes,
        pid_file: Some("/run/x.pid".into()),
        user: Some("nobody".into()),
        group: Some("7".into()),
        stats_file: Some("/etc/fp.prom".into()),
    };
    let live = Live {
        own_policy_files: vec![None, Some("/etc/own policy.xml".into())],
        policy_file: None,
        allow: vec![
            Grant {
                domain: DomainPattern::parse("*.example.com").unwrap(),
                ports: PortSet::parse("2001,3000-3010").unwrap(),
                secure: false,
            },
            Grant {
                secure: true,
                ..DEFAULT_ALLOW
            },
        ],
        meta_policy: Some(MetaPolicy::MasterOnly),
        policy_watch: Duration::ZERO,
        log_level: LevelFilter::Debug,
        stats_interval: Duration::from_secs(90),
        ignore: Ignored::parse("secure-grant ip-domain large", &known_codes()).unwrap(),
    };
    let expected = Config {
        startup,
        live,
        written: KeyPositions::default(),
    };
    assert_eq!(parsed(text), Ok(expected.clone()));
    let windows = format!("\u{feff}{}\r\n", text.replace('\n', "\r\n"));
    assert_eq!(parsed(&windows), Ok(expected));
}

#[test]
fn inherited_sockets_take_the_place_of_the_default_but_not_of_lines() {
    let inherited = ["[::]:843".parse().unwrap(), "127.0.0.1:1".parse().unwrap()];
    let listens = |text: &str| {
        let draft = draft(text, Path::new("x.conf"), &[]);
        let Config { startup, live, .. } = draft.finish(&inherited).unwrap();
        (startup.listen, live.own_policy_files)
    };
    let (v6, v4) = (listen("[::]:843"), listen("127.0.0.1:1"));
    assert_eq!(listens(""), (vec![v6, v4], vec![None, None]));
    let other = listen("127.0.0.1:2");
    let own = Some("p.xml".into());
    assert_eq!(
        listens("listen = 127.0.0.1:2\nlisten = 127.0.0.1:1 policy=p.xml"),
        (vec![other, v4, v6], vec![None, own, None])
    );
}

#[test]
fn a_mistake_says_where_what_and_what_was_expected() {
    for (text, expected) in [
        (
            "\nworker = 3",
            "/etc/x.conf:2: unknown key 'worker'; did you mean 'workers'?",
        ),
        (
            "max_pending = 3",
            "/etc/x.conf:1: the key 'max_pending' does not exist any more: no connection waits \
             for a worker; remove the line, or set 'max_connections', the connections that may wait at once",
        ),
        (
            "loglevel = info",
            "/etc/x.conf:1: unknown key 'loglevel'; did you mean 'log_level'?",
        ),
        (
            "workers = 1\n#\nworkers = 2",
            "/etc/x.conf:3: key 'workers' is set twice, first at /etc/x.conf:1; \
             remove one of the two lines",
        ),
        (
            "workers = 0",
            "/etc/x.conf:1: workers = 0: out of range; expected a whole number from 1 to 4096 for \
             each listener, or 'auto' for the number of processors",
        ),
        (
            "workers = 4 # four",
            "/etc/x.conf:1: workers = 4 # four: not a whole number; \
             write `workers = 4`; a comment needs a line of its own",
        ),
        (
            "allow = *\t2001 # c",
            "/etc/x.conf:1: allow = *\\t2001 # c: `2001 # c` is no port; \
             write `allow = * 2001`; a comment needs a line of its own",
        ),
        (
            "listen = 1.2.3.4:843\tproxy\t# c",
            "/etc/x.conf:1: listen = 1.2.3.4:843\\tproxy\\t# c: '# c' is not understood; \
             write `listen = 1.2.3.4:843 proxy`; a comment needs a line of its own",
        ),
        (
            "timeout = NaN",
            "/etc/x.conf:1: timeout = NaN: out of range; \
             expected seconds from 0.1 to 3600, such as 3 or 2.5",
        ),
        (
            "listen = 843",
            "/etc/x.conf:1: listen = 843: the address is missing; for every address of the host \
             write [::]:843 or 0.0.0.0:843",
        ),
        (
            "port = 843",
            "/etc/x.conf:1: unknown key 'port'; write `listen = [::]:843`",
        ),
        (
            "port = x",
            "/etc/x.conf:1: unknown key 'port'; write `listen = ADDRESS:PORT`",
        ),
        (
            "threads = 4",
            "/etc/x.conf:1: unknown key 'threads'; write `workers = 4`",
        ),
        (
            "meta_policy = master",
            "/etc/x.conf:1: meta_policy = master: `master` is no meta-policy; did you mean \
             `master-only`?",
        ),
        (
            "allow = mygame.com:9339",
            "/etc/x.conf:1: allow = mygame.com:9339: `mygame.com:9339` has a port, or is no \
             IPv6 address; write `allow = mygame.com 9339`",
        ),
        (
            "ignore = secure-grants",
            "/etc/x.conf:1: ignore = secure-grants: `secure-grants` is no code; did you mean \
             `secure-grant`?",
        ),
        (
            "listen = 10.0.0.1",
            "/etc/x.conf:1: listen = 10.0.0.1: the port is missing; write 10.0.0.1:843",
        ),
        (
            "workers 4",
            "/etc/x.conf:1: 'workers 4' has no '='; expected a line 'key = value'",
        ),
        (
            "log_file =",
            "/etc/x.conf:1: log_file = : the value is missing; \
             expected the path of the log file, or 'none'",
        ),
        (
            "chroot = /srv",
            "/etc/x.conf:1: the key 'chroot' does not exist any more: systemd's \
             RootDirectory=, a container, or 'user' alone keep the server away from other \
             files; remove the line",
        ),
        (
            "log_level = \u{1b}[2J",
            "/etc/x.conf:1: log_level = \\u{1b}[2J: not one of the choices; \
             expected error, warn, info or debug",
        ),
    ] {
        assert_eq!(mistake(text), expected);
    }
}

#[test]
fn a_key_like_no_other_gets_the_list_of_all() {
    let message = mistake("colour = red");
    let known = message
        .split_once("unknown key 'colour'; expected one of: ")
        .unwrap()
        .1;
    assert_eq!(known.split(", ").count(), KEYS.len());
}

#[test]
fn a_listener_behind_a_load_balancer_says_so_before_its_policy() {
    let listen = |value: &str| {
        let Config { startup, live, .. } = parsed(&format!("listen = {value}"))?;
        Ok::<_, Vec<String>>((startup.listen[0], live.own_policy_files[0].clone()))
    };
    let behind = Listen {
        proxy: true,
        ..self::listen("[::]:843")
    };
    assert_eq!(listen("[::]:843 proxy"), Ok((behind, None)));
    let (other_port, _) = listen("[::]:8430 proxy").unwrap();
    assert_eq!(other_port.players_port(), Some(843));
    let own = Some("/etc/proxy policy.xml".into());
    let value = "[::]:843 \t proxy  policy=proxy policy.xml";
    assert_eq!(listen(value), Ok((behind, own)));
    for (value, expected) in [
        ("[::]:843 proxys", "'proxys' is not understood"),
        ("[::]:843 proxy v2", "'v2' is not understood"),
        (
            "[::]:843 policy=p.xml proxy",
            "'proxy' stands before 'policy=FILE'",
        ),
        ("[::]:843 proxy policy=", "the policy's file is missing"),
    ] {
        let mistake = mistake(&format!("listen = {value}"));
        assert!(mistake.contains(expected), "{mistake}");
    }
}

#[test]
fn an_address_twice_is_a_mistake_but_port_0_is_not() {
    assert!(mistake("listen = [::]:843\nlisten = [::]:843").contains(":2: "));
    assert!(parsed("listen = 127.0.0.1:0\nlisten = 127.0.0.1:0").is_ok());
}

#[test]
fn two_lines_that_take_the_same_port_are_a_mistake() {
    for (lines, taken) in [
        (
            "listen = [::]:843\nlisten = 127.0.0.1:843",
            Some(":2: listen = 127.0.0.1:843: [::]:843 (set at /etc/x.conf:1)"),
        ),
        ("listen = [::1]:843\nlisten = [::]:843", Some(":1: ")),
        ("listen = 0.0.0.0:843\nlisten = 127.0.0.1:843", Some(":2: ")),
        ("listen = [::]:843\nlisten = 0.0.0.0:843", None),
        (
            "listen = [::]:843\nlisten = 0.0.0.0:843\nlisten = 127.0.0.1:843",
            Some(":3: listen = 127.0.0.1:843: 0.0.0.0:843"),
        ),
        ("listen = 0.0.0.0:843\nlisten = [::1]:843", None),
        ("listen = [::]:843\nlisten = 127.0.0.1:844", None),
        ("listen = [::]:0\nlisten = 127.0.0.1:0", None),
    ] {
        match taken {
            Some(expected) => assert!(
                mistake(lines).contains(expected),
                "{lines}: {}",
                mistake(lines)
            ),
            None => assert!(parsed(lines).is_ok(), "{lines}"),
        }
    }
    // A socket that is there already was bound by the process that gave it.
    let text = "listen = [::]:843\nlisten = 127.0.0.1:843";
    let draft = draft(text, Path::new("x"), &[]);
    assert!(draft.finish(&["127.0.0.1:843".parse().unwrap()]).is_ok());
}

#[test]
fn a_mistake_marks_its_place_in_the_line() {
    let text = "\n  allow  =  *.example.com 80 secure # x\n worker = 3\n";
    let mistakes = parse(text, Path::new("x"), &[]).unwrap_err();
    let marked: Vec<_> = mistakes
        .iter()
        .map(|mistake| {
            let place = &mistake.place;
            let from = place.text.chars().skip(place.column.unwrap() - 1);
            let part: String = from.take(place.width).collect();
            (place.line.unwrap(), part)
        })
        .collect();
    let value = "*.example.com 80 secure # x".to_string();
    assert_eq!(marked, [(2, value), (3, "worker".into())]);
}

#[test]
fn all_mistakes_are_reported_in_one_go() {
    let mistakes =
        parsed("a\nworkers = x\ntimeout = 0\nlog_consol = no\nlisten = host").unwrap_err();
    assert_eq!(mistakes.len(), 5, "{mistakes:?}");
}

#[test]
fn of_thousands_of_mistakes_the_first_are_kept_and_all_are_counted() {
    for line in ["x", "allow = ", "allow = * 0 # x", "listen = x"] {
        let text = format!("{line}\n").repeat(5_000);
        let mistakes = parse(&text, Path::new("x"), &[]).unwrap_err();
        assert_eq!(mistakes.len(), 101, "{line}");
        assert_eq!(number(&mistakes), 5_000);
        assert_eq!(mistakes[100].to_string(), "x: and 4900 more like these");
    }
    let lines = |line: fn(u32) -> String| (0..1_600).map(line).collect::<String>();
    for (text, expected) in [
        (
            lines(|_| "allow = * 1\n".into()),
            "x:1501: allow = * 1: a policy cannot hold so many grants: it has 65536 bytes at most; merge lines",
        ),
        (
            lines(|n| format!("listen = 127.0.0.1:{}\n", n + 1)),
            "x:1001: listen = 127.0.0.1:1001: there are 1000 listeners already",
        ),
    ] {
        let mistakes = parse(&text, Path::new("x"), &[]).unwrap_err();
        assert!(
            mistakes[0].to_string().starts_with(expected),
            "{mistakes:?}"
        );
    }
}

#[test]
fn the_command_line_wins_and_lists_replace_the_files() {
    let text = "listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\nworkers = 3\nlog_file = x.log";
    let option = |option, key, value: &str| Override {
        option,
        key,
        value: value.into(),
    };
    let overrides = [
        option("--listen", "listen", "127.0.0.1:8"),
        option("--listen", "listen", "127.0.0.1:9"),
        option("--workers", "workers", "5"),
        option("--log-file", "log_file", "y.log"),
    ];
    let config = parse(text, Path::new("/etc/x.conf"), &overrides).unwrap();
    assert_eq!(
        config.startup.listen,
        [listen("127.0.0.1:8"), listen("127.0.0.1:9")]
    );
    assert_eq!(config.startup.workers, Some(5));
    assert_eq!(config.startup.log_file, Some("y.log".into()));
    let wrong = parse("", Path::new(""), &[option("--workers", "workers", "0")]).unwrap_err();
    assert!(wrong[0].to_string().starts_with("--workers: "), "{wrong:?}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(?s).{0,200}") {
        let _ = parsed(&text);
    }

    #[test]
    fn near_misses_do_not_panic_either(
        lines in proptest::collection::vec(
            ("listen|workers|timeout|max_connections|log_level|nothing", "[ =]{0,3}", "[-+0-9.:\\[\\]eE]{0,12}"),
            0..8,
        )
    ) {
        let text: String = lines.iter().map(|(k, e, v)| format!("{k}{e}{v}\n")).collect();
        let _ = parsed(&text);
    }
}

#[test]
fn a_reload_changes_the_policies_of_the_listeners_and_nothing_that_is_bound() {
    let old = parsed("listen = 127.0.0.1:1\nlisten = 127.0.0.1:2 policy=old.xml").unwrap();
    let new = "listen = 127.0.0.1:1 proxy policy=new.xml\nlisten = 127.0.0.1:3\n\
               workers = 77\nlog_level = debug";
    let new = parsed(new).unwrap();
    assert_eq!(
        old.startup.changed_keys(&new.startup),
        ["listen", "workers"]
    );
    let reloaded = old.reloaded(new);
    assert_eq!(reloaded.startup, old.startup);
    let files = ["/etc/new.xml", "/etc/old.xml"].map(|file| Some(file.into()));
    assert_eq!(reloaded.live.own_policy_files, files);
    assert_eq!(reloaded.live.log_level, LevelFilter::Debug);
}

#[test]
fn every_key_that_needs_a_restart_is_named() {
    let text = "listen = 127.0.0.1:1\nworkers = 4096\ntimeout = 2.5\nmax_connections = 9\n\
                log_file = none\nlog_max_size = 2M\nlog_keep = 0\nlog_console = yes\n\
                pid_file = x\nuser = nobody\ngroup = 7\nstats_file = fp.prom";
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.split(" = ").next())
        .collect();
    let changed = parsed(text).unwrap();
    assert_eq!(Startup::default().changed_keys(&changed.startup), names);
}
