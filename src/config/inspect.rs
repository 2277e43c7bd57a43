//! Finds what is wrong with a configuration whose single lines are right: listeners that no other
//! host reaches, a meta-policy that no listener serves on port 843, and a user that other services
//! have. It opens nothing. (`policies.rs` reads the policies.)

use crate::config::policies::{self, PolicyOrigin};
use crate::config::{Config, ConfigCode};
use crate::output::diagnostic::{Diagnostic, Place};
use crate::policy::MASTER_PORT;

/// A finding with this code; without a cure, the one that the sentence ends with.
pub fn finding_of(
    code: ConfigCode,
    place: Place,
    cause: impl Into<String>,
    cure: impl Into<String>,
) -> Diagnostic {
    let (mut cause, mut cure) = (cause.into(), cure.into());
    if let (true, Some((before, after))) = (cure.is_empty(), cause.rsplit_once("; ")) {
        (cause, cure) = (before.to_owned(), after.to_owned());
    }
    Diagnostic {
        code: Some(code.as_str()),
        severity: code.severity(),
        cause,
        cure,
        place,
        number: 1,
    }
}

/// What is wrong with the listeners, and with the user of the server.
pub fn listeners(config: &Config) -> Vec<Diagnostic> {
    loopback_only(config)
        .into_iter()
        .chain(meta_policy_unused(config))
        .chain(shared_user(config))
        .collect()
}

/// The commonest cause of "works on localhost, but nobody can play it from another computer". A
/// load balancer may well be on the same host.
pub fn loopback_only(config: &Config) -> Option<Diagnostic> {
    let here = |listen: &crate::config::Listen| listen.address.ip().is_loopback() && !listen.proxy;
    if !config.startup.listen.iter().all(here) {
        return None;
    }
    let first = config.startup.listen.first()?;
    let place = config.written.place_of("listen").cloned();
    let port = match first.address.port() {
        0 => MASTER_PORT,
        port => port,
    };
    let what = match config.startup.listen.len() {
        1 => format!("{} is a loopback address", first.address),
        _ => "every listener is on a loopback address".into(),
    };
    Some(finding_of(
        ConfigCode::LoopbackOnly,
        place.unwrap_or_else(|| Place::whole("listen")),
        format!("{what}: only this host can reach it, and no player on another computer"),
        format!("write `listen = [::]:{port}`, unless this is meant"),
    ))
}

fn meta_policy_unused(config: &Config) -> Option<Diagnostic> {
    let meta = config.live.meta_policy?;
    let own = config.startup.listen.iter().enumerate();
    let mut ports = own
        .filter(|(index, _)| policies::origin_of(*index, config) == PolicyOrigin::Allow)
        .map(|(_, listen)| listen.players_port().unwrap_or(MASTER_PORT))
        .peekable();
    ports.peek()?;
    if ports.any(|port| port == MASTER_PORT) {
        return None;
    }
    let place = config.written.place_of("meta_policy").cloned();
    Some(finding_of(
        ConfigCode::MetaPolicyUnused,
        place.unwrap_or_else(|| Place::whole("meta_policy")),
        format!(
            "`meta_policy = {meta}` counts only on port {MASTER_PORT}, where no listener is: it is left out"
        ),
        format!("remove it, or add `listen = [::]:{MASTER_PORT}`"),
    ))
}

/// `nobody` is what services run as that were given no user of their own.
fn shared_user(config: &Config) -> Option<Diagnostic> {
    let user = config.startup.user.as_deref()?;
    if !["nobody", "65534"].contains(&user) {
        return None;
    }
    let place = config.written.place_of("user").cloned();
    Some(finding_of(
        ConfigCode::SharedUser,
        place.unwrap_or_else(|| Place::whole("user")),
        format!(
            "`user = {user}`: other services run as that user too, and each of them may end this \
             server and change its files"
        ),
        "run `useradd --system flashpolicyd` as root, and write `user = flashpolicyd`",
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    fn codes(text: &str) -> Vec<&'static str> {
        let config = parse(text, Path::new("x.conf"), &[]).unwrap();
        let found = listeners(&config);
        found.iter().filter_map(|finding| finding.code).collect()
    }

    #[test]
    fn only_listeners_that_no_other_host_reaches_are_a_warning() {
        for (text, expected) in [
            ("listen = 127.0.0.1:843", &["loopback-only"][..]),
            (
                "listen = [::1]:843\nlisten = 127.0.0.2:843",
                &["loopback-only"],
            ),
            ("listen = 127.0.0.1:843\nlisten = 192.0.2.1:843", &[]),
            ("listen = 127.0.0.1:843 proxy", &[]),
            ("", &[]),
        ] {
            assert_eq!(codes(text), expected, "{text}");
        }
    }

    #[test]
    fn a_user_that_other_services_have_is_a_warning() {
        for (user, expected) in [
            ("nobody", &["shared-user"][..]),
            ("65534", &["shared-user"]),
            ("flashpolicyd", &[]),
            ("none", &[]),
        ] {
            assert_eq!(codes(&format!("user = {user}")), expected, "{user}");
        }
    }

    #[test]
    fn a_meta_policy_needs_a_listener_on_843() {
        for (text, expected) in [
            (
                "listen = [::]:10843\nmeta_policy = all",
                &["meta-policy-unused"][..],
            ),
            (
                "listen = [::]:10843\nlisten = [::]:843\nmeta_policy = all",
                &[],
            ),
            (
                "listen = [::]:10843\nlisten = [::]:843 policy=p\nmeta_policy = all",
                &["meta-policy-unused"],
            ),
            ("listen = [::]:2 proxy\nmeta_policy = all", &[]),
            ("listen = [::]:10843\nallow = * *", &[]),
        ] {
            assert_eq!(codes(text), expected, "{text}");
        }
    }
}
