//! The other side: asks a server what Flash Player would ask, in its order, and finds out why the
//! answer is no.
//!
//! The rules of policies are `policy`'s alone: this room fetches (`ask`), classifies what came
//! (`classify`), has `policy` decide (`verdict`), says what to change (`change`) and tells it as a
//! story (`story`) or as JSON (`json`). Every exchange is bounded in time and in bytes, whatever
//! the server does, and nothing of what a server sends reaches a message unescaped.

pub mod ask;
mod change;
pub mod classes;
pub mod classify;
mod json;
pub mod plan;
mod story;
mod verdict;

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::panic;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub use classes::Class;
pub use classify::{Answer, Remark, State};
pub use json::json;
pub use plan::{Arguments, Location, Plan};
pub use story::{first_line, story};
pub use verdict::{By, Verdict};

use crate::policy::{others_count, Host, Origin, Player, MASTER_PORT};
use crate::text::{list, reason};
use ask::{ask, knock, Exchange, Limits, NoConnection, REQUEST};

/// The most addresses of one host that are asked.
const MAX_ADDRESSES: usize = 8;

/// How long a second look takes at most: it explains, and is nothing that a player waits for.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// How bad it is: a monitoring plugin's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    Fine,
    /// It works, and something should be changed.
    Warning,
    /// Denied, unreachable or invalid.
    Critical,
}

/// Everything that a probe found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked.
    pub plan: Plan,
    /// What is no address's own: the name, the locations, the differences between addresses.
    pub remarks: Vec<Remark>,
    /// Each address that was asked, in the system's order.
    pub addresses: Vec<Address>,
    /// How many more the name has.
    pub left_out: usize,
}

/// What one address of the host did.
#[derive(Clone, Debug)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Port 843.
    pub master: Step,
    /// The `--load` locations, unless the master's meta-policy leaves them without effect.
    pub loads: Vec<Step>,
    /// The destination ports that were asked for a policy of their own.
    pub own: Vec<Step>,
    /// A verdict for each destination port.
    pub verdicts: Vec<Verdict>,
}

/// One exchange and what it amounts to.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it came from.
    pub what: What,
    /// What was seen.
    pub exchange: Exchange,
    /// What that is.
    pub answer: Answer,
}

/// The part that a location plays for the player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The master policy.
    Master,
    /// Named by `loadPolicyFile`.
    Load,
    /// The destination port itself.
    Destination,
}

impl What {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            What::Master => "master",
            What::Load => "load",
            What::Destination => "destination",
        }
    }
}

/// Asks every address of the host what the player would ask, all of them at the same time.
pub fn run(plan: Plan) -> Report {
    let mut remarks = wrong_hosts(&plan);
    let (ips, left_out) = match resolve(&plan.host, plan.elsewhere) {
        Ok(mut ips) => {
            let left_out = ips.len().saturating_sub(MAX_ADDRESSES);
            ips.truncate(MAX_ADDRESSES);
            (ips, left_out)
        }
        Err(why) => {
            remarks.push(Remark::new(
                Class::Unresolved,
                plan.port,
                format!("{} has no address: {why}", plan.host),
            ));
            (Vec::new(), 0)
        }
    };
    let mut addresses = at_once(&ips, |&ip| examine(&plan, ip));
    let any_route = addresses
        .iter()
        .any(|address| !address.is_out_of_the_question());
    for address in &mut addresses {
        if any_route && address.is_out_of_the_question() {
            address.verdicts.clear();
            address.own.clear();
        }
    }
    remarks.extend(differing(&plan, &addresses));
    Report {
        plan,
        remarks,
        addresses,
        left_out,
    }
}

/// What is told of one exchange with port 843 when nothing else answers: it asks nobody, so it is
/// what fuzzing and benchmarks can do without a network.
pub fn report_of(plan: Plan, master: Exchange) -> Report {
    let answer = classify::classify(&master, MASTER_PORT);
    let ip = master.address.ip();
    let master = Step {
        what: What::Master,
        exchange: master,
        answer,
    };
    let judge = |origin: &Origin| -> Vec<Verdict> {
        let ports = plan.to.iter();
        ports
            .map(|&port| verdict::judge(&plan, origin, &master, &[], None, port))
            .collect()
    };
    let verdicts = plan.from.as_ref().map(judge).unwrap_or_default();
    let address = Address {
        ip,
        master,
        loads: Vec::new(),
        own: Vec::new(),
        verdicts,
    };
    Report {
        plan,
        remarks: Vec::new(),
        addresses: vec![address],
        left_out: 0,
    }
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
    let judged = addresses
        .iter()
        .filter(|address| !address.is_out_of_the_question());
    let (with, without): (Vec<_>, Vec<_>) =
        judged.partition(|a| a.master.answer.state == State::Counts);
    let names = |addresses: &[&Address]| {
        list(
            &addresses
                .iter()
                .map(|a| a.master.exchange.address)
                .collect::<Vec<_>>(),
        )
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

/// The addresses of the host, each once, as the system gives them.
fn resolve(host: &Host, within: Duration) -> Result<Vec<IpAddr>, String> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![*ip]),
        Host::Name(name) => name.clone(),
    };
    // The system bounds this too, but at its own discretion.
    let (sender, receiver) = mpsc::channel();
    let resolver = move || {
        let _ = sender.send((name.as_str(), 0).to_socket_addrs());
    };
    thread::Builder::new()
        .spawn(resolver)
        .map_err(|error| reason(&error))?;
    let found = receiver
        .recv_timeout(within)
        .unwrap_or_else(|_| Err(io::Error::other("the name server does not answer")))
        .map_err(|error| in_short(&error))?;
    let mut ips: Vec<IpAddr> = Vec::new();
    for address in found {
        if !ips.contains(&address.ip()) {
            ips.push(address.ip());
        }
    }
    if ips.is_empty() {
        return Err("the name stands for none".into());
    }
    Ok(ips)
}

/// The resolver's own words.
fn in_short(error: &io::Error) -> String {
    let text = reason(error);
    let text = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text);
    text.chars().flat_map(char::escape_debug).collect()
}

/// Goes through one address as the player does. Source: rule book section 8.
fn examine(plan: &Plan, ip: IpAddr) -> Address {
    let limits = Limits {
        deadline: plan.timeout,
        patience: plan.timeout * 2,
    };
    let mut master = step(
        What::Master,
        SocketAddr::new(ip, plan.port),
        MASTER_PORT,
        limits,
    );
    look_again(plan, &mut master);

    let limits = Limits {
        deadline: plan.elsewhere,
        patience: plan.elsewhere,
    };
    let others = others_count(Player::Flash, master.answer.policy());
    let mut locations: Vec<u16> = Vec::new();
    for load in plan
        .loads
        .iter()
        .filter(|load| load.host == plan.host && others)
    {
        if load.port != plan.port && !locations.contains(&load.port) {
            locations.push(load.port);
        }
    }
    let loads = at_once(&locations, |&port| {
        step(What::Load, SocketAddr::new(ip, port), port, limits)
    });

    let (mut own, mut verdicts) = (Vec::new(), Vec::new());
    if let Some(origin) = &plan.from {
        let judged = at_once(&plan.to, |&port| {
            examine_port(plan, origin, &master, &loads, port)
        });
        for (step, verdict) in judged {
            own.extend(step);
            verdicts.push(verdict);
        }
    }
    Address {
        ip,
        master,
        loads,
        own,
        verdicts,
    }
}

/// The destination port: its own policy, when no other allows the connection, and the port itself.
fn examine_port(
    plan: &Plan,
    origin: &Origin,
    master: &Step,
    loads: &[Step],
    port: u16,
) -> (Option<Step>, Verdict) {
    let limits = Limits {
        deadline: plan.elsewhere,
        patience: plan.elsewhere,
    };
    let mut verdict = verdict::judge(plan, origin, master, loads, None, port);
    let asked = port == plan.port
        || loads
            .iter()
            .any(|load| load.exchange.address.port() == port);
    let address = SocketAddr::new(master.exchange.address.ip(), port);
    let mut own = None;
    if !verdict.is_allowed() && !asked && others_count(Player::Flash, master.answer.policy()) {
        let step = step(What::Destination, address, port, limits);
        verdict = verdict::judge(plan, origin, master, loads, Some(&step), port);
        verdict.reachable = Some(step.exchange.connected.clone());
        own = Some(step);
    }
    if verdict.is_allowed() && verdict.reachable.is_none() {
        verdict.reachable = Some(knock(address, plan.elsewhere));
    }
    (own, verdict)
}

fn step(what: What, address: SocketAddr, served_from: u16, limits: Limits) -> Step {
    let exchange = ask(address, REQUEST, limits);
    let answer = classify::classify(&exchange, served_from);
    Step {
        what,
        exchange,
        answer,
    }
}

/// Where a master policy was expected and none came: what is there instead? All at the same time.
fn look_again(plan: &Plan, master: &mut Step) {
    let address = master.exchange.address;
    let Some(class) = master.answer.error().map(|remark| remark.class) else {
        return;
    };
    let mut looks = Vec::new();
    let answered_nothing = master.exchange.connected.is_ok() && master.exchange.bytes.is_empty();
    if answered_nothing {
        let bare = REQUEST.strip_suffix(b"\0").unwrap_or(REQUEST);
        looks.push(Look {
            at: address,
            request: [bare, b"\n"].concat(),
            kind: Kind::Request("a line end in place of the NUL"),
        });
        looks.push(Look {
            at: address,
            request: bare.to_vec(),
            kind: Kind::Request("no NUL"),
        });
        let head = format!("HEAD / HTTP/1.0\r\nHost: {}\r\n\r\n", plan.host);
        looks.push(Look {
            at: address,
            request: head.into_bytes(),
            kind: Kind::Web,
        });
    }
    let web = SocketAddr::new(address.ip(), 80);
    if class != Class::Invalid
        && !matches!(master.exchange.connected, Err(NoConnection::NoRoute(_)))
    {
        let get = format!(
            "GET /crossdomain.xml HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n",
            plan.host
        );
        looks.push(Look {
            at: web,
            request: get.into_bytes(),
            kind: Kind::Crossdomain,
        });
    }
    let limit = plan.timeout.min(SECOND_LOOK);
    let limits = Limits {
        deadline: limit,
        patience: limit,
    };
    let seen = at_once(&looks, |look| ask(look.at, &look.request, limits).bytes);
    let port = address.port();
    let mut strict = None;
    for (look, bytes) in looks.iter().zip(seen) {
        let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        let remarks = &mut master.answer.remarks;
        match look.kind {
            Kind::Request(how) if holds(b"cross-domain-policy") && strict.is_none() => {
                let cause =
                    format!("a policy comes for a request with {how}, and none for the player's");
                strict = Some(Remark::new(Class::StrictRequest, port, cause));
            }
            Kind::Web if bytes.starts_with(b"HTTP/") => {
                let cause = "a web server listens here: it waits for the rest of an HTTP request";
                remarks.insert(0, Remark::new(Class::Http, port, cause));
            }
            Kind::Crossdomain if bytes.starts_with(b"HTTP/") && holds(b"cross-domain-policy") => {
                let cause = format!(
                    "http://{web}/crossdomain.xml exists: it is for HTTP and opens no socket"
                );
                remarks.push(Remark::new(Class::CrossdomainHttp, port, cause));
            }
            _ => {}
        }
    }
    master.answer.remarks.extend(strict);
}

struct Look {
    at: SocketAddr,
    request: Vec<u8>,
    kind: Kind,
}

enum Kind {
    /// The request, with something else in place of its NUL.
    Request(&'static str),
    Web,
    Crossdomain,
}

/// Does all of them at the same time, each on a thread of its own, and keeps their order. The
/// callers bound how many there are.
fn at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let work = &work;
    if let [only] = items {
        return vec![work(only)];
    }
    thread::scope(|scope| {
        let started: Vec<_> = items
            .iter()
            .map(|item| {
                (
                    item,
                    thread::Builder::new().spawn_scoped(scope, move || work(item)),
                )
            })
            .collect();
        started
            .into_iter()
            .map(|(item, thread)| match thread {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|fault| panic::resume_unwind(fault)),
                // No thread to be had: one after the other, then.
                Err(_) => work(item),
            })
            .collect()
    })
}

impl Report {
    /// How bad it is, all in all.
    pub fn level(&self) -> Level {
        let unresolved = self
            .remarks
            .iter()
            .any(|remark| remark.class == Class::Unresolved);
        if unresolved || self.addresses.iter().all(Address::is_out_of_the_question) {
            return Level::Critical;
        }
        let of_addresses = self.addresses.iter().map(Address::level).max();
        let of_remarks = if self.remarks.is_empty() {
            Level::Fine
        } else {
            Level::Warning
        };
        of_addresses.unwrap_or(Level::Critical).max(of_remarks)
    }
}

impl Address {
    /// Whether nothing can be said of it from here, such as of IPv6 on a host without it.
    pub fn is_out_of_the_question(&self) -> bool {
        matches!(
            self.master.exchange.connected,
            Err(NoConnection::NoRoute(_))
        )
    }

    /// How bad it is for players that use this address.
    pub fn level(&self) -> Level {
        if self.is_out_of_the_question() {
            return Level::Warning;
        }
        let verdicts = self
            .verdicts
            .iter()
            .map(Verdict::level)
            .max()
            .unwrap_or(Level::Fine);
        let loads = self.loads.iter().map(|load| match load.answer.state {
            State::Counts => load.answer.level(),
            // The SWF names it, and it fails; it may not be needed.
            _ if self.verdicts.is_empty() => Level::Critical,
            _ => Level::Warning,
        });
        let own = self.own.iter().filter(|own| {
            let port = own.exchange.address.port();
            self.verdicts.iter().any(|v| {
                v.port == port && v.by.as_ref().is_some_and(|by| by.what == What::Destination)
            })
        });
        let own = own.map(|own| own.answer.level());
        loads
            .chain(own)
            .chain([verdicts, self.master_level()])
            .max()
            .unwrap_or(Level::Fine)
    }

    /// Whether players get everything that was asked for where a port refuses connections.
    fn does_without_it(&self) -> bool {
        if self.verdicts.is_empty() {
            return self
                .loads
                .iter()
                .all(|load| load.answer.state == State::Counts)
                && !self.loads.is_empty();
        }
        self.verdicts.iter().all(Verdict::is_allowed)
    }

    fn master_level(&self) -> Level {
        let answer = &self.master.answer;
        match answer.state {
            State::Counts => answer.level(),
            State::Unusable => Level::Critical,
            State::Absent => {
                let works = self
                    .loads
                    .iter()
                    .any(|load| load.answer.state == State::Counts);
                let refused = answer
                    .error()
                    .is_some_and(|error| error.class == Class::Refused);
                if self.verdicts.is_empty() && !works {
                    Level::Critical
                } else if refused {
                    // The player goes on at once.
                    Level::Fine
                } else {
                    Level::Warning
                }
            }
        }
    }
}

impl Answer {
    /// How bad an answer is that counts.
    fn level(&self) -> Level {
        if self.warnings() > 0 {
            Level::Warning
        } else {
            Level::Fine
        }
    }
}
