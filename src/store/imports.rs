//! SQL of imports.
