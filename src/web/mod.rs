//! What a person sees: pages and fragments.
//!
//! [`pages`] holds one struct per page and [`views`] the parts that pages are made of; every struct
//! has its template under `templates/` by the same name. A fragment that htmx polls is a part of its
//! page, so that the first load and every poll are made by one template.

pub mod assets;
pub mod downloads;
pub mod files;
pub mod flash;
pub mod output;
pub mod pages;
pub mod retry;
pub mod sample;
pub mod site;
mod upload;
pub mod versions;
pub mod views;
