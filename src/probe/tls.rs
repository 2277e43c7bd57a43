//! How a TLS server is told from a silent one: a client hello to send, and what its answer looks
//! like. It knows no sockets, and it completes no handshake.
//!
//! A policy request is no TLS record. OpenSSL, HAProxy and Python close or reset the connection
//! over it and send no alert, so their answer to the request alone looks like that of a server that
//! is broken.

/// A client hello for TLS 1.0 to 1.3 without a server name and without a key, in one record: a TLS
/// server answers it with a server hello, a request for another hello, or an alert.
#[rustfmt::skip]
pub(super) const CLIENT_HELLO: &[u8] = &[
    // A handshake record of 132 bytes; in it a client hello of 128 bytes, TLS 1.2 or the extension.
    0x16, 0x03, 0x01, 0x00, 0x84,
    0x01, 0x00, 0x00, 0x80, 0x03, 0x03,
    // The random bytes. These are constant: nothing is to be kept secret here.
    0x66, 0x6c, 0x61, 0x73, 0x68, 0x70, 0x6f, 0x6c, 0x69, 0x63, 0x79, 0x64, 0x20, 0x70, 0x72, 0x6f,
    0x62, 0x65, 0x20, 0x6c, 0x6f, 0x6f, 0x6b, 0x73, 0x20, 0x66, 0x6f, 0x72, 0x20, 0x54, 0x4c, 0x53,
    // No session.
    0x00,
    // 16 cipher suites: TLS 1.3, ECDHE with AES-GCM and ChaCha20, and old ones.
    0x00, 0x20,
    0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9,
    0xcc, 0xa8, 0xc0, 0x13, 0xc0, 0x14, 0x00, 0x9c, 0x00, 0x9d, 0x00, 0x2f, 0x00, 0x35, 0x00, 0xff,
    // No compression.
    0x01, 0x00,
    // 55 bytes of extensions.
    0x00, 0x37,
    // Groups: X25519, P-256, P-384.
    0x00, 0x0a, 0x00, 0x08, 0x00, 0x06, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x18,
    // Points: uncompressed.
    0x00, 0x0b, 0x00, 0x02, 0x01, 0x00,
    // Signatures: ECDSA, RSA-PSS and RSA with SHA-256.
    0x00, 0x0d, 0x00, 0x08, 0x00, 0x06, 0x04, 0x03, 0x08, 0x04, 0x04, 0x01,
    // Versions: 1.3, 1.2, 1.1, 1.0.
    0x00, 0x2b, 0x00, 0x09, 0x08, 0x03, 0x04, 0x03, 0x03, 0x03, 0x02, 0x03, 0x01,
    // Key shares: none, so a TLS 1.3 server asks for one.
    0x00, 0x33, 0x00, 0x02, 0x00, 0x00,
    // Pre-shared keys: with a key exchange of their own.
    0x00, 0x2d, 0x00, 0x02, 0x01, 0x01,
];

/// Whether these bytes begin with what a TLS server sends: an alert, or a handshake record that
/// holds a server hello (RFC 8446, 4 and 5.1). A client hello that comes back is an echo.
pub(super) fn is_server_record(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x15, 0x03, _, 0x00, 0x02, ..] | [0x16, 0x03, _, _, _, 0x02, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_in_the_client_hello_are_those_of_its_parts() {
        let u16_at =
            |at: usize| usize::from(CLIENT_HELLO[at]) << 8 | usize::from(CLIENT_HELLO[at + 1]);
        assert_eq!(u16_at(3), CLIENT_HELLO.len() - 5, "record");
        assert_eq!(u16_at(7), CLIENT_HELLO.len() - 9, "handshake");
        assert_eq!(u16_at(44), 32, "cipher suites");
        let extensions = 46 + 32 + 2;
        assert_eq!(u16_at(extensions), CLIENT_HELLO.len() - extensions - 2);
        let mut at = extensions + 2;
        while at < CLIENT_HELLO.len() {
            at += 4 + u16_at(at + 2);
        }
        assert_eq!(at, CLIENT_HELLO.len(), "each extension");
    }

    #[test]
    fn an_echo_and_text_are_no_tls_server() {
        assert!(is_server_record(b"\x15\x03\x03\0\x02\x02\x28"));
        assert!(is_server_record(b"\x16\x03\x03\0\x7a\x02\0\0\x76"));
        for other in [
            CLIENT_HELLO,
            b"",
            b"\x16\x03\x03",
            b"HTTP/1.0 400",
            b"\x15\x03\x03",
        ] {
            assert!(!is_server_record(other));
        }
    }
}
