//! Tests of the network half of identity, against servers of their own on loopback.
