//! `flashpolicyd init` writes a first configuration from three answers, which are asked for on a
//! terminal. It writes no file that is there, and starts nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::unistd::Uid;

use crate::config::allow;
use crate::config::policies::{self, ConfiguredPolicy};
use crate::config::{self, SEARCH_PATH};
use crate::daemon::privileges;
use crate::output::exit::Exit;
use crate::output::print::{print, print_error};
use crate::output::terminal;
use crate::output::text::{clip, reason, shown};
use crate::policy::{self, MAX_ASKED, ParseError, PortSet};

/// Every key with its comment; the lines of the answers take the places of the defaults.
const TEMPLATE: &str = include_str!("../../../flashpolicy.conf");

/// The port of a server without any right.
const HIGH_PORT: u16 = 10843;

/// The user of a server that root starts, where there is one.
const USER: &str = "flashpolicyd";

const QUESTIONS: [(&str, &str, &str); 3] = [
    (
        "--from",
        "Where are the SWFs loaded from? A site, such as www.example.com, or *.example.com for it \
         and all below it; several with blanks between; * for every site, and for SWFs on a disk.",
        "*",
    ),
    (
        "--to",
        "Which ports of this host do they connect to? Such as 9339,5000-5003; * for every port.",
        "",
    ),
    (
        "--by",
        "Who opens port 843? root (root starts the server), systemd (its units do), or nobody \
         (without any right the port is 10843, and the SWF has to name it).",
        "root",
    ),
];

/// Asks what no option says, which `given` has by its name, and writes the configuration.
pub fn run(file: Option<&Path>, given: impl Fn(&str) -> Option<String>) -> Result<Exit, Exit> {
    let file = file.unwrap_or(Path::new(SEARCH_PATH[0]));
    if file.symlink_metadata().is_ok() {
        print_error(&format!(
            "{} is there already, and stays as it is; to write another file: \
             flashpolicyd init -c FILE",
            file.display()
        ));
        return Err(Exit::Failed);
    }
    let cannot_write = |error: io::Error| {
        print_error(&format!(
            "cannot write {}: {}; nothing is left of it",
            file.display(),
            reason(&error)
        ));
        Exit::Failed
    };
    // Before anything is asked.
    let tried = write(file, "").and_then(|()| fs::remove_file(file));
    tried.map_err(cannot_write)?;
    let asks = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut answers: Vec<String> = Vec::new();
    for (option, question, default) in &QUESTIONS {
        let answer = match given(option) {
            Some(answer) => match fault_of(option, &answer) {
                Ok(()) => Ok(answer),
                Err(fault) => {
                    print_error(&format!(
                        "{option} {}: {}",
                        shown(&answer),
                        sentence(&fault)
                    ));
                    Err(Exit::Usage)
                }
            },
            None if asks => ask(option, question, default),
            None => {
                print_error(&format!(
                    "{option} is missing, and there is no terminal to ask on; write: flashpolicyd \
                     init --from www.example.com --to 9339,5000-5003 --by root"
                ));
                Err(Exit::Usage)
            }
        };
        answers.push(answer?);
    }
    let [from, to, by] = &answers[..] else {
        return Err(Exit::Failed);
    };
    let text = configuration(from, to, by, privileges::is_user(USER));
    show(&text, file)?;
    write(file, &text).map_err(cannot_write)?;
    print(next(file, from, to, by));
    Ok(Exit::Fine)
}

/// What is wrong with an answer.
fn fault_of(option: &str, answer: &str) -> Result<(), ParseError> {
    match option {
        "--from" if sites(answer).next().is_none() => {
            Err(ParseError::new("no site", "write a site, or *"))
        }
        "--from" => sites(answer).try_for_each(|site| {
            allow::parse(&format!("{site} *"))
                .map(drop)
                .map_err(|mut fault| {
                    // Of the line that is proposed, the site alone.
                    fault.cure = fault.cure.replace("allow = ", "").replace(" *`", "`");
                    fault
                })
        }),
        "--to" => PortSet::parse(&without_blanks(answer)).map(drop),
        _ if ["root", "systemd", "nobody"].contains(&answer) => Ok(()),
        _ => Err(ParseError::new(
            "not one of the choices",
            "write root, systemd or nobody",
        )),
    }
}

fn sentence(ParseError { cause, cure }: &ParseError) -> String {
    let between = if cure.is_empty() { "" } else { "; " };
    format!("{cause}{between}{cure}")
}

/// Asks until the answer is right; an end of the input ends the command.
fn ask(option: &str, question: &str, default: &str) -> Result<String, Exit> {
    let style = terminal::stdout();
    print(format!("{}\n", style.wrap(question, 0)));
    loop {
        print(match default {
            "" => "> ".into(),
            default => format!("[{default}] > "),
        });
        let _ = io::stdout().flush();
        let mut line = Vec::new();
        let read = io::stdin().lock().read_until(b'\n', &mut line);
        if read.unwrap_or(0) == 0 {
            print_error("the answer is missing: nothing was written");
            return Err(Exit::Failed);
        }
        let Ok(line) = String::from_utf8(line) else {
            print_error("the answer is not UTF-8 text; write it again");
            continue;
        };
        let answer = match line.trim() {
            "" => default,
            answer => answer,
        };
        match fault_of(option, answer) {
            Ok(()) => return Ok(answer.into()),
            Err(fault) => print_error(&sentence(&fault)),
        }
    }
}

fn sites(answer: &str) -> impl Iterator<Item = &str> {
    answer
        .split([' ', ',', '\t'])
        .filter(|site| !site.is_empty())
}

fn without_blanks(ports: &str) -> String {
    ports.split_whitespace().collect()
}

/// The template with the answers.
fn configuration(from: &str, to: &str, by: &str, has_user: bool) -> String {
    let ports = without_blanks(to);
    let allow: Vec<_> = sites(from)
        .map(|site| format!("allow = {site} {ports}"))
        .collect();
    let mut text = TEMPLATE.replace("#allow = * *", &allow.join("\n"));
    let mut set = |line: &str, with: String| text = text.replace(line, &with);
    if by == "nobody" {
        set("#listen = [::]:843", format!("listen = [::]:{HIGH_PORT}"));
    } else {
        set("#meta_policy = default", "meta_policy = master-only".into());
    }
    if by == "root" && has_user {
        set("#user = none", format!("user = {USER}"));
    }
    text
}

/// Shows in words what will be served.
fn show(text: &str, file: &Path) -> Result<(), Exit> {
    let config = config::parse(text, file, &[]).map_err(|mistakes| {
        for mistake in mistakes {
            print_error(&mistake.to_string());
        }
        Exit::Usage
    })?;
    let all = policies::read_all(&config);
    let words = all
        .iter()
        .filter_map(ConfiguredPolicy::policy)
        .flat_map(policy::words);
    let lines = words.chain(all.iter().flat_map(ConfiguredPolicy::finding_lines));
    let style = terminal::stdout();
    let lines = lines.map(|line| style.wrap(&clip(&line), 2) + "\n");
    print(format!("\nThe policy:\n{}", lines.collect::<String>()));
    Ok(())
}

/// Whole, or not at all; nothing is written over, also where a file has come meanwhile.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(file)?;
    let written = new.write_all(text.as_bytes()).and_then(|()| new.sync_all());
    written.inspect_err(|_| drop(fs::remove_file(file)))
}

/// The next two commands.
fn next(file: &Path, from: &str, to: &str, by: &str) -> String {
    let named = std::env::args().next().unwrap_or_else(|| USER.into());
    let file = file.display();
    let root = if Uid::effective().is_root() {
        ""
    } else {
        "sudo "
    };
    let option = match file.to_string().as_str() {
        "flashpolicy.conf" => String::new(),
        file => format!(" -c {file}"),
    };
    let (start, ask) = match by {
        "systemd" => (
            format!(
                "{root}cp {file} /etc/flashpolicy.conf && {root}systemctl restart flashpolicyd"
            ),
            "127.0.0.1",
        ),
        "root" => (format!("{root}{named} start{option}"), "127.0.0.1"),
        _ => (
            format!("{named} start{option}"),
            "127.0.0.1 --load 127.0.0.1:10843",
        ),
    };
    let options = |site: &str, ports: &str| {
        let ports: Vec<_> = ports.split(',').take(MAX_ASKED).collect();
        let ports = ports.join(",").replace('*', "2001");
        format!(" --from {} --to {ports}", site.replace('*', "www"))
    };
    let asked = match (sites(from).next().unwrap_or("*"), without_blanks(to)) {
        ("*", _) if by != "nobody" => String::new(),
        ("*", ports) => options("www.example.com", &ports),
        (site, ports) => options(site, &ports),
    };
    let load = match by {
        "nobody" => {
            "\nThe SWF has to call Security.loadPolicyFile(\"xmlsocket://HOST:10843\") before it \
             connects.\n"
        }
        _ => "",
    };
    format!("\n{file} is written. Next:\n\n  {start}\n  {named} probe {ask}{asked}\n{load}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_makes_a_configuration_without_mistakes_that_says_just_that() {
        for (from, to, by, expected) in [
            ("*", "*", "root", "allow = * *\n"),
            (
                "a.example, *.b.example",
                "80, 90-91",
                "systemd",
                "allow = a.example 80,90-91\nallow = *.b.example 80,90-91\n",
            ),
            ("a.example", "2001", "nobody", "listen = [::]:10843\n"),
        ] {
            let text = configuration(from, to, by, true);
            assert!(text.contains(expected), "{text}");
            let config = config::parse(&text, Path::new("x"), &[]).unwrap();
            assert_eq!(config.live.meta_policy.is_some(), by != "nobody");
            assert_eq!(config.startup.user.is_some(), by == "root");
            assert!(text.lines().filter(|l| l.starts_with('#')).count() > 50);
        }
    }

    #[test]
    fn a_wrong_answer_has_a_cause_and_a_cure() {
        for (option, answer) in [
            ("--from", ""),
            ("--from", " , "),
            ("--from", "a.example\nuser = root"),
            ("--from", "http://a.example"),
            ("--from", "a.example *.*"),
            ("--to", ""),
            ("--to", "70000"),
            ("--by", "me"),
        ] {
            let fault = fault_of(option, answer).unwrap_err();
            assert!(!fault.cause.is_empty(), "{option} {answer}");
        }
    }
}
