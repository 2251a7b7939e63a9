//! The web interface: pages and fragments.
//!
//! [`pages`] has one struct per page, and [`views`] the parts that pages are made of. Each struct has a
//! template of the same name under `templates/`. A fragment that htmx polls is a part of its page, so that
//! the first load and every poll use one template.

pub mod downloads;
pub mod export;
pub mod files;
pub mod flash;
pub mod output;
pub mod pages;
mod poll_query;
mod refused_form;
pub mod retry;
pub mod rows;
pub mod sample;
pub mod site;
pub mod start;
pub mod versions;
pub mod views;
