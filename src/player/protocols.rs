//! Names a protocol by the first bytes of a connection: of a client that asks for no policy, and of
//! a server that answers with none. Pure; a name never holds a byte of theirs.

/// The beginnings that are text: as a client sends it, as a server does, or none where that side
/// does not begin so. Of two that fit, the first counts.
const BEGINNINGS: &[(&[u8], Option<&str>, Option<&str>)] = &[
    (b"SSH-", Some("SSH"), Some("an SSH server")),
    (b"RFB 00", Some("VNC"), Some("a VNC server")),
    (b"HTTP/", Some("an HTTP response"), Some("a web server")),
    (b"GET ", Some("HTTP (GET)"), None),
    (b"POST ", Some("HTTP (POST)"), None),
    (b"HEAD ", Some("HTTP (HEAD)"), None),
    (b"OPTIONS ", Some("HTTP (OPTIONS)"), None),
    (b"CONNECT ", Some("HTTP (CONNECT)"), None),
    (b"PUT ", Some("HTTP (PUT)"), None),
    (b"DELETE ", Some("HTTP (DELETE)"), None),
    (b"PRI * HTTP/2", Some("HTTP/2"), None),
    (b"RTSP/", Some("an RTSP response"), Some("an RTSP server")),
    (b"PROXY ", Some("a PROXY header (version 1)"), None),
    (
        b"\r\n\r\n\0\r\nQUIT\n",
        Some("a PROXY header (version 2)"),
        None,
    ),
    (b"<msg t=", Some("a SmartFox message"), None),
    (b"%xt%", Some("a SmartFox message"), None),
    (b"EHLO ", Some("SMTP"), None),
    (b"HELO ", Some("SMTP"), None),
    (b"NICK ", Some("IRC"), None),
    (b"CAP LS", Some("IRC"), None),
    (b"JRMI", Some("Java RMI"), None),
    (b"\x13BitTorrent", Some("BitTorrent"), None),
    (b"* OK", None, Some("a mail server (IMAP)")),
    (b"+OK", None, Some("a mail server (POP3)")),
    // What they say to a line that they do not know.
    (b"-ERR unknown command", None, Some("a Redis server")),
    (b"-DENIED Redis", None, Some("a Redis server")),
    (b"-NOAUTH ", None, Some("a Redis server")),
    (b"ERROR\r\n", None, Some("a memcached server")),
];

/// What a client speaks that begins like this: a few words, as in "not a policy request, but TLS".
/// None where it is not known.
pub fn client_speaks(first: &[u8]) -> Option<&'static str> {
    let line = first.split(|&byte| byte == b'\n').next().unwrap_or(first);
    // RTSP and SIP take the form of HTTP, and some of its methods; the target of a long request may
    // be all that came.
    for (protocol, version, target) in [
        ("RTSP", &b" RTSP/1.0"[..], &b"OPTIONS rtsp:"[..]),
        ("SIP", b" SIP/2.0", b"OPTIONS sip:"),
    ] {
        if line.trim_ascii_end().ends_with(version) || first.starts_with(target) {
            return Some(protocol);
        }
    }
    let by_text = BEGINNINGS
        .iter()
        .find_map(|(begins, client, _)| client.filter(|_| first.starts_with(begins)));
    by_text.or_else(|| binary_client(first)).or_else(|| {
        let is_xml = first.starts_with(b"<") && !first.starts_with(b"<policy-file-request");
        match first.trim_ascii_start() {
            text if is_xmpp(text) => Some("XMPP"),
            _ if is_xml && first.len() > 8 => Some("XML"),
            [b'{', b'"', ..] | [b'[', b'{' | b'"', ..] => Some("JSON"),
            _ => None,
        }
    })
}

/// Clients that do not begin with text.
fn binary_client(first: &[u8]) -> Option<&'static str> {
    Some(match first {
        // A handshake record (RFC 8446, 5.1), and the hello of SSL 2 that offers newer versions.
        [0x16, 0x03, ..] | [0x80, _, 0x01, 0x03, ..] => "TLS",
        // TPKT (RFC 1006), and in it a connection request of X.224.
        [0x03, 0x00, _, _, _, 0xE0, ..] => "RDP",
        // A handshake of 1,537 bytes; 6 where it is encrypted.
        [0x03 | 0x06, rest @ ..] if rest.len() > 63 => "RTMP",
        // A command and an option (RFC 854).
        [0xFF, 0xFB..=0xFE, ..] => "Telnet",
        // A binary message of SmartFoxServer 2X: its length, and an object.
        [0x80, _, _, 0x12, ..] => "a SmartFox message",
        [0x10, _, 0x00, 0x04, b'M', b'Q', b'T', b'T', ..] => "MQTT",
        [0x00, 0x00, _, _, 0xFE | 0xFF, b'S', b'M', b'B', ..] => "SMB",
        [0x00, 0x00, 0x00, 0x08, 0x04, 0xD2, 0x16, 0x2F, ..]
        | [0x00, 0x00, _, _, 0x00, 0x03, 0x00, 0x00, ..] => "PostgreSQL",
        // SOCKS: a version, and for 5 the methods that it counts.
        [0x04, 0x01, _, _, _, _, _, _, ..] => "SOCKS",
        [0x05, methods, rest @ ..] if *methods > 0 && rest.len() == usize::from(*methods) => {
            "SOCKS"
        }
        _ => return None,
    })
}

/// The server that sends this in place of a policy; none where it is not known.
pub fn server_of(bytes: &[u8]) -> Option<&'static str> {
    if let [b'2', b'2', b'0', b' ' | b'-', text @ ..] = bytes {
        let text = text.to_ascii_uppercase();
        let has = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
        return Some(match (has(b"SMTP"), has(b"FTP")) {
            (true, _) => "a mail server (SMTP)",
            (_, true) => "an FTP server",
            _ => "a mail or FTP server",
        });
    }
    let by_text = BEGINNINGS
        .iter()
        .find_map(|(begins, _, server)| server.filter(|_| bytes.starts_with(begins)));
    by_text.or_else(|| match bytes {
        // An alert or a handshake.
        [0x15 | 0x16, 0x03, ..] => Some("a TLS server"),
        [0xFF, 0xFB..=0xFE, ..] => Some("a Telnet server"),
        _ if is_xmpp(bytes) => Some("an XMPP server"),
        _ => None,
    })
}

/// Whether the stream of XMPP opens here, behind an XML declaration or none.
fn is_xmpp(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    let declared = text.starts_with(b"<?xml").then(|| {
        let end = text.windows(2).position(|window| window == b"?>");
        text.get(end.unwrap_or_default() + 2..).unwrap_or_default()
    });
    let root = declared.unwrap_or(text).trim_ascii_start();
    root.starts_with(b"<stream:stream") || root.starts_with(b"<stream:error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_another_protocol_is_named_by_its_first_bytes() {
        let rtmp = [&[3, 0, 0, 0, 0, 9, 0, 0x7c, 2][..], &[7; 119]].concat();
        for (first, name) in [
            (&b"\x16\x03\x01\0\xb3\x01"[..], Some("TLS")),
            (b"\x80\x2e\x01\x03\x01", Some("TLS")),
            (b"GET / HTTP/1.1\r\n", Some("HTTP (GET)")),
            (b"OPTIONS / HTTP/1.0", Some("HTTP (OPTIONS)")),
            (b"OPTIONS rtsp://a", Some("RTSP")),
            (b"OPTIONS / RTSP/1.0\r\n\r\n", Some("RTSP")),
            (b"OPTIONS sip:nm SIP/2.0\r\nVia: a", Some("SIP")),
            (b"REGISTER a SIP/2.0\r\n", Some("SIP")),
            (
                b"OPTIONS / HTTP/1.0\r\na: RTSP/1.0\r\n",
                Some("HTTP (OPTIONS)"),
            ),
            (b"PRI * HTTP/2.0\r\n", Some("HTTP/2")),
            (
                b"PROXY TCP4 203.0.113.7",
                Some("a PROXY header (version 1)"),
            ),
            (
                b"\r\n\r\n\0\r\nQUIT\n\x21",
                Some("a PROXY header (version 2)"),
            ),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", Some("SSH")),
            (&rtmp, Some("RTMP")),
            (
                b"<msg t='sys'><body action='verChk' r='0'>",
                Some("a SmartFox message"),
            ),
            (b"%xt%s%j#js%-1%", Some("a SmartFox message")),
            (b"\x80\x00\x4a\x12\x00\x03", Some("a SmartFox message")),
            (b"<cross-domain-request/>\0", Some("XML")),
            (
                b"<?xml version='1.0'?> <stream:stream to='a'>",
                Some("XMPP"),
            ),
            (b"{\"cmd\":1}", Some("JSON")),
            (b"\xff\xfd\x03", Some("Telnet")),
            (b"\x03\0\0\x13\x0e\xe0\0\0", Some("RDP")),
            (b"\x05\x01\0", Some("SOCKS")),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Some("PostgreSQL")),
            (b"\0\0\0\x85\xffSMBr", Some("SMB")),
            (b"", None),
            (b"\x03", None),
            (b"hello", None),
            (b"<policy-file-request/>\0", None),
            (b"<policy-file-reqest/>\0", Some("XML")),
        ] {
            assert_eq!(client_speaks(first), name, "{}", first.escape_ascii());
        }
    }

    #[test]
    fn a_service_is_named_by_what_it_sends() {
        for (bytes, name) in [
            (
                &b"220 mx.example.com ESMTP Postfix\r\n"[..],
                Some("a mail server (SMTP)"),
            ),
            (b"220 (vsFTPd 3.0.3)\r\n", Some("an FTP server")),
            (b"220-hello\r\n", Some("a mail or FTP server")),
            (b"2201 hello\r\n", None),
            (b"RFB 003.008\n", Some("a VNC server")),
            (b"-ERR unknown command 'a'\r\n", Some("a Redis server")),
            (b"ERROR\r\n", Some("a memcached server")),
            (
                b"<?xml version='1.0'?><stream:stream id=''>",
                Some("an XMPP server"),
            ),
            (b"<stream:stream>", Some("an XMPP server")),
            (b"<cross-domain-policy/>", None),
            (b"\x15\x03\x03\0\x02\x02\x28", Some("a TLS server")),
        ] {
            assert_eq!(server_of(bytes), name, "{}", bytes.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn names_are_printable_whatever_comes(bytes: Vec<u8>) {
            for name in [client_speaks(&bytes), server_of(&bytes)].into_iter().flatten() {
                proptest::prop_assert!(name.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
            }
        }
    }
}
