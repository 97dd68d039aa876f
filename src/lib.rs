//! dbgate: guarded, short-lived, audited access to PostgreSQL.
//!
//! A statement flows through values, each made by exactly one constructor and consumed by the next step:
//!
//! ```text
//! bytes → wire frame → frontend::Message → sql::Statement → sql::Analyzed → policy::Decision
//!       → Permit → audit::Recorded<Permit> → upstream → DataRow → mask::MaskedRow → bytes
//! ```
//!
//! If a step fails there is no value for the next one: nothing happens. Read the modules in the order of the
//! floors below; a module uses only modules on lower floors and, on its own floor, those named before it.

// Floor 0, ground: nouns and codecs; pure.
pub mod config;
pub mod model;
pub mod wire;

// Floor 1, core: judgement; pure.
pub mod identity;
pub mod mask;
pub mod policy;
pub mod sql;

// Floor 2, memory and hands: disk, sockets; no judgement.
pub mod audit;
pub mod net;
pub mod store;
pub mod work;

// Floor 3, services: tasks.
pub mod api;
pub mod broker;
pub mod gateway;
pub mod oidc;
pub mod server;
pub mod upstream;

// Floor 4, top: people and agents.
pub mod cli;
pub mod demo;
pub mod remote;
pub mod shell;
pub mod tunnel;
