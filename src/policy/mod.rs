//! Documents become a policy, a statement becomes a decision; the default is deny.
