//! A PostgreSQL client of the gateway for the shell and for scripts: one statement string in, its messages out.
//!
//! Rows come one by one in text form, with notices, `COPY` both ways and errors where they happen; nothing is
//! collected. Reading order: here → `dial` → `handshake`.

mod dial;
mod handshake;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::model::secret::Secret;
use crate::net::stream::Stream;
use crate::wire::backend::{self, TransactionStatus};
use crate::wire::error::Fields;
use crate::wire::frame::{Deframer, Frame};
use crate::wire::frontend;
use crate::wire::row::{DataRow, Field};
use crate::wire::startup::Startup;

/// How much is read at once, and how much `COPY` data is gathered before it is sent.
const CHUNK: usize = 64 * 1024;

/// Where to connect, and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// The gateway's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whom to trust there.
    pub trust: Trust,
    /// The session's id.
    pub user: String,
    /// The session's credential.
    pub secret: Secret<String>,
    /// The offered name of the database.
    pub database: String,
    /// What `pg_stat_activity` and the audit log call us.
    pub application: String,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Whom the operating system trusts.
    System,
    /// The certificates in this PEM file.
    File(PathBuf),
    /// Whoever answers on loopback, without TLS.
    Plain,
}

/// What can go wrong between here and the gateway.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers.
    #[error("the gateway at `{address}` does not answer: {why}")]
    Unreachable {
        /// Where.
        address: String,
        /// What went wrong.
        why: String,
    },
    /// Somebody answers who is not trusted.
    #[error("the gateway at `{address}` is not trusted: {why}")]
    Untrusted {
        /// Where.
        address: String,
        /// What went wrong.
        why: String,
    },
    /// It says no before the first query.
    #[error("{}", .0.message)]
    Refused(Box<Fields>),
    /// It does not keep to the protocol.
    #[error("the gateway's answer makes no sense: {0}")]
    Protocol(String),
    /// A message can't be read or written.
    #[error("the gateway's answer makes no sense: {0}")]
    Wire(#[from] crate::wire::error::Error),
    /// The connection broke.
    #[error("the connection to the gateway broke: {}", broke(.0))]
    Lost(std::io::Error),
}

/// TLS has words of its own for a peer that is gone; they say nothing to whoever lost a connection.
fn broke(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the broker closed it without a word".to_owned(),
        _ => error.to_string(),
    }
}

impl Error {
    fn protocol(why: &str) -> Self {
        Self::Protocol(why.to_owned())
    }
}

/// What comes back from a statement string, in the order in which it happens.
#[derive(Debug)]
pub enum Event {
    /// Rows with these columns follow.
    Columns(Vec<Field>),
    /// One row.
    Row(Row),
    /// A statement is done; this is its tag.
    Complete(String),
    /// There was no statement.
    Empty,
    /// Something worth knowing.
    Notice(Box<Fields>),
    /// A statement failed; those after it are skipped.
    Failed(Box<Fields>),
    /// `COPY … FROM STDIN` waits for data.
    CopyIn,
    /// `COPY … TO STDOUT` sends data.
    CopyOut,
    /// Data of a `COPY … TO STDOUT`.
    CopyData(Frame),
    /// The data is complete.
    CopyDone,
    /// Somebody called `NOTIFY`: channel and payload.
    Notification(String, String),
    /// Everything is answered.
    Ready(TransactionStatus),
}

/// One row; its values are looked at where they came.
#[derive(Debug, Clone)]
pub struct Row(Frame);

impl Row {
    /// The values in their order; `None` is `NULL`.
    pub fn values(&self) -> impl Iterator<Item = Option<&[u8]>> {
        // It was decoded once when it came.
        DataRow::decode(self.0.body())
            .into_iter()
            .flat_map(|row| row.values())
    }

    /// How much memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.bytes().len()
    }
}

/// A connection to the gateway.
#[derive(Debug)]
pub struct Connection {
    stream: Stream<TcpStream>,
    deframer: Deframer,
    unsent: Vec<u8>,
    status: TransactionStatus,
    parameters: BTreeMap<String, String>,
    greetings: Vec<Fields>,
    options: Arc<Options>,
    pid: i32,
    key: Vec<u8>,
    /// Statement strings that are sent and not answered to the end.
    unanswered: u32,
}

impl Connection {
    /// Connects and signs in.
    ///
    /// # Errors
    /// When the gateway can't be reached, is not trusted, or refuses.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let mut connection = Self::dial(options).await?;
        let options = Arc::clone(&connection.options);
        let address = format!("{}:{}", options.host, options.port);
        dial::within(&address, handshake::run(&mut connection, &options)).await?;
        Ok(connection)
    }

    /// Connects and proves who we are, with a startup packet made elsewhere: what the gateway says after that, from its settings to
    /// its being ready, is still to be read from what comes back.
    ///
    /// # Errors
    /// When the gateway can't be reached, is not trusted, or refuses.
    pub async fn enter(
        options: Options,
        startup: Startup,
    ) -> Result<(Stream<TcpStream>, Deframer), Error> {
        let address = format!("{}:{}", options.host, options.port);
        let mut connection = Self::dial(options).await?;
        let options = Arc::clone(&connection.options);
        let entered = handshake::enter(&mut connection, &options, startup);
        dial::within(&address, entered).await?;
        Ok((connection.stream, connection.deframer))
    }

    async fn dial(options: Options) -> Result<Self, Error> {
        Ok(Self {
            stream: dial::open(&options).await?,
            deframer: Deframer::backend(),
            unsent: Vec::new(),
            status: TransactionStatus::Idle,
            parameters: BTreeMap::new(),
            greetings: Vec::new(),
            options: Arc::new(options),
            pid: 0,
            key: Vec::new(),
            unanswered: 0,
        })
    }

    /// Whether a transaction is open.
    #[must_use]
    pub const fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether a statement string is not answered to the end.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.unanswered > 0
    }

    /// What the server last reported of a setting.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Notices that came while signing in; they are given out once.
    pub fn greetings(&mut self) -> Vec<Fields> {
        std::mem::take(&mut self.greetings)
    }

    /// What cancels a statement of this connection.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller {
            options: Arc::clone(&self.options),
            pid: self.pid,
            key: self.key.clone(),
        }
    }

    /// Sends a string of statements. [`Self::next`] then gives what comes back, up to [`Event::Ready`]. Once called it counts as
    /// sent: the rest of a dropped call goes out with the next message.
    ///
    /// # Errors
    /// When the connection is gone, or the text contains a zero byte.
    pub async fn query(&mut self, sql: &str) -> Result<(), Error> {
        frontend::Message::Query { sql }.encode(&mut self.unsent)?;
        self.unanswered += 1;
        self.flush().await
    }

    /// What comes next. Cancel-safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// When the connection is gone or the gateway does not keep to the protocol.
    pub async fn next(&mut self) -> Result<Event, Error> {
        if !self.unsent.is_empty() {
            self.flush().await?;
        }
        loop {
            let frame = self.frame().await?;
            if let Some(event) = self.event(frame)? {
                return Ok(event);
            }
        }
    }

    /// What has come already, if anything has.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn pending(&mut self) -> Result<Option<Event>, Error> {
        let mut next = std::pin::pin!(self.next());
        std::future::poll_fn(|cx| match next.as_mut().poll(cx) {
            std::task::Poll::Ready(event) => std::task::Poll::Ready(event.map(Some)),
            std::task::Poll::Pending => std::task::Poll::Ready(Ok(None)),
        })
        .await
    }

    /// Sends data for a `COPY … FROM STDIN`. Not cancel-safe.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn copy_data(&mut self, data: &[u8]) -> Result<(), Error> {
        frontend::Message::CopyData(data).encode(&mut self.unsent)?;
        if self.unsent.len() < CHUNK {
            return Ok(());
        }
        self.flush().await
    }

    /// The data for `COPY` is complete; or it never will be, for this reason.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn copy_end(&mut self, failure: Option<&str>) -> Result<(), Error> {
        match failure {
            None => self.send(&frontend::Message::CopyDone).await,
            Some(reason) => self.send(&frontend::Message::CopyFail { reason }).await,
        }
    }

    /// Says good-bye. A connection that is gone already is fine, too.
    pub async fn close(mut self) {
        if self.send(&frontend::Message::Terminate).await.is_ok() {
            // TLS wants its own good-bye; whether it arrives changes nothing.
            let _gone = self.stream.shutdown().await;
        }
    }

    async fn send(&mut self, message: &frontend::Message<'_>) -> Result<(), Error> {
        message.encode(&mut self.unsent)?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        // Step by step, so that a dropped call neither loses nor repeats anything.
        while !self.unsent.is_empty() {
            let written = self.stream.write(&self.unsent).await.map_err(Error::Lost)?;
            if written == 0 {
                return Err(Error::Lost(std::io::ErrorKind::WriteZero.into()));
            }
            self.unsent.drain(..written);
        }
        self.stream.flush().await.map_err(Error::Lost)
    }

    async fn frame(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.deframer.next_frame()? {
                return Ok(frame);
            }
            let buffer = self.deframer.buffer();
            buffer.reserve(CHUNK);
            if self.stream.read_buf(buffer).await.map_err(Error::Lost)? == 0 {
                return Err(Error::Lost(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn event(&mut self, frame: Frame) -> Result<Option<Event>, Error> {
        let event = match backend::Message::decode(&frame)? {
            backend::Message::DataRow(_) => Event::Row(Row(frame)),
            backend::Message::CopyData(_) => Event::CopyData(frame),
            backend::Message::RowDescription(description) => Event::Columns(description.fields),
            backend::Message::CommandComplete { tag } => Event::Complete(tag.to_owned()),
            backend::Message::EmptyQueryResponse => Event::Empty,
            backend::Message::NoticeResponse(fields) => Event::Notice(Box::new(fields)),
            backend::Message::ErrorResponse(fields) => Event::Failed(Box::new(fields)),
            backend::Message::CopyInResponse(_) => Event::CopyIn,
            backend::Message::CopyOutResponse(_) => Event::CopyOut,
            backend::Message::CopyDone => Event::CopyDone,
            backend::Message::NotificationResponse {
                channel, payload, ..
            } => Event::Notification(channel.to_owned(), payload.to_owned()),
            backend::Message::ReadyForQuery(status) => {
                self.status = status;
                self.unanswered = self.unanswered.saturating_sub(1);
                Event::Ready(status)
            }
            backend::Message::ParameterStatus { name, value } => {
                self.parameters.insert(name.to_owned(), value.to_owned());
                return Ok(None);
            }
            other => {
                return Err(Error::Protocol(format!(
                    "message `{}` in answer to a query",
                    char::from(other.kind()).escape_default()
                )));
            }
        };
        Ok(Some(event))
    }
}

/// Cancels whatever a connection is doing.
#[derive(Debug, Clone)]
pub struct Canceller {
    options: Arc<Options>,
    pid: i32,
    key: Vec<u8>,
}

impl Canceller {
    /// For a connection whose key came by another way.
    #[must_use]
    pub fn new(options: Arc<Options>, pid: i32, key: Vec<u8>) -> Self {
        Self { options, pid, key }
    }

    /// Sends the request, as encrypted as the connection itself.
    ///
    /// # Errors
    /// When the gateway can't be reached. Whether anything was cancelled it does not say.
    pub async fn send(&self) -> Result<(), Error> {
        let mut stream = dial::open(&self.options).await?;
        let length = u32::try_from(self.key.len().saturating_add(12)).unwrap_or(u32::MAX);
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(&80_877_102_u32.to_be_bytes());
        message.extend_from_slice(&self.pid.to_be_bytes());
        message.extend_from_slice(&self.key);
        let sent = async {
            stream.write_all(&message).await?;
            stream.flush().await?;
            // The gateway closes when the cancel is on its way.
            let mut rest = [0; 64];
            while stream.read(&mut rest).await.unwrap_or(0) > 0 {}
            Ok(())
        };
        let address = format!("{}:{}", self.options.host, self.options.port);
        dial::within(&address, async { sent.await.map_err(Error::Lost) }).await
    }
}
