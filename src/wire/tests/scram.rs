//! SCRAM against the vectors of RFC 7677.

use crate::model::secret::Secret;
use crate::wire::error::Error;
use crate::wire::scram::{Binding, CLIENT_ITERATIONS, SHA_256, Server, Verifier};

const SALT: &[u8] = &[
    0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81,
];

fn pencil() -> Verifier {
    Verifier::new(&Secret::from("pencil"), SALT, CLIENT_ITERATIONS).unwrap()
}

#[test]
fn the_exchange_of_rfc_7677_succeeds() {
    let (challenge, first) = Server::new(pencil(), Binding::None)
        .first(
            SHA_256,
            b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        )
        .unwrap();
    assert_eq!(
        String::from_utf8(first).unwrap(),
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let (_, last) = challenge
        .last(b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        .unwrap();
    assert_eq!(
        String::from_utf8(last).unwrap(),
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    );
}

#[test]
fn a_wrong_proof_fails() {
    let (challenge, _) = Server::new(pencil(), Binding::None)
        .first(SHA_256, b"n,,n=,r=abc", "def")
        .unwrap();
    let last = b"c=biws,r=abcdef,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(challenge.last(last).err(), Some(Error::WrongProof));
}
