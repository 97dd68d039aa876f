//! Real randomness.

use aws_lc_rs::rand;

use crate::model::time::Entropy;

/// The operating system's randomness, through aws-lc.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Entropy for System {
    fn fill(&self, bytes: &mut [u8]) {
        if rand::fill(bytes).is_err() {
            // Going on with predictable keys would be worse than not going on.
            std::process::abort();
        }
    }
}
