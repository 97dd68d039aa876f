//! Obligations become a plan, rows become masked rows.
