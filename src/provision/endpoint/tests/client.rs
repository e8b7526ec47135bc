//! A boot agent as the endpoint hears it: its own key in the handshake, the server's known by its pin.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use crate::model::agent::Refused;
use crate::provision::identity::key_of;

/// A key that lives as long as the agent.
pub struct Agent {
    tls: Arc<ClientConfig>,
    server: SocketAddr,
    from: IpAddr,
}

pub type Said<T> = Result<T, (u16, Refused)>;

impl Agent {
    pub fn new(server: SocketAddr, pin: &str) -> Self {
        Self::with(server, pin, true)
    }

    /// One that shows no certificate.
    pub fn nameless(server: SocketAddr, pin: &str) -> Self {
        Self::with(server, pin, false)
    }

    pub fn from(self, address: &str) -> Self {
        let from = address.parse().unwrap();
        Self { from, ..self }
    }

    pub fn towards(self, server: SocketAddr) -> Self {
        Self { server, ..self }
    }

    fn with(server: SocketAddr, pin: &str, certificate: bool) -> Self {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(pin.to_owned())));
        let tls = if certificate {
            let own = rcgen::generate_simple_self_signed(["agent".to_owned()]).unwrap();
            let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
            tls.with_client_auth_cert(vec![own.cert.into()], key)
                .unwrap()
        } else {
            tls.with_no_client_auth()
        };
        Self {
            tls: Arc::new(tls),
            server,
            from: "127.0.0.1".parse().unwrap(),
        }
    }

    /// One call on a connection of its own.
    pub async fn call<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Said<T> {
        self.try_call(path, body).await.unwrap()
    }

    pub async fn try_call<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> std::io::Result<Said<T>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        let stream = socket.connect(self.server).await?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let name = ServerName::IpAddress(self.server.ip().into());
        let tls = connector.connect(name, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = hyper::Request::post(path)
            .header("host", "dragonfly")
            .body(Full::new(Bytes::from(serde_json::to_vec(body).unwrap())))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        drop(sender);
        connection.await.unwrap().ok();
        let text = if bytes.is_empty() {
            &b"null"[..]
        } else {
            &bytes[..]
        };
        Ok(if status < 300 {
            Ok(serde_json::from_slice(text).unwrap())
        } else {
            Err((status, serde_json::from_slice(text).unwrap()))
        })
    }
}

#[derive(Debug)]
struct Pinned(String);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = key_of(certificate).unwrap();
        if key.hex() == self.0 {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General("another server's key".into()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("only TLS 1.3 is spoken")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = ring::default_provider().signature_verification_algorithms;
        known.supported_schemes()
    }
}
