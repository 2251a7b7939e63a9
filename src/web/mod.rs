//! What a person sees: pages and fragments.

pub mod csrf;
pub mod error;
pub mod origin;
pub mod pages;
pub mod session;
