//! The API for programs.

mod acts;
mod docs;
mod document;
mod downloads;
mod imports;
mod problems;
mod rate;
mod tokens;
mod typescript;
mod writes;
