//! The API for programs.

mod downloads;
mod imports;
mod problems;
mod rate;
mod tokens;
mod writes;
