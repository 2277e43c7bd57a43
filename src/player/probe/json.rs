//! A report as one JSON object; `flashpolicyd help json` documents it. It connects to nothing.

use serde::Serialize;

use super::ask::{End, NoConnection};
use super::change::changes;
use super::classify::{AnswerState, Remark};
use super::first_line::first_line;
use super::hints::hints;
use super::report::{Address, MAX_FINDINGS, Report};
use super::secure::Tls;
use super::step::Step;
use super::verdict::{PortVerdict, headline};
use crate::output::diagnostic::Diagnostic;
use crate::output::text::clip;
use crate::player::json::{self, Change};
use crate::policy;

#[derive(Serialize)]
struct JsonReport<'a> {
    state: &'static str,
    exit: u8,
    line: String,
    host: String,
    port: u16,
    timeout: f64,
    inside_tls: bool,
    player: &'static str,
    from: Option<String>,
    to: Vec<u16>,
    to_named: Option<String>,
    to_named_ports: usize,
    load: Vec<String>,
    remarks: &'a [Remark],
    addresses: Vec<JsonAddress<'a>>,
    addresses_left_out: usize,
    ignored: usize,
    changes: Vec<Change>,
    hints: Vec<Change>,
}

#[derive(Serialize)]
struct JsonAddress<'a> {
    address: String,
    steps: Vec<JsonStep<'a>>,
    verdicts: Vec<JsonPortVerdict>,
}

#[derive(Serialize)]
struct JsonPortVerdict {
    #[serde(flatten)]
    verdict: json::JsonVerdict,
    error_after: Option<f64>,
    ended: Option<f64>,
    waited: f64,
    silent: bool,
    waits: bool,
}

#[derive(Serialize)]
struct JsonStep<'a> {
    step: &'static str,
    port: u16,
    connected: Option<f64>,
    time: f64,
    bytes: usize,
    pieces: usize,
    nul: bool,
    end: Option<End>,
    tls: Option<&'a Tls>,
    answer: AnswerState,
    remarks: &'a [Remark],
    findings: Vec<JsonFinding>,
    findings_in_all: usize,
    policy: Option<String>,
}

/// A finding whose line and column stand beside its place, too.
#[derive(Serialize)]
struct JsonFinding {
    #[serde(flatten)]
    finding: Diagnostic,
    line: Option<usize>,
    column: Option<usize>,
}

/// The whole report on one line, without a line end.
pub fn json(report: &Report) -> String {
    let plan = &report.plan;
    let level = report.level();
    let addresses = report.addresses.iter();
    json::line(&JsonReport {
        state: level.as_str(),
        exit: level as u8,
        line: first_line(report),
        host: plan.host.to_string(),
        port: plan.port,
        timeout: plan.timeout.as_secs_f64(),
        inside_tls: plan.tls,
        player: plan.player.as_str(),
        from: plan
            .from
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| plan.air.then(|| "app:".into())),
        to: asked_ports(report),
        to_named: plan.to.as_ref().map(|to| clip(&to.to_string())),
        to_named_ports: plan.to.as_ref().map_or(0, |to| to.sample([]).of),
        load: plan.loads.iter().map(ToString::to_string).collect(),
        remarks: &report.remarks,
        addresses: addresses
            .map(|address| one_address(report, address))
            .collect(),
        addresses_left_out: report.left_out,
        ignored: report.ignored,
        changes: changes(report),
        hints: hints(report),
    })
}

/// The destination ports that were asked about, on any of the addresses.
fn asked_ports(report: &Report) -> Vec<u16> {
    let mut ports = report.plan.sample([]);
    if report.plan.sampled_of().is_some() {
        let verdicts = report.addresses.iter().flat_map(|a| &a.verdicts);
        ports.extend(verdicts.map(|verdict| verdict.port));
        ports.sort_unstable();
        ports.dedup();
    }
    ports
}

fn one_address<'a>(report: &Report, address: &'a Address) -> JsonAddress<'a> {
    let verdicts = address.verdicts.iter();
    JsonAddress {
        address: address.ip.to_string(),
        steps: address.steps().map(one_step).collect(),
        verdicts: verdicts
            .map(|verdict| one_verdict(report, address, verdict))
            .collect(),
    }
}

fn one_step(step: &Step) -> JsonStep<'_> {
    let Step {
        role,
        exchange,
        answer,
        ..
    } = step;
    let name = exchange.address.to_string();
    let findings = answer.reading.iter().flat_map(|r| r.diagnostics(&name));
    JsonStep {
        step: role.as_str(),
        port: exchange.address.port(),
        connected: exchange.connected.as_ref().ok().map(|t| t.as_secs_f64()),
        time: exchange.time.as_secs_f64(),
        bytes: exchange.bytes.len(),
        pieces: exchange.pieces,
        nul: exchange.bytes.contains(&0),
        end: exchange.connected.is_ok().then_some(exchange.end),
        tls: exchange.tls.as_ref(),
        answer: answer.state,
        remarks: &answer.remarks,
        findings: findings
            .take(MAX_FINDINGS)
            .map(|finding| JsonFinding {
                line: finding.place.line,
                column: finding.place.column,
                finding,
            })
            .collect(),
        findings_in_all: answer.reading.as_ref().map_or(0, |r| r.number()),
        policy: answer.policy().map(|policy| clip(&policy::render(policy))),
    }
}

fn one_verdict(report: &Report, address: &Address, verdict: &PortVerdict) -> JsonPortVerdict {
    let shared = json::JsonVerdict {
        port: verdict.port,
        allowed: verdict.is_allowed(),
        uncertain: verdict.doubt.is_some() || verdict.distrust.is_some(),
        answers: verdict.reachable.as_ref().map(Result::is_ok),
        no_answer: match &verdict.reachable {
            Some(Err(NoConnection::Refused)) => Some("refused"),
            Some(Err(NoConnection::Filtered)) => Some("filtered"),
            Some(Err(NoConnection::NoTls(_))) => Some("no-tls"),
            Some(Err(_)) => Some("unreachable"),
            _ => None,
        },
        error: verdict.error(),
        by: verdict.by.as_ref().map(|by| json::JsonGrantSource {
            step: by.role.as_str(),
            port: by.port,
            grant: by.grant.clone(),
            place: None,
        }),
        text: headline(&report.plan, address.ip, verdict),
        reasons: verdict.reasons.clone(),
        conditions: report.plan.from.as_ref().map_or_else(Vec::new, |from| {
            report.plan.player.conditions(from, &[verdict.port])
        }),
    };
    JsonPortVerdict {
        verdict: shared,
        error_after: verdict.outcome().after(verdict.exempt),
        ended: verdict.ended.map(|ended| ended.as_secs_f64()),
        waited: verdict.waited.as_secs_f64(),
        silent: verdict.silent.is_some(),
        waits: verdict.waits_on.is_some(),
    }
}
