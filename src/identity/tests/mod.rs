//! Tests of tokens, keys and claims.
