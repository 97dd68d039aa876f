//! The broker's HTTPS interface: versioned JSON, one line a route.
//!
//! Reading order: `types` → the router → `authn` → one file of handlers a resource → `error`.

pub mod types;
