//! The broker's HTTPS interface.
