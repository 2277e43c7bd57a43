//! What an operator does, while players come, some of them late: stops, restarts and reloads.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use crate::Options;
use crate::outcome::Outcome;
use crate::players::{AT_ONCE, LATE, Players, come_while};
use crate::report::{Meter, Promise, Report};
use crate::support::{Server, binary, free_port};

const STOPS: usize = 20;
const RESTARTS: usize = 20;
const RELOADS: usize = 100;

/// Players stop coming after this time, whatever happens.
const AT_MOST: Duration = Duration::from_secs(120);

/// How long players come before the next step, and while a server stops.
const BETWEEN: Duration = Duration::from_millis(300);

/// How long players come between two restarts. A client whose first packet meets a port that is about
/// to close sends it again a second later.
const BETWEEN_RESTARTS: Duration = Duration::from_millis(1500);

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
    restarts(report);
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

/// Who comes between the old server's close and the new one's port is refused, and is counted apart.
fn restarts(report: &mut Report) {
    let server = Background::start();
    let mut sum = come_while(&GROUPS, server.address, AT_MOST, |_| {
        for _ in 0..RESTARTS {
            thread::sleep(BETWEEN_RESTARTS);
            server.call("restart");
        }
        thread::sleep(BETWEEN_RESTARTS);
    });
    let refused = sum.refused;
    sum.asked -= refused;
    sum.lost -= refused;
    let name = format!("{RESTARTS} restarts, {refused} refused");
    report.row(&name, None, &sum, None, Promise::default());
}

fn reloads(report: &mut Report) {
    let server = Background::start();
    let meter = Meter::start(server.pid());
    let sum = come_while(&GROUPS, server.address, AT_MOST, |_| {
        for _ in 0..RELOADS {
            server.call("reload");
        }
    });
    let name = format!("{RELOADS} reloads");
    report.row(&name, None, &sum, Some(meter.read()), Promise::default());
}

/// A server in the background, which the commands find by its pid file.
struct Background {
    folder: tempfile::TempDir,
    address: SocketAddr,
}

impl Background {
    fn start() -> Background {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let text = format!("pid_file = flashpolicyd.pid\nlisten = {address}\n");
        fs::write(folder.path().join("flashpolicy.conf"), text).unwrap();
        let server = Background { folder, address };
        server.call("start");
        server
    }

    fn call(&self, command: &str) {
        let mut called = binary();
        let called = called.arg(command).current_dir(self.folder.path());
        let status = called.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success(), "{command}");
    }

    fn pid(&self) -> u32 {
        let file = fs::read_to_string(self.folder.path().join("flashpolicyd.pid"));
        file.unwrap().trim().parse().unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.call("stop");
    }
}
