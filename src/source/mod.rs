//! Bytes in and out: stored files, the signed links that lead to them, and files fetched by their address.

mod address;
mod fetch;
mod guard;
mod incoming;
mod link;
mod output;
mod room;
mod sniff;
mod storage;

pub use address::{Address, NotAnAddress};
pub use fetch::{FetchError, FetchLimits, Fetcher, Received};
pub use guard::Refusal;
pub use incoming::Incoming;
pub use link::{Link, LinkKey};
pub use output::OutputFile;
pub use room::RESERVE;
pub use sniff::BinaryKind;
pub use storage::{Key, Storage};
