//! Further exchanges after a port that should have a policy gave none: other requests than the
//! player's show which service answers there. The results never change the verdict.

use std::net::SocketAddr;
use std::time::Duration;

use super::ask::{End, Exchange, NoConnection, Question, REQUEST, ask, ask_plainly};
use super::bytes::contains;
use super::classes::Class;
use super::classify::Remark;
use super::parallel::in_parallel;
use super::plan::Plan;
use super::secure::{NoTls, Secure};
use super::service::other_service;
use super::step::{Role, Step};
use crate::output::text::time;
use crate::policy::Host;

/// How long such an exchange takes: no player waits for it. Where the way is long, it may take four
/// ways there and back, which a handshake needs with one to spare.
const RECHECK_TIME: Duration = Duration::from_secs(1);

/// What an answer holds that is a policy.
const POLICY: &[u8] = b"cross-domain-policy";

/// Asks again where the answer is an error, and adds what was found to its remarks.
pub(super) fn recheck(plan: &Plan, secure: Option<&Secure>, step: &mut Step) {
    let Some(class) = step.answer.fault() else {
        return;
    };
    let at = step.exchange.address;
    let connected = step.exchange.connected.clone();
    let way = connected.clone().unwrap_or_default();
    let limit = RECHECK_TIME.max(way * 4).min(plan.patience);
    if class == Class::NoTls {
        in_the_clear(at, limit, step);
    }
    let nothing_came = connected.is_ok() && step.exchange.bytes.is_empty() && secure.is_none();
    // One after the other: some servers hold one connection at a time.
    let inside = nothing_came.then(|| inside_tls(at, limit)).flatten();
    let is_tls = inside.is_some();
    if let Some(also) = inside {
        let cause = format!(
            "a TLS server listens here: it answers a TLS client hello, and the player's plain text with {}{also}",
            what_it_did(&step.exchange)
        );
        replace_error(step, Class::Tls, cause);
    }
    // A destination port is a game's: it is not asked what else it might be.
    if step.role == Role::Destination {
        return;
    }
    let header = [b"PROXY UNKNOWN\r\n", REQUEST].concat();
    let ended = nothing_came && !is_tls && step.exchange.ended_empty();
    let expects_header = ended && contains(&ask_plainly(at, &header, limit).bytes, POLICY);
    if expects_header {
        let cause = "the server sends a policy for a request behind a PROXY header, and none for the player's";
        replace_error(step, Class::ProxyExpected, cause.into());
    }
    let mut requests = Vec::new();
    if nothing_came && !is_tls && !expects_header {
        let bare = REQUEST.strip_suffix(b"\0").unwrap_or(REQUEST);
        let line = Hypothesis::StrictRequest("a line end in place of the NUL");
        requests.push((at, [bare, b"\n"].concat(), line));
        requests.push((at, bare.to_vec(), Hypothesis::StrictRequest("no NUL")));
        // Not HEAD: some servers know GET alone.
        let get = format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", plan.host);
        requests.push((at, get.into_bytes(), Hypothesis::Web));
    }
    let no_route = matches!(step.exchange.connected, Err(NoConnection::NoRoute(_)));
    if step.role == Role::Master && class != Class::Invalid && !no_route {
        let get = format!(
            "GET /crossdomain.xml HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n",
            plan.host
        );
        let web = SocketAddr::new(at.ip(), 80);
        requests.push((web, get.into_bytes(), Hypothesis::Crossdomain(web)));
    }
    let seen = in_parallel(&requests, |(at, request, _)| {
        ask_plainly(*at, request, limit).bytes
    });
    for ((_, _, hypothesis), bytes) in requests.iter().zip(seen) {
        apply_answer(hypothesis, &bytes, step);
    }
}

/// Whether a TLS server is there, and what there is to say of it. OpenSSL, HAProxy and Python close or
/// reset a connection over a policy request and send no alert, so that alone requests like a server that
/// is broken.
fn inside_tls(at: SocketAddr, limit: Duration) -> Option<&'static str> {
    let secure = Secure::of(&Host::Ip(at.ip()))?;
    let question = Question {
        request: REQUEST,
        inside: Some(&secure),
        deadline: limit,
        patience: limit,
    };
    let exchange = ask(at, question);
    match &exchange.connected {
        Ok(_) if contains(&exchange.bytes, POLICY) => {
            Some("; inside TLS it has a policy, for SecureSocket")
        }
        Ok(_) => exchange.tls.as_ref().map(|_| ""),
        Err(NoConnection::NoTls(NoTls { is_tls: true, .. })) => Some(""),
        Err(_) => None,
    }
}

/// A port without TLS may have a policy for those that ask in the clear.
fn in_the_clear(at: SocketAddr, limit: Duration, step: &mut Step) {
    if contains(&ask_plainly(at, REQUEST, limit).bytes, POLICY) {
        let remarks = step.answer.remarks.iter_mut();
        for error in remarks.filter(|remark| remark.is_error()) {
            error.cause += "; in the clear it has a policy, for Socket and XMLSocket";
        }
    }
}

fn what_it_did(exchange: &Exchange) -> String {
    let after = time(exchange.time);
    match exchange.end {
        End::Closed => format!("the end of the connection, after {after}"),
        End::Reset => format!("a reset, after {after}"),
        End::Open | End::TooMuch => format!("silence, for {after}"),
    }
}

/// Puts what is really there in the place of the remark that nothing came.
fn replace_error(step: &mut Step, class: Class, cause: String) {
    let port = step.exchange.address.port();
    let mut remarks = step.answer.remarks.iter_mut();
    if let Some(error) = remarks.find(|remark| remark.is_error()) {
        *error = Remark::new(class, port, cause);
    }
}

/// What another request is sent for.
enum Hypothesis {
    /// A server that wants this in place of the request's NUL.
    StrictRequest(&'static str),
    /// A web server.
    Web,
    /// A policy for HTTP on the host's web server.
    Crossdomain(SocketAddr),
}

/// Adds to the step's remarks what the answer to such a request shows.
fn apply_answer(hypothesis: &Hypothesis, bytes: &[u8], step: &mut Step) {
    let port = step.exchange.address.port();
    let is_http = bytes.starts_with(b"HTTP/");
    let holds_policy = contains(bytes, POLICY);
    // Of the requests before, the later ones say no more than that.
    let is_known = step.answer.fault().is_some_and(|class| {
        matches!(
            class,
            Class::NotAPolicy | Class::Http | Class::ProxyExpected
        )
    });
    let remarks = &mut step.answer.remarks;
    match hypothesis {
        Hypothesis::StrictRequest(how) if holds_policy => {
            let is_strict = |remark: &Remark| remark.class == Class::StrictRequest;
            if !remarks.iter().any(is_strict) {
                let cause = format!(
                    "the server sends a policy for a request with {how}, and none for the player's"
                );
                let remark = Remark::new(Class::StrictRequest, port, cause);
                // It is the cure of the silence, too.
                if let Some(error) = remarks.iter_mut().find(|remark| remark.is_error()) {
                    error.cure.clone_from(&remark.cure);
                }
                remarks.push(remark);
            }
        }
        Hypothesis::StrictRequest(how) if !bytes.is_empty() && !is_http && !is_known => {
            if let Some((Class::NotAPolicy, cause)) = other_service(bytes) {
                let cause = format!("{cause}, to a request with {how}; nothing to the player's");
                replace_error(step, Class::NotAPolicy, cause);
            }
        }
        Hypothesis::Web if is_http && !is_known => {
            let cause = "a web server listens here: it waits for the rest of an HTTP request";
            replace_error(step, Class::Http, cause.into());
        }
        Hypothesis::Crossdomain(web) if is_http && holds_policy => {
            let cause =
                format!("http://{web}/crossdomain.xml exists: it is for HTTP and opens no socket");
            remarks.push(Remark::new(Class::CrossdomainHttp, port, cause));
        }
        _ => {}
    }
}
