//! The first words with a PostgreSQL client: encryption, then who wants in, or what is to be canceled.
//!
//! **Invariant:** each encryption can be asked for once; bytes that came before TLS are never taken for bytes inside it; whatever
//! way TLS began, the same rule decides about plain text.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::net::Error;
use crate::net::framed::Framed;
use crate::net::stream::Stream;
use crate::net::tls::Server;
use crate::wire::startup::{Cancel, Initial, Startup};

/// What a client wants.
#[derive(Debug)]
pub enum Greeting<S> {
    /// To get in. The next message is its answer to our first question.
    Startup {
        /// The connection.
        framed: Framed<Stream<S>>,
        /// Who wants in.
        startup: Startup,
    },
    /// To cancel a statement. There is no answer.
    Cancel {
        /// The connection: to be dropped when the cancel is on its way, which is what clients wait for.
        framed: Framed<Stream<S>>,
        /// Which.
        cancel: Cancel,
    },
    /// Nothing: it closed without a word.
    Nothing,
    /// It does not keep to the protocol; it can still be told so.
    Malformed {
        /// The connection.
        framed: Framed<Stream<S>>,
        /// What is wrong.
        error: Error,
    },
}

/// Hears what a client that spoke PostgreSQL first wants. Without `tls`, encryption is declined. The caller limits the time, and decides
/// by `framed.stream().is_encrypted()` whether to go on in clear.
///
/// # Errors
/// When the connection breaks or TLS fails.
pub async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: Option<&Server>,
) -> Result<Greeting<S>, Error> {
    let mut framed = Framed::frontend(stream);
    let mut asked = Asked::default();
    loop {
        let initial = match framed.read_initial().await {
            Ok(Some(initial)) => initial,
            Ok(None) => return Ok(Greeting::Nothing),
            Err(error) => return malformed(plain(framed), error),
        };
        let accepted = match &initial {
            Initial::Ssl => once(&mut asked.ssl).map(|()| tls),
            Initial::Gss => once(&mut asked.gss).map(|()| None),
            Initial::Cancel(_) | Initial::Startup(_) => {
                return Ok(wish(plain(framed), initial));
            }
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return malformed(plain(framed), error),
        };
        let Some(server) = accepted else {
            framed.out().push(b'N');
            framed.flush().await?;
            continue;
        };
        if framed.has_unread() {
            return malformed(plain(framed), Error::EarlyData);
        }
        let mut stream = framed.into_stream()?;
        stream.write_all(b"S").await?;
        stream.flush().await?;
        let stream = server.accept_negotiated(stream).await?;
        return inside(Framed::frontend(Stream::Tls(Box::new(stream.into())))).await;
    }
}

/// Hears what a client wants inside TLS, however that began: no further encryption is possible.
///
/// # Errors
/// When the connection breaks.
pub async fn inside<S: AsyncRead + AsyncWrite + Unpin>(
    mut framed: Framed<Stream<S>>,
) -> Result<Greeting<S>, Error> {
    match framed.read_initial().await {
        Ok(None) => Ok(Greeting::Nothing),
        Ok(Some(Initial::Ssl | Initial::Gss)) => malformed(framed, Error::Again),
        Ok(Some(initial)) => Ok(wish(framed, initial)),
        Err(error) => malformed(framed, error),
    }
}

fn plain<S: AsyncRead + AsyncWrite + Unpin>(framed: Framed<S>) -> Framed<Stream<S>> {
    let (stream, deframer) = framed.into_parts();
    Framed::new(Stream::Plain(stream), deframer)
}

/// What was done wrong can be told, unless the connection itself is broken. A client that closed its side within a message may still listen.
fn malformed<S>(framed: Framed<Stream<S>>, error: Error) -> Result<Greeting<S>, Error> {
    match error {
        Error::Wire(_) | Error::Again | Error::EarlyData | Error::Closed => {
            Ok(Greeting::Malformed { framed, error })
        }
        Error::Io(_) | Error::Bind { .. } | Error::Tls { .. } => Err(error),
    }
}

fn wish<S: AsyncRead + AsyncWrite + Unpin>(
    framed: Framed<Stream<S>>,
    initial: Initial,
) -> Greeting<S> {
    match initial {
        Initial::Startup(startup) => Greeting::Startup { framed, startup },
        Initial::Cancel(cancel) => Greeting::Cancel { framed, cancel },
        Initial::Ssl | Initial::Gss => Greeting::Nothing,
    }
}

#[derive(Debug, Default)]
struct Asked {
    ssl: Once,
    gss: Once,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Once {
    #[default]
    NotYet,
    Already,
}

fn once(state: &mut Once) -> Result<(), Error> {
    match std::mem::replace(state, Once::Already) {
        Once::NotYet => Ok(()),
        Once::Already => Err(Error::Again),
    }
}
