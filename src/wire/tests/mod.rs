//! One file per source file.
#![expect(clippy::arithmetic_side_effects, reason = "a test may panic")]

mod backend;
mod copy;
mod error;
mod frame;
mod frontend;
mod row;
mod scram;
mod startup;
mod value;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::wire::frame::{Deframer, Frame};
use crate::wire::row::Format;

/// A text the protocol can carry.
fn text() -> impl Strategy<Value = String> {
    "[^\u{0}]{0,20}"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Text), Just(Format::Binary)]
}

/// The one message in `wire`, cut out by a deframer that has been let in.
fn cut(mut deframer: Deframer, wire: &[u8]) -> Frame {
    deframer.feed(wire);
    let frame = deframer.next_frame().unwrap().unwrap();
    assert_eq!(deframer.buffered(), 0);
    assert_eq!(frame.bytes().as_ref(), wire);
    frame
}

/// A deframer for a client that is in.
fn client_in() -> Deframer {
    let mut deframer = Deframer::frontend();
    deframer.feed(&[
        0, 0, 0, 16, 0, 3, 0, 0, b'u', b's', b'e', b'r', 0, b'a', 0, 0,
    ]);
    deframer.next_initial().unwrap().unwrap();
    deframer.authenticated();
    deframer
}

/// A deframer for a server that let us in.
fn server_in() -> Deframer {
    let mut deframer = Deframer::backend();
    deframer.authenticated();
    deframer
}
