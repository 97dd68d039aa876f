//! Configuration text becomes values, all problems at once.
