//! What is known of an import, in people's words.

pub mod format;
