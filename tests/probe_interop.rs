//! The probe against real programs: another policy server, nginx, HAProxy, socat; TLS servers; an
//! SSH server and a database.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use support::{Ends, Setup, free_port, have, have_it, is_root, run_in, signal, wait_for};
use tempfile::TempDir;

const POLICY: &str = "<cross-domain-policy><allow-access-from domain=\"*.example.com\" \
                      to-ports=\"2001\"/></cross-domain-policy>";

fn probe(port: u16) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["probe", "127.0.0.1", "--port"];
    let output = run_in(
        folder.path(),
        &[&arguments[..], &[&port.to_string()]].concat(),
    );
    told(&output)
}

fn told(output: &Output) -> (Option<i32>, String) {
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.code(), said)
}

/// A real program, once it listens on its port; it ends with the test.
struct Peer {
    process: Ends,
    _folder: TempDir,
    port: u16,
}

impl Peer {
    fn start(folder: TempDir, port: u16, command: &mut Command) -> Peer {
        let child: Child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Ends(child);
        wait_for("the program to listen", || {
            let ended = process.0.try_wait().unwrap();
            assert!(ended.is_none(), "it ended with {ended:?}");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Peer {
            process,
            _folder: folder,
            port,
        }
    }
}

/// Where a program is that may be outside the PATH of a user.
fn path_of(program: &str) -> String {
    let sbin = format!("/usr/sbin/{program}");
    if Path::new(&sbin).exists() {
        sbin
    } else {
        program.into()
    }
}

const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// nginx, alone in its folder, with this at the beginning and at the end of its configuration.
fn nginx(modules: &str, main: &str, port: u16) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    let config = format!(
        "{modules}\ndaemon off;\nmaster_process off;\npid {here}/nginx.pid;\n\
         error_log {here}/error.log;\nevents {{}}\n{main}\n"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, config).unwrap();
    Peer::start(
        folder,
        port,
        Command::new(path_of("nginx")).arg("-c").arg(file),
    )
}

/// Whether a connection to this port has bytes that the server has not read, by the kernel's table.
fn has_unread_bytes(port: u16) -> bool {
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    table.lines().skip(1).any(|line| {
        // The local address, the state (01: established), and both queues: "sent:unread".
        let words: Vec<_> = line.split_whitespace().collect();
        words[1].ends_with(&format!(":{port:04X}"))
            && words[3] == "01"
            && !words[4].ends_with(":00000000")
    })
}

#[test]
fn our_own_server_is_fine() {
    let server = Setup::new().line("allow = *.example.com 2001").start();
    let (code, said) = probe(server.address().port());
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("and a NUL came,") && said.contains("; then closed."),
        "{said}"
    );
}

#[test]
fn a_gevent_server_after_the_original_design_is_fine() {
    let python = ["/usr/bin/python3", "python3"].into_iter().find(|python| {
        let status = Command::new(python)
            .args(["-c", "import gevent"])
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    });
    if !have_it(python.is_some(), "python3 with gevent") {
        return;
    }
    let port = free_port();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/gevent_policyd.py");
    let mut command = Command::new(python.unwrap());
    let peer = Peer::start(
        tempfile::tempdir().unwrap(),
        port,
        command.arg(script).arg(port.to_string()),
    );
    let (code, said) = probe(peer.port);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("Any content from *.example.com may connect to ports 2001 and 3000 to 3010."),
        "{said}"
    );
}

#[test]
fn nginx_answering_with_return_is_named_for_its_resets() {
    if !have("nginx") || !have_it(Path::new(STREAM_MODULE).exists(), "nginx's stream module") {
        return;
    }
    let port = free_port();
    let module = format!("load_module {STREAM_MODULE};");
    let main = format!("stream {{ server {{ listen 127.0.0.1:{port}; return '{POLICY}\0'; }} }}");
    let peer = nginx(&module, &main, port);
    // nginx resets a connection if the request is there when it closes. So it stands still until
    // the request is there.
    let nginx = peer.process.0.id();
    signal(nginx, "STOP");
    let asking = thread::spawn(move || probe(port));
    wait_for("the request", || has_unread_bytes(port).then_some(()));
    signal(nginx, "CONT");
    let (_, said) = asking.join().unwrap();
    let named = said.contains("warning[reset-after]") || said.contains("error[reset-before]");
    assert!(named, "{said}");
    assert!(said.contains("read the whole request"), "{said}");
}

#[test]
fn nginx_as_a_web_server_is_named() {
    if !have("nginx") {
        return;
    }
    let port = free_port();
    let main = format!("http {{ access_log off; server {{ listen 127.0.0.1:{port}; }} }}");
    let peer = nginx("", &main, port);
    let (code, said) = probe(peer.port);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error[http]: a web server "), "{said}");
    assert!(
        said.contains(&format!("stop the web server on port {port}")),
        "{said}"
    );
}

#[test]
fn haproxy_in_front_of_our_server_is_fine_and_without_it_the_proxy_is_named() {
    if !have("haproxy") {
        return;
    }
    let mut server = Setup::new().line("allow = *.example.com 2001").start();
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "defaults\n mode tcp\n timeout connect 500ms\n timeout client 5s\n timeout server 5s\n retries 0\n\
         listen policy\n bind 127.0.0.1:{port}\n server ours {}\n",
        server.address()
    );
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, config).unwrap();
    let peer = Peer::start(
        folder,
        port,
        Command::new(path_of("haproxy"))
            .args(["-db", "-f"])
            .arg(&file),
    );
    let (code, said) = probe(peer.port);
    assert_eq!(code, Some(0), "{said}");

    server.stop();
    let (code, said) = probe(peer.port);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("error[closed-empty]") || said.contains("error[reset-before]"),
        "{said}"
    );
    assert!(
        said.contains("behind a proxy, start the server that it passes connections to"),
        "{said}"
    );
}

/// An authority (`ca.pem`), and a key and a certificate that it signed for localhost and 127.0.0.1, both
/// in `both.pem`, and each in a file of its own.
fn certificate() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let made = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "openssl {arguments}");
    };
    let new = "req -newkey rsa:2048 -nodes -keyout";
    openssl(&format!(
        "{new} ca.key -x509 -days 2 -subj /CN=Authority -out ca.pem"
    ));
    openssl(&format!("{new} key.pem -subj /CN=localhost -out request"));
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
    fs::write(folder.path().join("names"), names).unwrap();
    openssl(
        "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names \
         -out cert.pem",
    );
    let parts = ["key.pem", "cert.pem"].map(|name| fs::read(folder.path().join(name)).unwrap());
    fs::write(folder.path().join("both.pem"), parts.concat()).unwrap();
    folder
}

/// Such a server sends no alert for the player's request, and the probe finds it all the same.
fn is_named_as_tls(peer: &Peer) {
    if !cfg!(feature = "tls") {
        return;
    }
    let (code, said) = probe(peer.port);
    assert_eq!(code, Some(2), "{said}");
    let named = "error[tls]: a TLS server listens here: it answers a TLS client hello, and the \
                 player's plain text with ";
    assert!(said.contains(named), "{said}");
    let cure = format!(
        "What to change:\n- for Socket and XMLSocket, serve the policy without TLS on port {}",
        peer.port
    );
    assert!(said.contains(&cure), "{said}");
}

#[test]
fn openssl_is_named_as_tls() {
    if !have("openssl") {
        return;
    }
    let port = free_port();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut command = Command::new("openssl");
        let accept = format!("127.0.0.1:{port}");
        command.args(["s_server", "-quiet", "-www", "-accept", &accept, version]);
        command.args(["-key", "key.pem", "-cert", "cert.pem"]);
        is_named_as_tls(&Peer::start(certificate(), port, &mut command));
    }
}

#[test]
fn haproxy_with_ssl_is_named_as_tls() {
    if !have("haproxy") || !have("openssl") {
        return;
    }
    let port = free_port();
    let folder = certificate();
    let config = format!(
        "defaults\n mode tcp\n timeout connect 500ms\n timeout client 5s\n timeout server 5s\n\
         listen policy\n bind 127.0.0.1:{port} ssl crt both.pem\n server ours 127.0.0.1:9\n"
    );
    fs::write(folder.path().join("haproxy.cfg"), config).unwrap();
    let mut command = Command::new(path_of("haproxy"));
    command.args(["-db", "-f", "haproxy.cfg"]);
    is_named_as_tls(&Peer::start(folder, port, &mut command));
}

#[test]
fn pythons_ssl_is_named_as_tls() {
    if !have("python3") || !have("openssl") {
        return;
    }
    let port = free_port();
    let script = "import socket, ssl, sys\n\
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
        context.load_cert_chain('cert.pem', 'key.pem')\n\
        server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n\
        with context.wrap_socket(server, server_side=True) as server:\n    \
            while True:\n        \
                try:\n            \
                    server.accept()\n        \
                except OSError:\n            \
                    pass\n";
    let mut command = Command::new("python3");
    command.args(["-c", script, &port.to_string()]);
    is_named_as_tls(&Peer::start(certificate(), port, &mut command));
}

/// A server that answers the player's request inside TLS, in Python; it takes these versions.
fn policy_inside_tls(folder: TempDir, versions: &str) -> Peer {
    let port = free_port();
    let policy = POLICY.replace("2001", "*");
    let script = format!(
        "import socket, ssl, sys\n\
         context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
         context.load_cert_chain('cert.pem', 'key.pem')\n\
         context.minimum_version = context.maximum_version = ssl.TLSVersion.{versions}\n\
         server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n\
         while True:\n    \
             client = server.accept()[0]\n    \
             try:\n        \
                 client = context.wrap_socket(client, server_side=True)\n        \
                 if client.recv(99) == b'<policy-file-request/>\\0':\n            \
                     client.sendall(b'{policy}\\0')\n        \
                 client.unwrap()\n    \
             except OSError:\n        \
                 pass\n    \
             client.close()\n"
    );
    let mut command = Command::new("python3");
    command.args(["-c", &script, &port.to_string()]);
    Peer::start(folder, port, &mut command)
}

/// A probe inside TLS of this host, by what a computer trusts that has these certificates alone.
fn probe_inside_tls(
    host: &str,
    peer: &Peer,
    trusted: &str,
    more: &[&str],
) -> (Option<i32>, String) {
    let output = support::binary()
        .args(["probe", host, "--tls", "--port", &peer.port.to_string()])
        .args(more)
        .env_remove("SSL_CERT_DIR")
        .env("SSL_CERT_FILE", peer._folder.path().join(trusted))
        .output()
        .unwrap();
    told(&output)
}

#[test]
fn a_policy_inside_tls_is_asked_for_as_a_secure_socket_does() {
    if !cfg!(feature = "tls") || !have("python3") || !have("openssl") {
        return;
    }
    for (versions, name) in [("TLSv1_2", "TLS 1.2"), ("TLSv1_3", "TLS 1.3")] {
        let peer = policy_inside_tls(certificate(), versions);
        let port = peer.port.to_string();
        let connection = ["--from", "https://www.example.com", "--to", &port];
        // The certificate is for the host, and this computer trusts its authority.
        let (code, said) = probe_inside_tls("127.0.0.1", &peer, "ca.pem", &[]);
        assert_eq!(code, Some(0), "{said}");
        let trusted = format!(
            "The probe asks inside TLS, as a SWF with SecureSocket does on the destination port, and \
             probably on port 843. It checks the certificate and its host name by what this computer \
             trusts.\n\n127.0.0.1:{port} (in place of the master policy): connected in "
        );
        assert!(said.contains(&trusted), "{said}");
        let trusted =
            format!(", {name} with a certificate that is trusted, sent <policy-file-request/>");
        assert!(said.contains(&trusted), "{said}");
        // Trusted, where this very certificate is on the list.
        let (code, said) = probe_inside_tls("127.0.0.1", &peer, "cert.pem", &[]);
        assert_eq!(code, Some(0), "{said}");
        // Not trusted: it is asked on, and said.
        let (code, said) = probe_inside_tls("127.0.0.1", &peer, "request", &[]);
        assert_eq!(code, Some(1), "{said}");
        let fault =
            "warning[certificate]: the certificate is signed by nobody whom this computer trusts";
        assert!(said.contains(fault), "{said}");
        assert!(
            said.contains("Any content from *.example.com may connect to any port."),
            "{said}"
        );
        let (code, said) = probe_inside_tls("127.0.0.1", &peer, "request", &connection);
        assert_eq!(code, Some(1), "{said}");
        let line = format!(
            "POLICY WARNING - https://www.example.com may connect to 127.0.0.1, port {port}, if the player's computer trusts the certificate"
        );
        assert!(said.starts_with(&line), "{said}");
        for told in [
            " UNCERTAIN: the certificate on port ",
            "\n- get a certificate for the host name",
        ] {
            assert!(said.contains(told), "{said}");
        }
        for accepted in [&["--ignore", "certificate"][..], &["--errors-only"]] {
            let more = [&connection[..], accepted].concat();
            let (code, said) = probe_inside_tls("127.0.0.1", &peer, "request", &more);
            assert_eq!(code, Some(0), "{said}");
            assert!(
                !said.contains("UNCERTAIN") && !said.contains("if the player's"),
                "{said}"
            );
        }
        // Another host name than it is for.
        let other = "localhost.localdomain";
        let hosts = format!("127.0.0.1 {other}\n");
        if is_root() {
            fs::write(peer._folder.path().join("hosts"), hosts).unwrap();
            let script = "mount --bind hosts /etc/hosts && exec \"$@\"";
            let output = Command::new("unshare")
                .args(["--mount", "sh", "-c", script, "sh", support::binary_path()])
                .args(["probe", other, "--tls", "--port", &port])
                .current_dir(peer._folder.path())
                .env("SSL_CERT_FILE", peer._folder.path().join("ca.pem"))
                .output()
                .unwrap();
            let (_, said) = told(&output);
            let fault =
                format!("the certificate is for localhost and 127.0.0.1, and not for {other}");
            assert!(said.contains(&fault), "{said}");
        }
    }
}

#[test]
fn a_certificate_that_its_owner_signed_is_trusted_where_it_is_on_the_list_itself() {
    if !cfg!(feature = "tls") || !have("python3") || !have("openssl") {
        return;
    }
    let folder = certificate();
    let options = "req -newkey rsa:2048 -nodes -keyout key.pem -x509 -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -out cert.pem";
    let made = Command::new("openssl")
        .args(options.split(' '))
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let peer = policy_inside_tls(folder, "TLSv1_3");
    let (code, said) = probe_inside_tls("127.0.0.1", &peer, "cert.pem", &[]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = probe_inside_tls("127.0.0.1", &peer, "ca.pem", &[]);
    assert_eq!(code, Some(1), "{said}");
    let fault =
        "the certificate is its own authority (self-signed), which this computer does not trust\n";
    assert!(said.contains(fault), "{said}");
}

#[test]
fn inside_tls_a_port_without_tls_and_a_game_are_told_from_a_policy() {
    if !cfg!(feature = "tls") || !have("python3") || !have("openssl") {
        return;
    }
    // The policy in the clear, which a SecureSocket does not see.
    let server = Setup::new().line("allow = *.example.com 2001").start();
    let folder = tempfile::tempdir().unwrap();
    let port = server.address().port().to_string();
    let arguments = ["probe", "127.0.0.1", "--tls", "--port", &port];
    let (code, said) = told(&run_in(folder.path(), &arguments));
    assert_eq!(code, Some(2), "{said}");
    let fault = "error[no-tls]: the port takes connections, and no TLS: ";
    assert!(said.contains(fault), "{said}");
    assert!(
        said.contains("; in the clear it has a policy, for Socket and XMLSocket"),
        "{said}"
    );
    assert!(said.contains("probe without `--tls`"), "{said}");
    // The policy inside TLS, and a game with and without it.
    let peer = policy_inside_tls(certificate(), "TLSv1_3");
    for (game, code, verdict) in [
        (peer.port.to_string(), 0, ", with TLS 1.3."),
        (
            port,
            2,
            "ALLOWED, and the player reports an IOError (and SecurityError #2048 after 20 s, unless the SWF closes the socket), because there is no TLS: ",
        ),
        (
            free_port().to_string(),
            2,
            "ALLOWED, and the player reports IOError #2031 at once",
        ),
    ] {
        let connection = ["--from", "www.example.com", "--to", &game];
        let (exit, said) = probe_inside_tls("127.0.0.1", &peer, "ca.pem", &connection);
        assert!(said.contains(verdict), "{said}");
        assert_eq!(exit, Some(code), "{said}");
        let cure = format!(
            "- on 127.0.0.1: the game on port {game} speaks no TLS: put it behind TLS (`scripts/haproxy/tls.cfg`), or use Socket/XMLSocket in the SWF"
        );
        assert_eq!(said.contains(&cure), verdict.contains("no TLS"), "{said}");
        assert!(!said.contains("serve the policy inside TLS"), "{said}");
    }
}

#[test]
fn without_the_feature_asking_inside_tls_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |arguments: &[&str]| {
        told(&run_in(
            folder.path(),
            &[&["probe", "a"], arguments].concat(),
        ))
    };
    if cfg!(feature = "tls") {
        for (arguments, expected) in [
            (
                &["--tls", "--player", "lightspark"][..],
                "--tls asks as a SecureSocket does, and Lightspark has none",
            ),
            (&["--tls", "--load", "a:1"], "--tls goes without --load"),
        ] {
            let (code, said) = ask(arguments);
            assert!(code == Some(3) && said.contains(expected), "{said}");
        }
    } else {
        let (code, said) = ask(&["--tls"]);
        assert_eq!(code, Some(3));
        assert!(
            said.contains("--tls: this flashpolicyd was built without TLS"),
            "{said}"
        );
    }
}

/// A service of another kind is named, and what to do about it.
fn is_named(peer: &Peer, service: &str) {
    let (code, said) = probe(peer.port);
    assert_eq!(code, Some(2), "{said}");
    let named = format!("error[not-a-policy]: {service} answered: ");
    assert!(said.contains(&named), "{said}");
    let cure = format!(
        "- move that service to another port, and start a policy server on port {}",
        peer.port
    );
    assert!(said.contains(&cure), "{said}");
}

#[test]
fn sshd_is_named() {
    if !have("sshd") || !have("ssh-keygen") || !have("unshare") || !is_root() {
        return;
    }
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    // It wants a folder in /run, which here is its own.
    let script = "mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec /usr/sbin/sshd \"$@\"";
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "sh",
        "-c",
        script,
        "sshd",
        "-D",
        "-e",
        "-f",
        "/dev/null",
    ]);
    command.args(["-o", "PidFile=none", "-o"]);
    command.arg(format!("ListenAddress=127.0.0.1:{port}"));
    command.arg("-h").arg(&key);
    is_named(&Peer::start(folder, port, &mut command), "an SSH server");
}

#[test]
fn mariadb_is_named() {
    if !have("mariadbd") || !is_root() {
        return;
    }
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut command = Command::new(path_of("mariadbd"));
    // Without the tables of its users it greets as with them.
    command.args([
        "--no-defaults",
        "--user=root",
        "--skip-grant-tables",
        "--socket=socket",
    ]);
    command.arg(format!("--datadir={}", data.display()));
    command.args(["--bind-address=127.0.0.1", &format!("--port={port}")]);
    is_named(
        &Peer::start(folder, port, &mut command),
        "a MySQL or MariaDB server",
    );
}

#[test]
fn socat_doing_nothing_is_silent() {
    if !have("socat") {
        return;
    }
    let port = free_port();
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork");
    let peer = Peer::start(
        tempfile::tempdir().unwrap(),
        port,
        Command::new("socat").args(["-u", &listen, "OPEN:/dev/null"]),
    );
    let (code, said) = probe(peer.port);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("error[silent]: the connection was accepted, and nothing came within "),
        "{said}"
    );
}
