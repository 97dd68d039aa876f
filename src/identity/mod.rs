//! A token becomes a subject: signature, issuer, audience, times, claims.
