//! The server on a socket: TLS with a certificate of its own authority, a bearer token, and the kubeconfig for both.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tower::Service as _;

use crate::body::Body;
use crate::server::{Server, refused};
use crate::status::Refusal;

/// After a connection could not be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The server could not be put on a socket.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificates could not be made.
    #[error("certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificates were not taken.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The address could not be listened on.
    #[error("{address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

/// A server that listens.
pub struct Listening {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    address: SocketAddr,
    token: Arc<str>,
    authority: String,
    server: Server,
}

/// Listens on an address with a new certificate. `token` must be shown by clients, as bearer token.
pub async fn listen(server: Server, address: SocketAddr, token: &str) -> Result<Listening, ServeError> {
    let wrong = |error| ServeError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let bound = listener.local_addr().map_err(wrong)?;
    let (config, authority) = certificates(bound.ip())?;
    Ok(Listening {
        listener,
        acceptor: TlsAcceptor::from(Arc::new(config)),
        address: bound,
        token: token.into(),
        authority,
        server,
    })
}

/// A TLS configuration with a fresh key, and the PEM of the authority that vouches for it.
fn certificates(ip: IpAddr) -> Result<(ServerConfig, String), ServeError> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    authority
        .distinguished_name
        .push(DnType::CommonName, "embedded-apiserver");
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "kubernetes".to_owned()])?;
    params.subject_alt_names.push(SanType::IpAddress(ip));
    if ip != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        params
            .subject_alt_names
            .push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    let certificate = params.signed_by(&key, &issuer)?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((config, authority_certificate.pem()))
}

impl Listening {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig that leads here. It is JSON, which is YAML too.
    pub fn kubeconfig(&self) -> String {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "embedded", "cluster": {
                "server": format!("https://{}", self.address),
                "certificate-authority-data": STANDARD.encode(&self.authority),
            }}],
            "users": [{"name": "admin", "user": {"token": &*self.token}}],
            "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "admin"}}],
            "current-context": "embedded",
        });
        format!("{config:#}\n")
    }

    /// Serves connections until the future is dropped.
    pub async fn serve(self) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    // Out of file descriptors, for instance: others must end first.
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            drop(stream.set_nodelay(true));
            let (acceptor, server, token) = (self.acceptor.clone(), self.server.clone(), self.token.clone());
            tokio::spawn(async move {
                let stream = match acceptor.accept(stream).await {
                    Ok(stream) => stream,
                    Err(error) => return tracing::debug!(%error, "no TLS"),
                };
                let service = service_fn(move |request| authorised(server.clone(), token.clone(), request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended");
                }
            });
        }
    }
}

/// Lets a request through that shows the token.
async fn authorised(
    mut server: Server,
    token: Arc<str>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let shown = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if shown.and_then(|shown| shown.strip_prefix("Bearer ")) != Some(&*token) {
        return Ok(refused(&Refusal::unauthorized()));
    }
    server.call(request).await
}
