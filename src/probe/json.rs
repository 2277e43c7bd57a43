//! A report as one JSON object; the README documents it. It finds out nothing.

use super::ask::{End, NoConnection};
use super::change::changes;
use super::story::{first_line, headline, MAX_FINDINGS};
use super::words::clip;
use super::{Address, Level, Remark, Report, State, Step, Verdict};
use crate::policy;

/// The exit code of `probe` for a level.
fn exit(level: Level) -> u8 {
    crate::exit::ProbeExit::from(level) as u8
}

/// The whole report on one line, without a line end.
pub fn json(report: &Report) -> String {
    let plan = &report.plan;
    let level = report.level();
    let mut text = String::new();
    {
        let mut object = write_json::object(&mut text);
        object
            .string("state", level.as_str())
            .number("exit", exit(level).into())
            .string("line", &first_line(report))
            .string("host", &plan.host.to_string())
            .number("port", plan.port.into())
            .number("timeout", plan.timeout.as_secs_f64());
        match &plan.from {
            Some(origin) => object.string("from", &origin.to_string()),
            None => object.null("from"),
        };
        {
            let mut to = object.array("to");
            for &port in &plan.to {
                to.number(port.into());
            }
        }
        {
            let mut load = object.array("load");
            for location in &plan.loads {
                load.string(&location.to_string());
            }
        }
        remarks(object.array("remarks"), &report.remarks);
        {
            let mut addresses = object.array("addresses");
            for address in &report.addresses {
                one_address(addresses.object(), report, address);
            }
        }
        object.number("addresses_left_out", report.left_out as f64);
        let mut list = object.array("changes");
        for change in changes(report) {
            let mut object = list.object();
            object.string("text", &change.text);
            match &change.conf {
                Some(line) => object.string("conf", line),
                None => object.null("conf"),
            };
        }
    }
    text
}

fn remarks(mut array: write_json::Array, remarks: &[Remark]) {
    for remark in remarks {
        array
            .object()
            .string("class", remark.class.as_str())
            .string("severity", remark.class.severity().as_str())
            .string("cause", &remark.cause)
            .string("cure", &remark.cure);
    }
}

fn one_address(mut object: write_json::Object, report: &Report, address: &Address) {
    object.string("address", &address.ip.to_string());
    {
        let mut steps = object.array("steps");
        for step in std::iter::once(&address.master)
            .chain(&address.loads)
            .chain(&address.own)
        {
            one_step(steps.object(), step);
        }
    }
    let mut verdicts = object.array("verdicts");
    for verdict in &address.verdicts {
        one_verdict(verdicts.object(), report, address, verdict);
    }
}

fn one_step(mut object: write_json::Object, step: &Step) {
    let Step {
        what,
        exchange,
        answer,
    } = step;
    object
        .string("step", what.as_str())
        .number("port", exchange.address.port().into());
    match &exchange.connected {
        Ok(after) => object.number("connected", after.as_secs_f64()),
        Err(_) => object.null("connected"),
    };
    object
        .number("time", exchange.time.as_secs_f64())
        .number("bytes", exchange.bytes.len() as f64)
        .number("pieces", exchange.pieces as f64)
        .bool("nul", exchange.bytes.contains(&0));
    match (&exchange.connected, exchange.end) {
        (Err(_), _) => object.null("end"),
        (_, End::Closed) => object.string("end", "closed"),
        (_, End::Reset) => object.string("end", "reset"),
        (_, End::Open) => object.string("end", "open"),
        (_, End::TooMuch) => object.string("end", "too-much"),
    };
    object.string(
        "answer",
        match answer.state {
            State::Counts => "counts",
            State::Absent => "absent",
            State::Unusable => "unusable",
        },
    );
    remarks(object.array("remarks"), &answer.remarks);
    {
        let mut findings = object.array("findings");
        for finding in answer
            .reading
            .iter()
            .flat_map(|reading| &reading.findings)
            .take(MAX_FINDINGS)
        {
            findings
                .object()
                .string("code", finding.code.as_str())
                .string("severity", finding.code.severity().as_str())
                .number("line", finding.line as f64)
                .number("column", finding.column as f64)
                .string("cause", &finding.cause)
                .string("cure", &finding.cure);
        }
    }
    object.number(
        "findings_in_all",
        answer.reading.as_ref().map_or(0, |r| r.findings.len()) as f64,
    );
    match answer.policy() {
        Some(policy) => object.string("policy", &clip(&policy::render(policy))),
        None => object.null("policy"),
    };
}

fn one_verdict(
    mut object: write_json::Object,
    report: &Report,
    address: &Address,
    verdict: &Verdict,
) {
    object
        .number("port", verdict.port.into())
        .bool("allowed", verdict.is_allowed())
        .bool("uncertain", verdict.uncertain);
    match &verdict.reachable {
        Some(reached) => object.bool("answers", reached.is_ok()),
        None => object.null("answers"),
    };
    match &verdict.reachable {
        Some(Err(NoConnection::Refused)) => object.string("no_answer", "refused"),
        Some(Err(NoConnection::Filtered)) => object.string("no_answer", "filtered"),
        Some(Err(_)) => object.string("no_answer", "unreachable"),
        _ => object.null("no_answer"),
    };
    match verdict.error() {
        Some(error) => object.string("error", error),
        None => object.null("error"),
    };
    match &verdict.by {
        Some(by) => {
            object
                .object("by")
                .string("step", by.what.as_str())
                .number("port", by.port.into())
                .string("grant", &by.grant);
        }
        None => {
            object.null("by");
        }
    }
    object.string("text", &headline(report, address, verdict));
    let mut reasons = object.array("reasons");
    for reason in &verdict.reasons {
        reasons.string(reason);
    }
}
