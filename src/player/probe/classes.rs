//! The classes of findings of a probe. In their cures `PORT` stands for the port. It classifies
//! nothing: `classify` does.

use serde::Serialize;

use crate::policy::codes;

codes! {
    /// The classes of findings. The names are stable: scripts may rely on them.
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    Class
    Error {
        Unresolved "unresolved"
            "The host name has no address.",
            example: "flashpolicyd probe gmae.example.com",
            general_cure: "correct the name, its DNS record, or the resolver of this host",
            source: "the answer of the resolver";
        Refused "refused"
            "The port refuses connections: no policy server listens on this address, or a firewall rejects them, which looks the same.",
            example: "a server with `listen = 127.0.0.1:843`, asked by the host's public address; nft `reject with tcp reset`",
            general_cure: "start a policy server that listens on every address of the host, not on 127.0.0.1 alone: `listen = [::]:PORT`; where this same probe gets a policy on the server's own host, a firewall rejects the connection: open TCP port PORT in it",
            source: "TCP: a reset in answer to the first packet; ICMP: port unreachable";
        Filtered "filtered"
            "Nobody answers the connection attempt: a firewall drops it, or the server's backlog is full. Each player loses 3 s here, with `loadPolicyFile` up to 21 s, of the 20 s that its socket has in all.",
            example: "a firewall with `tcp dport 843 drop`",
            general_cure: "let TCP port PORT through every firewall on the way; where no policy is served, refuse it (REJECT, not DROP)",
            source: "Adobe, ActionScript 3 guide: a player waits 3 s for port 843; kb405545: 20 s in all; gimite/web-socket-js issue 49: 15 to 21 s";
        Unreachable "unreachable"
            "The address is unreachable from here (no route, no such host), or a firewall on the way rejects the connection by ICMP.",
            example: "a firewall with `reject with icmp type admin-prohibited`",
            general_cure: "let TCP port PORT through every firewall on the way; check the address and the route to it, and probe from another network and from the server's own host",
            source: "ICMP: destination unreachable";
        Silent "silent"
            "The connection is accepted and nothing comes: the server hangs, has no free worker, waits for more than the player's 23 bytes, or is no policy server.",
            example: "a game server on port 843 that waits for a login",
            general_cure: "look whether that server hangs, and restart it; else have it answer as soon as `<policy-file-request/>` and a NUL have come, with no line end to wait for, and serve clients side by side: `flashpolicyd` does; or put it in that server's place",
            source: r#"Adobe, "Setting up a socket policy file server": a player waits 3 s"#;
        ClosedEmpty "closed-empty"
            "The connection is closed without a byte: the server fails over the request or does not understand it, is another service, is overloaded, or is a proxy with no server behind it.",
            example: "a script for Python 2 that runs on Python 3; a server that compares the first piece with the whole request",
            general_cure: "read that server's own log or terminal first: a script for Python 2 that runs on Python 3 fails here, since it compares bytes with text (write `b'<policy-file-request/>'`); else compare what has come so far, piece by piece, with `<policy-file-request/>`; behind a proxy, start the server that it passes connections to; where another service has port PORT, move it; or put `flashpolicyd` in its place",
            source: "gevent-socketio 0.3.6 and crossbar 26.10.1 on Python 3, observed; learnboost/socket.io issue 1406";
        ResetBefore "reset-before"
            "The connection is reset before the policy and its NUL are through: by the server, by another service that has the port (an MQTT broker does so), or by a firewall or a filter on the way.",
            example: "a server that closes with bytes of the request unread; Mosquitto",
            general_cure: "read the whole request, send policy and NUL, and only then close; behind a proxy, start the server that it passes connections to; see which program has port PORT, and probe from the server's own host, too; or put `flashpolicyd` in its place",
            source: "TCP, RFC 2525 section 2.17; Mosquitto 2.0.11, observed";
        NoNulOpen "no-nul-open"
            "The policy comes without a NUL and the connection stays open: the player waits for the NUL until it gives up.",
            example: "a server that sends the XML alone and waits",
            general_cure: "send a NUL (one byte of value 0) right behind the policy, then close the connection; or put `flashpolicyd` in its place",
            source: r#"Adobe, ActionScript 3 guide "Connecting to sockets": the policy ends with a NUL"#;
        TooSlow "too-slow"
            "The policy comes when the player has given up: it waits 3 s for port 843.",
            example: "a server that looks up the client's name before it answers",
            general_cure: "answer from memory, look up no names, and serve clients side by side: `flashpolicyd` does",
            source: "Adobe, ActionScript 3 guide: 3 s for port 843";
        CutOff "cut-off"
            "The connection ends in the middle of the policy.",
            example: "a server that writes once and ignores how much was written",
            general_cure: "write the whole policy and its NUL before the connection is closed, again and again until every byte is out; or put `flashpolicyd` in its place",
            source: "POSIX, write(2): less may be written than was asked";
        Http "http"
            "A web server answers: the player asks no web server for a socket policy.",
            example: "nginx or Apache on port 843",
            general_cure: "stop the web server on port PORT, and start a policy server there: `listen = [::]:PORT`; where none runs there, something on the way answered: probe from the server's own host",
            source: "Adobe, ActionScript 3 guide: socket policies come over a socket, since Flash Player 10";
        Tls "tls"
            "A TLS server answers. Socket and XMLSocket ask in the clear and get no policy here; a SecureSocket asks inside TLS, as `probe --tls` does.",
            example: "an HAProxy line `bind :843 ssl`",
            general_cure: "for Socket and XMLSocket, serve the policy without TLS on port PORT: `listen = [::]:PORT`; for SecureSocket, leave TLS there, and probe with `--tls`; `scripts/haproxy/tls.cfg` serves both kinds on one port",
            source: "the first bytes of a TLS answer; theturtle32/AS3WebSocket issue 28, chatziko/FlashSocket.IO (SecureSocket)";
        WebFilter "web-filter"
            "A web server answers as filters do that stand on the way, in schools and companies (403, 407 or 511).",
            example: "`HTTP/1.0 403 Forbidden` from a filter of a school",
            general_cure: "probe from another network, or from the server's own host: where a policy comes there, ask whoever runs the filter to let TCP port PORT through; if the same answer comes there, stop the web server on port PORT",
            source: "arcademics.com/firewall; RFC 9110 (403, 407), RFC 6585 (511)";
        NoTls "no-tls"
            "No TLS handshake completes: a SecureSocket asks inside TLS, and finds no policy here.",
            example: "`probe --tls` of a server that serves in the clear",
            general_cure: "serve the policy inside TLS, too: `scripts/haproxy/tls.cfg` serves both kinds of player on one port; a SWF with Socket or XMLSocket asks in the clear: probe without `--tls`",
            source: "theturtle32/AS3WebSocket issue 28: a SecureSocket got no policy in the clear";
        ProxyExpected "proxy-expected"
            "The server answers when a PROXY header comes first, as a balancer sends it. Players send none.",
            example: "a listener of flashpolicyd with `proxy`, or of nginx with `proxy_protocol`, asked directly",
            general_cure: "have players ask the balancer's port; where they are to come here directly, take `proxy` off the listener (in nginx: `proxy_protocol`)",
            source: "haproxy.org, proxy-protocol.txt; nginx 1.22.1, observed";
        Silverlight "silverlight"
            "A Silverlight policy (`clientaccesspolicy`) comes in place of one for Flash.",
            example: "an answer that begins with `<access-policy>`",
            general_cure: "serve a `cross-domain-policy` on port PORT; Silverlight asks on TCP port 943",
            source: "Microsoft: Silverlight asks on TCP port 943 for a clientaccesspolicy";
        LengthPrefix "length-prefix"
            "A length stands before the XML, such as Java's `writeUTF` writes.",
            example: "a Java server that calls `writeUTF(policy)`",
            general_cure: "write the bytes of the XML alone (in Java `write(xml.getBytes(\"UTF-8\"))`, not `writeUTF`), then a NUL; or put `flashpolicyd` in its place",
            source: r#"nzhu.blogspot.com, "Implement Flash socket policy file", 2008"#;
        JunkBefore "junk-before"
            "Something else stands before the XML.",
            example: "a greeting such as `220 ready` before the XML",
            general_cure: "begin the answer with the policy's `<`: no greeting, no header, no frame; or put `flashpolicyd` in its place",
            source: r#"Adobe, "Security changes in Flash Player 9": content before the opening tag"#;
        Echo "echo"
            "The request comes back as the answer: this is no policy server.",
            example: "an echo service on port 843",
            general_cure: "start a policy server on port PORT: `listen = [::]:PORT`",
            source: "the answer equals the request";
        NotAPolicy "not-a-policy"
            "Another service answers, in another language than policies are written in.",
            example: "an SSH server on port 843",
            general_cure: "move that service to another port, and start a policy server on port PORT: `listen = [::]:PORT`",
            source: "the answer begins with no `<`";
        Invalid "invalid"
            "A policy comes and has errors: the player ignores it.",
            example: "a grant without `to-ports`",
            general_cure: "correct the policy as shown; or let `flashpolicyd` write it from `allow` lines",
            source: "the codes that stand beside it: `flashpolicyd help codes`";
        DestinationRefused "destination-refused"
            "The policy allows the connection, and the port itself refuses it: the player reports IOError #2031 at once, and SecurityError #2048 after 20 s unless the SWF closes the socket.",
            example: "the game is stopped, and its policy server runs",
            general_cure: "start the application on port PORT, on every address of the host; where this same probe reaches it on the server's own host, let the port through the firewall",
            source: "Adobe, kb405545; Adobe's Socket class, as decompiled in a public repository: the timer of 20 s";
        DestinationFiltered "destination-filtered"
            "The policy allows the connection, and nothing comes back from the port itself: the player reports SecurityError #2048 after 20 s.",
            example: "a firewall that drops the game's port",
            general_cure: "let port PORT through the firewall, on the server's host and on the way; where this same probe gets no answer on the server's own host either, look whether the application hangs, and restart it",
            source: "Adobe, kb405545; Adobe's Socket class, as decompiled in a public repository: the timer of 20 s";
        DestinationNoTls "destination-no-tls"
            "The policy allows the connection, and no TLS handshake completes on the port itself: a SecureSocket gets an IOError.",
            example: "a proxy ends TLS on port 843, and the game's port is asked in the clear",
            general_cure: "the game on port PORT speaks no TLS: put it behind TLS (`scripts/haproxy/tls.cfg`), or use Socket/XMLSocket in the SWF",
            source: "Adobe, SecureSocket class: the connection is TLS from its first byte";
        DestinationEnds "destination-ends"
            "The policy allows the connection, and the port ends it before anything is said: the player reports a close, and SecurityError #2048 after 20 s.",
            example: "a proxy on the game's port, and no game behind it",
            general_cure: "read the log of the application on port PORT: is it full, does it refuse this address, is it a proxy with no server behind it, or does it expect TLS or a PROXY header?",
            source: "gimite/web-socket-js issues 8 and 45; Adobe, kb405545";
    }
    Warning {
        Certificate "certificate"
            "This computer does not take the certificate for that host name: a SecureSocket needs one that its own computer takes, or the SWF gets an IOError.",
            example: "a certificate that its owner signed, or one for another host name",
            general_cure: "get a certificate for the host name that the SWF connects to, from an authority that the players' computers trust; or have each of them trust this one",
            source: "Adobe, SecureSocket class: certificates have to be valid and trusted";
        NearTimeout "near-timeout"
            "The player's socket gives up with SecurityError #2048 20 s after `connect()`, and what it asks before takes nearly as long, or longer: then no policy helps.",
            example: "two locations in `loadPolicyFile` behind a firewall that drops",
            general_cure: "take locations out of `loadPolicyFile` that do not answer, and reject ports without a policy (REJECT, not DROP)",
            source: "Adobe, kb405545: all that a socket waits for has 20 s from connect()";
        StrictRequest "strict-request"
            "The server answers a request that no player sends, and not the player's: it waits for a line end, or cannot take the NUL.",
            example: "a server that reads lines and waits for a line end",
            general_cure: "end the request at the NUL, not at a line end, and compare without it; or put `flashpolicyd` in its place",
            source: "mrjoes/tornadio issue 15";
        CrossdomainHttp "crossdomain-http"
            "There is a `crossdomain.xml` on the web server: that is for HTTP, and no socket is opened by it.",
            example: "a crossdomain.xml in the web server's folder, and no server on port 843",
            general_cure: "serve a socket policy on port 843 too: `listen = [::]:843`",
            source: "Adobe, ActionScript 3 guide: it is no longer enough for sockets";
        WrongHost "wrong-host"
            "`--load` names another host: a policy speaks only for the host that serves it, by the name that the SWF connects to.",
            example: "--load policy.example.com:843 while the SWF connects to game.example.com",
            general_cure: "serve the policy on the host that the SWF connects to, and name it in `loadPolicyFile` as in `connect`",
            source: "Adobe, Security.loadPolicyFile: a policy is for its own host";
        OneAddress "one-address"
            "Players get a policy on one address of the host and none on another.",
            example: "a server on 0.0.0.0 (IPv4), and a host with an IPv6 address in the DNS",
            general_cure: "listen on every address, IPv6 and IPv4 (`listen = [::]:PORT`), or delete the DNS record of the other",
            source: "players use IPv6 or IPv4, whichever connects first";
        NoNul "no-nul"
            "The policy ends with the connection and has no NUL: most players take it.",
            example: "a server that sends the XML and closes",
            general_cure: "send a NUL (one byte of value 0) right behind the policy; or put `flashpolicyd` in its place",
            source: "Adobe asks for the NUL; its own sample servers in Perl and Python send none";
        LeftOpen "left-open"
            "The server leaves the connection open after policy and NUL: the player closes it, but other clients wait, and sockets pile up.",
            example: "a server that never closes",
            general_cure: "close the connection right after the NUL; or put `flashpolicyd` in its place",
            source: "Adobe, ActionScript 3 guide: the server should close";
        ResetAfter "reset-after"
            "The connection is reset after the policy: on Windows a reset throws away what has come but was not read yet, so some players get nothing.",
            example: "a server that closes with bytes of the request unread",
            general_cure: "read the whole request before closing: a close with unread bytes becomes a reset; or put `flashpolicyd` in its place",
            source: "TCP, RFC 2525 section 2.17";
        AfterNul "after-nul"
            "More bytes follow the NUL: players do not read them.",
            example: "a line end behind the NUL",
            general_cure: "send nothing after the NUL, not even a line end; or put `flashpolicyd` in its place",
            source: "observed; Adobe says nothing";
        SeveralPieces "several-pieces"
            "The policy comes in several pieces: some clients read only once.",
            example: "a server that writes the XML, and the NUL in a second call",
            general_cure: "send policy and NUL in one write; or put `flashpolicyd` in its place",
            source: "Unity's documentation of the sandbox asks for one write";
        Slow "slow"
            "The policy takes more than a third of the time that the player waits.",
            example: "a busy server that answers after 1.5 s",
            general_cure: "answer from memory, look up no names, and serve clients side by side: `flashpolicyd` does",
            source: "Adobe, ActionScript 3 guide: 3 s for port 843";
    }
}

impl Class {
    /// The general cure with this port in place of `PORT`.
    pub fn cure_on(self, port: u16) -> String {
        let cure = self.definition().general_cure;
        cure.replace("PORT", &port.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::json;

    #[test]
    fn a_class_has_the_same_name_in_json() {
        let names: Vec<_> = Class::all().iter().map(|class| class.as_str()).collect();
        assert_eq!(json::line(&Class::all()), json::line(&names));
    }
}
