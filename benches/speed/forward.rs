//! The floor that a proxy is measured against: it ends the client's TLS, and copies bytes between it and the database's
//! unix socket without looking at them.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

/// What is copied at once.
const BUFFER: usize = 64 * 1024;

/// `SSLRequest`, as PostgreSQL's clients send it.
const SSL_REQUEST: &[u8; 8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

/// Forwards until it is ended; its port is the first line of stdout. Arguments: socket, certificate, key.
pub(crate) fn run(arguments: &[String]) {
    let [socket, certificate, key] = arguments else {
        panic!("forward SOCKET CERTIFICATE KEY");
    };
    let socket = Arc::new(PathBuf::from(socket));
    let acceptor = acceptor(certificate, key);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        println!("{port}");
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let (acceptor, socket) = (acceptor.clone(), Arc::clone(&socket));
            // A client that goes away ends its own task and nothing else.
            drop(tokio::spawn(async move {
                let _ended = relay(client, acceptor, &socket).await;
            }));
        }
    });
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap();
    let chain = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn relay(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    socket: &PathBuf,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut first = [0; 8];
    client.read_exact(&mut first).await?;
    assert_eq!(
        &first, SSL_REQUEST,
        "the clients of a comparison ask for TLS"
    );
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    let mut server = UnixStream::connect(socket).await?;
    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER)
        .await
        .map(drop)
}
