//! One file per source file.

mod drain;
mod framed;
mod greeting;
mod listener;
mod sniff;
mod tls;

use crate::model::time::Clock;
use crate::net::clock;
use crate::net::tls::authority::Authority;
use crate::net::tls::{Roots, Server};

/// A server certificate for `localhost`, and who trusts it.
fn certificate() -> (Server, Roots) {
    let now = clock::System::new().now();
    let authority = Authority::new("dbgate test", now, 7).unwrap();
    let leaf = authority
        .issue(&["localhost", "127.0.0.1"], now, 7)
        .unwrap();
    let server = Server::new(leaf.certificate.as_bytes(), leaf.key.expose().as_bytes()).unwrap();
    (server, Roots::Only(authority.certificate().into()))
}
