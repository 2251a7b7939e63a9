//! Stored files, the signed links to them, files fetched by their address, and what is posted to one.

mod address;
mod connect;
mod disposition;
mod early_sync;
mod fetch;
mod file_name;
mod folder;
mod guard;
mod incoming;
mod key;
mod link;
mod listing;
mod local;
mod objects;
mod output;
mod pending;
mod post;
mod quarantine;
mod room;
mod scratch;
mod segments;
mod share_link;
mod sniff;
mod storage;
mod stored_file;
mod text_kind;
mod transfer;
mod unpack;
mod zip_stream;

pub use address::{Address, NotAnAddress};
pub use connect::TargetError;
pub use fetch::{Arrival, FetchError, FetchLimits, FetchProgress, Fetcher};
pub use file_name::FileName;
pub use folder::{Folder, make_folder};
pub use guard::AddressRefusal;
pub use incoming::Incoming;
pub use key::Key;
pub use link::{Link, LinkKey};
pub use listing::Listing;
pub use local::LocalStorage;
pub use objects::{
    BucketError, DownloadLink, INSTALLATION, MemoryBucket, ObjectStorage, STORAGE_AWAY, UNNAMED_FOR,
};
pub use output::OutputFile;
pub use post::{PostAnswer, PostError, Poster};
pub use quarantine::{Moved, QUARANTINED_FOR};
pub use room::RESERVE;
pub use segments::Segments;
pub use share_link::ShareLink;
pub use sniff::BinaryKind;
pub use storage::Storage;
pub use stored_file::StoredFile;
pub use text_kind::TextKind;
pub use unpack::{MemoryPermit, MemoryRequest, Packing, UnpackError, Unpacking};
pub use zip_stream::ZipStream;
