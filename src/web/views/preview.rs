//! The first rows of a file as they would be read.

use askama::{Template, filters::HtmlSafe};

use super::Html;
use crate::{
    function::Preview,
    report::{first_rows::FirstRowsSection, reading::reading_line},
    web::reading_fields::RefusedField,
};

/// The fragment of `GET /imports/{id}/rows`.
#[derive(Clone, Debug, Template)]
#[template(path = "fragments/preview.html")]
pub struct PreviewSection {
    /// None if there are no rows to show.
    pub preview: Option<Preview>,
    /// Why there are no rows.
    pub why_not: String,
    /// A choice was refused.
    pub is_refused: bool,
}

impl HtmlSafe for PreviewSection {}

impl PreviewSection {
    #[must_use]
    pub fn of(preview: Preview) -> Self {
        Self { preview: Some(preview), why_not: String::new(), is_refused: false }
    }

    /// How the file would be read.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let preview = self.preview.as_ref()?;
        Some(reading_line(&preview.read_as, Some(preview.first_rows.columns)))
    }

    #[must_use]
    pub fn without_rows(why_not: impl Into<String>) -> Self {
        Self { preview: None, why_not: why_not.into(), is_refused: false }
    }

    #[must_use]
    pub fn refused(refused: RefusedField) -> Self {
        Self { preview: None, why_not: refused.to_string(), is_refused: true }
    }
}
