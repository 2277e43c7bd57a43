//! A million requests of many kinds: nobody loses an answer, is reset or gets something else.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use crate::Options;
use crate::attack::{Sources, open};
use crate::outcome::Outcome;
use crate::report::{Meter, Promise, Report};
use crate::results::number;
use crate::support::{BUILT_IN, REQUEST, Server};

/// How many clients there are at a time.
const AT_ONCE: usize = 64;

/// How many kinds of requests there are.
pub const KINDS: usize = 18;

/// What a client sends, in pieces; whether it then closes its side; and whether that is a request.
type Wire = (Vec<Vec<u8>>, bool, bool);

fn wire_table() -> Vec<Wire> {
    let kilobytes = vec![b'x'; 5 * 1024];
    let random: Vec<u8> = (0..600u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let whole = REQUEST.to_vec();
    let bare = REQUEST[..22].to_vec();
    let one = |bytes: &[u8]| vec![bytes.to_vec()];
    vec![
        (one(REQUEST), false, true),
        (one(&bare), false, true),
        (
            vec![REQUEST[..9].to_vec(), REQUEST[9..].to_vec()],
            false,
            true,
        ),
        (REQUEST.chunks(1).map(<[u8]>::to_vec).collect(), false, true),
        (one(b"<policy-file-request \t\r\n />\0"), false, true),
        (one(&[REQUEST, b"\n"].concat()), false, true),
        (vec![whole.clone(), b"\r\n".to_vec()], false, true),
        (one(&[REQUEST, &kilobytes].concat()), false, true),
        (vec![bare.clone(), kilobytes], false, true),
        (one(REQUEST), true, true),
        (one(&bare), true, true),
        (one(b"GET /crossdomain.xml HTTP/1.1\r\n\r\n"), false, false),
        (
            one(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
            false,
            false,
        ),
        (one(&random), false, false),
        (one(b"\0"), false, false),
        (one(b"<policy-file-requesT"), false, false),
        (Vec::new(), true, false),
        (one(&REQUEST[..7]), true, false),
    ]
}

/// Measures it.
pub fn a_million_requests(options: &Options, report: &mut Report) {
    let mut table = wire_table();
    assert_eq!(table.len(), KINDS);
    if let Some(kind) = options.only {
        table = vec![table.swap_remove(kind)];
    }
    let server = Server::start();
    let meter = Meter::start(server.child.id());
    let next = AtomicU64::new(0);
    let start = Instant::now();
    let clients = || {
        let mut outcome = Outcome::default();
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= options.requests {
                return outcome;
            }
            let wire = &table[number as usize % table.len()];
            one(&mut outcome, wire, number, server.address(), start);
        }
    };
    let mut sum = Outcome::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(clients)).collect();
        for thread in threads {
            sum.add(&thread.join().expect("a client ends by itself"));
        }
    });
    let requests = number(options.requests as f64, 0);
    let name = format!("{requests} requests of {} kinds", table.len());
    report.row(&name, None, &sum, Some(meter.read()), Promise::default());
}

/// One client; what it met with is counted.
fn one(outcome: &mut Outcome, wire: &Wire, number: u64, to: SocketAddr, start: Instant) {
    let (pieces, closes, asks) = wire;
    let expected = if *asks { BUILT_IN } else { b"" };
    let from = Sources::v4([127, 200, 0, 1], 50).address(number as usize);
    outcome.asked += 1;
    let begun = Instant::now();
    let met = meet(from, to, pieces, *closes);
    match &met {
        Ok(answer) if answer == expected => {
            return outcome.record(begun.elapsed(), start.elapsed());
        }
        Ok(_) => outcome.wrong += 1,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => outcome.reset += 1,
        Err(_) => outcome.lost += 1,
    }
    let sent = pieces.concat();
    let sent = &sent[..sent.len().min(80)];
    println!("    to \"{}\": {met:?}", sent.escape_ascii());
}

fn meet(from: IpAddr, to: SocketAddr, pieces: &[Vec<u8>], closes: bool) -> io::Result<Vec<u8>> {
    let mut stream = open(from, to)?;
    stream.set_nodelay(true)?;
    for piece in pieces {
        // The answer may be complete, and the server gone, before the last piece.
        match stream.write_all(piece) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            other => other?,
        }
    }
    if closes {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
