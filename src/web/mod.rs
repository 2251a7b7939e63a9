//! What a person sees: pages and fragments.
//!
//! [`pages`] holds one struct per page and [`views`] the parts that pages are made of; every struct
//! has its template under `templates/` by the same name. A fragment that htmx polls is a part of its
//! page, so that the first load and every poll are made by one template.

pub mod assets;
pub mod csrf;
pub mod error;
pub mod format;
pub mod htmx;
pub mod origin;
pub mod pages;
pub mod session;
pub mod views;
