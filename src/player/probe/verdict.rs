//! The verdict for one destination port. `policy` decides by the policies that were fetched; this
//! file adds the words. Nothing is fetched here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::ask::NoConnection;
use super::classes::Class;
use super::classify::AnswerState;
use super::error::Outcome;
use super::plan::{PLAYERS_PATIENCE, Plan, SOCKET_TIMEOUT};
use super::player::{may_miss_the_rest, passes_over_loads, waits_for_silence};
use super::secure::Tls;
use super::step::{Role, Step, one_decision_at_a_time};
use crate::output::text::{clip, time};
use crate::player::advice::{self, NeededChange};
use crate::policy::{
    self, MASTER_PORT, Offer, Origin, Player, Reason, decide, grant_number, others_count,
    render_grant,
};

/// The verdict for one destination port.
#[derive(Clone, Debug)]
pub struct PortVerdict {
    /// The destination port.
    pub port: u16,
    /// Whether the content needs no policy.
    pub exempt: bool,
    /// The grant that allows it.
    pub by: Option<AllowedBy>,
    /// Why it is not known whether a player decides like this: a sentence.
    pub doubt: Option<String>,
    /// What keeps the player from it where its computer does not trust a certificate either: a
    /// sentence.
    pub distrust: Option<String>,
    /// Why it is denied, in the order in which that arises; printable lines.
    pub reasons: Vec<String>,
    /// The exchange in which the port was asked for a policy of its own, if it was.
    pub own: Option<Step>,
    /// Whether the port itself takes connections, where that was tried.
    pub reachable: Option<Result<Duration, NoConnection>>,
    /// After what time the port closed a connection before either side sent anything.
    pub ended: Option<Duration>,
    /// How long the player waits for all that it asks before, one after the other, and for the
    /// connection.
    pub waited: Duration,
    /// What was seen of TLS on the port, where it was connected to inside of it.
    pub tls: Option<Tls>,
    /// How long the port took a policy request and said nothing, where port 843 had allowed the
    /// connection already.
    pub silent: Option<Duration>,
    /// The port on which this player waits without a time-out, and how long nothing came from it.
    pub waits_on: Option<(u16, Duration)>,
    /// The changes that would allow it.
    pub(super) needed: Vec<NeededChange>,
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
    /// The verdict on content that needs no policy, with what was seen of the port.
    pub(super) fn exempt(port: u16) -> PortVerdict {
        PortVerdict {
            port,
            exempt: true,
            by: None,
            doubt: None,
            distrust: None,
            reasons: Vec::new(),
            own: None,
            reachable: None,
            ended: None,
            waited: Duration::ZERO,
            tls: None,
            silent: None,
            waits_on: None,
            needed: Vec::new(),
        }
    }

    /// Whether the policies allow the connection, or none is needed.
    pub fn is_allowed(&self) -> bool {
        self.exempt || self.by.is_some()
    }

    /// The part that the policy plays which allows the connection.
    pub(super) fn role(&self) -> Option<Role> {
        self.by.as_ref().map(|by| by.role)
    }

    /// Whether the SWF gets its connection, as far as is known.
    pub(super) fn works(&self) -> bool {
        self.waits_on.is_none() && self.outcome() == Outcome::Stands && self.doubt.is_none()
    }

    /// How the connection ends for the SWF.
    pub(super) fn outcome(&self) -> Outcome {
        match &self.reachable {
            _ if !self.is_allowed() => Outcome::Denied,
            _ if self.waited > SOCKET_TIMEOUT && !self.exempt => Outcome::TooLate,
            Some(Err(NoConnection::Refused)) => Outcome::Refused,
            Some(Err(NoConnection::Filtered)) => Outcome::Dropped,
            Some(Err(NoConnection::Unreachable(_) | NoConnection::NoRoute(_))) => {
                Outcome::Unreachable
            }
            Some(Err(NoConnection::NoTls(_))) => Outcome::NoTls,
            Some(Ok(_)) if self.ended.is_some() => Outcome::Ended,
            Some(Ok(_)) | None => Outcome::Stands,
        }
    }

    /// The error that the SWF gets first.
    pub fn error(&self) -> Option<&'static str> {
        self.outcome().error(self.exempt)
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
    let _deciding = one_decision_at_a_time();
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
    let (mut reasons, mut needed) = (Vec::new(), Vec::new());
    match policy::explain(plan.player, offer.as_ref(), &offers, origin, port) {
        _ if plan.player.refuses(&plan.host).is_some() => {
            reasons.extend(plan.player.refuses(&plan.host).map(String::from));
        }
        policy::Verdict::Allowed { .. } => {
            // A port does not tell the step: another may stand for 843, and a location be on 843.
            granting = std::iter::once(master)
                .chain(others)
                .find_map(|step| Some((step, allowed_by(plan, step, origin, port)?)));
        }
        policy::Verdict::Denied(found) => {
            reasons = self::reasons(plan, &found, master, loads, own, port);
            needed = self::needed(plan, master, &others, origin, port);
        }
    }
    let granting_step = granting.as_ref().map(|(step, _)| *step);
    PortVerdict {
        exempt: false,
        doubt: doubt(plan, master, granting_step),
        distrust: granting_step.and_then(|granting| {
            distrust(
                granting.exchange.address.port(),
                granting.exchange.tls.as_ref(),
            )
        }),
        waited: match plan.player {
            Player::Flash => time_waited(master, loads, own, granting_step),
            // They know no such limit.
            Player::Lightspark | Player::Unity => Duration::ZERO,
        },
        by: granting.map(|(_, by)| by),
        reasons,
        waits_on: (master.exchange.is_silent() && waits_for_silence(plan.player))
            .then_some((plan.port, master.exchange.time)),
        needed,
        ..PortVerdict::exempt(port)
    }
}

/// How long the player waits for policies, up to the one that allows the connection. Locations that
/// are named may be asked side by side: then it is less. Source: rule book section 1.9, 1.10.
pub(super) fn time_waited(
    master: &Step,
    loads: &[Step],
    own: Option<&Step>,
    granting: Option<&Step>,
) -> Duration {
    let mut waited = Duration::ZERO;
    for step in std::iter::once(master).chain(loads).chain(own) {
        waited += match step.role {
            Role::Master => step.exchange.time.min(PLAYERS_PATIENCE),
            Role::Load | Role::Destination => step.exchange.time,
        };
        if granting.is_some_and(|granting| std::ptr::eq(granting, step)) {
            break;
        }
    }
    waited
}

/// The grant of this policy that allows the connection.
fn allowed_by(plan: &Plan, step: &Step, origin: &Origin, port: u16) -> Option<AllowedBy> {
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
fn needed(
    plan: &Plan,
    master: &Step,
    others: &[&Step],
    origin: &Origin,
    port: u16,
) -> Vec<NeededChange> {
    // Where no policy came at all, nothing is known to be missing in one.
    let came = |step: &&Step| step.answer.reading.is_some() || step.answer.intended().is_some();
    if !came(&master) && !others.iter().any(came) {
        return Vec::new();
    }
    let intended = master.intended_offer();
    let offers: Vec<Offer> = others
        .iter()
        .filter_map(|step| step.intended_offer())
        .collect();
    match policy::explain(plan.player, intended.as_ref(), &offers, origin, port) {
        policy::Verdict::Allowed { .. } => Vec::new(),
        policy::Verdict::Denied(_) => {
            advice::needed(plan.player, intended.as_ref(), &offers, origin, port)
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
            "It is not documented what the player does with such an answer on port {port}; the verdict holds if it ignores it."
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
    if may_miss_the_rest(*player, &granting.answer) {
        return Some(format!(
            "{player} reads an answer once, and the policy came in pieces."
        ));
    }
    None
}

/// What keeps a SecureSocket from a port whose certificate its computer does not trust.
/// Source: rule book section 5a.
pub(super) fn distrust(port: u16, tls: Option<&Tls>) -> Option<String> {
    let fault = tls?.fault.as_ref()?;
    Some(format!(
        "the certificate on port {port} {fault}; where the player's computer does not take it \
         either, the SWF gets an IOError."
    ))
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
            Reason::NoMaster => format!("port {}: {}", plan.port, reason_of(master)),
            Reason::Policy { port, denial }
                if *port == MASTER_PORT && master.offer(plan.player).is_some() =>
            {
                let denial = denial.in_words(&asked, &grant_number);
                format!("the policy on port {}: {denial}", plan.port)
            }
            other => other.in_words(&asked, &|_, grant| grant_number(grant)),
        });
    }
    lines.extend(other_reasons(plan, master, loads, own));
    lines.iter().map(|line| clip(line)).collect()
}

/// Why a step gave no policy.
fn reason_of(step: &Step) -> &str {
    let error = step.answer.error();
    error.map_or("no policy", |error| &error.cause)
}

/// The reasons that concern other ports than the master's.
fn other_reasons(plan: &Plan, master: &Step, loads: &[Step], own: Option<&Step>) -> Vec<String> {
    let mut lines = Vec::new();
    for load in loads
        .iter()
        .filter(|load| load.offer(plan.player).is_none())
    {
        lines.push(format!(
            "port {}, named by --load: {}",
            load.exchange.address.port(),
            reason_of(load)
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
            Some(Class::Refused | Class::Unreachable) => {
                "; with a policy, the player would report IOError #2031"
            }
            Some(Class::Filtered) => "; with a policy, the player would report the same error",
            _ => "",
        };
        lines.push(format!(
            "port {} itself has no policy: {}{more}",
            own.exchange.address.port(),
            reason_of(own)
        ));
    }
    lines
}

/// The words of a verdict that needs no policy.
const EXEMPT: &str = "the application content of AIR asks for no policy";

/// A verdict in the user's words; printable, on one line.
pub(super) fn headline(plan: &Plan, ip: IpAddr, verdict: &PortVerdict) -> String {
    let to = SocketAddr::new(ip, verdict.port);
    let doubt = verdict
        .doubt
        .as_ref()
        .or(verdict.distrust.as_ref())
        .map_or_else(String::new, |doubt| format!(" UNCERTAIN: {doubt}"));
    let outcome = verdict.outcome();
    // Only Flash Player is known for what it reports, and when.
    let reports = outcome.in_words(verdict.exempt);
    let from = plan.content();
    let sentence = match &verdict.by {
        Some(by) => {
            let (grant, condition) = (&by.grant, condition(plan, by));
            format!("{from} may connect to {to}, by {grant}{condition}.")
        }
        None if verdict.exempt => format!("{EXEMPT}, and may connect to {to}."),
        None => {
            let refuses = match plan.player {
                Player::Flash => format!("the player reports {reports}"),
                player => player.refusal(),
            };
            return format!("DENIED, {refuses}: {from} may not connect to {to}.{doubt}");
        }
    };
    if let Some((port, silent)) = verdict.waits_on {
        return format!(
            "ALLOWED, and {} waits on port {port}, which did not answer its policy request within {}: {sentence}",
            plan.player,
            time(silent)
        );
    }
    let reports = match plan.player {
        Player::Flash => format!("the player reports {reports}, because "),
        Player::Lightspark | Player::Unity => String::new(),
    };
    match (outcome, &verdict.reachable) {
        (Outcome::TooLate, _) => {
            let waited = time(verdict.waited);
            format!(
                "ALLOWED, and {reports}its requests for policies take {waited} in all: {sentence}{doubt}"
            )
        }
        (Outcome::Ended, _) => {
            let after = time(verdict.ended.unwrap_or_default());
            format!(
                "ALLOWED, and {reports}the port closed the connection after {after}, before either side sent anything: {sentence}{doubt}"
            )
        }
        (_, Some(Ok(after))) => {
            let tls = verdict.tls.as_ref();
            let tls = tls.map_or_else(String::new, |tls| format!(", with {}", tls.version));
            let after = time(*after);
            format!("ALLOWED: {sentence} The port answers, in {after}{tls}.{doubt}")
        }
        (_, Some(Err(NoConnection::NoTls(why)))) => {
            format!("ALLOWED, and {reports}there is {why}: {sentence}{doubt}")
        }
        (_, Some(Err(why))) => {
            let why = no_answer(verdict.port, why, plan.other_patience);
            format!("ALLOWED, and {reports}{why}: {sentence}{doubt}")
        }
        (_, None) => format!("ALLOWED: {sentence}{doubt}"),
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

fn no_answer(port: u16, why: &NoConnection, limit: Duration) -> String {
    let reason = match why {
        NoConnection::Refused => return format!("port {port} refuses (connection refused)"),
        NoConnection::Filtered => format!("no answer within {}", time(limit)),
        NoConnection::Unreachable(reason) | NoConnection::NoRoute(reason) => reason.clone(),
        NoConnection::NoTls(why) => why.to_string(),
    };
    format!("port {port} does not answer ({reason})")
}
