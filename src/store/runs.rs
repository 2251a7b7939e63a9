//! SQL of runs.
