//! Accepting: up to the cap, and again when one has gone.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::net::Error;
use crate::net::listener::Listener;
use crate::net::sniff::{self, Opening};

#[tokio::test]
async fn one_too_many_is_closed_at_once_and_the_next_gets_its_place() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 2)
        .await
        .unwrap();
    let address = listener.address().unwrap();
    let _a = TcpStream::connect(address).await.unwrap();
    let first = listener.accept().await;
    let _b = TcpStream::connect(address).await.unwrap();
    let _second = listener.accept().await;

    let mut refused = TcpStream::connect(address).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(waiting.is_err());
    assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0);

    drop(first);
    let _c = TcpStream::connect(address).await.unwrap();
    listener.accept().await;
}

#[tokio::test]
async fn a_peer_that_says_nothing_holds_up_nobody() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 10)
        .await
        .unwrap();
    let address = listener.address().unwrap();
    let _silent = TcpStream::connect(address).await.unwrap();
    let talking = TcpStream::connect(address).await.unwrap();
    let first = listener.accept().await;
    let second = listener.accept().await;
    talking.try_write(&[0x16]).unwrap();
    assert_eq!(
        sniff::peek(&second.stream).await.unwrap(),
        Some(Opening::Tls)
    );
    // It is still there to be read.
    assert_eq!(
        sniff::peek(&second.stream).await.unwrap(),
        Some(Opening::Tls)
    );
    drop((first, second));
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 1)
        .await
        .unwrap();
    let address = listener.address().unwrap();
    let outcome = Listener::bind(address, 1).await;
    assert!(matches!(outcome, Err(Error::Bind { address: at, .. }) if at == address));
}
