//! A stream to the gateway: TLS over TCP, or plain TCP on loopback.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::net::stream::Stream;
use crate::net::tls::binding;
use crate::remote::pg::{Error, Options, Trust};

/// `SSLRequest`: length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How long each phase of a connection may take.
pub(super) const PHASE: Duration = Duration::from_secs(10);

/// `tls-server-end-point` of the gateway's certificate, where its signature names a hash.
pub(super) fn end_point(stream: &Stream<TcpStream>) -> Option<Vec<u8>> {
    match stream {
        Stream::Plain(_) => None,
        Stream::Tls(stream) => {
            let certificate = stream.get_ref().1.peer_certificates()?.first()?;
            binding::end_point(certificate)
        }
    }
}

/// Connects, and encrypts unless loopback was said to be plain.
pub(super) async fn open(options: &Options) -> Result<Stream<TcpStream>, Error> {
    let address = format!("{}:{}", options.host, options.port);
    let failed = |why: String| Error::Unreachable {
        address: address.clone(),
        why,
    };
    let stream = within(&address, async {
        TcpStream::connect((options.host.as_str(), options.port))
            .await
            .map_err(|error| failed(error.to_string()))
    })
    .await?;
    stream.set_nodelay(true).map_err(Error::Lost)?;
    let config = match &options.trust {
        Trust::Plain => {
            let peer = stream.peer_addr().map_err(Error::Lost)?;
            return if peer.ip().is_loopback() {
                Ok(Stream::Plain(stream))
            } else {
                Err(Error::Untrusted {
                    address,
                    why: "without TLS it may only be reached on loopback".to_owned(),
                })
            };
        }
        Trust::System => rustls::ClientConfig::with_platform_verifier(),
        Trust::File(path) => with_file(path),
    };
    let config = config.map_err(|error| Error::Untrusted {
        address: address.clone(),
        why: error.to_string(),
    })?;
    within(&address, encrypt(stream, &options.host, &address, config)).await
}

/// Waits for a phase of a connection, but not for ever.
pub(super) async fn within<T>(
    address: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(PHASE, work).await.unwrap_or_else(|_| {
        Err(Error::Unreachable {
            address: address.to_owned(),
            why: format!("no answer within {} s", PHASE.as_secs()),
        })
    })
}

async fn encrypt(
    mut stream: TcpStream,
    host: &str,
    address: &str,
    config: rustls::ClientConfig,
) -> Result<Stream<TcpStream>, Error> {
    let refuse = |why: String| Error::Untrusted {
        address: address.to_owned(),
        why,
    };
    stream.write_all(&SSL_REQUEST).await.map_err(Error::Lost)?;
    // One byte and no more: bytes from before TLS are never taken for bytes inside it (CVE-2021-23222).
    if stream.read_u8().await.map_err(Error::Lost)? != b'S' {
        return Err(refuse("the gateway does not offer TLS".to_owned()));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = match host.parse::<IpAddr>() {
        Ok(ip) => ServerName::from(ip),
        Err(_) => ServerName::try_from(host.to_owned())
            .map_err(|_| refuse(format!("`{host}` is no name a certificate can carry")))?,
    };
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map(|stream| Stream::Tls(Box::new(stream.into())))
        .map_err(|error| refuse(error.to_string()))
}

/// Trusts the certificates in a PEM file, and no others.
fn with_file(path: &Path) -> Result<rustls::ClientConfig, rustls::Error> {
    let wrong = |why: String| rustls::Error::General(format!("read `{}`: {why}", path.display()));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?
    {
        roots.add(certificate.map_err(|error| wrong(error.to_string()))?)?;
    }
    if roots.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
