//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS as a server checks them (RFC 5802, 5929, 7677).

mod crypto;

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroize;

use crate::model::secret::Secret;
use crate::wire::error::Error;
use crate::wire::scram::crypto::{is_equal, mac, sha256};

/// The mechanism without channel binding.
pub const SHA_256: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub const SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// The iteration count of verifiers that clients see: the least RFC 7677 allows, and some drivers refuse less. Our passwords are random;
/// more would only make connecting slower.
pub const CLIENT_ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
/// The iteration count of lease roles: nobody but the broker ever proves that password.
pub const LEASE_ITERATIONS: NonZeroU32 = NonZeroU32::MIN;

const BINDING_TYPE: &str = "tls-server-end-point";

/// What a server keeps instead of a password.
#[derive(Clone)]
pub struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Secret<[u8; 32]>,
    server_key: Secret<[u8; 32]>,
    /// False for a user who does not exist: everything is computed, nothing succeeds.
    genuine: bool,
}

impl Verifier {
    /// Computes the verifier of a password.
    ///
    /// # Errors
    /// When the password is not printable ASCII: only then is it its own SASLprep form, and ours always are.
    pub fn new(
        password: &Secret<String>,
        salt: &[u8],
        iterations: NonZeroU32,
    ) -> Result<Self, Error> {
        let password = password.expose();
        if !password.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Error::Scram("the password is not printable ASCII"));
        }
        let mut salted = [0_u8; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            salt,
            password.as_bytes(),
            &mut salted,
        );
        let client_key = Secret::new(mac(&salted, &[b"Client Key"]));
        let verifier = Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: Secret::new(sha256(client_key.expose())),
            server_key: Secret::new(mac(&salted, &[b"Server Key"])),
            genuine: true,
        };
        salted.zeroize();
        Ok(verifier)
    }

    /// A verifier for a user who does not exist: the same salt each time, as a real user would have, and no password fits. `secret` is
    /// random and stays as long as users could compare.
    #[must_use]
    pub fn mock(secret: &Secret<[u8; 32]>, user: &str) -> Self {
        let salt = mac(secret.expose(), &[b"salt", user.as_bytes()]);
        Self {
            iterations: CLIENT_ITERATIONS,
            salt: salt.iter().copied().take(16).collect(),
            stored_key: Secret::new(mac(secret.expose(), &[b"stored", user.as_bytes()])),
            server_key: Secret::new(mac(secret.expose(), &[b"server", user.as_bytes()])),
            genuine: false,
        }
    }

    /// Reads PostgreSQL's form: `SCRAM-SHA-256$4096:salt$stored:server`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let malformed = || Error::Scram("the verifier is not in PostgreSQL's form");
        let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or_else(malformed)?;
        let (head, keys) = rest.split_once('$').ok_or_else(malformed)?;
        let (iterations, salt) = head.split_once(':').ok_or_else(malformed)?;
        let (stored, server) = keys.split_once(':').ok_or_else(malformed)?;
        let key = |text: &str| -> Result<Secret<[u8; 32]>, Error> {
            let bytes = STANDARD.decode(text).map_err(|_| malformed())?;
            let key: [u8; 32] = bytes.try_into().map_err(|_| malformed())?;
            Ok(Secret::new(key))
        };
        Ok(Self {
            iterations: iterations.parse().map_err(|_| malformed())?,
            salt: STANDARD.decode(salt).map_err(|_| malformed())?,
            stored_key: key(stored)?,
            server_key: key(server)?,
            genuine: true,
        })
    }

    /// Writes PostgreSQL's form, which `CREATE ROLE … PASSWORD` takes. Who has it can play the server.
    #[must_use]
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key.expose()),
            STANDARD.encode(self.server_key.expose()),
        ))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(_)")
    }
}

/// What a connection offers for channel binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// No TLS, or a certificate without a hash to bind to: only [`SHA_256`] is offered.
    None,
    /// The `tls-server-end-point` data: both mechanisms are offered.
    EndPoint(Vec<u8>),
}

impl Binding {
    /// The mechanisms to offer, the preferred one first.
    #[must_use]
    pub const fn mechanisms(&self) -> &'static [&'static str] {
        match self {
            Self::None => &[SHA_256],
            Self::EndPoint(_) => &[SHA_256_PLUS, SHA_256],
        }
    }
}

/// A server that waits for the client's first message.
#[derive(Debug)]
pub struct Server {
    verifier: Verifier,
    binding: Binding,
}

/// A server that waits for the client's proof.
#[derive(Debug)]
pub struct Challenge {
    verifier: Verifier,
    /// What the client must send as `c=`.
    expected_binding: String,
    /// Both nonces.
    nonce: String,
    /// `client-first-message-bare,server-first-message`.
    transcript: String,
}

/// The client has proved that it knows the password. Only [`Challenge::last`] makes this:
///
/// ```compile_fail
/// let forged = dbgate::wire::scram::Authenticated { _private: () };
/// ```
#[derive(Debug)]
pub struct Authenticated {
    _private: (),
}

impl Server {
    /// Starts an exchange against `verifier` on a connection that offers `binding`.
    #[must_use]
    pub const fn new(verifier: Verifier, binding: Binding) -> Self {
        Self { verifier, binding }
    }

    /// Takes the mechanism and the first message of the client, and gives the answer. `nonce` is printable ASCII without a comma, at
    /// least 18 random bytes in base 64, and never used twice.
    ///
    /// # Errors
    /// When the mechanism was not offered, the message is malformed, or somebody took `-PLUS` from the offer.
    pub fn first(
        self,
        mechanism: &str,
        message: &[u8],
        nonce: &str,
    ) -> Result<(Challenge, Vec<u8>), Error> {
        let message = std::str::from_utf8(message).map_err(|_| Error::NotUtf8)?;
        let (flag, rest) = message.split_once(',').ok_or(NO_FIRST)?;
        let expected_binding = self.expected_binding(mechanism, flag)?;
        let (authorization, bare) = rest.split_once(',').ok_or(NO_FIRST)?;
        if !authorization.is_empty() {
            return Err(Error::Scram("authorization identity is not supported"));
        }
        let client_nonce = client_nonce(bare)?;
        let nonce = format!("{client_nonce}{nonce}");
        let answer = format!(
            "r={nonce},s={},i={}",
            STANDARD.encode(&self.verifier.salt),
            self.verifier.iterations
        );
        let transcript = format!("{bare},{answer}");
        let challenge = Challenge {
            verifier: self.verifier,
            expected_binding,
            nonce,
            transcript,
        };
        Ok((challenge, answer.into_bytes()))
    }

    /// What `c=` must hold, by mechanism and the flag that begins the first message.
    fn expected_binding(&self, mechanism: &str, flag: &str) -> Result<String, Error> {
        match (mechanism, &self.binding) {
            (SHA_256, binding) => match (flag, binding) {
                ("n", _) | ("y", Binding::None) => Ok(STANDARD.encode(format!("{flag},,"))),
                // The client could bind and believes that we cannot: somebody changed our offer on the way.
                ("y", Binding::EndPoint(_)) => Err(Error::Binding),
                _ => Err(Error::Scram("channel binding flag")),
            },
            (SHA_256_PLUS, Binding::EndPoint(data)) => match flag.strip_prefix("p=") {
                Some(BINDING_TYPE) => {
                    let mut bytes = format!("{flag},,").into_bytes();
                    bytes.extend_from_slice(data);
                    Ok(STANDARD.encode(bytes))
                }
                Some(_) => Err(Error::Scram("unsupported channel binding type")),
                None => Err(Error::Scram("channel binding flag")),
            },
            _ => Err(Error::Scram("the mechanism was not offered")),
        }
    }
}

/// The client's nonce from `n=user,r=nonce[,extensions]`. The user name is not used, as in PostgreSQL: the startup packet has it.
fn client_nonce(bare: &str) -> Result<&str, Error> {
    let mut attributes = bare.split(',');
    let name = attributes.next().ok_or(NO_FIRST)?;
    if name.starts_with("m=") {
        return Err(Error::Scram("mandatory extension is not supported"));
    }
    if !name.starts_with("n=") {
        return Err(NO_FIRST);
    }
    let nonce = attributes
        .next()
        .and_then(|attribute| attribute.strip_prefix("r="))
        .ok_or(NO_FIRST)?;
    if nonce.is_empty() || !nonce.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
        return Err(Error::Scram("the nonce is not printable"));
    }
    Ok(nonce)
}

const NO_FIRST: Error = Error::Scram("the first message of the client");
const NO_FINAL: Error = Error::Scram("the final message of the client");

impl Challenge {
    /// Takes the final message of the client; with the proof comes the answer that shows the client who we are.
    ///
    /// # Errors
    /// When the message is malformed, bound to another channel, or the proof is wrong.
    pub fn last(self, message: &[u8]) -> Result<(Authenticated, Vec<u8>), Error> {
        let message = std::str::from_utf8(message).map_err(|_| Error::NotUtf8)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(NO_FINAL)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes
            .next()
            .and_then(|attribute| attribute.strip_prefix("c="))
            .ok_or(NO_FINAL)?;
        let nonce = attributes
            .next()
            .and_then(|attribute| attribute.strip_prefix("r="))
            .ok_or(NO_FINAL)?;
        if nonce != self.nonce {
            return Err(Error::Scram("the nonce is not ours"));
        }
        if !is_equal(binding.as_bytes(), self.expected_binding.as_bytes()) {
            return Err(Error::Binding);
        }
        let proof: [u8; 32] = STANDARD
            .decode(proof)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(NO_FINAL)?;
        self.check(without_proof, proof)
    }

    fn check(
        &self,
        without_proof: &str,
        proof: [u8; 32],
    ) -> Result<(Authenticated, Vec<u8>), Error> {
        let signed = [self.transcript.as_bytes(), b",", without_proof.as_bytes()];
        let stored_key = self.verifier.stored_key.expose();
        let mut client_key = mac(stored_key, &signed);
        for (byte, other) in client_key.iter_mut().zip(proof) {
            *byte ^= other;
        }
        let fits = is_equal(&sha256(&client_key), stored_key);
        client_key.zeroize();
        let signature = mac(self.verifier.server_key.expose(), &signed);
        if fits && self.verifier.genuine {
            let answer = format!("v={}", STANDARD.encode(signature));
            Ok((Authenticated { _private: () }, answer.into_bytes()))
        } else {
            Err(Error::WrongProof)
        }
    }
}
