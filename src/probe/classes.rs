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
            "The port refuses connections: no policy server listens on this address."
            "start a policy server that listens on every address of the host, not on 127.0.0.1 alone: `listen = [::]:PORT`"
        Filtered "filtered"
            "Nobody answers the connection attempt: a firewall drops it, or the server's backlog is full. Each player loses 3 s here, with `loadPolicyFile` up to 21 s."
            "let TCP port PORT through every firewall on the way; where no policy is served, refuse it (REJECT, not DROP)"
        Unreachable "unreachable"
            "There is no way from here to the address, or a firewall on the way says so."
            "let TCP port PORT through every firewall on the way; check the address and the route to it, or probe from another network"
        Silent "silent"
            "The connection is accepted and nothing comes: the server hangs, has no free worker, waits for more than the player's 23 bytes, or is no policy server."
            "answer as soon as `<policy-file-request/>` and a NUL have come, with no line end to wait for, and serve clients side by side: `flashpolicyd` does"
        ClosedEmpty "closed-empty"
            "The connection is closed without a byte: the server does not understand the request, is overloaded, or is a proxy with no server behind it."
            "compare what has come so far, piece by piece, with `<policy-file-request/>`; behind a proxy, start the server that it passes connections to"
        ResetBefore "reset-before"
            "The connection is reset before the policy and its NUL are through."
            "read the whole request, send policy and NUL, and only then close; behind a proxy, start the server that it passes connections to"
        NoNulOpen "no-nul-open"
            "The policy comes without a NUL and the connection stays open: the player waits for the NUL until it gives up."
            "send a NUL (one byte of value 0) right behind the policy, then close the connection"
        TooSlow "too-slow"
            "The policy comes when the player has given up: it waits 3 s for port 843."
            "answer from memory, look up no names, and serve clients side by side: `flashpolicyd` does"
        CutOff "cut-off"
            "The connection ends in the middle of the policy."
            "write the whole policy and its NUL before the connection is closed, again and again until every byte is out"
        Http "http"
            "A web server answers: the player asks no web server for a socket policy."
            "stop the web server on port PORT, and start a policy server there: `listen = [::]:PORT`"
        Tls "tls"
            "A TLS server answers: the player asks in plain text."
            "serve the policy without TLS on port PORT: `listen = [::]:PORT`"
        Silverlight "silverlight"
            "A Silverlight policy (`clientaccesspolicy`) comes in place of one for Flash."
            "serve a `cross-domain-policy` on port PORT; Silverlight asks on TCP port 943"
        LengthPrefix "length-prefix"
            "A length stands before the XML, such as Java's `writeUTF` writes."
            "write the bytes of the XML alone (in Java `write(xml.getBytes(\"UTF-8\"))`, not `writeUTF`), then a NUL"
        JunkBefore "junk-before"
            "Something else stands before the XML."
            "begin the answer with the policy's `<`: no greeting, no header, no frame"
        Echo "echo"
            "The request comes back as the answer: this is no policy server."
            "start a policy server on port PORT: `listen = [::]:PORT`"
        NotAPolicy "not-a-policy"
            "Another service answers, in another language than policies are written in."
            "move that service to another port, and start a policy server on port PORT: `listen = [::]:PORT`"
        Invalid "invalid"
            "A policy comes and has errors: the player ignores it."
            "correct the policy as shown; or let `flashpolicyd` write it from `allow` lines"
        DestinationUnreachable "destination-unreachable"
            "The policy allows the connection, and nobody answers on the port itself: the player reports IOError #2031."
            "start the application on port PORT, on every address of the host, and let the port through the firewall"
    }
    Warning {
        StrictRequest "strict-request"
            "The server answers a request that no player sends, and not the player's: it waits for a line end, or cannot take the NUL."
            "end the request at the NUL, not at a line end, and compare without it"
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
            "send a NUL (one byte of value 0) right behind the policy"
        LeftOpen "left-open"
            "The server leaves the connection open after policy and NUL: the player closes it, but other clients wait, and sockets pile up."
            "close the connection right after the NUL"
        ResetAfter "reset-after"
            "The connection is reset after the policy: on Windows a reset throws away what has come but was not read yet, so some players get nothing."
            "read the whole request before closing: a close with unread bytes becomes a reset"
        AfterNul "after-nul"
            "More bytes follow the NUL: players do not read them."
            "send nothing after the NUL, not even a line end"
        SeveralPieces "several-pieces"
            "The policy comes in several pieces: some clients read only once."
            "send policy and NUL in one write"
        Slow "slow"
            "The policy takes more than a third of the time that the player waits."
            "answer from memory, look up no names, and serve clients side by side: `flashpolicyd` does"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

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
