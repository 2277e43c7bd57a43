//! What an operator does, while players come, some of them late: stops, takeovers and reloads.

use std::fs;
use std::process::{Child, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use crate::Options;
use crate::outcome::Outcome;
use crate::players::{AT_ONCE, LATE, Players, come_while};
use crate::report::{Meter, Promise, Report};
use crate::support::{Server, Setup, binary};

const STOPS: usize = 20;
const TAKEOVERS: usize = 20;
const RELOADS: usize = 100;

/// Players stop coming after this time, whatever happens.
const AT_MOST: Duration = Duration::from_secs(120);

/// How long players come before the next step, and while a server stops.
const BETWEEN: Duration = Duration::from_millis(300);

/// A client whose first packet meets a port that is about to close sends it again a second later;
/// with this, the next takeover is over or has not begun by then.
const BETWEEN_TAKEOVERS: Duration = Duration::from_millis(800);

/// Those that come.
const GROUPS: [Players; 2] = [
    Players {
        per_second: 500.0,
        ..AT_ONCE
    },
    Players {
        per_second: 300.0,
        late: Duration::from_millis(500),
        ..LATE
    },
];

/// Measures all three.
pub fn operate(_: &Options, report: &mut Report) {
    stops(report);
    takeovers(report);
    reloads(report);
}

/// Players go on coming after the port is closed. These are refused, and they do not count;
/// everybody who was connected before does.
fn stops(report: &mut Report) {
    let mut sum = Outcome::default();
    for _ in 0..STOPS {
        let mut server = Server::start();
        let to = server.address();
        sum.add(&come_while(&GROUPS, to, AT_MOST, |stop| {
            thread::sleep(BETWEEN);
            server.signal("TERM");
            thread::sleep(BETWEEN);
            stop.store(true, Relaxed);
            assert!(server.ended().success());
        }));
    }
    sum.asked -= sum.refused;
    sum.lost -= sum.refused;
    let name = format!("{STOPS} stops");
    report.row(&name, None, &sum, None, Promise::default());
}

fn takeovers(report: &mut Report) {
    let mut server = with_a_pid_file();
    let sum = come_while(&GROUPS, server.address(), AT_MOST, |_| {
        for _ in 0..TAKEOVERS {
            thread::sleep(BETWEEN_TAKEOVERS);
            take_over(&mut server);
        }
        thread::sleep(BETWEEN_TAKEOVERS);
    });
    let name = format!("{TAKEOVERS} takeovers");
    report.row(&name, None, &sum, None, Promise::default());
}

fn reloads(report: &mut Report) {
    let server = with_a_pid_file();
    let meter = Meter::start(server.child.id());
    let sum = come_while(&GROUPS, server.address(), AT_MOST, |_| {
        for _ in 0..RELOADS {
            let mut reload = binary();
            let reload = reload.arg("reload").current_dir(server.folder.path());
            let status = reload.stdout(Stdio::null()).status();
            assert!(status.unwrap().success(), "a reload");
        }
    });
    let name = format!("{RELOADS} reloads");
    report.row(&name, None, &sum, Some(meter.read()), Promise::default());
}

/// A server that the next one and the other commands find. Its port was chosen by an earlier one,
/// from which it has taken over.
fn with_a_pid_file() -> Server {
    const PID_FILE: &str = "pid_file = flashpolicyd.pid";
    let mut server = Setup::new().line(PID_FILE).start();
    let text = format!("{PID_FILE}\nlisten = {}\n", server.address());
    fs::write(server.path("flashpolicy.conf"), text).unwrap();
    take_over(&mut server);
    server
}

/// Starts the next server, and waits until the old one has ended by that.
fn take_over(server: &mut Server) {
    let next = start_successor(server);
    assert!(server.ended().success(), "the old server");
    server.child = next;
}

fn start_successor(server: &Server) -> Child {
    binary()
        .args(["serve", "--takeover"])
        .current_dir(server.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
