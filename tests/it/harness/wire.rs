//! A client that sees every byte: the protocol by hand, on a plain loopback connection to the gateway.

use dbgate::api::types::Granted;
use dbgate::upstream::connect::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use dbgate::wire::frontend::{Message, Target};
use dbgate::wire::row::Format;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection, with everything it was ever sent.
pub(crate) struct Wire {
    stream: TcpStream,
    /// All bytes that came.
    pub(crate) heard: Vec<u8>,
}

/// A message of the server's.
pub(crate) type Heard = (u8, Vec<u8>);

impl Wire {
    /// Signs in with a session's credential; `more` goes into the startup packet. What came until the connection was ready.
    pub(crate) async fn open(
        granted: &Granted,
        database: &str,
        more: &[(&str, &str)],
    ) -> (Self, Vec<Heard>) {
        let address = (granted.gateway.host.as_str(), granted.gateway.port);
        let mut wire = Self {
            stream: TcpStream::connect(address).await.unwrap(),
            heard: Vec::new(),
        };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        let named = [("user", granted.user.as_str()), ("database", database)];
        for (name, value) in named.iter().chain(more) {
            body.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap();
        wire.stream.write_all(&length.to_be_bytes()).await.unwrap();
        wire.stream.write_all(&body).await.unwrap();
        wire.next().await;
        let secret = granted.secret.as_bytes();
        let mut scram = ScramSha256::new(secret, ChannelBinding::unsupported());
        let mut first = SCRAM_SHA_256.as_bytes().to_vec();
        first.push(0);
        first.extend(u32::try_from(scram.message().len()).unwrap().to_be_bytes());
        first.extend(scram.message());
        wire.send(&[Message::Password(&first)]).await;
        let (_, challenge) = wire.next().await;
        scram.update(&challenge[4..]).unwrap();
        let last = scram.message().to_vec();
        wire.send(&[Message::Password(&last)]).await;
        let came = wire.until_ready().await;
        (wire, came)
    }

    /// Sends messages.
    pub(crate) async fn send(&mut self, messages: &[Message<'_>]) {
        let mut bytes = Vec::new();
        for message in messages {
            message.encode(&mut bytes).unwrap();
        }
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Heard {
        let tag = self.stream.read_u8().await.unwrap();
        let length = self.stream.read_u32().await.unwrap();
        let mut body = vec![0; length as usize - 4];
        self.stream.read_exact(&mut body).await.unwrap();
        self.heard.push(tag);
        self.heard.extend_from_slice(&body);
        (tag, body)
    }

    /// All messages up to `ReadyForQuery`.
    pub(crate) async fn until_ready(&mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let (tag, body) = self.next().await;
            all.push((tag, body));
            if tag == b'Z' {
                return all;
            }
        }
    }

    /// A query string by the simple protocol.
    pub(crate) async fn query(&mut self, sql: &str) -> Vec<Heard> {
        self.send(&[Message::Query { sql }]).await;
        self.until_ready().await
    }

    /// One statement by the extended protocol, its results in that format.
    pub(crate) async fn execute(&mut self, sql: &str, format: Format) -> Vec<Heard> {
        self.run(sql, format, 0).await
    }

    /// The same, `limit` rows at a time until the portal has no more.
    pub(crate) async fn run(&mut self, sql: &str, format: Format, limit: i32) -> Vec<Heard> {
        let execute = Message::Execute { portal: "", limit };
        let prepare = Message::Parse {
            name: "",
            sql,
            types: Vec::new(),
        };
        let bind = Message::Bind {
            portal: "",
            statement: "",
            formats: Vec::new(),
            parameters: Vec::new(),
            results: vec![format],
        };
        let describe = Message::Describe(Target::Portal(""));
        self.send(&[prepare, bind, describe, execute, Message::Flush])
            .await;
        let mut all = Vec::new();
        loop {
            let (tag, body) = self.next().await;
            all.push((tag, body));
            match tag {
                b's' => {
                    let execute = Message::Execute { portal: "", limit };
                    self.send(&[execute, Message::Flush]).await;
                }
                b'C' | b'E' | b'I' => break,
                _ => {}
            }
        }
        self.send(&[Message::Sync]).await;
        all.extend(self.until_ready().await);
        all
    }
}

/// The rows among messages.
pub(crate) fn rows(heard: &[Heard]) -> Vec<Vec<Option<Vec<u8>>>> {
    heard
        .iter()
        .filter(|(tag, _)| *tag == b'D')
        .map(|(_, body)| values(body))
        .collect()
}

/// The values of a row.
pub(crate) fn values(body: &[u8]) -> Vec<Option<Vec<u8>>> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    (0..count)
        .map(|_| {
            let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
            rest = &rest[4..];
            let (value, after) = rest.split_at(usize::try_from(length).ok()?);
            rest = after;
            Some(value.to_vec())
        })
        .collect()
}

/// The type OIDs that a `RowDescription` names.
pub(crate) fn types(heard: &[Heard]) -> Vec<u32> {
    let (_, body) = heard
        .iter()
        .find(|(tag, _)| *tag == b'T')
        .expect("a description");
    let mut rest = &body[2..];
    let mut types = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == 0).unwrap();
        let field = &rest[end + 1..];
        types.push(u32::from_be_bytes(field[6..10].try_into().unwrap()));
        rest = &field[18..];
    }
    types
}

/// The data of a `COPY … TO STDOUT`.
pub(crate) fn copied(heard: &[Heard]) -> Vec<u8> {
    heard
        .iter()
        .filter(|(tag, _)| *tag == b'd')
        .flat_map(|(_, body)| body.clone())
        .collect()
}

/// What a report says: severity, SQLSTATE, message, detail, hint, position; `None` without one of that tag.
pub(crate) fn report(heard: &[Heard], of: u8) -> Option<Report> {
    let (_, body) = heard.iter().find(|(tag, _)| *tag == of)?;
    let field = |kind: u8| {
        body.split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&kind))
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
    };
    Some(Report {
        code: field(b'C').unwrap(),
        message: field(b'M').unwrap(),
        detail: field(b'D').unwrap_or_default(),
        hint: field(b'H').unwrap_or_default(),
        position: field(b'P').map(|at| at.parse().unwrap()),
    })
}

/// An error or a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: String,
    pub(crate) hint: String,
    pub(crate) position: Option<usize>,
}

/// The first error.
pub(crate) fn error(heard: &[Heard]) -> Option<Report> {
    report(heard, b'E')
}

/// All notices, their messages.
pub(crate) fn notices(heard: &[Heard]) -> Vec<String> {
    heard
        .iter()
        .filter(|(tag, _)| *tag == b'N')
        .filter_map(|one| report(std::slice::from_ref(one), b'N'))
        .map(|report| report.message)
        .collect()
}
