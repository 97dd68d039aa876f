//! The network half of identity: discovery, keys, login flows.
