//! Tests of the analysis: one file for each subject.

mod limits;
mod plan;
