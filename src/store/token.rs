//! A token of our own API as it is kept: only its hash.

use std::fmt;

use crate::model::subject::Subject;
use crate::model::time::Timestamp;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(hash)
    }

    /// Whether they are equal, in a time that does not tell where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(_)")
    }
}

/// A token the broker gave out for its API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the token.
    pub digest: Digest,
    /// Who it speaks for.
    pub subject: Subject,
    /// The login it came from; a logout ends the whole family.
    pub family: String,
    /// When it was given out.
    pub issued: Timestamp,
    /// When it is worth nothing any more.
    pub expires: Timestamp,
}
