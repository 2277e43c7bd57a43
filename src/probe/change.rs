//! What to change, as lines of `flashpolicy.conf` where that is the cure. It knows no rule of
//! policies: whether a wish would help, `policy` says.

use super::classes::Class;
use super::words::{clip, list};
use super::{Report, State, Step};
use crate::policy::{
    decide, render_grant, Decision, Denial, DomainPattern, Grant, MetaPolicy, Offer, Origin,
    Policy, PortSet, Refusal, Severity, FIRST_UNPRIVILEGED_PORT, MASTER_PORT,
};

/// One thing to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What to do; printable, on one line.
    pub text: String,
    /// The line of `flashpolicy.conf` that does it, if one does.
    pub conf: Option<String>,
}

impl Change {
    /// A cure in words; a line of the configuration in backquotes is found in it.
    fn in_words(text: impl Into<String>) -> Change {
        let text = text.into();
        let conf = text
            .split('`')
            .skip(1)
            .step_by(2)
            .find(|code| code.starts_with("listen = "));
        Change {
            conf: conf.map(Into::into),
            text,
        }
    }
}

/// What one denied connection would need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A grant.
    Allow {
        domain: DomainPattern,
        port: u16,
        secure: bool,
    },
    /// Another meta-policy than `none`.
    Meta(MetaPolicy),
    /// A policy from a port that may grant ports below 1024.
    LowPort { served_from: u16 },
    /// The SWF over HTTPS, in place of a grant without `secure`.
    Https,
}

/// What it takes to let content from `origin` connect to `port`.
pub(super) fn wishes(master: &Step, offers: &[Offer], origin: &Origin, port: u16) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let mut asked: Option<(&Policy, Denial)> = None;
    if let Some(policy) = master.answer.policy() {
        let denial = denial(policy, MASTER_PORT, origin, port);
        if denial == Some(Denial::MetaPolicyNone) {
            wishes.push(Wish::Meta(MetaPolicy::MasterOnly));
            let reopened = Policy {
                meta: Some(MetaPolicy::MasterOnly),
                ..policy.clone()
            };
            match self::denial(&reopened, MASTER_PORT, origin, port) {
                None => return wishes,
                Some(denial) => asked = Some((policy, denial)),
            }
        } else {
            asked = denial.map(|denial| (policy, denial));
        }
    } else {
        // A policy that only lacks the grant is nearer to the cure than one that is missing.
        for offer in offers {
            match denial(offer.policy, offer.port, origin, port) {
                Some(Denial::LowPort { served_from }) => wishes.push(Wish::LowPort { served_from }),
                Some(denial) if asked.is_none() => asked = Some((offer.policy, denial)),
                _ => {}
            }
        }
    }
    let near = asked
        .as_ref()
        .and_then(|(policy, denial)| nearest(policy, denial));
    let (domain, secure) = match near {
        Some((grant, https)) => {
            if https {
                wishes.push(Wish::Https);
            }
            (Some(grant.domain.clone()), grant.secure && !https)
        }
        None => (own_domain(origin), false),
    };
    wishes.extend(domain.map(|domain| Wish::Allow {
        domain,
        port,
        secure,
    }));
    wishes
}

fn denial(policy: &Policy, served_from: u16, origin: &Origin, port: u16) -> Option<Denial> {
    match decide(policy, served_from, origin, port) {
        Decision::Allowed { .. } => None,
        Decision::Denied(denial) => Some(denial),
    }
}

/// The grant that is for this content and refuses for another reason, and whether that is HTTPS:
/// one for other ports first.
fn nearest<'a>(policy: &'a Policy, denial: &Denial) -> Option<(&'a Grant, bool)> {
    let Denial::Grants(refusals) = denial else {
        return None;
    };
    let grant = |wanted: fn(&Refusal) -> bool| {
        let at = refusals.iter().position(wanted)?;
        policy.grants.get(at)
    };
    let ports =
        grant(|refusal| matches!(refusal, Refusal::Ports { .. })).map(|grant| (grant, false));
    ports.or_else(|| {
        grant(|refusal| matches!(refusal, Refusal::NotHttps)).map(|grant| (grant, true))
    })
}

/// The domain that is for content from this origin, and no wider than it has to be.
fn own_domain(origin: &Origin) -> Option<DomainPattern> {
    match origin {
        Origin::Local => Some(DomainPattern::ANY),
        Origin::Web { host, .. } => DomainPattern::parse(&host.to_string()).ok(),
    }
}

/// Everything to change, each thing once: what is broken first, then what is missing.
pub(super) fn changes(report: &Report) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut add = |change: Change| {
        if !changes.contains(&change) {
            changes.push(change);
        }
    };
    for remark in &report.remarks {
        add(Change::in_words(&*remark.cure));
    }
    let addresses = || {
        report
            .addresses
            .iter()
            .filter(|a| !a.is_out_of_the_question() || report.addresses.len() == 1)
    };
    for address in addresses() {
        // A port without a policy of its own is nothing to cure: most have none.
        let used = address
            .own
            .iter()
            .filter(|own| own.answer.state != State::Absent && own.answer.reading.is_some());
        for step in std::iter::once(&address.master)
            .chain(&address.loads)
            .chain(used)
        {
            let error = step.answer.error().map(|error| error.class);
            let unneeded = error == Some(Class::Refused) && address.does_without_it();
            for remark in step.answer.remarks.iter().filter(|_| !unneeded) {
                add(Change::in_words(&*remark.cure));
            }
            let findings = step
                .answer
                .reading
                .iter()
                .flat_map(|reading| &reading.findings);
            let place = step.exchange.address;
            let shown = findings
                .filter(|f| f.code.severity() == Severity::Error)
                .take(super::story::MAX_FINDINGS);
            for finding in shown {
                add(Change::in_words(format!(
                    "in the policy of {place}: {}",
                    finding.cure
                )));
            }
        }
    }
    let denied = || {
        addresses()
            .flat_map(|a| a.verdicts.iter().map(move |v| (a, v)))
            .filter(|(_, v)| !v.is_allowed())
    };
    for (_, verdict) in denied() {
        for wish in &verdict.wishes {
            match wish {
                Wish::Meta(meta) => add(Change {
                    text: format!("let the master's grants count: `meta_policy = {meta}`"),
                    conf: Some(format!("meta_policy = {meta}")),
                }),
                Wish::LowPort { served_from } => add(Change::in_words(format!(
                    "serve the policy from port {MASTER_PORT} too (`listen = [::]:{MASTER_PORT}`): from port \
                     {served_from} it grants nothing below {FIRST_UNPRIVILEGED_PORT}"
                ))),
                Wish::Https => add(Change::in_words("load the SWF over HTTPS; or, to allow it over HTTP too, the next line")),
                Wish::Allow { .. } => {}
            }
        }
    }
    let wishes = denied().flat_map(|(_, verdict)| &verdict.wishes);
    grants(wishes).iter().for_each(|grant| add(allow(grant)));
    let high: Vec<_> = denied()
        .filter(|(address, verdict)| {
            let error = address.master.answer.error().map(|error| error.class);
            verdict.port >= FIRST_UNPRIVILEGED_PORT
                && matches!(error, Some(Class::Refused | Class::Filtered))
        })
        .collect();
    if !high.is_empty() && report.plan.loads.is_empty() {
        add(Change {
            text: format!(
                "or, where port {MASTER_PORT} cannot be had: `listen = [::]:10843`, and in the SWF, before it connects, \
                 Security.loadPolicyFile(\"xmlsocket://{}:10843\"), which opens ports from {FIRST_UNPRIVILEGED_PORT} upwards",
                report.plan.host
            ),
            conf: None,
        });
    }
    for (address, verdict) in addresses().flat_map(|a| a.verdicts.iter().map(move |v| (a, v))) {
        if verdict.is_allowed() && matches!(verdict.reachable, Some(Err(_))) {
            let cure = Class::DestinationUnreachable
                .cure()
                .replace("PORT", &verdict.port.to_string());
            add(Change::in_words(format!("on {}: {cure}", address.ip)));
        }
    }
    changes
}

/// The grants that are wished for, the ports of each domain together.
fn grants<'a>(wishes: impl Iterator<Item = &'a Wish>) -> Vec<Grant> {
    let mut found: Vec<(&DomainPattern, bool, Vec<u16>)> = Vec::new();
    for wish in wishes {
        let Wish::Allow {
            domain,
            port,
            secure,
        } = wish
        else {
            continue;
        };
        match found
            .iter_mut()
            .find(|(d, s, _)| *d == domain && s == secure)
        {
            Some((_, _, ports)) if ports.contains(port) => {}
            Some((_, _, ports)) => ports.push(*port),
            None => found.push((domain, *secure, vec![*port])),
        }
    }
    found
        .into_iter()
        .filter_map(|(domain, secure, mut ports)| {
            ports.sort_unstable();
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            Some(Grant {
                domain: domain.clone(),
                ports: PortSet::parse(&ports.join(",")).ok()?,
                secure,
            })
        })
        .collect()
}

fn allow(grant: &Grant) -> Change {
    let secure = if grant.secure { " secure" } else { "" };
    let conf = format!("allow = {} {}{secure}", grant.domain, grant.ports);
    Change {
        text: clip(&format!(
            "allow it: `{conf}` (in the policy file of another server: {})",
            render_grant(grant)
        )),
        conf: Some(conf),
    }
}

/// A sentence on which ports the denied ones are.
pub(super) fn ports_in_words(ports: &[u16]) -> String {
    match ports {
        [port] => format!("port {port}"),
        ports => format!("ports {}", list(ports)),
    }
}
