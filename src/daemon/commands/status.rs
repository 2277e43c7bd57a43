//! `flashpolicyd status` prints whether the server runs, and the figures that it reports. It says
//! "not running" only where no process holds the pid file and none listens on the configured
//! addresses. It changes nothing.

use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::running::RunningServer;
use super::server_files::ServerFiles;
use crate::config::Configured;
use crate::daemon::control_socket::{Reply, Request};
use crate::daemon::processes;
use crate::daemon::status::Status;
use crate::output::exit::Exit;
use crate::output::print::print;
use crate::output::terminal;
use crate::output::text::{printable, reason};
use crate::player::json;
use crate::policy::{PortSet, ports_in_words};

/// How long the server has for its answer; with what comes before, two seconds at the most.
const ANSWER_TIME: Duration = Duration::from_millis(1300);

/// Where the second column of a status begins.
const INDENT: usize = 17;

/// How often the server is asked where it ends meanwhile, and the pause between.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// The result.
struct Answer {
    exit: Exit,
    /// The sentence for it.
    sentence: String,
    status: Option<Status>,
    /// The server closed the connection without an answer.
    broke_off: bool,
}

impl Answer {
    fn of(exit: Exit, sentence: String) -> Answer {
        Answer {
            exit,
            sentence,
            status: None,
            broke_off: false,
        }
    }
}

/// The same as JSON.
#[derive(Serialize)]
struct ServerStatus<'a> {
    /// Whether it runs; null where that cannot be told.
    running: Option<bool>,
    message: &'a str,
    #[serde(flatten)]
    status: Option<&'a Status>,
}

/// Tells how the server of this configuration is.
pub fn run(configured: &Configured, json: bool) -> Result<Exit, Exit> {
    let files = ServerFiles::despite_mistakes(configured)?;
    let answer = query_again(&files);
    let (sentence, status) = (&answer.sentence, &answer.status);
    let shown = if json {
        let object = ServerStatus {
            running: match answer.exit {
                Exit::Fine => Some(true),
                Exit::Stopped => Some(false),
                _ => None,
            },
            message: sentence,
            status: status.as_ref(),
        };
        print(json::line(&object) + "\n")
    } else {
        let rows = status.as_ref().map(ToString::to_string).unwrap_or_default();
        let style = terminal::stdout();
        let rows = rows.lines().map(|row| style.wrap(row, INDENT) + "\n");
        print(format!("{sentence}\n{}", rows.collect::<String>()))
    };
    match shown {
        Exit::Fine => Ok(answer.exit),
        failed => Err(failed),
    }
}

/// Asks anew where the server ended or was restarted while it was asked.
fn query_again(files: &ServerFiles) -> Answer {
    let mut answer = query(files);
    for _ in 1..TRIES {
        if !answer.broke_off {
            break;
        }
        thread::sleep(PAUSE);
        answer = query(files);
    }
    answer
}

fn query(files: &ServerFiles) -> Answer {
    match files.running() {
        Ok(Some(server)) => ask(server),
        Err(why) => Answer::of(Exit::Denied, why),
        Ok(None) => {
            if let Some(meant) = files.find_default_server() {
                return ask(meant);
            }
            let (pid_file, taken) = (files.pid_file.display(), files.occupied_addresses());
            let other = files.find_elsewhere().map(|other| other.as_another());
            let note = other.map_or_else(String::new, |other| format!("; {other}"));
            if taken.is_empty() {
                let listen = files.config.startup.listen.iter();
                let ports: Vec<_> = listen.map(|l| l.address.port()).collect();
                let sentence = nowhere(&files.pid_file, files.by_default, &ports) + &note;
                return Answer::of(Exit::Stopped, sentence);
            }
            if let Some(pid) = files.process_without_pid_file() {
                let user = processes::process_info(pid).map_or_else(String::new, |process| {
                    format!(" of user {}", processes::user_name(process.uid))
                });
                let sentence = format!(
                    "flashpolicyd is running (process {pid}{user}) on {taken}; it has no pid \
                     file, so `status` cannot show its figures: 'kill -HUP {pid}' reloads it, \
                     'kill -USR1 {pid}' has its figures in its log{note}"
                );
                return Answer::of(Exit::Fine, sentence);
            }
            let sentence = format!(
                "no flashpolicyd holds {pid_file}, but something listens on {taken}: another \
                 program, or a server with another pid file or none{note}"
            );
            Answer::of(Exit::Denied, sentence)
        }
    }
}

/// That no server was found. A server in the foreground has no pid file where it is by default.
fn nowhere(pid_file: &Path, by_default: bool, ports: &[u16]) -> String {
    let pid_file = pid_file.display();
    if !by_default {
        return format!("flashpolicyd is not running (nobody holds {pid_file})");
    }
    format!(
        "no server is known on {} or by {pid_file}; where yours was started with other options, \
         repeat them here",
        ports_in_words(&PortSet::of(ports))
    )
}

fn ask(server: RunningServer) -> Answer {
    let name = format!("{}, pid file {}", server.name(), server.pid_file.display());
    let unclear = |why: &str| {
        let sentence = format!("flashpolicyd is there ({name}), but its state is unknown: {why}");
        Answer::of(Exit::Denied, sentence)
    };
    if server.is_suspended() {
        return unclear(&format!("it does not answer{}", server.why_unresponsive()));
    }
    let pid = server.pid;
    let connection = match server.control {
        Ok(connection) => connection,
        Err(why) => return unclear(&why),
    };
    match connection.ask(Request::Status, ANSWER_TIME) {
        Ok(Reply::Status(status)) => {
            let sentence = format!("flashpolicyd is running ({name})");
            Answer {
                status: Some(*status),
                ..Answer::of(Exit::Fine, sentence)
            }
        }
        Ok(Reply::Refused(why)) => unclear(&printable(&why)),
        Ok(Reply::Reload(_)) => unclear("it answered something else than was asked"),
        Err(error) => {
            let unresponsive = pid.map_or_else(String::new, processes::why_unresponsive);
            let time = ANSWER_TIME.as_secs_f64();
            let late = [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind());
            let answer = unclear(&match late {
                true => format!("it does not answer within {time} s{unresponsive}"),
                false => format!("{}{unresponsive}", reason(&error)),
            });
            Answer {
                broke_off: !late,
                ..answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_no_server_runs_is_said_only_where_a_pid_file_was_named() {
        let pid_file = Path::new("/run/x.pid");
        assert_eq!(
            nowhere(pid_file, false, &[843]),
            "flashpolicyd is not running (nobody holds /run/x.pid)"
        );
        assert_eq!(
            nowhere(pid_file, true, &[843]),
            "no server is known on port 843 or by /run/x.pid; where yours was started with \
             other options, repeat them here"
        );
    }
}
