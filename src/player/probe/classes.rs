//! The classes of findings of a probe: name, severity, meaning and cure. `flashpolicyd help` shows
//! the same words. It classifies nothing: `classify` does.

use serde::Serialize;

use crate::policy::Severity;

macro_rules! classes {
    ($($severity:ident { $($variant:ident $name:literal $meaning:literal $cure:literal)+ })+) => {
        /// The classes of findings. The names are stable: scripts may rely on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Class {
            $($(#[doc = $meaning] $variant,)+)+
        }

        impl Class {
            /// Every class, errors first.
            pub fn all() -> &'static [Class] {
                &[$($(Class::$variant,)+)+]
            }

            /// The stable name, in kebab-case.
            pub fn as_str(self) -> &'static str {
                match self { $($(Class::$variant => $name,)+)+ }
            }

            /// One sentence on what it means for the player, in Markdown.
            pub fn meaning(self) -> &'static str {
                match self { $($(Class::$variant => $meaning,)+)+ }
            }

            /// The cure, in Markdown; `PORT` stands for the port.
            pub fn cure(self) -> &'static str {
                match self { $($(Class::$variant => $cure,)+)+ }
            }

            /// The same for a port.
            pub fn cure_on(self, port: u16) -> String {
                self.cure().replace("PORT", &port.to_string())
            }

            /// An error means that there is no policy that counts.
            pub fn severity(self) -> Severity {
                match self { $($(Class::$variant => Severity::$severity,)+)+ }
            }
        }
    };
}

classes! {
    Error {
        Unresolved "unresolved"
            "The host name has no address."
            "correct the name, its DNS record, or the resolver of this host"
        Refused "refused"
            "The port refuses connections: no policy server listens on this address, or a firewall rejects them, which looks the same."
            "start a policy server that listens on every address of the host, not on 127.0.0.1 alone: `listen = [::]:PORT`; where this same probe gets a policy on the server's own host, a firewall rejects the connection: open TCP port PORT in it"
        Filtered "filtered"
            "Nobody answers the connection attempt: a firewall drops it, or the server's backlog is full. Each player loses 3 s here, with `loadPolicyFile` up to 21 s, of the 20 s that its socket has in all."
            "let TCP port PORT through every firewall on the way; where no policy is served, refuse it (REJECT, not DROP)"
        Unreachable "unreachable"
            "There is no way from here to the address, or a firewall on the way says so."
            "let TCP port PORT through every firewall on the way; check the address and the route to it, and probe from another network and from the server's own host"
        Silent "silent"
            "The connection is accepted and nothing comes: the server hangs, has no free worker, waits for more than the player's 23 bytes, or is no policy server."
            "look whether that server hangs, and restart it; else have it answer as soon as `<policy-file-request/>` and a NUL have come, with no line end to wait for, and serve clients side by side: `flashpolicyd` does; or put it in that server's place"
        ClosedEmpty "closed-empty"
            "The connection is closed without a byte: the server fails over the request or does not understand it, is another service, is overloaded, or is a proxy with no server behind it."
            "read that server's own log or terminal first: a script for Python 2 that runs on Python 3 fails here, since it compares bytes with text (write `b'<policy-file-request/>'`); else compare what has come so far, piece by piece, with `<policy-file-request/>`; behind a proxy, start the server that it passes connections to; where another service has port PORT, move it; or put `flashpolicyd` in its place"
        ResetBefore "reset-before"
            "The connection is reset before the policy and its NUL are through: by the server, by another service that has the port (an MQTT broker does so), or by a firewall or a filter on the way."
            "read the whole request, send policy and NUL, and only then close; behind a proxy, start the server that it passes connections to; see which program has port PORT, and probe from the server's own host, too; or put `flashpolicyd` in its place"
        NoNulOpen "no-nul-open"
            "The policy comes without a NUL and the connection stays open: the player waits for the NUL until it gives up."
            "send a NUL (one byte of value 0) right behind the policy, then close the connection; or put `flashpolicyd` in its place"
        TooSlow "too-slow"
            "The policy comes when the player has given up: it waits 3 s for port 843."
            "answer from memory, look up no names, and serve clients side by side: `flashpolicyd` does"
        CutOff "cut-off"
            "The connection ends in the middle of the policy."
            "write the whole policy and its NUL before the connection is closed, again and again until every byte is out; or put `flashpolicyd` in its place"
        Http "http"
            "A web server answers: the player asks no web server for a socket policy."
            "stop the web server on port PORT, and start a policy server there: `listen = [::]:PORT`; where none runs there, something on the way answered: probe from the server's own host"
        Tls "tls"
            "A TLS server answers. Socket and XMLSocket ask in the clear and get no policy here; a SecureSocket asks inside TLS, as `probe --tls` does."
            "for Socket and XMLSocket, serve the policy without TLS on port PORT: `listen = [::]:PORT`; for SecureSocket, leave TLS there, and probe with `--tls`; `scripts/haproxy/tls.cfg` serves both kinds on one port"
        WebFilter "web-filter"
            "A web server answers as filters do that stand on the way, in schools and companies (403, 407 or 511)."
            "probe from another network, or from the server's own host: where a policy comes there, ask whoever runs the filter to let TCP port PORT through; if the same answer comes there, stop the web server on port PORT"
        NoTls "no-tls"
            "No TLS handshake completes: a SecureSocket asks inside TLS, and finds no policy here."
            "serve the policy inside TLS, too: `scripts/haproxy/tls.cfg` serves both kinds of player on one port; a SWF with Socket or XMLSocket asks in the clear: probe without `--tls`"
        ProxyExpected "proxy-expected"
            "The server answers when a PROXY header comes first, as a balancer sends it. Players send none."
            "have players ask the balancer's port; where they are to come here directly, take `proxy` off the listener (in nginx: `proxy_protocol`)"
        Silverlight "silverlight"
            "A Silverlight policy (`clientaccesspolicy`) comes in place of one for Flash."
            "serve a `cross-domain-policy` on port PORT; Silverlight asks on TCP port 943"
        LengthPrefix "length-prefix"
            "A length stands before the XML, such as Java's `writeUTF` writes."
            "write the bytes of the XML alone (in Java `write(xml.getBytes(\"UTF-8\"))`, not `writeUTF`), then a NUL; or put `flashpolicyd` in its place"
        JunkBefore "junk-before"
            "Something else stands before the XML."
            "begin the answer with the policy's `<`: no greeting, no header, no frame; or put `flashpolicyd` in its place"
        Echo "echo"
            "The request comes back as the answer: this is no policy server."
            "start a policy server on port PORT: `listen = [::]:PORT`"
        NotAPolicy "not-a-policy"
            "Another service answers, in another language than policies are written in."
            "move that service to another port, and start a policy server on port PORT: `listen = [::]:PORT`"
        Invalid "invalid"
            "A policy comes and has errors: the player ignores it."
            "correct the policy as shown; or let `flashpolicyd` write it from `allow` lines"
        DestinationRefused "destination-refused"
            "The policy allows the connection, and the port itself refuses it: the player reports IOError #2031 at once, and SecurityError #2048 after 20 s unless the SWF closes the socket."
            "start the application on port PORT, on every address of the host; where this same probe reaches it on the server's own host, let the port through the firewall"
        DestinationFiltered "destination-filtered"
            "The policy allows the connection, and nothing comes back from the port itself: the player reports SecurityError #2048 after 20 s."
            "let port PORT through the firewall, on the server's host and on the way; where this same probe gets no answer on the server's own host either, look whether the application hangs, and restart it"
        DestinationNoTls "destination-no-tls"
            "The policy allows the connection, and no TLS handshake completes on the port itself: a SecureSocket gets an IOError."
            "the game on port PORT speaks no TLS: put it behind TLS (`scripts/haproxy/tls.cfg`), or use Socket/XMLSocket in the SWF"
        DestinationEnds "destination-ends"
            "The policy allows the connection, and the port ends it before anything is said: the player reports a close, and SecurityError #2048 after 20 s."
            "read the log of the application on port PORT: is it full, does it refuse this address, is it a proxy with no server behind it, or does it expect TLS or a PROXY header?"
    }
    Warning {
        Certificate "certificate"
            "This computer does not take the certificate for that host name: a SecureSocket needs one that its own computer takes, or the SWF gets an IOError."
            "get a certificate for the host name that the SWF connects to, from an authority that the players' computers trust; or have each of them trust this one"
        NearTimeout "near-timeout"
            "The player's socket gives up with SecurityError #2048 20 s after `connect()`, and what it asks before takes nearly as long, or longer: then no policy helps."
            "take locations out of `loadPolicyFile` that do not answer, and reject ports without a policy (REJECT, not DROP)"
        StrictRequest "strict-request"
            "The server answers a request that no player sends, and not the player's: it waits for a line end, or cannot take the NUL."
            "end the request at the NUL, not at a line end, and compare without it; or put `flashpolicyd` in its place"
        CrossdomainHttp "crossdomain-http"
            "There is a `crossdomain.xml` on the web server: that is for HTTP, and no socket is opened by it."
            "serve a socket policy on port 843 too: `listen = [::]:843`"
        WrongHost "wrong-host"
            "`--load` names another host: a policy speaks only for the host that serves it, by the name that the SWF connects to."
            "serve the policy on the host that the SWF connects to, and name it in `loadPolicyFile` as in `connect`"
        OneAddress "one-address"
            "Players get a policy on one address of the host and none on another."
            "listen on every address, IPv6 and IPv4 (`listen = [::]:PORT`), or delete the DNS record of the other"
        NoNul "no-nul"
            "The policy ends with the connection and has no NUL: most players take it."
            "send a NUL (one byte of value 0) right behind the policy; or put `flashpolicyd` in its place"
        LeftOpen "left-open"
            "The server leaves the connection open after policy and NUL: the player closes it, but other clients wait, and sockets pile up."
            "close the connection right after the NUL; or put `flashpolicyd` in its place"
        ResetAfter "reset-after"
            "The connection is reset after the policy: on Windows a reset throws away what has come but was not read yet, so some players get nothing."
            "read the whole request before closing: a close with unread bytes becomes a reset; or put `flashpolicyd` in its place"
        AfterNul "after-nul"
            "More bytes follow the NUL: players do not read them."
            "send nothing after the NUL, not even a line end; or put `flashpolicyd` in its place"
        SeveralPieces "several-pieces"
            "The policy comes in several pieces: some clients read only once."
            "send policy and NUL in one write; or put `flashpolicyd` in its place"
        Slow "slow"
            "The policy takes more than a third of the time that the player waits."
            "answer from memory, look up no names, and serve clients side by side: `flashpolicyd` does"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::json;

    #[test]
    fn every_class_has_a_name_of_its_own_in_kebab_case() {
        let mut names: Vec<_> = Class::all().iter().map(|class| class.as_str()).collect();
        let kebab = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(names.iter().all(kebab));
        assert_eq!(json::line(&Class::all()), json::line(&names));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Class::all().len());
    }

    #[test]
    fn meaning_and_cure_fit_a_table() {
        for class in Class::all() {
            assert!(class.meaning().ends_with('.') && !class.meaning().contains(['\n', '|']));
            assert!(!class.cure().ends_with('.') && !class.cure().contains(['\n', '|']));
        }
    }
}
