//! Framed streams: nothing is lost when a read or a flush is given up, and nothing is kept that nobody sent.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::net::Error;
use crate::net::framed::Framed;
use crate::wire::backend::{Message, TransactionStatus};
use crate::wire::frame::Frame;

#[tokio::test]
async fn a_flush_that_is_given_up_goes_on_where_it_was() {
    let (near, mut far) = duplex(7);
    let mut framed = Framed::backend(near);
    let mut expected = Vec::new();
    for n in 0..200_u16 {
        let body = vec![b'x'; usize::from(n) * 50];
        let frame = Frame::new(b'd', &body).unwrap();
        expected.extend_from_slice(frame.bytes());
        if n % 2 == 0 {
            framed.forward(frame.bytes().clone());
        } else {
            framed.out().extend_from_slice(frame.bytes());
        }
    }
    assert_eq!(framed.pending(), expected.len());
    let mut got = Vec::new();
    while got.len() < expected.len() {
        // The flush is dropped at any point at which the other side had something to read.
        tokio::select! {
            biased;
            done = framed.flush(), if framed.pending() > 0 => done.unwrap(),
            count = far.read_buf(&mut got) => assert!(count.unwrap() > 0),
        }
    }
    assert!(got == expected);
    assert_eq!(framed.pending(), 0);
}

#[tokio::test]
async fn a_read_that_is_given_up_loses_nothing() {
    let (near, mut far) = duplex(1024);
    let mut framed = Framed::backend(near);
    framed.authenticated();
    let frame = Frame::new(b'D', b"\0\x01\0\0\0\x03abc").unwrap();
    for byte in frame.bytes() {
        assert!(framed.next_frame().unwrap().is_none());
        far.write_all(&[*byte]).await.unwrap();
        tokio::time::timeout(Duration::from_millis(1), framed.read())
            .await
            .ok();
    }
    far.write_all(frame.bytes()).await.unwrap();
    assert_eq!(framed.read().await.unwrap(), Some(frame));
}

#[tokio::test]
async fn a_close_between_messages_is_an_end_and_within_one_an_error() {
    let (near, mut far) = duplex(1024);
    let mut framed = Framed::backend(near);
    framed.authenticated();
    far.write_all(b"Z\0\0\0\x05I").await.unwrap();
    drop(far);
    let frame = framed.read().await.unwrap().unwrap();
    assert_eq!(
        Message::decode(&frame),
        Ok(Message::ReadyForQuery(TransactionStatus::Idle))
    );
    assert!(framed.read().await.unwrap().is_none());

    let (near, mut far) = duplex(1024);
    let mut framed = Framed::backend(near);
    framed.authenticated();
    far.write_all(b"Z\0\0").await.unwrap();
    drop(far);
    assert!(matches!(framed.read().await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_gibibyte_that_is_only_announced_costs_nothing() {
    let (near, mut far) = duplex(64 * 1024);
    let mut framed = Framed::backend(near);
    framed.authenticated();
    far.write_all(b"D\x3f\xff\xff\xfe").await.unwrap();
    far.write_all(&[0; 20_000]).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), framed.read()).await;
    assert!(waited.is_err(), "there is no message yet");
    let (_, mut deframer) = framed.into_parts();
    assert_eq!(deframer.buffered(), 20_005);
    assert!(deframer.buffer().capacity() < 128 * 1024);
}

#[tokio::test]
async fn small_and_large_bytes_keep_their_order() {
    let (near, mut far) = duplex(1 << 20);
    let mut framed = Framed::backend(near);
    framed.out().extend_from_slice(b"1");
    framed.forward(Bytes::from_static(b"2"));
    framed.forward(Bytes::from(vec![b'3'; 10_000]));
    framed.out().extend_from_slice(b"4");
    framed.forward(Bytes::from_static(b"5"));
    framed.close().await.unwrap();
    let mut got = String::new();
    far.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, format!("12{}45", "3".repeat(10_000)));
}
