//! What can go wrong when asking an engine.

/// One variant per meaning: what the caller can do about it differs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answered, or not in time.
    #[error("no answer: {0}")]
    Unreachable(String),
}
