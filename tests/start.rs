//! How the server starts, and how it refuses to: configuration, command line, ports, files.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::net::TcpListener;

use support::{BUILT_IN, Client, REQUEST, Server, Setup, binary, finish, run_in, stderr};

/// A folder with a configuration in it.
fn folder_with(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("flashpolicy.conf"), config).unwrap();
    folder
}

#[test]
fn five_mistakes_give_five_messages_and_exit_code_2_before_a_port_is_bound() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "listen = {}\nworker = 4\ntimeout = soon\nlog_level info\nmax_connections = 0\n\
         log_console = auto\nlog_console = no\n",
        taken.local_addr().unwrap()
    );
    let folder = folder_with(&config);
    let output = run_in(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    let errors = stderr(&output);
    let expected = [
        "flashpolicy.conf:2: unknown key 'worker'; did you mean 'workers'?",
        "flashpolicy.conf:3: timeout = soon: not a number; expected seconds from 0.1 to 3600",
        "flashpolicy.conf:4: 'log_level info' has no '='; expected a line 'key = value'",
        "flashpolicy.conf:5: max_connections = 0: out of range; expected a whole number from 1 to 1000000",
        "flashpolicy.conf:7: key 'log_console' is set twice, first at flashpolicy.conf:6",
    ];
    assert_eq!(errors.lines().count(), expected.len(), "{errors}");
    for (line, expected) in errors.lines().zip(expected) {
        assert!(
            line.starts_with(&format!("flashpolicyd: {expected}")),
            "{line}"
        );
    }
    assert!(!folder.path().join("flashpolicy.log").exists());
}

#[test]
fn a_mistake_on_the_command_line_names_the_option() {
    let folder = folder_with("");
    for (arguments, expected) in [
        (
            &["--workers", "many"][..],
            "--workers: workers = many: not a whole number",
        ),
        (
            &["--listen", "localhost"],
            "--listen: listen = localhost: not an IP address and a port",
        ),
        (&["--prot", "843"], "not understood: '--prot', '843'"),
        (&["serve", "x", "y"], "not understood: 'x', 'y'"),
        (
            &["--config"],
            "the '--config' option doesn't have an associated value",
        ),
        (
            &["-c", "missing.conf"],
            "missing.conf: cannot read the configuration file: No such file",
        ),
        (
            &["-c", "."],
            ".: cannot read the configuration file: it is a folder, and no regular file",
        ),
        (
            &["--policy", "missing.xml"],
            "missing.xml: error: cannot read the policy: No such file",
        ),
        (
            &["--log-file", "no/such/folder.log"],
            "log_file no/such/folder.log: cannot open the log",
        ),
        (
            &["--log-file", "."],
            "log_file .: cannot open the log for appending (in /",
        ),
    ] {
        let output = run_in(folder.path(), arguments);
        let errors = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(
            errors
                .trim_start_matches("flashpolicyd: ")
                .starts_with(expected),
            "{errors}"
        );
    }
}

#[test]
fn a_configuration_that_is_not_text_is_refused_with_its_line() {
    let folder = folder_with("");
    let file = folder.path().join("flashpolicy.conf");
    fs::write(&file, b"# fine\n\xff\xfe\n").unwrap();
    let output = run_in(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "flashpolicyd: flashpolicy.conf:2: not UTF-8 text; save the file as UTF-8\n"
    );
}

#[test]
fn an_empty_policy_and_one_over_64_kib_are_refused() {
    let folder = folder_with("policy_file = p.xml");
    for (content, expected) in [
        (String::new(), "error[malformed]: the file is empty"),
        (
            "x".repeat(70_000),
            "error[too-large]: the policy has more than 65536 bytes",
        ),
    ] {
        fs::write(folder.path().join("p.xml"), content).unwrap();
        let output = run_in(folder.path(), &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn help_and_version_need_no_configuration() {
    let folder = folder_with("no configuration at all");
    let help = run_in(folder.path(), &["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("flashpolicyd check"));
    let version = run_in(folder.path(), &["-V"]);
    let expected = concat!("flashpolicyd ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
}

#[test]
fn a_port_in_use_is_said_with_its_address_and_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = folder_with(&format!("listen = {address}\npid_file = x.pid"));
    let output = run_in(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let errors = stderr(&output);
    assert!(
        errors.contains(&format!(
            "\nflashpolicyd: cannot listen on {address}: Address already in use"
        )),
        "{errors}"
    );
    assert!(
        errors.contains(&format!("ss -ltnp sport = :{}", address.port())),
        "{errors}"
    );
    let log = fs::read_to_string(folder.path().join("flashpolicy.log")).unwrap();
    assert!(
        log.contains(&format!("[ERROR] cannot listen on {address}")),
        "{log}"
    );
    assert!(!folder.path().join("x.pid").exists());
}

#[test]
fn a_low_port_without_the_right_says_how_to_get_it() {
    if !support::have("setpriv") || !support::is_root() {
        return;
    }
    // Nobody cannot enter a folder of root's.
    let mut command = std::process::Command::new("setpriv");
    let output = finish(
        command
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--bounding-set=-all",
            ])
            .arg(support::copy_for_everybody())
            .args(["--listen", "127.0.0.1:843", "--log-file", "none"])
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let errors = stderr(&output);
    if output.status.code() != Some(1) {
        panic!("{:?} {errors}", output.status);
    }
    for way in [
        "cannot listen on 127.0.0.1:843: Permission denied",
        "root",
        "setcap cap_net_bind_service=+ep",
        "net.ipv4.ip_unprivileged_port_start",
        "systemd",
        "Security.loadPolicyFile(\"xmlsocket://HOST:",
    ] {
        assert!(errors.contains(way), "{way}: {errors}");
    }
}

#[test]
fn the_start_says_which_configuration_holds() {
    let server = Setup::new().line("workers = 3").start();
    server.logged("Configuration: flashpolicy.conf.");
    let elsewhere = Setup::new()
        .file("other.conf", "listen = 127.0.0.1:0\nworkers = 2")
        .argument("-c")
        .argument("other.conf")
        .start();
    elsewhere.logged("Configuration: other.conf.");
    assert_eq!(elsewhere.ask(), BUILT_IN);
}

#[test]
fn the_command_line_wins_over_the_file() {
    let server = Setup::new()
        .line("listen = 127.0.0.2:0")
        .line("policy_file = missing.xml")
        .file("own.xml", "<cross-domain-policy/>")
        .argument("serve")
        .argument("--listen=127.0.0.1:0")
        .argument("--policy")
        .argument("own.xml")
        .start();
    assert!(server.address().ip().to_string() == "127.0.0.1");
    assert_eq!(server.ask(), b"<cross-domain-policy/>\0");
}

#[test]
fn relative_paths_are_relative_to_the_configuration_file() {
    let setup = Setup::new();
    let deep = setup.path("deep");
    fs::create_dir(&deep).unwrap();
    fs::write(deep.join("p.xml"), "<cross-domain-policy/>").unwrap();
    fs::write(
        deep.join("x.conf"),
        "listen = 127.0.0.1:0\npolicy_file = p.xml\nlog_file = ../flashpolicy.log\npid_file = x.pid",
    )
    .unwrap();
    let server = setup.argument("-c").argument("deep/x.conf").start();
    assert_eq!(server.ask(), b"<cross-domain-policy/>\0");
    let pid = fs::read_to_string(deep.join("x.pid")).unwrap();
    assert_eq!(pid.trim(), server.child.id().to_string());
}

#[test]
fn the_built_in_policy_is_served_with_one_warning_a_configured_one_with_none() {
    let warned = |server: &Server| {
        server
            .log()
            .matches("[WARN] No policy is configured")
            .count()
    };
    let built_in = Server::start();
    assert_eq!(
        (built_in.ask(), built_in.ask()),
        (BUILT_IN.into(), BUILT_IN.into())
    );
    assert_eq!(warned(&built_in), 1);
    let own = Setup::new()
        .file("own.xml", "<cross-domain-policy/>")
        .line("policy_file = own.xml")
        .start();
    assert_eq!(warned(&own), 0);
}

#[test]
fn the_pid_file_is_written_when_the_ports_are_bound_and_removed_at_the_end() {
    let mut server = Setup::new().line("pid_file = x.pid").start();
    let file = server.path("x.pid");
    let pid = fs::read_to_string(&file).unwrap();
    assert_eq!(pid, format!("{}\n", server.child.id()));
    assert!(server.stop().success());
    assert!(!file.exists());
}

#[test]
fn a_pid_file_that_a_live_server_holds_is_an_obstacle_and_a_stale_one_is_not() {
    let setup = Setup::new()
        .file("x.pid", "4194303\n")
        .line("pid_file = x.pid");
    let mut server = setup.start();
    let file = server.path("x.pid");
    let holder = || flashpolicyd::daemon::pid_file::holder(&file).unwrap();
    assert_eq!(holder(), Some(server.child.id()));
    let arguments = ["--listen", "127.0.0.1:0", "--log-file", "none"];
    let second = run_in(server.folder.path(), &arguments);
    assert_eq!(second.status.code(), Some(1));
    let expected = format!(
        "already running: process {} holds the pid file x.pid",
        server.child.id()
    );
    assert!(stderr(&second).contains(&expected), "{}", stderr(&second));
    assert_eq!(server.ask(), BUILT_IN);
    assert_eq!(holder(), Some(server.child.id()));
    assert!(server.stop().success());
    assert_eq!(holder(), None);
}

#[test]
fn several_addresses_are_bound_all_or_none() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = folder_with(&format!("listen = 127.0.0.1:0\nlisten = {address}"));
    let output = run_in(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let log = fs::read_to_string(folder.path().join("flashpolicy.log")).unwrap();
    assert!(!log.contains("Listening on"), "{log}");
}

#[test]
fn both_wildcards_with_one_port_are_two_listeners() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this host has no IPv6");
        return;
    }
    let port = TcpListener::bind("[::]:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = Setup::new()
        .line(format!("listen = [::]:{port}"))
        .line(format!("listen = 0.0.0.0:{port}"))
        .start();
    assert_eq!(server.addresses.len(), 2);
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let mut client = Client::connect(address.parse().unwrap());
        client.send(REQUEST);
        assert_eq!(client.rest(), BUILT_IN);
    }
}

#[test]
fn port_843_with_no_argument_at_all_serves_everybody_as_root() {
    if !support::is_root() || TcpListener::bind("[::]:843").is_err() {
        println!("skipped: port 843 needs root, and nobody else on it");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let child = binary()
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let _ends = support::Ends(child);
    let answer = support::wait_for("an answer on port 843", || {
        let stream = std::net::TcpStream::connect("127.0.0.1:843").ok()?;
        let mut client = Client::new(stream);
        client.send(REQUEST);
        Some(client.rest())
    });
    assert_eq!(answer, BUILT_IN);
    assert!(folder.path().join("flashpolicy.log").exists());
}

#[test]
fn of_two_starts_at_once_one_serves() {
    for _ in 0..10 {
        let address = format!("127.0.0.1:{}", support::free_port());
        let start = || {
            let setup = Setup::new().line(format!("listen = {address}"));
            setup.line("pid_file = none").start_without_waiting()
        };
        let mut both = [start(), start()];
        let failed = support::wait_for("one of them to give up", || {
            let mut ended = both.iter_mut().enumerate();
            ended.find_map(|(index, server)| {
                let status = server.child.try_wait().unwrap()?;
                Some((index, status))
            })
        });
        assert_eq!(failed.1.code(), Some(1));
        let serving = &mut both[1 - failed.0];
        serving.logged("Listening on ");
        let mut client = Client::connect(address.parse().unwrap());
        client.send(REQUEST);
        assert_eq!(client.rest(), BUILT_IN);
        serving.stop();
    }
}

/// As HAProxy binds by default, and nginx with `reuseport`.
#[test]
fn no_other_program_can_share_its_port() {
    let server = Server::start();
    let address = server.address();
    let socket = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )
    .unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    let error = socket.bind(&address.into()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn a_limit_of_open_files_that_leaves_room_for_few_clients_is_an_error_with_the_number_needed() {
    let start = |limit: &str| {
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        Setup::new()
            .line("workers = 2")
            .through(&["sh", "-c", &script])
    };
    let mut refused = start("10").start_without_waiting();
    assert_eq!(refused.ended().code(), Some(1));
    let line = refused.logged("the limit of open files is 10");
    let needed = line.split("raise it to ").nth(1).unwrap();
    let needed = needed.split(' ').next().unwrap();
    let server = start(needed).start();
    assert_eq!(server.ask(), BUILT_IN);
}
