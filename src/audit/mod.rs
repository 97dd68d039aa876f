//! The log: every event is durable before its effect.
