//! Which certificates of servers are accepted, by libpq's `sslmode`.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::failure::{Failure, Result};

/// How much of a certificate has to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Nothing: the connection is encrypted, and the server can be anyone.
    Nothing,
    /// One of the authorities has signed it.
    Authority,
    /// The same, and it names the host.
    AuthorityAndHost,
}

/// The files that a configuration is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The certificates of authorities.
    pub authorities: Option<String>,
    /// The certificate of the client.
    pub certificate: Option<String>,
    /// The key of the client.
    pub key: Option<String>,
}

/// The configuration for a connection.
///
/// # Errors
/// If one of the files cannot be read or used.
pub fn config(verification: Verification, files: &Files) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(format!("could not initialize TLS: {error}")))?;
    let mut trusted = Vec::new();
    if verification != Verification::Nothing {
        let file = files.authorities.as_deref().unwrap_or_default();
        trusted = certificates(file)?;
        if trusted.is_empty() {
            return Err(Failure::new(format!("root certificate file \"{file}\" has no certificate")));
        }
    }
    let mut roots = RootCertStore::empty();
    for certificate in &trusted {
        roots.add(certificate.clone()).map_err(|error| {
            let file = files.authorities.as_deref().unwrap_or_default();
            Failure::new(format!("could not use root certificate file \"{file}\": {error}"))
        })?;
    }
    let verifier = Verifier { verification, trusted, roots, provider };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let (Some(certificate), Some(key)) = (&files.certificate, &files.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| Failure::new(format!("could not read private key file \"{key}\": {error}")))?;
    builder
        .with_client_auth_cert(chain, private)
        .map_err(|error| Failure::new(format!("could not use client certificate \"{certificate}\": {error}")))
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("could not read certificate file \"{file}\": {error}"))
    };
    CertificateDer::pem_file_iter(Path::new(file))
        .map_err(|error| failed(&error))?
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| failed(&error))
}

#[derive(Debug)]
struct Verifier {
    verification: Verification,
    trusted: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        if self.verification == Verification::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(certificate)?;
        // The certificate that a server has signed itself is its own authority. Many servers have
        // such a one, and it may be marked as an authority, which is not accepted in a chain.
        if !self.trusted.iter().any(|trusted| trusted.as_ref() == certificate.as_ref()) {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        }
        if self.verification == Verification::AuthorityAndHost {
            verify_server_name(&parsed, host)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
