//! The player's order: every address of the host is asked as the player asks one. It connects
//! through `ask` alone, and leaves every decision to `policy`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::ask::{Exchange, Question, REQUEST, ask, watch};
use super::classes::Class;
use super::classify::{AnswerState, Remark};
use super::parallel::in_parallel;
use super::plan::{OTHER_PATIENCE, PLAYERS_PATIENCE, Plan, SOCKET_TIMEOUT};
use super::player::waits_for_silence;
use super::progress::Progress;
use super::recheck::recheck;
use super::report::{Address, Report};
use super::resolve::resolve;
use super::secure::Secure;
use super::step::{Role, Step};
use super::verdict::{PortVerdict, distrust, judge, time_waited};
use crate::output::text::{each_once, list, time};
use crate::policy::{Origin, Player, others_count};

/// The most addresses of one host that are asked.
const MAX_ADDRESSES: usize = 8;

/// How long the probe waits for an answer of a destination port that is allowed already.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the probe sends nothing to it before, to see whether it ends the connection by itself.
const QUIET_TIME: Duration = Duration::from_millis(500);

/// A player that waits longer than this in all is near the time-out of its socket.
const NEAR_TIMEOUT: Duration = SOCKET_TIMEOUT.saturating_sub(Duration::from_secs(5));

/// What every question needs.
struct ProbeContext<'a> {
    plan: &'a Plan,
    secure: Option<Secure>,
    progress: &'a Progress,
}

/// Asks every address of the host what the player would ask, all of them at the same time.
/// `progress` says meanwhile what is waited for.
pub fn run(plan: Plan, progress: &Progress) -> Report {
    let mut remarks = wrong_hosts(&plan);
    let (host, most) = (&plan.host, plan.other_patience);
    let resolved = progress.during(format!("looking up {host}"), most, || resolve(host, most));
    let mut ips = resolved.unwrap_or_else(|why| {
        let cause = format!("{} has no address: {why}", plan.host);
        remarks.push(Remark::new(Class::Unresolved, plan.port, cause));
        Vec::new()
    });
    let left_out = ips.len().saturating_sub(MAX_ADDRESSES);
    ips.truncate(MAX_ADDRESSES);
    let context = ProbeContext {
        plan: &plan,
        secure: plan.tls.then(|| Secure::of(&plan.host)).flatten(),
        progress,
    };
    let mut addresses = in_parallel(&ips, |&ip| probe_address(&context, ip));
    let any_route = addresses.iter().any(|address| !address.has_no_route());
    for address in &mut addresses {
        if any_route && address.has_no_route() {
            address.verdicts.clear();
        }
    }
    remarks.extend(differing_addresses(&plan, &addresses));
    remarks.extend(
        addresses
            .iter()
            .filter_map(|address| near_timeout(&plan, address)),
    );
    Report {
        plan,
        remarks,
        addresses,
        left_out,
        ignored: 0,
    }
    .without_ignored()
}

/// `--load` locations on other hosts: they are not asked, since no answer would count.
fn wrong_hosts(plan: &Plan) -> Vec<Remark> {
    let others = plan.loads.iter().filter(|load| load.host != plan.host);
    others
        .map(|load| {
            let cause = format!(
                "--load {load} was not asked: a policy of {} lets nobody connect to {}",
                load.host, plan.host
            );
            Remark::new(Class::WrongHost, load.port, cause)
        })
        .collect()
}

/// Where one address has a policy and another has none.
fn differing_addresses(plan: &Plan, addresses: &[Address]) -> Option<Remark> {
    let judged = addresses.iter().filter(|address| !address.has_no_route());
    let masters = judged.filter_map(|address| address.master.as_ref());
    let (with, without): (Vec<&Step>, Vec<&Step>) =
        masters.partition(|master| master.answer.state == AnswerState::Counts);
    let names = |masters: &[&Step]| {
        let sockets = masters.iter().map(|master| master.exchange.address);
        list(&sockets.collect::<Vec<_>>())
    };
    (!with.is_empty() && !without.is_empty()).then(|| {
        let cause = format!(
            "there is a policy on {}, and none on {}",
            names(&with),
            names(&without)
        );
        Remark::new(Class::OneAddress, plan.port, cause)
    })
}

/// Where the player waits for policies nearly as long as its socket waits in all.
fn near_timeout(plan: &Plan, address: &Address) -> Option<Remark> {
    if plan.player != Player::Flash {
        return None;
    }
    let master = address.master.as_ref()?;
    let allowed = address
        .verdicts
        .iter()
        .filter(|verdict| verdict.is_allowed());
    let waited = match allowed.map(|verdict| verdict.waited).max() {
        Some(waited) => waited,
        None if address.verdicts.is_empty() => time_waited(master, &address.loads, None, None),
        // It fails by a policy in any case.
        None => return None,
    };
    (waited > NEAR_TIMEOUT).then(|| {
        let cause = format!(
            "on {}, the player's requests for policies take {} in all, of the {} s that its socket waits",
            address.ip,
            time(waited),
            SOCKET_TIMEOUT.as_secs()
        );
        Remark::new(Class::NearTimeout, plan.port, cause)
    })
}

/// Goes through one address as the player does. Source: rule book section 8.
fn probe_address(context: &ProbeContext, ip: IpAddr) -> Address {
    let plan = context.plan;
    if plan.air {
        let verdicts = in_parallel(&plan.sample([]), |&port| {
            let mut verdict = PortVerdict::exempt(port);
            watch_port(context, SocketAddr::new(ip, port), &mut verdict, false);
            verdict
        });
        return Address {
            ip,
            master: None,
            loads: Vec::new(),
            verdicts,
        };
    }
    let address = SocketAddr::new(ip, plan.port);
    let master = step(context, Role::Master, address);
    let loads = in_parallel(&locations(plan, &master), |&port| {
        step(context, Role::Load, SocketAddr::new(ip, port))
    });
    let verdicts = match &plan.from {
        Some(origin) => {
            let ports = plan.sample(std::iter::once(&master).chain(&loads));
            in_parallel(&ports, |&port| {
                probe_port(context, origin, &master, &loads, port)
            })
        }
        None => Vec::new(),
    };
    Address {
        ip,
        master: Some(master),
        loads,
        verdicts,
    }
}

/// The ports of this host that the SWF names and that count, each once.
fn locations(plan: &Plan, master: &Step) -> Vec<u16> {
    if !others_count(plan.player, master.policy(plan.player)) {
        return Vec::new();
    }
    let here = plan.loads.iter().filter(|load| load.host == plan.host);
    let ports = here.map(|load| load.port);
    each_once(ports.filter(|port| *port != plan.port))
}

/// The destination port: its own policy, when no other allows the connection, and the port itself.
fn probe_port(
    context: &ProbeContext,
    origin: &Origin,
    master: &Step,
    loads: &[Step],
    port: u16,
) -> PortVerdict {
    let plan = context.plan;
    let mut verdict = judge(plan, origin, master, loads, None, port);
    let is_location = |load: &Step| load.exchange.address.port() == port;
    let asked = port == plan.port || loads.iter().any(is_location);
    let address = SocketAddr::new(master.exchange.address.ip(), port);
    let others_count = others_count(plan.player, master.policy(plan.player));
    let asks_it = plan.player.asks_destination();
    if !verdict.is_allowed() && !asked && others_count && asks_it {
        let step = step(context, Role::Destination, address);
        verdict = judge(plan, origin, master, loads, Some(&step), port);
        verdict.reachable = Some(step.exchange.connected.clone());
        verdict.tls = step.exchange.tls.clone();
        verdict.own = Some(step);
    }
    if verdict.is_allowed() && verdict.reachable.is_none() {
        let by_master = verdict.role() == Some(Role::Master);
        let looks = plan.looks_for_silence || waits_for_silence(plan.player);
        let asks_too = others_count && !asked && by_master;
        watch_port(context, address, &mut verdict, asks_too && looks);
        let waits = waits_for_silence(plan.player);
        let silent = verdict.silent.filter(|_| waits).map(|time| (port, time));
        verdict.waits_on = silent.or(verdict.waits_on);
    }
    verdict.distrust = verdict
        .distrust
        .or_else(|| distrust(port, verdict.tls.as_ref()));
    verdict.waited += verdict
        .reachable
        .clone()
        .and_then(Result::ok)
        .unwrap_or_default();
    verdict
}

/// Sees what a destination port does with a connection. A SecureSocket's begins with a handshake.
fn watch_port(context: &ProbeContext, address: SocketAddr, verdict: &mut PortVerdict, asks: bool) {
    let limit = context.plan.other_patience;
    let connecting = format!("connecting to {address}");
    if let Some(secure) = &context.secure {
        let question = Question {
            request: b"",
            inside: Some(secure),
            deadline: limit,
            patience: limit,
        };
        let exchange = context
            .progress
            .during(connecting, limit, || ask(address, question));
        verdict.reachable = Some(exchange.connected);
        verdict.tls = exchange.tls;
        return;
    }
    let answer_limit = asks.then_some(SILENCE_TIMEOUT.min(limit));
    let quiet_time = QUIET_TIME.min(limit);
    let watched = context.progress.during(connecting, limit, || {
        watch(address, limit, quiet_time, answer_limit)
    });
    verdict.reachable = Some(watched.connected);
    verdict.ended = watched.ended;
    verdict.silent = answer_limit.filter(|_| watched.silent);
}

/// One question in the player's order, and what else is there where the answer is no policy.
fn step(context: &ProbeContext, role: Role, address: SocketAddr) -> Step {
    let ProbeContext {
        plan,
        secure,
        progress,
    } = context;
    let (deadline, patience) = match role {
        Role::Master => (PLAYERS_PATIENCE, plan.patience),
        Role::Load | Role::Destination => (OTHER_PATIENCE, plan.other_patience),
    };
    let question = Question {
        request: REQUEST,
        inside: secure.as_ref(),
        deadline,
        patience,
    };
    let asked = format!("asking {address} for a policy");
    let exchange = progress.during(asked, patience, || ask(address, question));
    let mut step = Step::new(role, exchange);
    let again = format!("seeing what else {address} answers");
    progress.during(again, patience, || {
        recheck(plan, secure.as_ref(), &mut step)
    });
    step
}

/// The report on one exchange with port 843 where nothing else answers: it asks nobody, so
/// fuzzing and benchmarks can use it without a network.
pub fn report_of(plan: Plan, master: Exchange) -> Report {
    let ip = master.address.ip();
    let master = Step::new(Role::Master, master);
    let verdicts = match &plan.from {
        Some(origin) => plan
            .sample(std::slice::from_ref(&master))
            .into_iter()
            .map(|port| judge(&plan, origin, &master, &[], None, port))
            .collect(),
        None => Vec::new(),
    };
    let address = Address {
        ip,
        master: Some(master),
        loads: Vec::new(),
        verdicts,
    };
    Report {
        plan,
        remarks: Vec::new(),
        addresses: vec![address],
        left_out: 0,
        ignored: 0,
    }
    .without_ignored()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::probe::ask::End;
    use crate::player::probe::{Arguments, first_line};

    /// A port that gave this after so many seconds.
    fn gave(role: Role, port: u16, bytes: &[u8], seconds: f64) -> Step {
        let exchange = Exchange {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            connected: Ok(Duration::from_millis(1)),
            bytes: bytes.to_vec(),
            pieces: 1,
            first_piece: bytes.len(),
            end: if bytes.is_empty() {
                End::Open
            } else {
                End::Closed
            },
            time: Duration::from_secs_f64(seconds),
            deadline: OTHER_PATIENCE,
            tls: None,
        };
        Step::new(role, exchange)
    }

    /// The remark and the first line where port 843 is silent for 6 s, and the locations gave their
    /// policy after so many seconds.
    fn judged(seconds: &[f64], player: &str) -> (Option<String>, String) {
        let policy = b"<cross-domain-policy><allow-access-from domain='*' to-ports='2001'/></cross-domain-policy>\0";
        let plan = Plan::new(&Arguments {
            host: "127.0.0.1".into(),
            from: Some("a.example".into()),
            to: Some("2001".into()),
            player: Some(player.into()),
            ..Arguments::default()
        })
        .unwrap();
        let master = gave(Role::Master, 843, b"", 6.0);
        let (last, before) = seconds.split_last().unwrap();
        let mut loads: Vec<_> = before
            .iter()
            .map(|s| gave(Role::Load, 1, b"", *s))
            .collect();
        loads.push(gave(Role::Load, 2, policy, *last));
        let origin = plan.from.clone().unwrap();
        let verdict = judge(&plan, &origin, &master, &loads, None, 2001);
        let address = Address {
            ip: IpAddr::from([127, 0, 0, 1]),
            master: Some(master),
            loads,
            verdicts: vec![verdict],
        };
        let remark = near_timeout(&plan, &address).map(|remark| remark.cause);
        let report = Report {
            plan,
            remarks: Vec::new(),
            addresses: vec![address],
            left_out: 0,
            ignored: 0,
        };
        (remark, first_line(&report))
    }

    #[test]
    fn policies_that_take_longer_than_the_socket_waits_are_too_late_and_near_it_a_warning() {
        let (remark, line) = judged(&[1.0], "flash");
        assert!(
            remark.is_none() && line.starts_with("POLICY WARNING"),
            "{line}"
        );
        // Of port 843 the player waits for 3 s.
        let (remark, line) = judged(&[7.0, 6.5], "flash");
        let near = "take 16.5 s in all, of the 20 s that its socket waits";
        assert!(remark.unwrap().contains(near), "{line}");
        let (_, line) = judged(&[20.0, 1.0], "flash");
        let late = "http://a.example waits too long for 127.0.0.1, port 2001 (SecurityError #2048 after 20 s)";
        assert!(
            line.starts_with("POLICY CRITICAL - ") && line.contains(late),
            "{line}"
        );
        // Other players have no such limit.
        let (remark, line) = judged(&[20.0, 1.0], "unity");
        assert!(
            remark.is_none() && line.starts_with("POLICY WARNING"),
            "{line}"
        );
    }
}
