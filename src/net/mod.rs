//! Sockets, TLS and the clock; knows no judgement.
