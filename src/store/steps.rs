//! SQL of steps.
