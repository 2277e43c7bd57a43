//! A report as a story: a monitoring plugin's line, a line for each step, the verdicts in the
//! user's words, and what to change. It finds out nothing.
//!
//! Every text that goes in is printable already: `classify` and `policy` see to that.

use std::time::Duration;

use super::ask::{End, Exchange, NoConnection, REQUEST};
use super::change::changes;
use super::{Address, Class, Level, Report, State, Step, Verdict, What};
use crate::advice::ports_in_words;
use crate::policy::{self, Severity, MASTER_PORT};
use crate::text::{clip, count, time, Style};

/// The most findings of one policy that are told.
pub(super) const MAX_FINDINGS: usize = 10;

/// The most sentences on what one policy means.
const MAX_SENTENCES: usize = 10;

impl Level {
    /// The word that monitoring plugins have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Fine => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
        }
    }
}

/// The line that a monitoring plugin prints, without a line end.
pub fn first_line(report: &Report) -> String {
    let level = report.level();
    let mut facts = Vec::new();
    for address in &report.addresses {
        let faults = faults(report, address);
        if level == Level::Critical {
            facts.extend(faults);
        } else {
            facts.extend(answered(address));
            facts.extend(warnings(address).filter(|_| level == Level::Warning));
        }
    }
    facts.extend(
        report
            .remarks
            .iter()
            .map(|remark| format!("{}: {}", remark.class.as_str(), remark.cause)),
    );
    if let (Some(origin), Level::Fine) = (&report.plan.from, level) {
        facts.push(format!(
            "{origin} may connect to {}",
            ports_in_words(&report.plan.to)
        ));
    }
    let mut line = format!(
        "POLICY {} - {}",
        level.as_str(),
        clip(&facts.join("; ")).replace('|', "/")
    );
    let answers = report
        .addresses
        .iter()
        .flat_map(steps)
        .filter(|step| step.answer.state == State::Counts);
    if let Some(slowest) = answers.map(|step| step.exchange.time).max() {
        let limit = report.plan.timeout.as_secs_f64();
        line.push_str(&format!(" | time={:.4}s;;{limit}", slowest.as_secs_f64()));
    }
    line
}

/// `127.0.0.1:843 answered in 0.4 ms`, by the first policy of this address.
fn answered(address: &Address) -> Option<String> {
    let step = steps(address).find(|step| step.answer.state == State::Counts)?;
    Some(format!(
        "{} answered in {}",
        step.exchange.address,
        time(step.exchange.time)
    ))
}

fn warnings(address: &Address) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for step in steps(address) {
        let of_policy = step
            .answer
            .reading
            .iter()
            .flat_map(|reading| &reading.findings)
            .map(|f| f.code.as_str());
        for name in step
            .answer
            .remarks
            .iter()
            .map(|remark| remark.class.as_str())
            .chain(of_policy)
        {
            if step.what != What::Destination && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    (!names.is_empty()).then(|| format!("{}: {}", address.ip, names.join(", ")))
}

fn faults(report: &Report, address: &Address) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(origin) = &report.plan.from {
        for error in ["SecurityError #2048", "IOError #2031"] {
            let failing = address
                .verdicts
                .iter()
                .filter(|verdict| verdict.error() == Some(error));
            let ports: Vec<_> = failing.map(|verdict| verdict.port).collect();
            if !ports.is_empty() {
                let what = if error.starts_with('S') {
                    "may not connect to"
                } else {
                    "finds nobody at"
                };
                faults.push(format!(
                    "{origin} {what} {}, {} ({error})",
                    address.ip,
                    ports_in_words(&ports)
                ));
            }
        }
    }
    let needed = std::iter::once(&address.master).chain(&address.loads);
    for step in needed {
        if let Some(error) = step.answer.error() {
            faults.push(format!(
                "{}: {}: {}",
                step.exchange.address,
                error.class.as_str(),
                error.cause
            ));
        }
    }
    faults
}

fn steps(address: &Address) -> impl Iterator<Item = &Step> {
    std::iter::once(&address.master)
        .chain(&address.loads)
        .chain(&address.own)
}

/// The whole story, after the first line.
pub fn story(report: &Report, style: &Style) -> String {
    let plan = &report.plan;
    let mut text = String::new();
    if !plan.asks_port_843() {
        text.push_str(&format!(
            "\nPlayers ask port {MASTER_PORT}; here port {0} is judged as if it were that one.\n\
             For a policy that the SWF names with loadPolicyFile: --load {1}:{0}\n",
            plan.port, plan.host
        ));
    }
    for remark in &report.remarks {
        text.push_str(&format!("\n{}\n", labelled(remark.class, &remark.cause)));
    }
    for address in &report.addresses {
        text.push('\n');
        for step in steps(address) {
            text.push_str(&tell(step, style));
        }
        for verdict in &address.verdicts {
            text.push_str(&tell_verdict(report, address, verdict));
        }
    }
    if report.left_out > 0 {
        text.push_str(&format!(
            "\n{} more of {} were not asked.\n",
            count(report.left_out, "address"),
            plan.host
        ));
    }
    let changes = changes(report);
    if !changes.is_empty() {
        text.push_str("\nWhat to change:\n");
        for change in changes {
            text.push_str(&format!("- {}\n", change.text));
        }
    }
    text
}

fn labelled(class: Class, cause: &str) -> String {
    format!("{}[{}]: {cause}", class.severity().as_str(), class.as_str())
}

fn tell(step: &Step, style: &Style) -> String {
    let Step {
        what,
        exchange,
        answer,
    } = step;
    let name = exchange.address.to_string();
    let role = match what {
        What::Master if exchange.address.port() == MASTER_PORT => "the master policy",
        What::Master => "in place of the master policy",
        What::Load => "named by loadPolicyFile",
        What::Destination => "a policy from the destination port itself",
    };
    let mut text = format!("{name} ({role}): {}.\n", came(exchange));
    // A game that does not speak like a policy server is no fault.
    let is_fault = *what != What::Destination || answer.reading.is_some();
    for remark in answer.remarks.iter().filter(|_| is_fault) {
        text.push_str(&format!("  {}\n", labelled(remark.class, &remark.cause)));
    }
    if let Some(reading) = &answer.reading {
        let mut shown = reading.clone();
        // Errors are what keeps a player out: they are not to be the ones that are left out.
        shown
            .findings
            .sort_by_key(|finding| finding.code.severity() == Severity::Warning);
        shown.findings.truncate(MAX_FINDINGS);
        for line in shown.report(&name, style).lines() {
            text.push_str(&format!("  {line}\n"));
        }
        let more = reading.findings.len() - shown.findings.len();
        if more > 0 {
            text.push_str(&format!("  and {}.\n", count(more, "more finding")));
        }
    }
    let sentences = answer.policy().map(policy::words).unwrap_or_default();
    for sentence in sentences.iter().take(MAX_SENTENCES) {
        text.push_str(&format!("  {}\n", clip(sentence)));
    }
    if sentences.len() > MAX_SENTENCES {
        text.push_str(&format!(
            "  and {} more grants.\n",
            sentences.len() - MAX_SENTENCES
        ));
    }
    text
}

/// What was sent, what came, in what time.
fn came(exchange: &Exchange) -> String {
    let Exchange {
        connected,
        bytes,
        pieces,
        end,
        time: took,
        ..
    } = exchange;
    let connected = match connected {
        Ok(after) => format!(
            "connected in {}, sent <policy-file-request/> and its NUL ({})",
            time(*after),
            count(REQUEST.len(), "byte")
        ),
        Err(NoConnection::Refused) => return format!("refused after {}", time(*took)),
        Err(_) => return format!("no connection after {}", time(*took)),
    };
    let ending = match end {
        End::Closed => "closed",
        End::Reset => "reset",
        End::Open => "still open",
        End::TooMuch => "enough",
    };
    let took = time(*took);
    if bytes.is_empty() {
        return format!("{connected}; nothing came; {ending} after {took}");
    }
    let nul = bytes.iter().position(|&byte| byte == 0);
    let what = match nul {
        Some(at) => format!("{} and a NUL", count(at, "byte")),
        None => format!("{} and no NUL", count(bytes.len(), "byte")),
    };
    let pieces = if *pieces > 1 {
        format!(" in {pieces} pieces")
    } else {
        String::new()
    };
    match nul {
        Some(_) => format!("{connected}; {what} came{pieces}, {took} in all; then {ending}"),
        None => format!("{connected}; {what} came{pieces}; {ending} after {took}"),
    }
}

/// One verdict: a headline, and the reasons below it.
fn tell_verdict(report: &Report, address: &Address, verdict: &Verdict) -> String {
    let mut text = format!("{}\n", headline(report, address, verdict));
    for reason in &verdict.reasons {
        text.push_str(&format!("- {reason}\n"));
    }
    text
}

/// A verdict in the user's words; printable, on one line.
pub(super) fn headline(report: &Report, address: &Address, verdict: &Verdict) -> String {
    let origin = report
        .plan
        .from
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    let to = std::net::SocketAddr::new(address.ip, verdict.port);
    let Some(by) = &verdict.by else {
        let doubt = if verdict.uncertain {
            uncertain(report)
        } else {
            String::new()
        };
        return format!("DENIED, the player reports SecurityError #2048: a SWF from {origin} may not connect to {to}.{doubt}");
    };
    let from = match by.what {
        What::Master if by.port == MASTER_PORT => String::new(),
        What::Master => format!(", if port {} were port {MASTER_PORT}", by.port),
        What::Load => format!(
            ", once it has called Security.loadPolicyFile(\"xmlsocket://{}:{}\")",
            report.plan.host, by.port
        ),
        What::Destination => format!(", in the policy of port {} itself", by.port),
    };
    let sentence = format!(
        "a SWF from {origin} may connect to {to}, by {}{from}.",
        by.grant
    );
    let answers = match &verdict.reachable {
        Some(Ok(after)) => format!(" The port answers, in {}.", time(*after)),
        Some(Err(why)) => {
            return format!("ALLOWED, and the player reports IOError #2031, for nobody answers there ({}): {sentence}", no_answer(why, report.plan.elsewhere))
        }
        None => String::new(),
    };
    let doubt = if verdict.uncertain {
        uncertain(report)
    } else {
        String::new()
    };
    format!("ALLOWED: {sentence}{answers}{doubt}")
}

fn no_answer(why: &NoConnection, limit: Duration) -> String {
    match why {
        NoConnection::Refused => "connection refused".into(),
        NoConnection::Filtered => format!("no answer within {}", time(limit)),
        NoConnection::Unreachable(reason) | NoConnection::NoRoute(reason) => reason.clone(),
    }
}

fn uncertain(report: &Report) -> String {
    format!(
        " UNCERTAIN: how the player takes what port {} answers is not documented; this holds if it passes over it.",
        report.plan.port
    )
}
