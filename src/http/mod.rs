//! Everything that handlers share: the user or caller of a request, its origin, error answers, how uploads are
//! received and answers sent, and the files that every page loads.

pub mod api_rate;
pub mod api_reference;
pub mod assets;
pub mod audit;
pub mod bearer;
pub mod caller;
pub mod compression;
pub mod conditional;
pub mod csrf;
pub mod delete;
pub mod download;
pub mod error;
pub mod error_form;
pub mod error_info;
mod error_page;
pub mod guest;
pub mod headers;
pub mod health;
pub mod htmx;
pub mod json;
pub mod keyed;
pub mod object;
pub mod origin;
mod parser_words;
pub mod patience;
pub mod principal;
pub mod problem;
pub mod query;
pub mod reading_fields;
pub mod serving;
pub mod session;
pub mod sheet;
pub mod start;
pub mod told;
pub mod upload;

pub use error_page::{ErrorPage, LinkOverPage};

/// Shown in every footer.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
