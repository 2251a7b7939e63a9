//! The bar as SVG.

use askama::{Template, filters::HtmlSafe};

use super::Html;
use crate::report::bar::Bar;

/// Lengths are per cent of the bar's width.
#[derive(Template)]
#[template(path = "fragments/bar.html")]
struct BarHtml<'a> {
    bar: &'a Bar,
    processed: String,
    /// None if no row failed. A failed part has a minimum width, so it must not be drawn then.
    failed: Option<String>,
    /// The end of the failed part.
    end: String,
}

impl HtmlSafe for BarHtml<'_> {}

impl Html for Bar {
    fn html(&self) -> impl Template + HtmlSafe {
        let percent = |share: f64| format!("{:.2}%", share * 100.0);
        BarHtml {
            bar: self,
            processed: percent(self.share - self.failed),
            failed: (self.failed > 0.0).then(|| percent(self.failed)),
            end: percent(self.share),
        }
    }
}
