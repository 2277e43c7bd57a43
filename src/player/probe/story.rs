//! A report as text for people: a line for each exchange, the verdicts, the changes and the notes.
//! It decides nothing. Its input is printable already: `classify` and `policy` make it so.

use super::ask::{End, Exchange, NoConnection, REQUEST};
use super::change::changes;
use super::classes::Class;
use super::classify::Remark;
use super::first_line::first_line;
use super::hints::hints;
use super::report::{Address, MAX_FINDINGS, Report};
use super::secure::Tls;
use super::step::{Role, Step};
use super::verdict::{PortVerdict, headline};
use crate::output::exit::ProbeExit;
use crate::output::text::{Colour, Style, clip, count, time};
use crate::policy::{self, MASTER_PORT, Player, Severity};

/// The most sentences on what one policy means.
const MAX_SENTENCES: usize = 10;

/// The whole story; its first line is the monitoring plugin's.
pub fn story(report: &Report, style: &Style) -> String {
    let mut lines = Lines {
        text: String::new(),
        style: *style,
    };
    lines.state(report);
    lines.preamble(report);
    for address in &report.addresses {
        lines.text.push('\n');
        for step in address.steps() {
            lines.step(step);
        }
        for verdict in &address.verdicts {
            lines.verdict(report, address, verdict);
        }
    }
    if report.left_out > 0 {
        let host = &report.plan.host;
        let more = match report.left_out {
            1 => format!("1 more address of {host} was"),
            more => format!("{} of {host} were", count(more, "more address")),
        };
        lines.add("\n", &format!("{more} not asked."), 0);
    }
    if report.ignored > 0 {
        let ignored = count(report.ignored, "warning");
        lines.add("\n", &format!("Ignored: {ignored}."), 0);
    }
    for (title, list) in [
        ("What to change:", changes(report)),
        ("Good to know:", hints(report)),
    ] {
        if !list.is_empty() {
            lines.add("\n", title, 0);
        }
        for change in list {
            lines.add("", &format!("- {}", change.text), 2);
        }
    }
    lines.text
}

struct Lines {
    text: String,
    style: Style,
}

impl Lines {
    /// Adds a line. Its continuation lines are indented by this many columns.
    fn add(&mut self, before: &str, line: &str, indent: usize) {
        self.text.push_str(before);
        self.text.push_str(&self.style.wrap(line, indent));
        self.text.push('\n');
    }

    fn state(&mut self, report: &Report) {
        let colour = match report.level() {
            ProbeExit::Fine => Colour::Good,
            ProbeExit::Warnings => Colour::Doubtful,
            ProbeExit::Critical | ProbeExit::Usage => Colour::Bad,
        };
        let line = first_line(report);
        let (state, facts) = line.split_once(" - ").unwrap_or((&line, ""));
        let state = self.style.paint(colour, state);
        self.add("", &format!("{state} - {facts}"), 2);
    }

    fn remark(&mut self, before: &str, remark: &Remark) {
        let severity = remark.severity;
        let label = format!("{}[{}]", severity.as_str(), remark.class.as_str());
        let label = self.style.paint(severity.colour(), &label);
        self.add(
            "",
            &format!("{before}{label}: {}", remark.cause),
            before.len() + 2,
        );
    }

    /// The part before the first address.
    fn preamble(&mut self, report: &Report) {
        let plan = &report.plan;
        if plan.port != MASTER_PORT {
            let instead = format!(
                "Players ask port {MASTER_PORT}; here port {} is judged as if it were that one.",
                plan.port
            );
            self.add("\n", &instead, 0);
            if !plan.tls {
                let load = format!(
                    "For a policy that the SWF names with loadPolicyFile: --load {}:{}",
                    plan.host, plan.port
                );
                self.add("", &load, 0);
            }
        }
        if plan.tls {
            let inside = format!(
                "The probe asks inside TLS, as a SWF with SecureSocket does on the destination port, and \
                 probably on port {MASTER_PORT}. It checks the certificate and its host name by what \
                 this computer trusts.",
            );
            self.add("\n", &inside, 0);
        }
        if plan.player != Player::Flash {
            let player = format!("The verdicts are those of {}.", plan.player);
            self.add("\n", &player, 0);
        }
        if let (Some(of), Some(to)) = (plan.sampled_of(), &plan.to) {
            let sample = format!(
                "--to names {}, {}: the probe asks the first, the last, and those at the edges of \
                 the grants.",
                count(of, "port"),
                clip(&to.to_string())
            );
            self.add("\n", &sample, 0);
        }
        for remark in &report.remarks {
            self.text.push('\n');
            self.remark("", remark);
        }
    }

    fn step(&mut self, step: &Step) {
        let Step {
            role,
            exchange,
            answer,
            ..
        } = step;
        let name = exchange.address.to_string();
        let asked_as = match role {
            Role::Master if exchange.address.port() == MASTER_PORT => "the master policy",
            Role::Master => "in place of the master policy",
            Role::Load => "named by loadPolicyFile",
            Role::Destination => "a policy from the destination port itself",
        };
        self.add(
            "",
            &format!("{name} ({asked_as}): {}.", in_words(exchange)),
            2,
        );
        // A game that does not speak like a policy server is no fault.
        let is_fault = *role != Role::Destination || answer.reading.is_some();
        let shown = |remark: &&Remark| is_fault || remark.class == Class::Tls;
        for remark in answer.remarks.iter().filter(shown) {
            self.remark("  ", remark);
        }
        self.findings(step, &name);
        let sentences = answer.policy().map(policy::words).unwrap_or_default();
        for sentence in sentences.iter().take(MAX_SENTENCES) {
            self.add("", &format!("  {}", clip(sentence)), 2);
        }
        if let Some(more @ 1..) = sentences.len().checked_sub(MAX_SENTENCES) {
            self.add("", &format!("  and {}.", count(more, "more grant")), 2);
        }
    }

    /// What was found in a policy, errors first: they keep players out, so they are not to be the
    /// ones that are left out.
    fn findings(&mut self, step: &Step, name: &str) {
        let Some(reading) = &step.answer.reading else {
            return;
        };
        let mut shown = reading.clone();
        shown
            .findings
            .sort_by_key(|finding| finding.code.severity() == Severity::Warning);
        shown.findings.truncate(MAX_FINDINGS);
        shown.left_out.clear();
        let narrower = Style {
            width: self.style.width.saturating_sub(2),
            ..self.style
        };
        for line in shown.report(name, &narrower).lines() {
            self.text.push_str(&format!("  {line}\n"));
        }
        let more = reading.number() - shown.findings.len();
        if more > 0 {
            self.add("", &format!("  and {}.", count(more, "more finding")), 2);
        }
    }

    /// One verdict: a headline, and the reasons and the condition below it.
    fn verdict(&mut self, report: &Report, address: &Address, verdict: &PortVerdict) {
        let sentence = headline(&report.plan, address.ip, verdict);
        let (word, colour) = match (verdict.is_allowed(), verdict.works()) {
            (true, true) => ("ALLOWED", Colour::Good),
            (true, false) => ("ALLOWED", Colour::Doubtful),
            (false, _) => ("DENIED", Colour::Bad),
        };
        let rest = sentence.strip_prefix(word).unwrap_or(&sentence);
        let word = self.style.paint(colour, word);
        self.add("", &format!("{word}{rest}"), 2);
        let condition = report.plan.player.port_condition(&[verdict.port]);
        for reason in verdict.reasons.iter().chain(&condition) {
            self.add("", &format!("- {reason}"), 2);
        }
    }
}

/// The request, the answer and the time.
fn in_words(exchange: &Exchange) -> String {
    let after = time(exchange.time);
    let tls = match &exchange.tls {
        None => String::new(),
        Some(Tls {
            version,
            fault: None,
        }) => format!(", {version} with a certificate that is trusted"),
        Some(Tls { version, .. }) => format!(", {version}"),
    };
    let connected = match &exchange.connected {
        Ok(after) => format!(
            "connected in {}{tls}, sent <policy-file-request/> and its NUL ({})",
            time(*after),
            count(REQUEST.len(), "byte")
        ),
        Err(NoConnection::Refused) => return format!("refused after {after}"),
        Err(NoConnection::NoTls(_)) => return format!("no TLS after {after}"),
        Err(_) => return format!("no connection after {after}"),
    };
    let ending = match exchange.end {
        End::Closed => "closed",
        End::Reset => "reset",
        End::Open => "still open",
        End::TooMuch => "enough",
    };
    if exchange.bytes.is_empty() {
        return format!("{connected}; nothing came; {ending} after {after}");
    }
    let pieces = match exchange.pieces {
        0 | 1 => String::new(),
        pieces => format!(" in {pieces} pieces"),
    };
    let came = bytes_in_words(&exchange.bytes, &pieces);
    if exchange.bytes.contains(&0) {
        format!("{connected}; {came}, {after} in all; then {ending}")
    } else {
        format!("{connected}; {came}; {ending} after {after}")
    }
}

/// How many bytes came, and where the first NUL stands, which ends a policy.
fn bytes_in_words(bytes: &[u8], pieces: &str) -> String {
    let all = count(bytes.len(), "byte");
    match bytes.iter().position(|&byte| byte == 0) {
        None => format!("{all} and no NUL came{pieces}"),
        Some(at) if bytes.iter().skip(at).all(|&byte| byte == 0) => {
            format!("{} and a NUL came{pieces}", count(at, "byte"))
        }
        Some(at) => format!("{all} came{pieces}, a NUL as byte {}", at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_counted_wherever_the_nul_stands() {
        for (bytes, told) in [
            (&b"<a/>\0"[..], "4 bytes and a NUL came"),
            (b"<a/>\0\0", "4 bytes and a NUL came"),
            (b"<a/>", "4 bytes and no NUL came"),
            (b"\0\x05<a/>\0", "7 bytes came, a NUL as byte 1"),
            (b"<a/>\0\r\n", "7 bytes came, a NUL as byte 5"),
        ] {
            assert_eq!(bytes_in_words(bytes, ""), told);
        }
    }
}
