//! Bytes in and out: stored files and the signed links that lead to them.

mod incoming;
mod link;
mod output;
mod room;
mod sniff;
mod storage;

pub use incoming::Incoming;
pub use link::{Link, LinkKey};
pub use output::OutputFile;
pub use room::RESERVE;
pub use sniff::BinaryKind;
pub use storage::{Key, Storage};
