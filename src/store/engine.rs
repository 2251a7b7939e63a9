//! SQL of engine.
