//! The probe against servers that are broken in one way each: it names the cause and the cure.
//!
//! Runs on Windows too.

mod support;

#[path = "support/probing.rs"]
mod probing;

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use probing::{
    ALERT, POLICY, Probe, answer, fault, grant, hear, hold, is_tls, pause, reset, utf16, with_nul,
};
use support::PATIENCE;

/// A policy with this many bytes, its NUL included.
fn long(bytes: usize) -> Vec<u8> {
    let filling = "x".repeat(bytes - POLICY.len() - "<!---->".len() - 1);
    with_nul(&format!("<!--{filling}-->{POLICY}"))
}

/// Says this to each line, and nothing to what is none.
fn answer_lines(s: &mut TcpStream, reply: &[u8]) -> io::Result<()> {
    loop {
        match hear(s)?.last() {
            None => return Ok(()),
            Some(b'\n') => s.write_all(reply)?,
            Some(_) => {}
        }
    }
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
        cause: "error[closed-empty]: the connection was closed after", cure: "else compare what has come so far, piece by piece", code: 2 },
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
    Row { name: "byte by byte", treat: |s| { hear(s)?; for byte in grant("domain='a.b' to-ports='1'").chunks(1) { s.write_all(byte)?; pause(1); } Ok(()) },
        cause: "warning[several-pieces]:", cure: "send policy and NUL in one write", code: 1 },
    Row { name: "takes half of the player's time", treat: |s| { hear(s)?; pause(1100); s.write_all(&with_nul(POLICY)) },
        cause: "warning[slow]: the policy took", cure: "answer from memory, look up no names", code: 1 },
    Row { name: "over 4,095 bytes", treat: |s| answer(s, long(4_096)),
        cause: "warning[large]: the policy has 4096 bytes with its NUL", cure: "remove comments, and merge the grants", code: 1 },
    Row { name: "over 10,000 bytes", treat: |s| answer(s, long(10_001)),
        cause: "warning[very-large]: the policy has 10001 bytes with its NUL", cure: "remove comments, and merge the grants", code: 1 },
    Row { name: "over 64 KiB", treat: |s| { let _ = answer(s, long(80_000)); hold(s) },
        cause: "error[too-large]: the policy has more than 65536 bytes", cure: "remove comments, and merge the grants", code: 2 },
    Row { name: "never ends", treat: |s| { answer(s, "<cross-domain-policy>")?; loop { s.write_all(&[b' '; 4096])?; } },
        cause: "error[too-large]: the policy has more than 65536 bytes", cure: "remove comments, and merge the grants", code: 2 },
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
    Row { name: "the game itself, on the policy's port", treat: |s| { hear(s)?; s.write_all(b"HELLO 7\r\n")?; hold(s) },
        cause: "error[not-a-policy]: what came is no XML: \"HELLO 7\\r\\n\"", cure: "move that service to another port", code: 2 },
    Row { name: "an SSH server", treat: |s| { s.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n")?; hold(s) },
        cause: "error[not-a-policy]: an SSH server answered: \"SSH-2.0-OpenSSH_9.2p1\\r\\n\"", cure: "move that service to another port", code: 2 },
    Row { name: "a mail server", treat: |s| { s.write_all(b"220 mx.example.com ESMTP Postfix (Debian)\r\n")?; hear(s)?; s.write_all(b"500 5.5.2 Error: bad syntax\r\n") },
        cause: "error[not-a-policy]: a mail server (SMTP) answered: \"220 mx.example.com ESMTP", cure: "move that service to another port", code: 2 },
    Row { name: "a MySQL server", treat: |s| { s.write_all(b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0abcdefg<\0\xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0mysql_native_password\0")?; hold(s) },
        cause: "error[not-a-policy]: a MySQL or MariaDB server answered: \"8.0.36\"", cure: "move that service to another port", code: 2 },
    Row { name: "a TLS server that closes without an alert, as OpenSSL and HAProxy", treat: |s| if is_tls(s)? { s.write_all(ALERT) } else { Ok(()) },
        cause: "error[tls]: a TLS server listens here: it answers a TLS client hello, and the player's plain text with the end of the connection, after", cure: "serve the policy without TLS on port", code: 2 },
    Row { name: "a TLS server that resets without an alert, as Python", treat: |s| if is_tls(s)? { s.write_all(ALERT) } else { reset(s) },
        cause: "error[tls]: a TLS server listens here: it answers a TLS client hello, and the player's plain text with a reset, after", cure: "serve the policy without TLS on port", code: 2 },
    Row { name: "a TLS server that waits for the rest of a record", treat: |s| if is_tls(s)? { s.write_all(ALERT) } else { hold(s) },
        cause: "error[tls]: a TLS server listens here: it answers a TLS client hello, and the player's plain text with silence, for 2.0 s", cure: "serve the policy without TLS on port", code: 2 },
    Row { name: "an echo of what begins like TLS", treat: |s| { let request = hear(s)?; if request[0] == 0x16 { s.write_all(&request)?; } hold(s) },
        cause: "error[silent]: the connection was accepted", cure: "- look whether that server hangs, and restart it", code: 2 },
    Row { name: "a TLS server", treat: |s| answer(s, ALERT),
        cause: "error[tls]: a TLS server answered", cure: "serve the policy without TLS", code: 2 },
    Row { name: "crossdomain.xml on the socket", treat: |s| answer(s, grant("domain='*'")),
        cause: "error[to-ports-missing]: the grant names no ports; this is a policy for HTTP (crossdomain.xml), not for sockets", cure: "add the ports it may connect to, such as `to-ports=\"2001,3000-3010\"`", code: 2 },
    Row { name: "broken XML", treat: |s| answer(s, "<cross-domain-policy><allow-access-from></cross-domain-policy>\0"),
        cause: "error[malformed]: `cross-domain-policy` is closed here, while `allow-access-from` is still open", cure: "end each element with ` />`", code: 2 },
    Row { name: "a byte-order mark", treat: |s| answer(s, [b"\xEF\xBB\xBF", &with_nul(POLICY)[..]].concat()),
        cause: "error[bom]: the file begins with a byte-order mark", cure: "save the file as UTF-8 without one", code: 2 },
    Row { name: "UTF-16 without a byte-order mark", treat: |s| answer(s, utf16(&format!("{POLICY}\0"), u16::to_be_bytes)),
        cause: "UTF-16", cure: "UTF-8", code: 2 },
    Row { name: "UTF-16", treat: |s| answer(s, utf16(&format!("\u{feff}{POLICY}"), u16::to_le_bytes)),
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
        cause: "warning[strict-request]: the server sends a policy for a request with a line end in place of the NUL, and none for the player's", cure: "end the request at the NUL, not at a line end", code: 2 },
    Row { name: "compares one chunk with a string that has no NUL",
        treat: |s| { if hear(s)? == b"<policy-file-request/>" { s.write_all(&with_nul(POLICY)) } else { Ok(()) } },
        cause: "warning[strict-request]: the server sends a policy for a request with no NUL, and none for the player's", cure: "compare without it", code: 2 },
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
    Row { name: "a filter on the way: 403", treat: |s| answer(s, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n<html>blocked</html>"),
        cause: "error[web-filter]: a web server answered: \"HTTP/1.1 403 Forbidden\"", cure: "probe from another network, or from the server's own host", code: 2 },
    Row { name: "a filter on the way: 511", treat: |s| answer(s, "HTTP/1.0 511 Network Authentication Required\r\n\r\n"),
        cause: "error[web-filter]:", cure: "ask whoever runs the filter to let TCP port", code: 2 },
    Row { name: "a listener that expects a PROXY header, one client at a time", treat: |s| { let first = hear(s)?; if first.starts_with(b"PROXY ") { s.write_all(&with_nul(POLICY)) } else { Ok(()) } },
        cause: "error[proxy-expected]: the server sends a policy for a request behind a PROXY header, and none for the player's", cure: "have players ask the balancer's port; where they are to come here directly, take `proxy` off the listener", code: 2 },
    Row { name: "a server that fails over the request, as Python 2 code on Python 3", treat: |s| hear(s).map(|_| ()),
        cause: "error[closed-empty]:", cure: "read that server's own log or terminal first: a script for Python 2 that runs on Python 3", code: 2 },
    Row { name: "a key-value store that answers lines", treat: |s| answer_lines(s, b"-ERR unknown command `get`, with args beginning with: \r\n"),
        cause: "error[not-a-policy]: a Redis server answered: \"-ERR unknown command `get`", cure: "move that service to another port", code: 2 },
    Row { name: "a cache that answers lines", treat: |s| answer_lines(s, b"ERROR\r\n"),
        cause: "error[not-a-policy]: a memcached server answered: \"ERROR\\r\\n\", to a request with a line end in place of the NUL; nothing to the player's", cure: "move that service to another port", code: 2 },
    Row { name: "a chat that answers lines in its own words", treat: |s| answer_lines(s, b"who are you?\r\n"),
        cause: "error[not-a-policy]: what came is no XML: \"who are you?\\r\\n\", to a request with a line end", cure: "move that service to another port", code: 2 },
    Row { name: "an XMPP server", treat: |s| answer(s, "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'><stream:error/></stream:stream>"),
        cause: "error[not-a-policy]: an XMPP server answered: \"<?xml version", cure: "move that service to another port", code: 2 },
    Row { name: "a web server that knows GET alone, and waits for the rest of a request",
        treat: |s| { let said = hear(s)?; if said.starts_with(b"GET ") { s.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello") } else { hold(s) } },
        cause: "error[http]: a web server listens here: it waits for the rest of an HTTP request", cure: "stop the web server on port", code: 2 },
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
    // That takes a handshake.
    if row.name.starts_with("a TLS server that") && !cfg!(feature = "tls") {
        return;
    }
    let begun = Instant::now();
    let told = Probe::port(fault(row.treat)).timeout(2).run();
    let (name, said) = (row.name, &told.said);
    assert_eq!(told.code, Some(row.code), "{name}: {said}");
    assert!(said.contains(row.cause), "{name}: {said}");
    // The first thing to change is what helps; a warning of a policy has its cure beside it.
    let changes = told.changes();
    let first = changes.first().copied().unwrap_or(said);
    assert!(first.contains(row.cure), "{name}: {said}");
    let state = ["OK", "WARNING", "CRITICAL"][row.code as usize];
    let state = format!("POLICY {state} - ");
    assert!(said.starts_with(&state), "{name}: {said}");
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
fn only_the_cures_of_a_fault_are_told_and_not_those_of_what_follows_from_it() {
    for name in [
        "UTF-16",
        "UTF-16 without a byte-order mark",
        "ends in the middle of the policy",
        "a byte-order mark",
    ] {
        let row = FAULTS.iter().find(|row| row.name == name).unwrap();
        let told = Probe::port(fault(row.treat)).timeout(1).run();
        let changes = told.changes();
        let general =
            "- correct the policy as shown; or let `flashpolicyd` write it from `allow` lines";
        let own: Vec<_> = changes
            .iter()
            .filter(|change| **change != general)
            .collect();
        assert_eq!(own.len(), 1, "{name}: {changes:?}");
        let shown = told.said.matches(" = cure: ").count();
        let expected = usize::from(!name.starts_with("ends in the middle"));
        assert_eq!(shown, expected, "{name}: {}", told.said);
    }
}

#[test]
fn the_bytes_behind_a_length_are_counted() {
    let row = FAULTS
        .iter()
        .find(|row| row.name == "Java's writeUTF")
        .unwrap();
    let length = POLICY.len() + 3;
    Probe::port(fault(row.treat))
        .run()
        .says(format!("; {length} bytes came, a NUL as byte 1, "));
}
