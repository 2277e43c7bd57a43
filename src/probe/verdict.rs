//! The verdict for one destination port. `policy` decides by the policies that were fetched; this
//! file adds the words. Nothing is fetched here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::ask::NoConnection;
use super::classes::Class;
use super::classify::AnswerState;
use super::plan::Plan;
use super::player::{may_miss_the_rest, passes_over_loads, waits_for_silence};
use super::step::{Role, Step, alone};
use crate::advice::{self, Wish};
use crate::policy::{
    self, MASTER_PORT, Offer, Origin, Player, Reason, SECURITY_ERROR, decide, grant_number,
    others_count, render_grant,
};
use crate::text::{clip, time};

/// The verdict for one destination port.
#[derive(Clone, Debug)]
pub struct PortVerdict {
    /// The destination port.
    pub port: u16,
    /// The grant that allows it.
    pub by: Option<AllowedBy>,
    /// Why it is not known whether a player decides like this: a sentence.
    pub doubt: Option<String>,
    /// Why it is denied, in the order in which that arises; printable lines.
    pub reasons: Vec<String>,
    /// The exchange in which the port was asked for a policy of its own, if it was.
    pub own: Option<Step>,
    /// Whether the port itself takes connections, where that was tried.
    pub reachable: Option<Result<Duration, NoConnection>>,
    /// Whether the port took a policy request and said nothing, where port 843 had allowed the
    /// connection already.
    pub silent: bool,
    /// The port on which this player waits without end, because nothing comes from it.
    pub waits_on: Option<u16>,
    /// The changes that would allow it.
    pub(super) wishes: Vec<Wish>,
}

/// The grant that allows a connection.
#[derive(Clone, Debug)]
pub struct AllowedBy {
    /// The part that its policy plays.
    pub role: Role,
    /// The port that serves it.
    pub port: u16,
    /// The grant as XML; printable, on one line.
    pub grant: String,
}

impl PortVerdict {
    /// Whether the policies allow the connection.
    pub fn is_allowed(&self) -> bool {
        self.by.is_some()
    }

    /// The part that the policy plays which allows the connection.
    pub(super) fn role(&self) -> Option<Role> {
        self.by.as_ref().map(|by| by.role)
    }

    /// Whether the SWF gets its connection, as far as is known.
    pub(super) fn works(&self) -> bool {
        self.waits_on.is_none()
            && self.is_allowed()
            && !matches!(self.reachable, Some(Err(_)))
            && self.doubt.is_none()
    }

    /// The error that the SWF gets.
    pub fn error(&self) -> Option<&'static str> {
        match (self.is_allowed(), &self.reachable) {
            (false, _) => Some(SECURITY_ERROR),
            (true, Some(Err(_))) => Some("IOError #2031"),
            (true, _) => None,
        }
    }
}

/// Has `policy` decide about one port, with what was fetched so far.
pub(super) fn judge(
    plan: &Plan,
    origin: &Origin,
    master: &Step,
    loads: &[Step],
    own: Option<&Step>,
    port: u16,
) -> PortVerdict {
    let _alone = alone();
    let loads = if passes_over_loads(plan.player, &master.exchange) {
        &[]
    } else {
        loads
    };
    let others: Vec<&Step> = loads.iter().chain(own).collect();
    let offers: Vec<Offer> = others
        .iter()
        .filter_map(|step| step.offer(plan.player))
        .collect();
    let offer = master.offer(plan.player);
    let mut granting = None;
    let (mut reasons, mut wishes) = (Vec::new(), Vec::new());
    match policy::explain(plan.player, offer.as_ref(), &offers, origin, port) {
        _ if plan.player.refuses(&plan.host).is_some() => {
            reasons.extend(plan.player.refuses(&plan.host).map(String::from));
        }
        policy::Verdict::Allowed { .. } => {
            // A port does not tell the step: another may stand for 843, and a location be on 843.
            granting = std::iter::once(master)
                .chain(others)
                .find_map(|step| Some((step, by(plan, step, origin, port)?)));
        }
        policy::Verdict::Denied(found) => {
            reasons = self::reasons(plan, &found, master, loads, own, port);
            wishes = self::wishes(plan, master, &others, origin, port);
        }
    }
    PortVerdict {
        port,
        doubt: doubt(plan, master, granting.as_ref().map(|(step, _)| *step)),
        by: granting.map(|(_, by)| by),
        reasons,
        own: None,
        reachable: None,
        silent: false,
        waits_on: (master.exchange.is_silent() && waits_for_silence(plan.player))
            .then_some(plan.port),
        wishes,
    }
}

/// The grant of this policy that allows the connection.
fn by(plan: &Plan, step: &Step, origin: &Origin, port: u16) -> Option<AllowedBy> {
    let offer = step.offer(plan.player)?;
    let grant = decide(plan.player, &offer, origin, port).ok()?;
    let grant = offer.policy.grants.get(grant)?;
    Some(AllowedBy {
        role: step.role,
        port: step.exchange.address.port(),
        grant: clip(&render_grant(grant)),
    })
}

/// What it takes to have the connection allowed: nothing but the cures of what is wrong with the
/// answers, where a policy would allow it once it came as it should.
fn wishes(plan: &Plan, master: &Step, others: &[&Step], origin: &Origin, port: u16) -> Vec<Wish> {
    let intended = master.intended_offer();
    let offers: Vec<Offer> = others
        .iter()
        .filter_map(|step| step.intended_offer())
        .collect();
    match policy::explain(plan.player, intended.as_ref(), &offers, origin, port) {
        policy::Verdict::Allowed { .. } => Vec::new(),
        policy::Verdict::Denied(_) => {
            advice::wishes(plan.player, intended.as_ref(), &offers, origin, port)
        }
    }
}

/// What is not known of how the player takes the answers; `granting` is the one that allows it.
fn doubt(plan: &Plan, master: &Step, granting: Option<&Step>) -> Option<String> {
    let Plan { port, player, .. } = plan;
    let takes_master = master.policy(*player).is_some();
    if master.answer.state == AnswerState::Unusable && !takes_master {
        // Source: rule book section 1.12.
        return Some(format!(
            "how the player takes what port {port} answers is not documented; this holds if it passes over it."
        ));
    }
    let granting = granting?;
    let reading = granting.answer.reading.as_ref();
    if let Some(doubt) = reading.and_then(|reading| reading.doubt(*player)) {
        return Some(format!("{doubt}."));
    }
    if master.exchange.ended_empty() && granting.role == Role::Load {
        // Source: rule book section 7.
        return Some(format!(
            "port {port} ends the connection without a byte. How Flash Player takes that is not documented; \
             Lightspark then asks the destination port alone, and passes over what loadPolicyFile names."
        ));
    }
    may_miss_the_rest(*player, &granting.answer)
        .then(|| format!("{player} reads an answer once, and the policy came in pieces."))
}

fn reasons(
    plan: &Plan,
    found: &[Reason],
    master: &Step,
    loads: &[Step],
    own: Option<&Step>,
    destination: u16,
) -> Vec<String> {
    let mut lines = Vec::new();
    if passes_over_loads(plan.player, &master.exchange) && !plan.loads.is_empty() {
        lines.push(format!(
            "port {} ended the connection without a byte: {} then asks the destination port alone, \
             and passes over loadPolicyFile",
            plan.port, plan.player
        ));
    }
    let asked = destination.to_string();
    for reason in found {
        lines.push(match reason {
            Reason::NoMaster => format!("port {}: {}", plan.port, because(master)),
            Reason::Policy { port, denial }
                if *port == MASTER_PORT && master.offer(plan.player).is_some() =>
            {
                let denial = denial.in_words(&asked, &grant_number);
                format!("the policy on port {}: {denial}", plan.port)
            }
            other => other.in_words(&asked, &|_, grant| grant_number(grant)),
        });
    }
    lines.extend(of_other_ports(plan, master, loads, own));
    lines.iter().map(|line| clip(line)).collect()
}

/// Why a step gave no policy.
fn because(step: &Step) -> &str {
    let error = step.answer.error();
    error.map_or("no policy", |error| &error.cause)
}

/// The reasons that concern other ports than the master's.
fn of_other_ports(plan: &Plan, master: &Step, loads: &[Step], own: Option<&Step>) -> Vec<String> {
    let mut lines = Vec::new();
    for load in loads
        .iter()
        .filter(|load| load.offer(plan.player).is_none())
    {
        lines.push(format!(
            "port {}, named by --load: {}",
            load.exchange.address.port(),
            because(load)
        ));
    }
    for load in plan.loads.iter().filter(|load| load.host != plan.host) {
        lines.push(format!(
            "{load}, named by --load: a policy speaks only for the host that serves it"
        ));
    }
    if !others_count(plan.player, master.policy(plan.player)) {
        lines.push(
            "no other port was asked: the meta-policy leaves other policies without effect".into(),
        );
    }
    if let Some(own) = own.filter(|own| own.offer(plan.player).is_none()) {
        let more = match own.answer.fault() {
            Some(Class::Refused | Class::Filtered | Class::Unreachable) => {
                "; with a policy, the player would report IOError #2031"
            }
            _ => "",
        };
        lines.push(format!(
            "port {} itself has no policy: {}{more}",
            own.exchange.address.port(),
            because(own)
        ));
    }
    lines
}

/// A verdict in the user's words; printable, on one line.
pub(super) fn headline(plan: &Plan, ip: IpAddr, verdict: &PortVerdict) -> String {
    let to = SocketAddr::new(ip, verdict.port);
    let origin = plan
        .from
        .as_ref()
        .map_or_else(String::new, Origin::in_words);
    let doubt = verdict
        .doubt
        .as_ref()
        .map_or_else(String::new, |doubt| format!(" UNCERTAIN: {doubt}"));
    let Some(by) = &verdict.by else {
        let refuses = plan.player.refusal();
        return format!("DENIED, {refuses}: a SWF from {origin} may not connect to {to}.{doubt}");
    };
    let grant = &by.grant;
    let condition = condition(plan, by);
    let sentence = format!("a SWF from {origin} may connect to {to}, by {grant}{condition}.");
    if let Some(port) = verdict.waits_on {
        return format!(
            "ALLOWED, and {} waits without end on port {port}, which it asks and which says nothing: {sentence}",
            plan.player
        );
    }
    match &verdict.reachable {
        Some(Ok(after)) => {
            format!(
                "ALLOWED: {sentence} The port answers, in {}.{doubt}",
                time(*after)
            )
        }
        Some(Err(why)) => {
            let reports = match plan.player {
                Player::Flash => "the player reports IOError #2031, for ",
                Player::Lightspark | Player::Unity => "",
            };
            let why = no_answer(why, plan.elsewhere);
            format!("ALLOWED, and {reports}nobody answers there ({why}): {sentence}{doubt}")
        }
        None => format!("ALLOWED: {sentence}{doubt}"),
    }
}

/// The condition under which the policy counts.
fn condition(plan: &Plan, by: &AllowedBy) -> String {
    let (host, port) = (&plan.host, by.port);
    match (by.role, plan.player) {
        (Role::Master, _) if port == MASTER_PORT => String::new(),
        (Role::Master, _) => format!(", if port {port} were port {MASTER_PORT}"),
        (Role::Load, Player::Unity) => {
            format!(", once it has called Security.PrefetchSocketPolicy(\"{host}\", {port})")
        }
        (Role::Load, Player::Flash | Player::Lightspark) => {
            format!(", once it has called Security.loadPolicyFile(\"xmlsocket://{host}:{port}\")")
        }
        (Role::Destination, _) => format!(", in the policy of port {port} itself"),
    }
}

fn no_answer(why: &NoConnection, limit: Duration) -> String {
    match why {
        NoConnection::Refused => "connection refused".into(),
        NoConnection::Filtered => format!("no answer within {}", time(limit)),
        NoConnection::Unreachable(reason) | NoConnection::NoRoute(reason) => reason.clone(),
    }
}
