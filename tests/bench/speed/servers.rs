//! How a server that is measured is started and ended: on a port of its own on the loopback address,
//! in a folder of its own. It knows no particular server ([`crate::peers`] does), measures nothing
//! and sends no load, and ends only processes that were started here.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::support::REQUEST;

/// A server that does not answer within this has not started.
const TO_START: Duration = Duration::from_secs(20);

/// How soon a server that does not answer yet is asked again.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// A server that does not end within this after SIGTERM is killed.
const TO_END: Duration = Duration::from_secs(5);

/// A server that can be measured.
pub struct Server {
    /// Short, for the command line and the results file.
    pub key: &'static str,
    /// For the table and the legends.
    pub label: &'static str,
    /// Whether it writes a log line (or two) per client.
    pub logs: bool,
    /// Whether it reads the request before it answers. Those that do not reset the client when its
    /// request comes after their close, mostly after the whole policy.
    pub reads_the_request: bool,
    pub start: fn(Place) -> Result<Running, Missing>,
}

/// Why a server cannot be measured here, as a sentence.
#[derive(Debug)]
pub struct Missing(pub String);

/// A server that answers; it ends with this value.
pub struct Running {
    child: Child,
    address: SocketAddr,
    took: Duration,
}

impl Server {
    /// Starts it with this policy, to which it adds the NUL itself, and waits until it answers. Its
    /// files are in a folder of its own below `folder`, and stay there.
    pub fn start(&self, folder: &Path, policy: &[u8]) -> Result<Running, Missing> {
        raise_the_file_limit();
        (self.start)(Place::new(folder, self.key, policy))
    }
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All its processes, the first one first.
    pub fn pids(&self) -> Vec<u32> {
        let processes = family(self.child.id());
        processes.into_iter().map(|process| process.pid).collect()
    }

    /// The time from its start to the end of its first answer.
    pub fn took(&self) -> Duration {
        self.took
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let family = family(self.child.id());
        if matches!(self.child.try_wait(), Ok(None)) {
            kill("TERM", self.child.id());
            let deadline = Instant::now() + TO_END;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A master may end without its workers.
        for process in family.iter().filter(|process| process.is_still_there()) {
            kill("KILL", process.pid);
        }
    }
}

fn kill(signal: &str, pid: u32) {
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {pid}")])
        .stderr(Stdio::null())
        .status();
}

/// A process, told from a later one with the same number by the time of its start.
#[derive(Clone, PartialEq)]
struct Process {
    pid: u32,
    parent: u32,
    since: u64,
}

impl Process {
    /// None when it has ended, even if nobody has waited for it yet.
    fn of(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which stands in brackets, come the fields from the third on.
        let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
        if matches!(fields[0], "Z" | "X") {
            return None;
        }
        Some(Process {
            pid,
            parent: fields[1].parse().ok()?,
            since: fields[19].parse().ok()?,
        })
    }

    fn is_still_there(&self) -> bool {
        Process::of(self.pid).is_some_and(|now| now.since == self.since)
    }
}

/// A process and everything that descends from it.
fn family(root: u32) -> Vec<Process> {
    let Some(root) = Process::of(root) else {
        return Vec::new();
    };
    let all: Vec<Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| Process::of(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|process| process.pid) {
        found.extend(all.iter().filter(|p| p.parent == parent).cloned());
        next += 1;
    }
    found
}

/// Some servers keep the limit that they are started with.
fn raise_the_file_limit() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // More is of no use here, and there are hosts where the limit is a thousand million.
    let enough = hard.min(65_536).max(soft);
    setrlimit(Resource::RLIMIT_NOFILE, enough, hard).unwrap();
}

/// Where a server has its files.
pub struct Place {
    key: &'static str,
    pub folder: PathBuf,
    /// The policy without its NUL, and the file that holds it.
    pub policy: Vec<u8>,
    pub policy_file: PathBuf,
}

impl Place {
    /// A new folder, so that nobody finds the log of an earlier run.
    fn new(folder: &Path, key: &'static str, policy: &[u8]) -> Place {
        let folder = (1..)
            .map(|number| folder.join(format!("{key}-{number}")))
            .find(|folder| match fs::create_dir(folder) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                Err(error) => panic!("{}: {error}", folder.display()),
            })
            .unwrap();
        let folder = fs::canonicalize(folder).unwrap();
        let place = Place {
            key,
            policy: policy.into(),
            policy_file: folder.join("policy.xml"),
            folder,
        };
        place.file("policy.xml", policy);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Starts the program here, and waits until it answers at this address.
    pub fn start_at(self, address: SocketAddr, command: &mut Command) -> Result<Running, Missing> {
        self.start(command, move || Some(address))
    }

    /// The same where the program chooses the port: `address` is asked until it gives one.
    pub fn start(
        self,
        command: &mut Command,
        address: impl Fn() -> Option<SocketAddr>,
    ) -> Result<Running, Missing> {
        let said = self.path("said");
        let output = File::create(&said).unwrap();
        let begun = Instant::now();
        let child = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .map_err(|error| Missing(format!("{} did not start: {error}", self.key)))?;
        let mut running = Running {
            child,
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            took: Duration::ZERO,
        };
        let deadline = Instant::now() + TO_START;
        let why = loop {
            if let Some(address) = address() {
                match ask(address) {
                    Ok(answer) if answer.strip_suffix(b"\0") == Some(&self.policy) => {
                        running.took = begun.elapsed();
                        running.address = address;
                        return Ok(running);
                    }
                    Ok(answer) if !answer.is_empty() && !self.policy.starts_with(&answer) => {
                        break "answers something else".into();
                    }
                    // It does not listen yet, or has reset this client before the policy's end.
                    _ => {}
                }
            }
            if let Some(status) = running.child.try_wait().unwrap() {
                break format!("ended with {status}");
            }
            if Instant::now() >= deadline {
                break "does not answer".into();
            }
            thread::sleep(LOOK_AGAIN);
        };
        let said = fs::read_to_string(said).unwrap_or_default();
        Err(Missing(format!("{} {why}: {}", self.key, said.trim())))
    }
}

/// Sends the player's request, and gives the answer.
fn ask(to: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // From another address than the server's: as long as nobody listens on that port, the kernel
    // could otherwise connect the socket to itself, and then nobody could.
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into())?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
    (&socket).write_all(REQUEST)?;
    let mut answer = Vec::new();
    match (&socket).read_to_end(&mut answer) {
        // A reset after the policy is the way of those that do not read the request.
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}
