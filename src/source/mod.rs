//! Bytes in and out: stored files and the signed links that lead to them.

mod link;
mod storage;

pub use link::{Link, LinkKey};
pub use storage::{Incoming, Key, Storage};
