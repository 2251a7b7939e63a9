//! The API for programs.

mod problems;
mod rate;
mod tokens;
