//! `tls-server-end-point` (RFC 5929): the hash of the server's certificate, by the hash of its signature.

use aws_lc_rs::digest;

/// `ecdsa-with-SHA256`, `sha256WithRSAEncryption`; SHA-1 and MD5 signatures are hashed by SHA-256, too.
const SHA256: [&[u8]; 4] = [
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04],
];
/// `ecdsa-with-SHA384`, `sha384WithRSAEncryption`.
const SHA384: [&[u8]; 2] = [
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c],
];
/// `ecdsa-with-SHA512`, `sha512WithRSAEncryption`.
const SHA512: [&[u8]; 2] = [
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d],
];

/// The binding of a certificate (DER); `None` when its signature names no hash (Ed25519, RSA-PSS).
#[must_use]
pub fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let oid = signature_algorithm(certificate)?;
    let algorithm = if SHA256.contains(&oid) {
        &digest::SHA256
    } else if SHA384.contains(&oid) {
        &digest::SHA384
    } else if SHA512.contains(&oid) {
        &digest::SHA512
    } else {
        return None;
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { algorithm OID, … }, … }`.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OID: u8 = 0x06;
    let (inside, _) = element(certificate, SEQUENCE)?;
    let (_, after) = element(inside, SEQUENCE)?;
    let (algorithm, _) = element(after, SEQUENCE)?;
    element(algorithm, OID).map(|(oid, _)| oid)
}

/// Splits one DER element of that tag into what it holds and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[got, short], mut rest) = der.split_first_chunk::<2>()?;
    if got != tag {
        return None;
    }
    let mut length = usize::from(short);
    if short & 0x80 != 0 {
        let (bytes, after) = rest.split_at_checked(usize::from(short & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 3 {
            return None;
        }
        length = bytes.iter().fold(0, |sum, b| (sum << 8) | usize::from(*b));
        rest = after;
    }
    rest.split_at_checked(length)
}
