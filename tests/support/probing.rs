//! Servers that are broken in one way each, and a probe that asks them.
#![allow(dead_code)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use crate::support::{PATIENCE, binary_path, finish, run_in};

pub const POLICY: &str = "<cross-domain-policy><allow-access-from domain=\"*.example.com\" \
                          to-ports=\"2001,3000-3010\"/></cross-domain-policy>";

/// A server on 127.0.0.1 that treats every connection the same way, each on a thread of its own,
/// until the test ends.
pub fn fault(
    treat: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + Copy + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    serve(listener, treat);
    port
}

pub fn serve(
    listener: TcpListener,
    treat: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + Copy + 'static,
) {
    thread::spawn(move || {
        loop {
            let Ok(mut stream) = accept(&listener) else {
                continue;
            };
            thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                treat(&mut stream)
            });
        }
    });
}

#[cfg(not(windows))]
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    listener.accept().map(|(stream, _)| stream)
}

/// On Windows a program that is started between `accept` and `set_no_inherit` has the connection, too,
/// and keeps it open.
#[cfg(windows)]
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    loop {
        let none_starts = crate::support::STARTS.lock();
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                socket2::SockRef::from(&stream).set_no_inherit(true)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                drop(none_starts);
                pause(2);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads one request and gives it.
pub fn hear(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = [0; 1024];
    let count = stream.read(&mut request)?;
    Ok(request[..count].to_vec())
}

/// Hears the request, sends this, and closes cleanly.
pub fn answer(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(bytes.as_ref())
}

/// Leaves the connection open until the client closes it.
pub fn hold(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(|_| ())
}

/// What was sent is given time to arrive before this.
pub fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

/// The close will be a reset.
pub fn reset(stream: &TcpStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO))
}

pub fn with_nul(policy: &str) -> Vec<u8> {
    [policy.as_bytes(), b"\0"].concat()
}

/// A policy with one grant.
pub fn grant(attributes: &str) -> Vec<u8> {
    with_nul(&format!(
        "<cross-domain-policy><allow-access-from {attributes}/></cross-domain-policy>"
    ))
}

/// What a TLS server says of a client hello that it does not like.
pub const ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x28";

/// Whether this client speaks TLS, by the whole of its client hello.
pub fn is_tls(stream: &mut TcpStream) -> io::Result<bool> {
    let hello = hear(stream)?;
    let length = hello.get(3..5).map_or(0, |length| {
        usize::from(length[0]) << 8 | usize::from(length[1])
    });
    Ok(hello.starts_with(b"\x16\x03") && hello.len() == 5 + length)
}

pub fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

/// A probe to be run.
#[derive(Clone)]
pub struct Probe {
    arguments: Vec<String>,
    hosts: Option<String>,
}

impl Probe {
    pub fn of(host: &str) -> Probe {
        Probe {
            arguments: vec![host.into()],
            hosts: None,
        }
    }

    /// Of a port of 127.0.0.1 that stands for 843.
    pub fn port(port: u16) -> Probe {
        Probe::of("127.0.0.1").with("--port", port)
    }

    pub fn with(self, option: &str, value: impl ToString) -> Probe {
        self.flag(option).flag(&value.to_string())
    }

    pub fn flag(mut self, flag: &str) -> Probe {
        self.arguments.push(flag.into());
        self
    }

    /// Asks about a SWF from there that connects to these ports.
    pub fn connection(self, from: &str, to: impl ToString) -> Probe {
        self.with("--from", from).with("--to", to)
    }

    pub fn timeout(self, seconds: impl ToString) -> Probe {
        self.with("--timeout", seconds)
    }

    /// On a host whose /etc/hosts has these lines; it needs root.
    pub fn hosts(mut self, hosts: &str) -> Probe {
        self.hosts = Some(hosts.into());
        self
    }

    pub fn run(&self) -> Told {
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let output = match &self.hosts {
            None => run_in(folder.path(), &[&["probe"], &arguments[..]].concat()),
            Some(hosts) => {
                fs::write(folder.path().join("hosts"), hosts).unwrap();
                let script = "mount --bind hosts /etc/hosts && exec \"$@\"";
                Command::new("unshare")
                    .args(["--mount", "sh", "-c", script, "sh", binary_path(), "probe"])
                    .args(arguments)
                    .current_dir(folder.path())
                    .output()
                    .unwrap()
            }
        };
        Told::new(&output)
    }

    /// With `--json`.
    pub fn json(self) -> serde_json::Value {
        let told = self.flag("--json").run();
        serde_json::from_str(&told.said).unwrap_or_else(|error| panic!("{error}: {}", told.said))
    }

    /// In a terminal of this number of columns, by `script` of util-linux; with variables of its
    /// environment.
    pub fn in_a_terminal(&self, columns: usize, environment: &[(&str, &str)]) -> Told {
        let words = self.arguments.iter().map(|word| format!("'{word}'"));
        let words = words.collect::<Vec<_>>().join(" ");
        let command = format!(
            "stty rows 24 cols {columns}; {} probe {words}",
            binary_path()
        );
        let child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .envs(environment.iter().copied())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = Told::new(&finish(child));
        told.said = told.said.replace("\r\n", "\n");
        told
    }
}

/// What a probe said, and its exit code.
pub struct Told {
    pub code: Option<i32>,
    pub said: String,
}

impl Told {
    fn new(output: &Output) -> Told {
        Told {
            code: output.status.code(),
            said: String::from_utf8(output.stdout.clone()).unwrap(),
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Told {
        assert_eq!(self.code, Some(code), "{}", self.said);
        self
    }

    #[track_caller]
    pub fn says(self, text: impl AsRef<str>) -> Told {
        let text = text.as_ref();
        assert!(
            self.said.contains(text),
            "{text} is missing in {}",
            self.said
        );
        self
    }

    #[track_caller]
    pub fn says_nothing_of(self, text: &str) -> Told {
        assert!(!self.said.contains(text), "{text} is in {}", self.said);
        self
    }

    /// The lines of "What to change".
    pub fn changes(&self) -> Vec<&str> {
        let mut lines = self.said.lines();
        lines.find(|line| *line == "What to change:");
        lines
            .take_while(|line| !line.is_empty() && *line != "Good to know:")
            .collect()
    }
}
