//! The three operations of SCRAM-SHA-256: HMAC, hash, and comparing without telling where the difference is.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};

pub(super) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    fixed(context.sign().as_ref())
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    fixed(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn fixed(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    array
}

pub(super) fn is_equal(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}
