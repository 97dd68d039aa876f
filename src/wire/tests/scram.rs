//! SCRAM against the vectors of RFC 7677, against a client nobody here wrote, and against people who cheat.

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use crate::model::secret::Secret;
use crate::wire::error::Error;
use crate::wire::scram::{
    Binding, CLIENT_ITERATIONS, Challenge, LEASE_ITERATIONS, SHA_256, SHA_256_PLUS, Server,
    Verifier,
};

const SALT: &[u8] = &[
    0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81,
];
const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

fn pencil() -> Verifier {
    Verifier::new(&Secret::from("pencil"), SALT, CLIENT_ITERATIONS).unwrap()
}

fn end_point() -> Binding {
    Binding::EndPoint(b"hash of the certificate".to_vec())
}

/// The challenge of RFC 7677.
fn challenge(verifier: Verifier) -> (Challenge, String) {
    let (challenge, first) = Server::new(verifier, Binding::None)
        .first(
            SHA_256,
            b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        )
        .unwrap();
    (challenge, String::from_utf8(first).unwrap())
}

#[test]
fn the_exchange_of_rfc_7677_succeeds() {
    let (challenge, first) = challenge(pencil());
    assert_eq!(
        first,
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let (_, last) = challenge.last(LAST.as_bytes()).unwrap();
    assert_eq!(last, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

#[test]
fn a_verifier_reads_back_in_postgresql_s_form() {
    let text = pencil().to_text();
    assert_eq!(
        text.expose(),
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    );
    let (challenge, _) = challenge(Verifier::parse(text.expose()).unwrap());
    assert!(challenge.last(LAST.as_bytes()).is_ok());
    assert_eq!(format!("{:?}", pencil()), "Verifier(_)");
    for wrong in [
        "",
        "md5abc",
        "SCRAM-SHA-256$",
        "SCRAM-SHA-256$0:AA==$AA==:AA==",
        "SCRAM-SHA-256$1:AA==$AA==:AA==",
        "SCRAM-SHA-256$-1:AA==$AA==:AA==",
    ] {
        assert!(Verifier::parse(wrong).is_err(), "{wrong}");
    }
}

/// Lets rust-postgres's client log in; what it says at the end.
fn client_logs_in(
    server: Server,
    mechanism: &str,
    password: &str,
    binding: ChannelBinding,
) -> Result<(), Error> {
    let mut client = ScramSha256::new(password.as_bytes(), binding);
    let (challenge, first) = server.first(
        mechanism,
        client.message(),
        "our own random nonce".replace(' ', "+").as_str(),
    )?;
    client.update(&first).unwrap();
    let (_, last) = challenge.last(client.message())?;
    client.finish(&last).unwrap();
    Ok(())
}

#[test]
fn a_client_nobody_here_wrote_logs_in() {
    let bound = || ChannelBinding::tls_server_end_point(b"hash of the certificate".to_vec());
    let elsewhere = || ChannelBinding::tls_server_end_point(b"hash of another".to_vec());
    let cases = [
        (
            Binding::None,
            SHA_256,
            "pencil",
            ChannelBinding::unsupported(),
            Ok(()),
        ),
        (
            Binding::None,
            SHA_256,
            "pencil",
            ChannelBinding::unrequested(),
            Ok(()),
        ),
        (
            Binding::None,
            SHA_256,
            "eraser",
            ChannelBinding::unsupported(),
            Err(Error::WrongProof),
        ),
        (end_point(), SHA_256_PLUS, "pencil", bound(), Ok(())),
        (
            end_point(),
            SHA_256_PLUS,
            "eraser",
            bound(),
            Err(Error::WrongProof),
        ),
        (
            end_point(),
            SHA_256,
            "pencil",
            ChannelBinding::unsupported(),
            Ok(()),
        ),
        // Somebody sits in the middle with a certificate of his own.
        (
            end_point(),
            SHA_256_PLUS,
            "pencil",
            elsewhere(),
            Err(Error::Binding),
        ),
        // Somebody took -PLUS from our offer.
        (
            end_point(),
            SHA_256,
            "pencil",
            ChannelBinding::unrequested(),
            Err(Error::Binding),
        ),
        (
            Binding::None,
            SHA_256_PLUS,
            "pencil",
            bound(),
            Err(Error::Scram("the mechanism was not offered")),
        ),
    ];
    for (number, (binding, mechanism, password, wanted, expected)) in cases.into_iter().enumerate()
    {
        let server = Server::new(pencil(), binding);
        assert_eq!(
            client_logs_in(server, mechanism, password, wanted),
            expected,
            "case {number}"
        );
    }
}

#[test]
fn a_lease_s_verifier_works_with_one_iteration() {
    let verifier = Verifier::new(&Secret::from("random"), SALT, LEASE_ITERATIONS).unwrap();
    assert!(verifier.to_text().expose().starts_with("SCRAM-SHA-256$1:"));
    let server = Server::new(verifier, Binding::None);
    assert_eq!(
        client_logs_in(server, SHA_256, "random", ChannelBinding::unsupported()),
        Ok(())
    );
}

#[test]
fn an_unknown_user_looks_like_a_known_one_and_never_gets_in() {
    let secret = Secret::new([7; 32]);
    let salt_of = |user: &str| challenge(Verifier::mock(&secret, user)).1;
    assert_eq!(salt_of("nobody"), salt_of("nobody"));
    assert_ne!(salt_of("nobody"), salt_of("somebody"));
    assert_eq!(salt_of("nobody").len(), challenge(pencil()).1.len());
    let (challenge, _) = challenge(Verifier::mock(&secret, "nobody"));
    assert_eq!(
        challenge.last(LAST.as_bytes()).err(),
        Some(Error::WrongProof)
    );
}

#[test]
fn passwords_that_would_need_preparation_are_refused() {
    for wrong in ["pässword", "a\u{a0}b", "a\0b", "a\nb"] {
        assert!(
            Verifier::new(&Secret::from(wrong), SALT, CLIENT_ITERATIONS).is_err(),
            "{wrong:?}"
        );
    }
}

#[test]
fn malformed_first_messages_are_errors() {
    let long = format!("n,,n=,r={}", "a".repeat(4000));
    let cases: &[(&str, &[u8])] = &[
        (SHA_256, b""),
        (SHA_256, b"n"),
        (SHA_256, b"n,"),
        (SHA_256, b"n,,"),
        (SHA_256, b"n,,r=abc"),
        (SHA_256, b"n,,n=user"),
        (SHA_256, b"n,,n=user,"),
        (SHA_256, b"n,,n=user,r="),
        (SHA_256, b"n,,n=user,r=a b"),
        (SHA_256, b"n,,n=user,r=a\x7f"),
        (SHA_256, b"n,,n=user,r=\xc3\xa4"),
        (SHA_256, b"n,,n=user,x=1,r=abc"),
        (SHA_256, b"n,a=admin,n=user,r=abc"),
        (SHA_256, b"n,,m=1,n=user,r=abc"),
        (SHA_256, b"x,,n=user,r=abc"),
        (SHA_256, b"p=tls-server-end-point,,n=user,r=abc"),
        (SHA_256, b"\xff,,n=user,r=abc"),
        (SHA_256_PLUS, b"n,,n=user,r=abc"),
        (SHA_256_PLUS, b"y,,n=user,r=abc"),
        (SHA_256_PLUS, b"p=tls-unique,,n=user,r=abc"),
        (SHA_256_PLUS, b"p=tls-exporter,,n=user,r=abc"),
        ("SCRAM-SHA-1", b"n,,n=user,r=abc"),
        ("", b"n,,n=user,r=abc"),
    ];
    for (mechanism, message) in cases {
        let outcome = Server::new(pencil(), end_point()).first(mechanism, message, "x");
        assert!(outcome.is_err(), "{mechanism} {message:?}");
    }
    // Long, but within what a message may be.
    assert!(
        Server::new(pencil(), Binding::None)
            .first(SHA_256, long.as_bytes(), "x")
            .is_ok()
    );
}

#[test]
fn malformed_final_messages_are_errors() {
    let proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let nonce = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let cases = [
        String::new(),
        format!("c=biws,{nonce}"),
        format!("{nonce},{proof}"),
        format!("c=biws,{proof}"),
        format!("c=eSws,{nonce},{proof}"),
        format!("c=,{nonce},{proof}"),
        format!("c=biws,{nonce}x,{proof}"),
        format!("c=biws,r=rOprNGfwEbeRWgbNEkqO,{proof}"),
        format!("c=biws,{nonce},p="),
        format!("c=biws,{nonce},p=AAAA"),
        format!("c=biws,{nonce},p=!"),
        format!("c=biws,{nonce},{proof},x=1"),
        format!("c=biws,{nonce},x=1,{proof}"),
        format!("c=biws,{nonce},{proof}\0"),
    ];
    for message in cases {
        let (challenge, _) = challenge(pencil());
        assert!(challenge.last(message.as_bytes()).is_err(), "{message}");
    }
}
