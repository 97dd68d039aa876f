//! TLS by rustls and aws-lc-rs, and nothing else: what a server shows, whom a client trusts.

pub mod authority;
pub mod binding;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::net::Error;
use crate::net::sniff::{HTTP_1_1, Inside, POSTGRESQL};
use crate::wire::scram::Binding;

/// Makes aws-lc-rs the process's provider, for libraries that ask for the default. Call it once at the start; more is no harm.
pub fn install() {
    // The only failure is that one is installed already, and in this program that is the same one.
    aws_lc_rs::default_provider().install_default().ok();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A certificate with its key, ready to be shown.
#[derive(Clone)]
pub struct Server {
    /// For TLS from the first byte: PostgreSQL or HTTP, as ALPN says.
    direct: TlsAcceptor,
    /// For TLS after an `SSLRequest`: PostgreSQL only.
    negotiated: TlsAcceptor,
    binding: Binding,
}

impl Server {
    /// Takes a chain, leaf first, and the leaf's key (PKCS#8, SEC1 or PKCS#1), both PEM.
    ///
    /// # Errors
    /// When one of them is none, or they do not belong together.
    pub fn new(certificates: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = certificates_from(certificates)?;
        let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
        let binding = binding::end_point(leaf).map_or(Binding::None, Binding::EndPoint);
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| failed("read the private key", &error))?;
        let config = |alpn: &[&[u8]]| -> Result<ServerConfig, Error> {
            let mut config = ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .and_then(|builder| {
                    let builder = builder.with_no_client_auth();
                    builder.with_single_cert(chain.clone(), key.clone_key())
                })
                .map_err(|error| failed("use the certificate and its key", &error))?;
            config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            Ok(config)
        };
        let direct = config(&[POSTGRESQL, HTTP_1_1])?;
        let mut negotiated = config(&[POSTGRESQL])?;
        // As PostgreSQL: nobody resumes these, and a cancel that is gone at once must not fail for a ticket that nobody takes.
        negotiated.send_tls13_tickets = 0;
        Ok(Self {
            direct: TlsAcceptor::from(Arc::new(direct)),
            negotiated: TlsAcceptor::from(Arc::new(negotiated)),
            binding,
        })
    }

    /// What SCRAM can bind to on connections with this certificate.
    #[must_use]
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }

    /// Shakes hands with a client that began with TLS, and tells what it speaks inside. The caller limits the time.
    ///
    /// # Errors
    /// When the handshake fails, also for an ALPN without a name of ours.
    pub async fn accept_direct<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, Inside), Error> {
        let stream = self.direct.accept(stream).await?;
        let inside = Inside::of(stream.get_ref().1.alpn_protocol());
        Ok((stream, inside))
    }

    /// Shakes hands with a client that was told `S`. The caller limits the time.
    ///
    /// # Errors
    /// When the handshake fails, also for an ALPN without `postgresql`.
    pub async fn accept_negotiated<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<TlsStream<S>, Error> {
        Ok(self.negotiated.accept(stream).await?)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server(_)")
    }
}

/// Whom a client trusts.
#[derive(Debug, Clone)]
pub enum Roots {
    /// Whom the operating system trusts.
    System,
    /// These certificates and no other, PEM.
    Only(Vec<u8>),
}

impl Roots {
    /// The certificates in a file, or those of the system.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_file(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Self::System);
        };
        match std::fs::read(path) {
            Ok(text) => Ok(Self::Only(text)),
            Err(error) => Err(Error::Tls {
                what: "read the CA file",
                why: format!("`{}`: {error}", path.display()),
            }),
        }
    }
}

/// A client that trusts `roots` and offers the ALPN names, if any. Names are always checked.
///
/// # Errors
/// When the roots are none.
pub fn client(roots: &Roots, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, Error> {
    let unusable = |error: rustls::Error| failed("use the trusted certificates", &error);
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let mut config = match roots {
        Roots::System => builder
            .with_platform_verifier()
            .map_err(unusable)?
            .with_no_client_auth(),
        Roots::Only(text) => {
            let mut store = RootCertStore::empty();
            for certificate in certificates_from(text)? {
                store.add(certificate).map_err(unusable)?;
            }
            builder.with_root_certificates(store).with_no_client_auth()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn certificates_from(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| failed("read the certificates", &error))?;
    if certificates.is_empty() {
        return Err(failed(
            "read the certificates",
            &"there is none in PEM form",
        ));
    }
    Ok(certificates)
}

fn failed(what: &'static str, why: &impl ToString) -> Error {
    let why = why.to_string();
    Error::Tls { what, why }
}
