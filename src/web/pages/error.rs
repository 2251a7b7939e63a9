//! The page that says what went wrong.

use askama::Template;

#[derive(Clone, Debug, Template)]
#[template(path = "pages/error.html")]
pub struct ErrorPage {
    /// `There is no such page`.
    pub title: String,
    /// What happened and what to do, without codes.
    pub sentence: String,
}
