//! Tests of the analysis: one file for each subject.
