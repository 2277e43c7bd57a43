//! The player's order: every address of the host is asked as the player asks one. It connects
//! through `ask` alone, and leaves every decision to `policy`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::ask::{Exchange, REQUEST, ask, ask_briefly, connect_only};
use super::classes::Class;
use super::classify::{AnswerState, Remark};
use super::parallel::at_once;
use super::plan::{ELSEWHERE, PLAYERS_PATIENCE, Plan};
use super::player::waits_for_silence;
use super::report::{Address, Report};
use super::resolve::resolve;
use super::second_look::look_again;
use super::step::{Role, Step};
use super::verdict::PortVerdict;
use super::verdict::judge;
use crate::policy::{Origin, others_count};
use crate::text::{each_once, list};

/// The most addresses of one host that are asked.
const MAX_ADDRESSES: usize = 8;

/// How long a destination port that is allowed already is listened to: is it silent?
const SILENCE: Duration = Duration::from_secs(1);

/// Asks every address of the host what the player would ask, all of them at the same time.
pub fn run(plan: Plan) -> Report {
    let mut remarks = wrong_hosts(&plan);
    let mut ips = resolve(&plan.host, plan.elsewhere).unwrap_or_else(|why| {
        let cause = format!("{} has no address: {why}", plan.host);
        remarks.push(Remark::new(Class::Unresolved, plan.port, cause));
        Vec::new()
    });
    let left_out = ips.len().saturating_sub(MAX_ADDRESSES);
    ips.truncate(MAX_ADDRESSES);
    let mut addresses = at_once(&ips, |&ip| examine(&plan, ip));
    let any_route = addresses.iter().any(|address| !address.has_no_route());
    for address in &mut addresses {
        if any_route && address.has_no_route() {
            address.verdicts.clear();
        }
    }
    remarks.extend(differing(&plan, &addresses));
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
fn differing(plan: &Plan, addresses: &[Address]) -> Option<Remark> {
    let judged = addresses.iter().filter(|address| !address.has_no_route());
    let (with, without): (Vec<&Address>, Vec<&Address>) =
        judged.partition(|a| a.master.answer.state == AnswerState::Counts);
    let names = |addresses: &[&Address]| {
        let sockets = addresses.iter().map(|a| a.master.exchange.address);
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

/// Goes through one address as the player does. Source: rule book section 8.
fn examine(plan: &Plan, ip: IpAddr) -> Address {
    let address = SocketAddr::new(ip, plan.port);
    let mut master = step(plan, Role::Master, address);
    look_again(plan, &mut master);
    let loads = at_once(&locations(plan, &master), |&port| {
        let mut load = step(plan, Role::Load, SocketAddr::new(ip, port));
        look_again(plan, &mut load);
        load
    });
    let verdicts = match &plan.from {
        Some(origin) => {
            let ports = plan.sample(std::iter::once(&master).chain(&loads));
            at_once(&ports, |&port| {
                examine_port(plan, origin, &master, &loads, port)
            })
        }
        None => Vec::new(),
    };
    Address {
        ip,
        master,
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
fn examine_port(
    plan: &Plan,
    origin: &Origin,
    master: &Step,
    loads: &[Step],
    port: u16,
) -> PortVerdict {
    let mut verdict = judge(plan, origin, master, loads, None, port);
    let is_location = |load: &Step| load.exchange.address.port() == port;
    let asked = port == plan.port || loads.iter().any(is_location);
    let address = SocketAddr::new(master.exchange.address.ip(), port);
    let others_count = others_count(plan.player, master.policy(plan.player));
    let asks_it = plan.player.asks_destination();
    if !verdict.is_allowed() && !asked && others_count && asks_it {
        let step = step(plan, Role::Destination, address);
        verdict = judge(plan, origin, master, loads, Some(&step), port);
        verdict.reachable = Some(step.exchange.connected.clone());
        verdict.own = Some(step);
    }
    if verdict.is_allowed() && verdict.reachable.is_none() {
        let by_master = verdict.role() == Some(Role::Master);
        let waits_for_silence = waits_for_silence(plan.player);
        let looks = plan.looks_for_silence || waits_for_silence;
        if others_count && !asked && by_master && looks {
            let exchange = ask_briefly(address, plan.elsewhere, SILENCE.min(plan.elsewhere));
            verdict.silent = exchange.is_silent();
            if verdict.silent && waits_for_silence {
                verdict.waits_on = Some(port);
            }
            verdict.reachable = Some(exchange.connected);
        } else {
            verdict.reachable = Some(connect_only(address, plan.elsewhere));
        }
    }
    verdict
}

fn step(plan: &Plan, role: Role, address: SocketAddr) -> Step {
    let (deadline, patience) = match role {
        Role::Master => (PLAYERS_PATIENCE, plan.patience),
        // The player waits as long as the system does.
        Role::Load | Role::Destination => (ELSEWHERE, plan.elsewhere),
    };
    Step::new(role, ask(address, REQUEST, deadline, patience))
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
        master,
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
