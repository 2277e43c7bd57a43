//! What is wrong with a server's certificate, by what this computer trusts. Nothing is refused for it.

use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::output::text::{list, printable, shown};

/// The certificates that this computer trusts; no verifier where it has none.
#[derive(Debug)]
pub(super) struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

impl Trusted {
    /// Reads them from where the system keeps them, or from `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    pub(super) fn of_this_computer(provider: &Arc<CryptoProvider>) -> Trusted {
        let certificates = rustls_native_certs::load_native_certs().certs;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
        Trusted {
            certificates,
            verifier: verifier.build().ok(),
        }
    }
}

/// Takes every certificate, and keeps what is wrong with it.
#[derive(Debug)]
pub(super) struct Recorder {
    provider: Arc<CryptoProvider>,
    trusted: Arc<Trusted>,
    faults: Mutex<Vec<String>>,
}

impl Recorder {
    pub(super) fn new(provider: &Arc<CryptoProvider>, trusted: &Arc<Trusted>) -> Recorder {
        Recorder {
            provider: provider.clone(),
            trusted: trusted.clone(),
            faults: Mutex::default(),
        }
    }

    /// What was wrong, behind "the certificate".
    pub(super) fn fault(&self) -> Option<String> {
        let faults = self.faults.lock().ok()?;
        (!faults.is_empty()).then(|| faults.join("; it "))
    }

    fn record(&self, fault: String) {
        if let Ok(mut faults) = self.faults.lock() {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }

    /// Whether somebody vouches for the certificate.
    fn trust(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        // A certificate of one's own that this computer was told to trust.
        if self.trusted.certificates.contains(certificate) {
            return Ok(());
        }
        let Some(verifier) = &self.trusted.verifier else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let verified = verifier.verify_server_cert(certificate, between, name, ocsp, now);
        verified.map(|_| ())
    }

    /// A signature that is not understood is a fault of the certificate, too.
    fn sign(
        &self,
        verified: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        if let Err(error) = verified {
            self.record(in_words(&error));
        }
        Ok(HandshakeSignatureValid::assertion())
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_name = |error: &Error| {
            use CertificateError::{NotValidForName, NotValidForNameContext};
            matches!(
                error,
                Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })
            )
        };
        // The name is looked at last: with another fault it is to be known all the same.
        let chain = self.trust(certificate, between, name, ocsp, now);
        let chain = chain.err().filter(|error| !is_name(error));
        let named = ParsedCertificate::try_from(certificate)
            .and_then(|parsed| verify_server_name(&parsed, name));
        for error in chain.into_iter().chain(named.err()) {
            self.record(in_words(&error));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        self.sign(verify_tls12_signature(message, certificate, signed, known))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        self.sign(verify_tls13_signature(message, certificate, signed, known))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}

/// What is wrong with a certificate, behind "the certificate".
fn in_words(error: &Error) -> String {
    use CertificateError as ParseError;
    let Error::InvalidCertificate(fault) = error else {
        return format!("is not understood ({})", shown(&error.to_string()));
    };
    match fault {
        ParseError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let name = printable(&expected.to_str());
            // `DnsName("a.example")` in the library's words.
            let names = presented.iter().take(3).map(|name| {
                let bare = name.split_once('(').map_or(&**name, |(_, name)| name);
                shown(bare.trim_matches(['(', ')', '"']))
            });
            let names: Vec<_> = names.collect();
            match names.is_empty() {
                true => format!("names no host in a subjectAltName, and so not {name}"),
                false => format!("is for {}, and not for {name}", list(&names)),
            }
        }
        ParseError::NotValidForName => "is for another host name".into(),
        ParseError::UnknownIssuer => "is signed by nobody whom this computer trusts".into(),
        ParseError::Expired | ParseError::ExpiredContext { .. } => "has expired".into(),
        ParseError::NotValidYet | ParseError::NotValidYetContext { .. } => {
            "is not valid yet".into()
        }
        ParseError::Revoked => "is revoked".into(),
        other => match format!("{other:?}") {
            // As `openssl req -x509` makes them.
            what if what.contains("CaUsedAsEndEntity") => {
                "is its own authority (self-signed), which this computer does not trust".into()
            }
            what => format!("is not trusted ({})", shown(&what)),
        },
    }
}
