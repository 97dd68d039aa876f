//! The first bytes of a connection: which encryption, which cancel, or who wants in.

use std::borrow::Cow;
use std::fmt;

use crate::wire::error::Error;
use crate::wire::reader::Reader;
use crate::wire::writer;

const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// More parameters than any client sends, and few enough to compare each with each.
const MAX_PARAMETERS: usize = 128;
/// Protocol options start so; a server that does not know one says so.
const EXTENSION: &str = "_pq_.";

/// The one that dbgate's own clients ask for: a notice before rows says which columns are masked.
pub const MASKS: &str = "_pq_.dbgate_masks";

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Always 3.
    pub major: u16,
    /// 0, since PostgreSQL 18 also 2.
    pub minor: u16,
}

impl Version {
    /// What all clients speak.
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// The newest: long cancel keys.
    pub const V3_2: Self = Self { major: 3, minor: 2 };

    /// From its number on the wire.
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        let [a, b, c, d] = code.to_be_bytes();
        Self {
            major: u16::from_be_bytes([a, b]),
            minor: u16::from_be_bytes([c, d]),
        }
    }

    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        let [a, b] = self.major.to_be_bytes();
        let [c, d] = self.minor.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The first message of a connection, or the second after a yes or no to an encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initial {
    /// Asks for TLS.
    Ssl,
    /// Asks for GSSAPI encryption.
    Gss,
    /// Asks to cancel what another connection runs.
    Cancel(Cancel),
    /// Wants in.
    Startup(Startup),
}

/// Which connection's statement to cancel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cancel {
    /// Its process.
    pub pid: i32,
    /// Its secret, 4 to 256 bytes.
    pub key: Vec<u8>,
}

/// Who wants in, with which settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// The protocol the client speaks.
    pub version: Version,
    /// Names and values in their order; no name is empty or comes twice.
    pub parameters: Vec<(String, String)>,
}

impl Initial {
    /// Reads the packet behind its length.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let initial = match reader.u32()? {
            SSL => Self::Ssl,
            GSS => Self::Gss,
            CANCEL => {
                let pid = reader.i32()?;
                let key = reader.rest();
                if !(4..=256).contains(&key.len()) {
                    return Err(Error::Startup("invalid length of cancel key"));
                }
                let key = key.to_vec();
                Self::Cancel(Cancel { pid, key })
            }
            code => Self::Startup(Startup::decode(Version::from_code(code), &mut reader)?),
        };
        reader.end()?;
        Ok(initial)
    }

    /// Writes the packet; after an error `out` is as it was.
    ///
    /// # Errors
    /// When a text contains a zero byte.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        writer::sized(out, |out| {
            match self {
                Self::Ssl => out.extend_from_slice(&SSL.to_be_bytes()),
                Self::Gss => out.extend_from_slice(&GSS.to_be_bytes()),
                Self::Cancel(cancel) => {
                    out.extend_from_slice(&CANCEL.to_be_bytes());
                    out.extend_from_slice(&cancel.pid.to_be_bytes());
                    out.extend_from_slice(&cancel.key);
                }
                Self::Startup(startup) => {
                    out.extend_from_slice(&startup.version.code().to_be_bytes());
                    for (name, value) in &startup.parameters {
                        writer::text(out, name)?;
                        writer::text(out, value)?;
                    }
                    out.push(0);
                }
            }
            Ok(())
        })
    }
}

impl Startup {
    fn decode(version: Version, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let Version { major, minor } = version;
        if major != 3 {
            return Err(Error::Version { major, minor });
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        loop {
            let name = reader.text()?;
            if name.is_empty() {
                break;
            }
            if parameters.len() >= MAX_PARAMETERS {
                return Err(Error::Startup("too many parameters"));
            }
            if parameters.iter().any(|(known, _)| known == name) {
                return Err(Error::Startup("a parameter comes twice"));
            }
            parameters.push((name.to_owned(), reader.text()?.to_owned()));
        }
        if !reader.is_empty() {
            return Err(Error::Startup("expected terminator as last byte"));
        }
        let startup = Self {
            version,
            parameters,
        };
        if startup.user().is_empty() {
            return Err(Error::Startup("no PostgreSQL user name specified"));
        }
        Ok(startup)
    }

    /// A parameter's value.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Who wants in.
    #[must_use]
    pub fn user(&self) -> &str {
        self.parameter("user").unwrap_or("")
    }

    /// To which database; PostgreSQL takes the user's name when none is named.
    #[must_use]
    pub fn database(&self) -> &str {
        self.parameter("database")
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| self.user())
    }

    /// Settings for the session: all parameters but who, where and protocol options.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| {
                !matches!(*name, "user" | "database" | "options" | "replication")
                    && !name.starts_with(EXTENSION)
            })
    }

    /// Protocol options the client wishes for that nobody here knows.
    #[must_use]
    pub fn extensions(&self) -> Vec<&str> {
        let names = self.parameters.iter().map(|(name, _)| name.as_str());
        names
            .filter(|name| name.starts_with(EXTENSION) && *name != MASKS)
            .collect()
    }

    /// Whether the client wants to be told which columns are masked.
    #[must_use]
    pub fn wants_masks(&self) -> bool {
        self.parameter(MASKS) == Some("on")
    }

    /// The version both sides speak, and whether `NegotiateProtocolVersion` must say so.
    #[must_use]
    pub fn negotiate(&self) -> (Version, bool) {
        let agreed = self.version.min(Version::V3_2);
        let told = agreed != self.version || !self.extensions().is_empty();
        (agreed, told)
    }
}

/// Reads the `options` parameter: settings written as `-c name=value`, `-cname=value` or `--name=value`, spaces within escaped by `\`.
///
/// # Errors
/// When it holds anything else; other switches of the server are for its owner.
pub fn options(text: &str) -> Result<Vec<(String, String)>, Error> {
    let mut settings = Vec::new();
    let mut words = split(text).into_iter();
    while let Some(word) = words.next() {
        let setting = if let Some(long) = word.strip_prefix("--") {
            Cow::Borrowed(long)
        } else {
            match word.strip_prefix("-c") {
                Some("") => Cow::Owned(words.next().ok_or(NO_SETTING)?),
                Some(joined) => Cow::Borrowed(joined),
                None => return Err(NO_SETTING),
            }
        };
        let (name, value) = setting.split_once('=').ok_or(NO_SETTING)?;
        if name.is_empty() {
            return Err(Error::Startup("an option without a name"));
        }
        if settings.len() >= MAX_PARAMETERS {
            return Err(Error::Startup("too many options"));
        }
        // In `--` form, as in PostgreSQL, dashes stand for underscores.
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

const NO_SETTING: Error = Error::Startup("only settings are possible as options: -c name=value");

/// Words at white space, as `pg_split_opts` finds them: `\` takes the next character as it is.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        while characters.next_if(|c| is_space(*c)).is_some() {}
        if characters.peek().is_none() {
            return words;
        }
        let mut word = String::new();
        while let Some(c) = characters.next_if(|c| !is_space(*c)) {
            word.extend(if c == '\\' {
                characters.next()
            } else {
                Some(c)
            });
        }
        words.push(word);
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}
