//! First bytes: each goes to one protocol or to none.

use crate::net::sniff::{HTTP_1_1, Inside, Opening, POSTGRESQL};

#[test]
fn each_first_byte_opens_one_protocol_or_none() {
    let of = |wanted| (0..=u8::MAX).filter(move |byte| Opening::of(*byte) == wanted);
    assert_eq!(of(Opening::Postgres).collect::<Vec<_>>(), [0x00]);
    assert_eq!(of(Opening::Tls).collect::<Vec<_>>(), [0x16]);
    assert_eq!(of(Opening::Http).collect::<Vec<_>>(), b"CDGHOPT");
    assert_eq!(of(Opening::Unknown).count(), 256 - 9);
}

#[test]
fn inside_tls_alpn_alone_decides() {
    assert_eq!(Inside::of(Some(POSTGRESQL)), Inside::Postgres);
    for other in [
        None,
        Some(HTTP_1_1),
        Some(&b"postgresq"[..]),
        Some(b"POSTGRESQL"),
        Some(b""),
    ] {
        assert_eq!(Inside::of(other), Inside::Http, "{other:?}");
    }
}
