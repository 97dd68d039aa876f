//! The PostgreSQL protocol 3.x as bytes: frames, messages, rows, SCRAM; pure.
