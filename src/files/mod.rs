//! Stored files, the signed links to them, and files fetched by their address.

mod address;
mod disposition;
mod fetch;
mod file_name;
mod folder;
mod guard;
mod incoming;
mod key;
mod link;
mod output;
mod pending;
mod quarantine;
mod room;
mod segments;
mod share_link;
mod sniff;
mod storage;
mod text_kind;
mod unpack;

pub use address::{Address, NotAnAddress};
pub use fetch::{Arrival, FetchError, FetchLimits, FetchProgress, Fetcher};
pub use file_name::FileName;
pub use folder::{Folder, make_folder};
pub use guard::AddressRefusal;
pub use incoming::Incoming;
pub use key::Key;
pub use link::{Link, LinkKey};
pub use output::OutputFile;
pub use quarantine::{Moved, QUARANTINED_FOR};
pub use room::RESERVE;
pub use segments::Segments;
pub use share_link::ShareLink;
pub use sniff::BinaryKind;
pub use storage::Storage;
pub use text_kind::TextKind;
pub use unpack::{Packing, UnpackError, Unpacking};
