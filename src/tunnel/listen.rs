//! The listener of a tunnel: a port on 127.0.0.1, or a unix socket nobody else can open.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use crate::net;
use crate::net::drain::Signal;
use crate::net::greeting::{self, Greeting};
use crate::net::listener::{Listener, Slot};
use crate::tunnel::door::{self, Door};
use crate::tunnel::relay::{self, Way};
use crate::tunnel::{Error, Tone, say};

/// Local connections at once.
const MOST: usize = 200;

/// How long connections may take to end when the tunnel closes.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where local clients come in.
#[derive(Debug)]
pub enum Local {
    /// A port on 127.0.0.1.
    Port(Listener),
    /// A unix socket.
    Socket(Socket),
}

/// A unix socket that is removed when it is dropped.
#[derive(Debug)]
pub struct Socket {
    inner: UnixListener,
    path: PathBuf,
}

impl Local {
    /// Takes a port on 127.0.0.1; 0 is any.
    ///
    /// # Errors
    /// When it is in use.
    pub async fn port(port: u16) -> Result<Self, Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match Listener::bind(address, MOST).await {
            Ok(listener) => Ok(Self::Port(listener)),
            Err(net::Error::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
                Err(Error::PortInUse { port })
            }
            Err(error) => Err(Error::Listen {
                place: address.to_string(),
                source: io::Error::other(error.to_string()),
            }),
        }
    }

    /// Makes the socket `.s.PGSQL.PORT` in `directory`, mode 0600.
    ///
    /// # Errors
    /// When there is one that answers, or it cannot be made.
    pub fn socket(directory: &Path, port: u16) -> Result<Self, Error> {
        let path = directory.join(format!(".s.PGSQL.{port}"));
        let place = path.display().to_string();
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .and_then(|()| make_socket(&path));
        match made {
            Ok(inner) => Ok(Self::Socket(Socket { inner, path })),
            Err(source) => Err(Error::Listen { place, source }),
        }
    }

    /// The port it listens on; 0 for a socket.
    #[must_use]
    pub fn bound(&self) -> u16 {
        match self {
            Self::Port(listener) => listener.address().map_or(0, |address| address.port()),
            Self::Socket(_) => 0,
        }
    }

    /// Serves local clients until the signal starts; then waits for those who are in to be told so.
    pub async fn serve(self, door: Arc<Door>, way: Way, mut signal: Signal) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = signal.started() => break,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                accepted = self.accept() => {
                    let (door, way) = (Arc::clone(&door), way.clone());
                    match accepted {
                        Incoming::Port(stream, slot) => {
                            tasks.spawn(async move {
                                client(stream, &door, &way).await;
                                drop(slot);
                            });
                        }
                        Incoming::Socket(stream) if tasks.len() < MOST => {
                            tasks.spawn(async move { client(stream, &door, &way).await });
                        }
                        Incoming::Socket(_) => {}
                    }
                }
            }
        }
        // The session is about to end, and the gateway to tell every connection so.
        let told = async { while tasks.join_next().await.is_some() {} };
        tokio::time::timeout(FAREWELL, told).await.ok();
        tasks.shutdown().await;
    }

    async fn accept(&self) -> Incoming {
        match self {
            Self::Port(listener) => {
                let accepted = listener.accept().await;
                Incoming::Port(accepted.stream, accepted.slot)
            }
            Self::Socket(socket) => loop {
                match socket.inner.accept().await {
                    Ok((stream, _)) => return Incoming::Socket(stream),
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            },
        }
    }
}

enum Incoming {
    Port(tokio::net::TcpStream, Slot),
    Socket(tokio::net::UnixStream),
}

/// Binds, restricts, and only then listens: nobody gets in between.
fn make_socket(path: &Path) -> io::Result<UnixListener> {
    use socket2::{Domain, SockAddr, Socket, Type};
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::other("there is a file that is no socket"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // Left behind by a tunnel that was killed.
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(socket))
}

impl Drop for Socket {
    fn drop(&mut self) {
        // If it is gone already, so much the better.
        fs::remove_file(&self.path).ok();
    }
}

/// One local client, from its first byte to its last.
async fn client<S: AsyncRead + AsyncWrite + Unpin>(stream: S, door: &Door, way: &Way) {
    if let Err(error) = welcome(stream, door, way).await
        && !error.is_gone()
    {
        say(
            &way.speaker,
            Tone::Warning,
            format!("a local connection: {error}"),
        )
        .await;
    }
}

async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    door: &Door,
    way: &Way,
) -> Result<(), net::Error> {
    let admitted = tokio::time::timeout(door::HANDSHAKE, async {
        // TLS is declined: these bytes do not leave the machine.
        match greeting::hear(stream, None).await? {
            Greeting::Startup {
                mut framed,
                startup,
            } => {
                let version = door.admit(&mut framed, &startup).await?;
                Ok(version.map(|version| (framed, startup, version)))
            }
            Greeting::Cancel { framed, cancel } => {
                if let Err(error) = way.cancels.send(cancel).await {
                    let text = format!("a cancel did not get through: {error}");
                    say(&way.speaker, Tone::Warning, text).await;
                }
                drop(framed);
                Ok(None)
            }
            Greeting::Nothing => Ok(None),
            Greeting::Malformed { error, .. } => Err(error),
        }
    });
    match admitted.await {
        // Who takes longer than that has nothing to say.
        Err(_) => Ok(()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(None)) => Ok(()),
        Ok(Ok(Some((framed, startup, version)))) => {
            relay::run(framed, &startup, version, way).await
        }
    }
}
