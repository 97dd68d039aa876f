//! All of dbgate on one machine: PostgreSQL, an issuer, a shop.
