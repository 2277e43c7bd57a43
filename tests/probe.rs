//! The probe against servers that are broken in one way each: it names the cause and the cure.

mod support;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use flashpolicyd::probe::Class;
use socket2::{Domain, Socket, Type};
use support::{free_port, in_a_network_of_its_own, run_in, Setup, PATIENCE};

const POLICY: &str = "<cross-domain-policy><allow-access-from domain=\"*.example.com\" \
                      to-ports=\"2001,3000-3010\"/></cross-domain-policy>";

/// A server on 127.0.0.1 that treats every connection the same way, each on a thread of its own,
/// until the test ends.
fn fault(treat: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + Copy + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    serve(listener, treat);
    port
}

fn serve(
    listener: TcpListener,
    treat: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + Copy + 'static,
) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                treat(&mut stream)
            });
        }
    });
}

/// Reads one request and gives it.
fn hear(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = [0; 256];
    let count = stream.read(&mut request)?;
    Ok(request[..count].to_vec())
}

/// Hears the request, sends this, and closes cleanly.
fn answer(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(bytes.as_ref())
}

/// Leaves the connection open until the client closes it.
fn hold(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(|_| ())
}

/// What was sent is given time to arrive before this.
fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

/// The close will be a reset.
fn reset(stream: &TcpStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO))
}

fn with_nul(policy: &str) -> Vec<u8> {
    [policy.as_bytes(), b"\0"].concat()
}

/// A policy with this many bytes, its NUL included.
fn long(bytes: usize) -> Vec<u8> {
    let filling = "x".repeat(bytes - POLICY.len() - "<!---->".len() - 1);
    with_nul(&format!("<!--{filling}-->{POLICY}"))
}

fn grant(attributes: &str) -> Vec<u8> {
    with_nul(&format!(
        "<cross-domain-policy><allow-access-from {attributes}/></cross-domain-policy>"
    ))
}

fn probe(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), &[&["probe"], arguments].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A way to serve, what the probe has to say of it, what to change, and the exit code.
struct Row {
    name: &'static str,
    treat: fn(&mut TcpStream) -> io::Result<()>,
    cause: &'static str,
    cure: &'static str,
    code: i32,
}

#[rustfmt::skip]
const FAULTS: &[Row] = &[
    Row { name: "accepts and hangs", treat: hold,
        cause: "error[silent]: the connection was accepted, and nothing came within", cure: "answer as soon as `<policy-file-request/>` and a NUL have come", code: 2 },
    Row { name: "closes without a byte", treat: |s| hear(s).map(|_| ()),
        cause: "error[closed-empty]: the connection was closed after", cure: "compare what has come so far, piece by piece", code: 2 },
    Row { name: "resets without a byte", treat: |s| { hear(s)?; reset(s) },
        cause: "error[reset-before]: the connection was reset after", cure: "read the whole request, send policy and NUL, and only then close", code: 2 },
    Row { name: "resets in the middle of the policy", treat: |s| { answer(s, &POLICY[..40])?; pause(100); reset(s) },
        cause: "error[reset-before]: the connection was reset after 40 bytes", cure: "read the whole request, send policy and NUL, and only then close", code: 2 },
    Row { name: "closes with the request unread", treat: |s| { pause(100); s.write_all(&with_nul(POLICY)) },
        cause: "warning[reset-after]: the connection was reset after the policy", cure: "a close with unread bytes becomes a reset", code: 1 },
    Row { name: "resets after the policy", treat: |s| { answer(s, with_nul(POLICY))?; pause(100); reset(s) },
        cause: "warning[reset-after]: the connection was reset after the policy; on Windows that can throw the policy away", cure: "read the whole request before closing", code: 1 },
    Row { name: "no NUL and closed, as Adobe's inetd samples", treat: |s| answer(s, POLICY),
        cause: "warning[no-nul]: the policy ends with the connection, without a NUL", cure: "send a NUL (one byte of value 0) right behind the policy", code: 1 },
    Row { name: "no NUL and left open", treat: |s| { answer(s, POLICY)?; hold(s) },
        cause: "error[no-nul-open]:", cure: "send a NUL (one byte of value 0) right behind the policy, then close the connection", code: 2 },
    Row { name: "a line end for the NUL, left open", treat: |s| { answer(s, format!("{POLICY}\n"))?; hold(s) },
        cause: "the player waits for the NUL", cure: "send a NUL", code: 2 },
    Row { name: "NUL and left open", treat: |s| { answer(s, with_nul(POLICY))?; hold(s) },
        cause: "warning[left-open]: the connection was left open after the NUL", cure: "close the connection right after the NUL", code: 1 },
    Row { name: "header and body in separate writes", treat: |s| { answer(s, &POLICY[..21])?; pause(200); s.write_all(&with_nul(&POLICY[21..])) },
        cause: "warning[several-pieces]: the policy came in 2 pieces, the first of 21 bytes", cure: "send policy and NUL in one write", code: 1 },
    Row { name: "the NUL in a write of its own", treat: |s| { answer(s, POLICY)?; pause(200); s.write_all(b"\0") },
        cause: "warning[several-pieces]:", cure: "send policy and NUL in one write", code: 1 },
    Row { name: "byte by byte", treat: |s| { hear(s)?; for byte in grant("domain='a.b' to-ports='1'").chunks(1) { s.write_all(byte)?; pause(5); } Ok(()) },
        cause: "warning[several-pieces]:", cure: "send policy and NUL in one write", code: 1 },
    Row { name: "takes half of the player's time", treat: |s| { hear(s)?; pause(1100); s.write_all(&with_nul(POLICY)) },
        cause: "warning[slow]: the policy took", cure: "answer from memory, look up no names", code: 1 },
    Row { name: "comes when the player has given up", treat: |s| { hear(s)?; pause(2500); s.write_all(&with_nul(POLICY)) },
        cause: "error[too-slow]: the policy came after 2.", cure: "answer from memory, look up no names", code: 2 },
    Row { name: "over 4,095 bytes", treat: |s| answer(s, long(4_096)),
        cause: "warning[large]: the policy has 4096 bytes with its NUL", cure: "remove comments, and merge grants", code: 1 },
    Row { name: "over 10,000 bytes", treat: |s| answer(s, long(10_001)),
        cause: "warning[very-large]: the policy has 10001 bytes with its NUL", cure: "remove comments, and merge grants", code: 1 },
    Row { name: "over 64 KiB", treat: |s| { let _ = answer(s, long(80_000)); hold(s) },
        cause: "error[too-large]: the policy has", cure: "remove comments, and merge grants", code: 2 },
    Row { name: "never ends", treat: |s| { answer(s, "<cross-domain-policy>")?; loop { s.write_all(&[b' '; 4096])?; } },
        cause: "error[too-large]: the policy has", cure: "remove comments, and merge grants", code: 2 },
    Row { name: "drips for ever", treat: |s| { hear(s)?; loop { s.write_all(b"<")?; pause(20); } },
        cause: "error[no-nul-open]:", cure: "send a NUL", code: 2 },
    Row { name: "a web server: 400", treat: |s| answer(s, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html>400</html>"),
        cause: "error[http]: a web server answered: \"HTTP/1.1 400 Bad Request\"", cure: "stop the web server on port", code: 2 },
    Row { name: "a web server that serves crossdomain.xml to whatever comes", treat: |s| answer(s, format!("HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n{POLICY}")),
        cause: "error[http]: a web server answered: \"HTTP/1.0 200 OK\"", cure: "start a policy server there: `listen = [::]:", code: 2 },
    Row { name: "a web server's page without a header", treat: |s| answer(s, "<html><head><title>400 Bad Request</title></head></html>"),
        cause: "error[http]: a web server answered: \"<html>", cure: "stop the web server on port", code: 2 },
    Row { name: "a web server that waits for the rest of the request",
        treat: |s| { let request = hear(s)?; if request.ends_with(b"\r\n\r\n") { s.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n") } else { hold(s) } },
        cause: "error[http]: a web server listens here: it waits for the rest of an HTTP request", cure: "stop the web server on port", code: 2 },
    Row { name: "a Silverlight policy", treat: |s| answer(s, "<?xml version=\"1.0\"?>\n<access-policy><cross-domain-access/></access-policy>\0"),
        cause: "error[silverlight]: this is a Silverlight policy (clientaccesspolicy), not one for Flash", cure: "serve a `cross-domain-policy` on port", code: 2 },
    Row { name: "Java's writeUTF", treat: |s| answer(s, [&(POLICY.len() as u16 + 1).to_be_bytes(), &with_nul(POLICY)[..]].concat()),
        cause: "error[length-prefix]: a length of 2 bytes stands before the XML: \"\\x00", cure: "not `writeUTF`", code: 2 },
    Row { name: "a length of four bytes, the lowest first", treat: |s| answer(s, [&(POLICY.len() as u32).to_le_bytes(), &with_nul(POLICY)[..]].concat()),
        cause: "error[length-prefix]: a length of 4 bytes", cure: "write the bytes of the XML alone", code: 2 },
    Row { name: "a greeting before the XML", treat: |s| answer(s, [b"220 welcome\r\n", &with_nul(POLICY)[..]].concat()),
        cause: "error[junk-before]: 13 bytes of something else stand before the XML: \"220 welcome\\r\\n\"", cure: "begin the answer with the policy's `<`", code: 2 },
    Row { name: "an echo", treat: |s| { let request = hear(s)?; s.write_all(&request)?; hold(s) },
        cause: "error[echo]: the request came back as the answer", cure: "start a policy server on port", code: 2 },
    Row { name: "the game itself, on the policy's port", treat: |s| { hear(s)?; s.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n")?; hold(s) },
        cause: "error[not-a-policy]: what came is no XML: \"SSH-2.0-OpenSSH_9.2p1\\r\\n\"", cure: "move that service to another port", code: 2 },
    Row { name: "a TLS server", treat: |s| answer(s, b"\x15\x03\x01\x00\x02\x02\x0a"),
        cause: "error[tls]: a TLS server answered", cure: "serve the policy without TLS", code: 2 },
    Row { name: "crossdomain.xml on the socket", treat: |s| answer(s, grant("domain='*'")),
        cause: "error[to-ports-missing]: the grant names no ports; this is a policy for HTTP (crossdomain.xml), not for sockets", cure: "add the ports it may connect to, such as `to-ports=\"2001,3000-3010\"`", code: 2 },
    Row { name: "broken XML", treat: |s| answer(s, "<cross-domain-policy><allow-access-from></cross-domain-policy>\0"),
        cause: "error[malformed]: `cross-domain-policy` is closed here, while `allow-access-from` is still open", cure: "end each element with ` />`", code: 2 },
    Row { name: "a byte-order mark", treat: |s| answer(s, [b"\xEF\xBB\xBF", &with_nul(POLICY)[..]].concat()),
        cause: "error[bom]: the file begins with a byte-order mark", cure: "save the file as UTF-8 without one", code: 2 },
    Row { name: "UTF-16", treat: |s| answer(s, [b"\xFF\xFE".to_vec(), POLICY.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()),
        cause: "error[bom]: the file is UTF-16", cure: "save the file as plain ASCII or as UTF-8", code: 2 },
    Row { name: "a NUL in the middle", treat: |s| answer(s, [&with_nul(&POLICY[..30]), &with_nul(&POLICY[30..])[..]].concat()),
        cause: "error[nul-inside]: a NUL stands in the middle of the file", cure: "delete it; NULs may only end the file", code: 2 },
    Row { name: "a line end after the NUL", treat: |s| answer(s, format!("{POLICY}\0\r\n")),
        cause: "warning[after-nul]: 2 bytes came after the NUL", cure: "send nothing after the NUL, not even a line end", code: 1 },
    Row { name: "two NULs", treat: |s| answer(s, format!("{POLICY}\0\0")),
        cause: "POLICY OK - 127.0.0.1:", cure: "", code: 0 },
    Row { name: "ends in the middle of the policy", treat: |s| answer(s, &POLICY[..60]),
        cause: "error[cut-off]: the answer ends after 60 bytes, in the middle of the policy", cure: "write the whole policy and its NUL before the connection is closed", code: 2 },
    Row { name: "waits for a line end (telnet-tested)",
        treat: |s| { let request = hear(s)?; if request.ends_with(b"\n") { s.write_all(&with_nul(POLICY)) } else { hold(s) } },
        cause: "warning[strict-request]: a policy comes for a request with a line end in place of the NUL, and none for the player's", cure: "end the request at the NUL, not at a line end", code: 2 },
    Row { name: "compares one chunk with a string that has no NUL",
        treat: |s| { if hear(s)? == b"<policy-file-request/>" { s.write_all(&with_nul(POLICY)) } else { Ok(()) } },
        cause: "warning[strict-request]: a policy comes for a request with no NUL, and none for the player's", cure: "compare without it", code: 2 },
    Row { name: "a star in the wrong place", treat: |s| answer(s, grant("domain='www.*.com' to-ports='*'")),
        cause: "error[domain-invalid]: `www.*.com` has a `*` where none is possible", cure: "write `*` alone, or in front as in `*.example.com`", code: 2 },
    Row { name: "a meta-policy for HTTP", treat: |s| answer(s, "<cross-domain-policy><site-control permitted-cross-domain-policies='by-content-type'/></cross-domain-policy>\0"),
        cause: "error[meta-policy-not-for-sockets]:", cure: "write `all`, `master-only` or `none`", code: 2 },
    Row { name: "site-control last", treat: |s| answer(s, "<cross-domain-policy><allow-access-from domain='a.b' to-ports='1'/><site-control permitted-cross-domain-policies='all'/></cross-domain-policy>\0"),
        cause: "warning[site-control-order]:", cure: "move it to the front", code: 1 },
    Row { name: "blanks in to-ports", treat: |s| answer(s, grant("domain='a.b' to-ports='80, 81'")),
        cause: "warning[blanks-in-ports]:", cure: "write `80,81`", code: 1 },
    Row { name: "everything allowed", treat: |s| answer(s, grant("domain='*' to-ports='*'")),
        cause: "warning[allows-everything]:", cure: "name the domains and the ports", code: 1 },
    Row { name: "nothing granted", treat: |s| answer(s, "<cross-domain-policy/>\0"),
        cause: "warning[no-grant]:", cure: "add a grant", code: 1 },
    Row { name: "terminal escapes", treat: |s| answer(s, b"\x1b]0;owned\x07\x9b31m"),
        cause: "error[not-a-policy]: what came is no XML: \"\\x1b]0;owned\\x07\\x9b31m\"", cure: "move that service", code: 2 },
    Row { name: "terminal escapes in XML", treat: |s| answer(s, "<cross-domain-policy><\u{1b}[2J/></cross-domain-policy>\0"),
        cause: "error[malformed]:", cure: "write `&lt;`", code: 2 },
    Row { name: "nothing wrong", treat: |s| answer(s, with_nul(POLICY)),
        cause: "POLICY OK - 127.0.0.1:", cure: "", code: 0 },
];

#[test]
fn every_fault_is_named_with_its_cause_and_its_cure() {
    let next = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                use std::sync::atomic::Ordering::Relaxed;
                while let Some(row) = FAULTS.get(next.fetch_add(1, Relaxed)) {
                    check(row);
                }
            });
        }
    });
}

fn check(row: &Row) {
    let port = fault(row.treat).to_string();
    let begun = Instant::now();
    let output = probe(&["127.0.0.1", "--port", &port, "--timeout", "2"]);
    let said = stdout(&output);
    let name = row.name;
    assert_eq!(output.status.code(), Some(row.code), "{name}: {said}");
    assert!(said.contains(row.cause), "{name}: {said}");
    assert!(said.contains(row.cure), "{name}: {said}");
    let state = ["OK", "WARNING", "CRITICAL"][row.code as usize];
    assert!(
        said.starts_with(&format!("POLICY {state} - ")),
        "{name}: {said}"
    );
    assert!(begun.elapsed() < PATIENCE, "{name}");
    let tame = |c: char| c == '\n' || !c.is_control();
    assert!(said.chars().all(tame), "{name}: {said:?}");
    assert!(said.len() < 20_000, "{name}: {}", said.len());
}

#[test]
fn there_are_enough_faults() {
    assert!(FAULTS.len() >= 40);
}

#[test]
fn a_port_where_nobody_listens_is_refused_and_what_to_configure_is_said() {
    let port = free_port().to_string();
    let output = probe(&["127.0.0.1", "--port", &port]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("error[refused]: the port refuses connections"),
        "{said}"
    );
    assert!(
        said.contains(&format!("not on 127.0.0.1 alone: `listen = [::]:{port}`")),
        "{said}"
    );
}

#[test]
fn a_full_backlog_looks_like_a_firewall_and_is_bounded_in_time() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        })
        .collect();
    let port = address.as_socket().unwrap().port().to_string();
    let begun = Instant::now();
    let output = probe(&["127.0.0.1", "--port", &port, "--timeout", "0.5"]);
    let said = stdout(&output);
    drop(waiting);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("error[filtered]: nobody answered the connection attempt within"),
        "{said}"
    );
    assert!(said.contains("let TCP port"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_name_without_an_address_is_unreachable() {
    // Too long for a label: no name server is asked.
    let name = "x".repeat(64);
    let output = probe(&[&name]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("POLICY CRITICAL - unresolved: "), "{said}");
    assert!(
        said.contains("correct the name, its DNS record, or the resolver of this host"),
        "{said}"
    );
}

#[test]
fn verdicts_are_in_the_users_words_and_cures_are_lines_of_the_configuration() {
    fn master_only(s: &mut TcpStream) -> io::Result<()> {
        answer(s, "<cross-domain-policy><site-control permitted-cross-domain-policies='master-only'/><allow-access-from domain='*.example.com' to-ports='2001'/></cross-domain-policy>\0")
    }
    fn none(s: &mut TcpStream) -> io::Result<()> {
        answer(s, "<cross-domain-policy><site-control permitted-cross-domain-policies='none'/><allow-access-from domain='*.example.com' to-ports='*'/></cross-domain-policy>\0")
    }
    fn localhost(s: &mut TcpStream) -> io::Result<()> {
        answer(s, grant("domain='localhost' to-ports='*'"))
    }
    fn secure(s: &mut TcpStream) -> io::Result<()> {
        answer(s, grant("domain='a.example' to-ports='*' secure='true'"))
    }
    fn good(s: &mut TcpStream) -> io::Result<()> {
        answer(s, with_nul(POLICY))
    }
    fn broken(s: &mut TcpStream) -> io::Result<()> {
        answer(s, "<cross-domain-policy>\0")
    }
    type Treat = fn(&mut TcpStream) -> io::Result<()>;
    #[rustfmt::skip]
    let cases: [(Treat, &str, u16, &[&str]); 11] = [
        (good, "www.example.com", 3011, &["DENIED, the player reports SecurityError #2048: a SWF from http://www.example.com may not connect to 127.0.0.1:3011.", "grant 1 is for ports 2001 and 3000 to 3010, not for 3011", "`allow = *.example.com 3011`"]),
        (good, "www.example.org", 3010, &["grant 1 is for *.example.com, not for www.example.org", "`allow = www.example.org 3010`"]),
        (localhost, "www.example.com", 2001, &["grant 1 is for localhost, not for www.example.com", "`allow = www.example.com 2001`", "<allow-access-from domain=\"www.example.com\" to-ports=\"2001\" />"]),
        (localhost, "127.0.0.1", 2001, &["names and addresses never match each other", "`allow = 127.0.0.1 2001`"]),
        (localhost, "https://[::1]", 2001, &["`allow = [::1] 2001`"]),
        (good, "file:", 2001, &["only `*` matches local content", "`allow = * 2001`"]),
        (secure, "a.example", 2001, &["for content loaded over HTTPS only", "load the SWF over HTTPS", "`allow = a.example 2001`"]),
        (none, "www.example.com", 2001, &["its meta-policy is `none`, which denies everything", "`meta_policy = master-only`", "no other port was asked"]),
        (none, "www.example.org", 2001, &["`meta_policy = master-only`", "`allow = www.example.org 2001`"]),
        (master_only, "www.example.com", 2002, &["no other port was asked: the meta-policy leaves other policies without effect", "`allow = *.example.com 2002`"]),
        (broken, "www.example.com", 2001, &["error[malformed]", "UNCERTAIN: how the player takes what port", "`allow = www.example.com 2001`"]),
    ];
    for (treat, origin, to, expected) in cases {
        let port = fault(treat).to_string();
        let to = to.to_string();
        let arguments = [
            "127.0.0.1",
            "--port",
            &port,
            "--timeout",
            "1",
            "--from",
            origin,
            "--to",
            &to,
        ];
        let output = probe(&arguments);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(2), "{origin} {to}: {said}");
        assert!(said.contains("(SecurityError #2048)"), "{said}");
        for part in expected {
            assert!(
                said.contains(part),
                "{origin} {to}: {part} is missing in {said}"
            );
        }
    }
}

#[test]
fn ports_that_want_the_same_are_one_line() {
    let port = fault(|s| answer(s, grant("domain='localhost' to-ports='*'"))).to_string();
    let output = probe(&[
        "127.0.0.1",
        "--port",
        &port,
        "--timeout",
        "1",
        "--from",
        "www.example.com",
        "--to",
        "1024,3001,2001",
    ]);
    let said = stdout(&output);
    assert!(
        said.contains("`allow = www.example.com 1024,2001,3001`"),
        "{said}"
    );
    assert_eq!(said.matches("DENIED, ").count(), 3, "{said}");
}

#[test]
fn a_permitted_port_where_nobody_listens_is_what_the_user_sees() {
    let policy = fault(|s| answer(s, grant("domain='a.example' to-ports='*'"))).to_string();
    let closed = free_port().to_string();
    let arguments = |to| {
        [
            "127.0.0.1",
            "--port",
            &policy,
            "--timeout",
            "3",
            "--from",
            "a.example",
            "--to",
            to,
        ]
    };
    let output = probe(&arguments(&closed));
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("finds nobody at 127.0.0.1, port"), "{said}");
    assert!(said.contains("ALLOWED, and the player reports IOError #2031, for nobody answers there (connection refused)"), "{said}");
    assert!(said.contains("start the application on port"), "{said}");

    let game = fault(hold).to_string();
    let output = probe(&arguments(&game));
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("ALLOWED: a SWF from http://a.example may connect to 127.0.0.1:{game}, by <allow-access-from domain=\"a.example\" to-ports=\"*\" />")), "{said}");
}

#[test]
fn the_destination_port_and_named_locations_are_asked_in_the_players_order() {
    let silent_game = fault(hold);
    let with_policy = fault(|s| answer(s, grant("domain='a.example' to-ports='1024-65535'")));
    let low = fault(|s| answer(s, grant("domain='a.example' to-ports='*'")));
    let no_master = free_port().to_string();
    let closed = free_port().to_string();
    let ask = |to: u16, more: &[&str]| {
        let to = to.to_string();
        let arguments = [
            "127.0.0.1",
            "--port",
            &no_master,
            "--timeout",
            "2",
            "--from",
            "a.example",
            "--to",
            &to,
        ];
        let output = probe(&[&arguments[..], more].concat());
        (output.status.code(), stdout(&output))
    };
    let (code, said) = ask(with_policy, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(&format!("in the policy of port {with_policy} itself")),
        "{said}"
    );

    let (code, said) = ask(silent_game, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("port {silent_game} itself has no policy: the connection was accepted, and nothing came")), "{said}");
    assert!(
        said.contains("loadPolicyFile(\"xmlsocket://127.0.0.1:10843\")"),
        "{said}"
    );

    let load = format!("xmlsocket://127.0.0.1:{low}");
    let (code, said) = ask(silent_game, &["--load", &load]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(&format!(
            "once it has called Security.loadPolicyFile(\"xmlsocket://127.0.0.1:{low}\")"
        )),
        "{said}"
    );

    // The server alone: nothing has to change where the SWF names its policy.
    let output = probe(&["127.0.0.1", "--port", &no_master, "--load", &load]);
    let said = stdout(&output);
    assert!(
        said.starts_with(&format!("POLICY OK - 127.0.0.1:{low} answered in ")),
        "{said}"
    );
    assert!(!said.contains("start a policy server"), "{said}");

    // From there it opens no port below 1024.
    let (code, said) = ask(79, &["--load", &load]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("it cannot grant ports below 1024"), "{said}");
    assert!(
        said.contains("serve the policy from port 843 too (`listen = [::]:843`)"),
        "{said}"
    );

    // A location on another host opens nothing here, and one that fails is named.
    let other = format!("127.0.0.2:{low}");
    let failing = format!("127.0.0.1:{closed}");
    let (code, said) = ask(silent_game, &["--load", &other, "--load", &failing]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("warning[wrong-host]: --load {other} was not asked: a policy of 127.0.0.2 lets nobody connect to 127.0.0.1")), "{said}");
    assert!(
        said.contains("name it in `loadPolicyFile` as in `connect`"),
        "{said}"
    );
    assert!(
        said.contains(&format!(
            "port {closed}, named by --load: the port refuses connections"
        )),
        "{said}"
    );
}

#[test]
fn what_port_843_answers_is_uncertain_where_it_is_no_policy() {
    let master = fault(|s| answer(s, "<cross-domain-policy>\0")).to_string();
    let game = fault(|s| answer(s, grant("domain='a.example' to-ports='*'"))).to_string();
    let output = probe(&[
        "127.0.0.1",
        "--port",
        &master,
        "--from",
        "a.example",
        "--to",
        &game,
    ]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("ALLOWED: ") && said.contains(" UNCERTAIN: "),
        "{said}"
    );
}

#[test]
fn quiet_is_the_plugins_line_alone_and_json_one_object() {
    let port = fault(|s| answer(s, with_nul(POLICY))).to_string();
    let output = probe(&["127.0.0.1", "--port", &port, "--quiet"]);
    let said = stdout(&output);
    let pattern = format!("POLICY OK - 127.0.0.1:{port} answered in ");
    assert!(
        said.starts_with(&pattern) && said.ends_with("s;;3\n"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);

    let arguments = [
        "127.0.0.1",
        "--port",
        &port,
        "--from",
        "b.example",
        "--to",
        "2001",
        "--json",
        "--timeout",
        "1",
    ];
    let output = probe(&arguments);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["exit"], 2);
    assert_eq!(object["state"], "CRITICAL");
    let address = &object["addresses"][0];
    assert_eq!(address["address"], "127.0.0.1");
    assert_eq!(address["steps"][0]["step"], "master");
    assert_eq!(address["steps"][0]["nul"], true);
    assert_eq!(address["steps"][1]["step"], "destination");
    let verdict = &address["verdicts"][0];
    assert_eq!(verdict["allowed"], false);
    assert_eq!(verdict["error"], "SecurityError #2048");
    assert_eq!(object["changes"][0]["conf"], "allow = b.example 2001");
}

#[test]
fn a_hostile_answer_is_tame_in_json_too() {
    let port = fault(|s| {
        answer(
            s,
            "<cross-domain-policy>\u{1b}\u{9b}\u{202e}|</cross-domain-policy>",
        )
    })
    .to_string();
    for style in ["--json", "--quiet"] {
        let output = probe(&["127.0.0.1", "--port", &port, style]);
        let said = stdout(&output);
        assert!(
            said.trim_end()
                .chars()
                .all(|c| !c.is_control() && c != '\u{202e}'),
            "{said:?}"
        );
        assert!(
            said.matches('|').count() <= 1 || style == "--json",
            "{said}"
        );
    }
}

#[test]
fn a_policy_of_ten_thousand_findings_makes_a_short_story() {
    let port = fault(|s| {
        answer(
            s,
            with_nul(&format!(
                "<cross-domain-policy>{}</cross-domain-policy>",
                "<a/>".repeat(15_000)
            )),
        )
    })
    .to_string();
    let output = probe(&["127.0.0.1", "--port", &port]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{}", &said[..200]);
    assert!(
        said.len() < 10_000 && said.contains("more findings."),
        "{}",
        said.len()
    );
}

#[test]
fn a_wrong_command_line_is_exit_code_3_and_unknown_to_the_monitor() {
    for (arguments, expected) in [
        (&[][..], "probe takes one argument: HOST"),
        (&["a", "b"], "probe takes one argument: HOST"),
        (&["a", "--wrong"], "not understood: '--wrong'"),
        (&["http://a/"], "HOST 'http://a/': this is more than a host"),
        (&["a", "--to", "80"], "--to needs --from"),
        (&["a", "--port", "0"], "--port '0': no port"),
        (
            &["a", "--port", "1", "--port", "2"],
            "--port is given 2 times",
        ),
    ] {
        let output = probe(arguments);
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.starts_with("POLICY UNKNOWN - ") && said.contains(expected),
            "{said}"
        );
        assert!(said.contains("try: flashpolicyd probe --help"), "{said}");
    }
    let output = probe(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("--from ORIGIN"));
}

/// Policies, some with another that is named by loadPolicyFile; origins; ports.
const MASTERS: [&str; 10] = [
    "",
    "allow = *.example.com 2001,3000-3010",
    "allow = *.example.com 2001 secure\nallow = localhost *",
    "allow = * 80,2001",
    "allow = 203.0.113.7 *\nallow = game.example.com 3000-65535",
    "allow = *.example.com 2001\nmeta_policy = none",
    "allow = *.example.com 2001\nmeta_policy = master-only",
    "allow = *.example.org 2001\nmeta_policy = all",
    "allow = * * secure\nmeta_policy = master-only",
    "allow = example.com 1-1023",
];
const ORIGINS: [&str; 6] = [
    "game.example.com",
    "https://www.example.com",
    "example.com",
    "203.0.113.7",
    "file:",
    "badexample.com",
];
const PORTS: [u16; 4] = [80, 2001, 3005, 65535];

#[test]
fn for_200_combinations_the_probe_says_what_explain_says_and_its_cure_cures() {
    let mut compared = 0;
    let mut cured = 0;
    for (index, master) in MASTERS.iter().enumerate() {
        let second = free_port();
        let location = format!("listen = 127.0.0.1:{second} policy=second.xml");
        // Every other policy has a second one beside it.
        let has_second = index % 2 == 1;
        let mut setup = Setup::new()
            .file(
                "second.xml",
                grant("domain='*.example.com' to-ports='80,3005'"),
            )
            .line(*master);
        if has_second {
            setup = setup.line("listen = 127.0.0.1:0").line(&*location);
        }
        let server = setup.start();
        let port = server.address().port().to_string();
        let second_line = if has_second { location.as_str() } else { "" };
        let config = format!("{master}\nlisten = 127.0.0.1:843\n{second_line}\n");
        let explained = |config: &str, origin: &str, to: u16| {
            std::fs::write(server.path("explain.conf"), config).unwrap();
            let output = run_in(
                server.folder.path(),
                &[
                    "explain",
                    "--config",
                    "explain.conf",
                    "--json",
                    origin,
                    &to.to_string(),
                ],
            );
            let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code(), object["verdicts"][0].clone())
        };
        let load = format!("127.0.0.1:{second}");
        let mut more = vec!["--timeout", "1", "--json"];
        if has_second {
            more.extend(["--load", &load]);
        }
        for origin in ORIGINS {
            let to = PORTS.map(|port| port.to_string()).join(",");
            let arguments = ["127.0.0.1", "--port", &port, "--from", origin, "--to", &to];
            let output = probe(&[&arguments[..], &more].concat());
            let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let verdicts = object["addresses"][0]["verdicts"].as_array().unwrap();
            assert_eq!(verdicts.len(), PORTS.len());
            for (verdict, to) in verdicts.iter().zip(PORTS) {
                let (code, said) = explained(&config, origin, to);
                let case = format!("{master}: {origin} to {to}: {said}{verdict:#}");
                assert_eq!(verdict["allowed"], code == Some(0), "{case}");
                if verdict["allowed"] == true {
                    assert_eq!(verdict["by"]["grant"], said["by"]["grant"], "{case}");
                    let by = verdict["by"]["port"].to_string();
                    let by = if by == port { "843" } else { &by };
                    assert_eq!(said["by"]["port"].to_string(), by, "{case}");
                } else {
                    // One calls a grant by its number, the other by its line.
                    let refusals = |verdict: &serde_json::Value| -> Vec<String> {
                        let master = |reason: &&str| !reason.contains(&load[10..]);
                        let reasons = verdict["reasons"].as_array().unwrap().iter();
                        let first = reasons.filter_map(|r| r.as_str()).find(master).unwrap();
                        let each = first.split("; ").filter_map(|part| part.split_once(" is "));
                        each.map(|(_, refusal)| refusal.into()).collect()
                    };
                    assert_eq!(refusals(verdict), refusals(&said), "{case}");
                }
                compared += 1;
            }
            // What the probe wants to have changed makes every one of them allowed.
            if verdicts.iter().any(|verdict| verdict["allowed"] == false) {
                let mut changed = config.clone();
                for change in object["changes"].as_array().unwrap() {
                    let Some(line) = change["conf"].as_str() else {
                        continue;
                    };
                    if line.starts_with("meta_policy") {
                        changed = changed.replace("meta_policy = none", line);
                    } else if line.starts_with("allow") {
                        changed = format!("{changed}{line}\n");
                    }
                }
                for to in PORTS {
                    let (code, said) = explained(&changed, origin, to);
                    assert_eq!(code, Some(0), "{changed}: {origin} to {to}: {said}");
                }
                cured += 1;
            }
        }
    }
    assert!(compared >= 200 && cured >= 20, "{compared} {cured}");
}

#[test]
fn the_built_in_policy_is_served_well_by_our_own_server() {
    let server = Setup::new().line("allow = *.example.com 2001").start();
    let port = server.address().port().to_string();
    let output = probe(&["127.0.0.1", "--port", &port]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("; then closed."), "{said}");
}

/// Runs a probe on a host whose /etc/hosts has these lines.
fn probe_with_hosts(hosts: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hosts"), hosts).unwrap();
    let script = "mount --bind hosts /etc/hosts && exec \"$@\"";
    std::process::Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            support::binary_path(),
            "probe",
        ])
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

#[test]
fn each_address_of_a_name_is_asked_on_its_own() {
    let name = "each_address_of_a_name_is_asked_on_its_own";
    if !in_a_network_of_its_own(name) {
        return;
    }
    let hosts = "127.0.0.1 game.example.com\n::1 game.example.com\n";
    // Bound to IPv4 only.
    serve(TcpListener::bind("127.0.0.1:843").unwrap(), |s| {
        answer(s, with_nul(POLICY))
    });
    let output = probe_with_hosts(hosts, &["game.example.com"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("127.0.0.1:843 (the master policy): connected in"),
        "{said}"
    );
    assert!(
        said.contains("[::1]:843 (the master policy): refused"),
        "{said}"
    );
    assert!(
        said.contains(
            "warning[one-address]: there is a policy on 127.0.0.1:843, and none on [::1]:843"
        ),
        "{said}"
    );
    assert!(
        said.contains("listen on every address, IPv6 and IPv4 (`listen = [::]:843`)"),
        "{said}"
    );

    serve(TcpListener::bind("[::1]:843").unwrap(), |s| {
        answer(s, with_nul(POLICY))
    });
    serve(TcpListener::bind("[::]:2001").unwrap(), hold);
    let output = probe_with_hosts(
        hosts,
        &[
            "game.example.com",
            "--from",
            "www.example.com",
            "--to",
            "2001",
        ],
    );
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("ALLOWED: ").count(), 2, "{said}");
    assert!(said.contains("may connect to [::1]:2001, by "), "{said}");

    // No route: the fault is here, not there.
    let hosts = "127.0.0.1 game.example.com\n2001:db8::1 game.example.com\n";
    let output = probe_with_hosts(hosts, &["game.example.com"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error[unreachable]: this host has no way to the address"),
        "{said}"
    );
}

#[test]
fn crossdomain_xml_on_the_web_server_is_found_where_nothing_is_on_843() {
    let name = "crossdomain_xml_on_the_web_server_is_found_where_nothing_is_on_843";
    if !in_a_network_of_its_own(name) {
        return;
    }
    serve(TcpListener::bind("127.0.0.1:80").unwrap(), |s| {
        let request = hear(s)?;
        assert!(request.starts_with(b"GET /crossdomain.xml HTTP/1.0\r\nHost: 127.0.0.1\r\n"));
        s.write_all(b"HTTP/1.0 200 OK\r\n\r\n<cross-domain-policy><allow-access-from domain='*'/></cross-domain-policy>")
    });
    let output = probe(&["127.0.0.1"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("error[refused]"), "{said}");
    assert!(said.contains("warning[crossdomain-http]: http://127.0.0.1:80/crossdomain.xml exists: it is for HTTP and opens no socket"), "{said}");
    assert!(
        said.contains("serve a socket policy on port 843 too: `listen = [::]:843`"),
        "{said}"
    );
}

#[test]
fn a_firewall_before_843_costs_three_seconds_and_is_told_from_a_closed_port() {
    let name = "a_firewall_before_843_costs_three_seconds_and_is_told_from_a_closed_port";
    if !in_a_network_of_its_own(name) || !support::have("nft") {
        return;
    }
    let firewall = |rule: &str| {
        let script = format!("nft flush ruleset; nft add table inet f && nft add chain inet f i '{{ type filter hook input priority 0; }}' && nft add rule inet f i {rule}");
        let status = std::process::Command::new("sh")
            .args(["-c", &script])
            .status();
        assert!(status.unwrap().success(), "{rule}");
    };
    // The game serves a policy itself: it works, three seconds late.
    serve(TcpListener::bind("127.0.0.1:2001").unwrap(), |s| {
        answer(s, with_nul(POLICY))
    });
    firewall("tcp dport 843 drop");
    let begun = Instant::now();
    let output = probe(&["127.0.0.1", "--from", "www.example.com", "--to", "2001"]);
    let said = stdout(&output);
    let took = begun.elapsed();
    assert!(
        (Duration::from_millis(2900)..PATIENCE).contains(&took),
        "{took:?}"
    );
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error[filtered]: nobody answered the connection attempt within 3.0 s"),
        "{said}"
    );
    assert!(
        said.contains("let TCP port 843 through every firewall on the way"),
        "{said}"
    );
    assert!(
        said.contains("ALLOWED: a SWF from http://www.example.com may connect to 127.0.0.1:2001"),
        "{said}"
    );

    firewall("tcp dport 843 reject with icmp type admin-prohibited");
    let output = probe(&["127.0.0.1"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("error[unreachable]: the address is out of reach, or a firewall says so (No route to host)"), "{said}");
    assert!(
        said.contains("let TCP port 843 through every firewall on the way"),
        "{said}"
    );

    // The destination port behind a firewall.
    serve(TcpListener::bind("127.0.0.1:843").unwrap(), |s| {
        answer(s, with_nul(POLICY))
    });
    firewall("tcp dport 2001 drop");
    let output = probe(&[
        "127.0.0.1",
        "--from",
        "www.example.com",
        "--to",
        "2001",
        "--timeout",
        "1",
    ]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("IOError #2031, for nobody answers there (no answer within 1.0 s)"),
        "{said}"
    );
}

#[test]
fn the_readme_lists_every_class_in_the_probes_words() {
    let readme = include_str!("../README.md");
    for class in Class::all() {
        let row = format!(
            "| `{}` | {} | {} |",
            class.as_str(),
            class.meaning(),
            class.cure()
        );
        assert!(readme.contains(&row), "missing in the README: {row}");
    }
}

#[test]
fn the_icinga_definitions_name_options_that_exist() {
    let text = include_str!("../scripts/check_flashpolicy.cfg");
    let help = stdout(&probe(&["--help"]));
    for word in text
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
    {
        assert!(help.contains(word), "{word}");
    }
    assert!(text.contains("flashpolicyd probe"), "{text}");
}

/// Decimal numbers are times, and differ; addresses lose the same digits on both sides.
fn without_times(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let end = number
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(number.len());
        let (number, after) = number.split_at(end);
        told.push_str(before);
        told.push_str(
            if number.matches('.').count() == 1 && !number.ends_with('.') {
                "T"
            } else {
                number
            },
        );
        rest = after;
    }
    told.push_str(rest);
    told.replace("T ms", "T s")
}

#[test]
fn the_readmes_story_is_what_really_happens() {
    let name = "the_readmes_story_is_what_really_happens";
    if !in_a_network_of_its_own(name) {
        return;
    }
    let added = std::process::Command::new("ip")
        .args(["address", "add", "203.0.113.7/32", "dev", "lo"])
        .status();
    assert!(added.unwrap().success());
    for port in [1024, 2001, 3001] {
        serve(TcpListener::bind(("203.0.113.7", port)).unwrap(), hold);
    }
    let readme = include_str!("../README.md");
    let story = readme
        .split("```console\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let story = story.expect("the story in the README");
    let mut server = None;
    let mut commands = 0;
    for step in story.split("$ ").skip(1) {
        let (command, shown) = step.split_once('\n').unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        match words.as_slice() {
            ["cat", "flashpolicy.conf"] => {
                drop(server.take());
                let lines = shown.trim_end().lines();
                server = Some(
                    lines
                        .fold(Setup::new(), |setup, line| setup.line(line))
                        .start(),
                );
            }
            ["flashpolicyd", "probe", arguments @ ..] => {
                let output = probe_with_hosts("203.0.113.7 game.example.com\n", arguments);
                let said = stdout(&output);
                assert_eq!(
                    without_times(said.trim_end()),
                    without_times(shown.trim_end()),
                    "{command}\n{said}"
                );
                commands += 1;
            }
            _ => panic!("what is {command}?"),
        }
    }
    assert!(commands >= 4);
    assert!(story.contains("DENIED") && story.contains("ALLOWED"));
}
