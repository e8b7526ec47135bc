//! The server's own key, by which agents know it, and how it speaks TLS.
//!
//! The key is made once and lies in the data folder, so that its hash, which scripts carry, stays over restarts. Agents
//! show certificates that they made themselves: nobody vouches for them, and the handshake proves that they hold the
//! key. That key is the session.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use sha2::{Digest as _, Sha256};

use super::tokens::sum;
use crate::model::Digest;

/// The file in the data folder.
pub const KEY_FILE: &str = "agent-tls.key";
/// What stands on the certificate; nobody reads it.
const NAME: &str = "dragonfly";

/// The server's key and what is made of it.
#[derive(Debug)]
pub struct Identity {
    pin: Digest,
    secret: [u8; 32],
    tls: Arc<ServerConfig>,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("key of the agents' port cannot be read or made: {0}")]
    File(#[from] io::Error),
    #[error("key of the agents' port is none: {0}")]
    Key(#[from] rcgen::Error),
    #[error("TLS of the agents' port cannot be set up: {0}")]
    Tls(#[from] Error),
}

impl Identity {
    /// Reads the key, or makes it where there is none.
    pub fn open(file: &Path) -> Result<Self, IdentityError> {
        let der = match std::fs::read(file) {
            Ok(der) => der,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(file)?,
            Err(error) => return Err(error.into()),
        };
        Self::of(der)
    }

    fn of(der: Vec<u8>) -> Result<Self, IdentityError> {
        let secret = Sha256::new()
            .chain_update(b"boot tokens")
            .chain_update(&der)
            .finalize();
        let der = PrivatePkcs8KeyDer::from(der);
        let key = KeyPair::try_from(&der)?;
        let certificate = CertificateParams::new([NAME.to_owned()])?.self_signed(&key)?;
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(AnyKey(provider.signature_verification_algorithms));
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.into()], PrivateKeyDer::Pkcs8(der))?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Each connection proves its key anew.
        tls.send_tls13_tickets = 0;
        tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self {
            pin: sum(&rcgen::PublicKeyData::subject_public_key_info(&key)),
            secret: secret.into(),
            tls: Arc::new(tls),
        })
    }

    /// SHA-256 of the public key, as scripts carry it.
    pub const fn pin(&self) -> &Digest {
        &self.pin
    }

    /// What tokens are made with.
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    pub fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }
}

/// Makes a key and writes it down for its owner alone, whole or not at all.
fn make(file: &Path) -> Result<Vec<u8>, IdentityError> {
    let der = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_der();
    let new = file.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    out.write_all(&der)?;
    out.sync_all()?;
    std::fs::rename(&new, file)?;
    if let Some(folder) = file.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(der)
}

/// The hash of a certificate's public key; none when it is no certificate.
pub fn key_of(certificate: &CertificateDer<'_>) -> Option<Digest> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(sum(&certificate.subject_public_key_info()))
}

/// Takes a certificate of whoever holds its key.
#[derive(Debug)]
struct AnyKey(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyKey {
    /// An installed system has a secret instead.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match key_of(certificate) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    /// Never asked: only TLS 1.3 is spoken.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Numbers that nobody guesses.
pub fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let provider: CryptoProvider = ring::default_provider();
    provider.secure_random.fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(KEY_FILE);
        let first = Identity::open(&file).unwrap();
        let again = Identity::open(&file).unwrap();
        assert_eq!(first.pin(), again.pin());
        assert_eq!(first.secret(), again.secret());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = Identity::open(&folder.path().join("other")).unwrap();
        assert_ne!(first.pin(), other.pin());
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(KEY_FILE);
        std::fs::write(&file, "no key").unwrap();
        assert!(matches!(Identity::open(&file), Err(IdentityError::Key(_))));
        assert_eq!(std::fs::read(&file).unwrap(), b"no key");
    }
}
