//! Ids.

use crate::model::session::{RequestId, SessionId};
use crate::model::time::Entropy;

#[derive(Debug)]
struct Counting;

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for (n, byte) in (0..).zip(bytes) {
            *byte = n;
        }
    }
}

#[test]
fn an_id_reads_back_and_tells_its_kind() {
    let id = SessionId::random(&Counting);
    assert_eq!(id.as_str(), "s0123456789ab");
    assert_eq!(id.as_str().parse::<SessionId>(), Ok(id.clone()));
    assert!(id.as_str().parse::<RequestId>().is_err());
    assert!("s0123".parse::<SessionId>().is_err());
}
