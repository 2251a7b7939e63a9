//! Renders the values of `report` as HTML.

use std::ops::Deref;

use askama::{Template, filters::HtmlSafe};

use super::Mark;
use crate::report::{
    about::About,
    actions::{Actions, Advice, Cancel, Placement, RunAgain},
    badge::{Badge, BadgeState, FailedRows},
    block::RunData,
    excerpt::{Excerpt, Piece},
    findings::{Column, FileNotes, FindingsSection},
    first_rows::FirstRowsSection,
    moment::{AsOf, Moment, Ticking},
    progress::Figures,
    sentence::{Notice, Sentence, SentencePart},
};

/// How a template shows a value: `{{ block.badge.html() }}`.
pub trait Html {
    fn html(&self) -> impl Template + HtmlSafe;
}

/// Gives a type of `report` its template, which uses the value's fields and methods directly.
macro_rules! html {
    (@wrapper $a:lifetime, $subject:ty, $wrapper:ident, $($template:tt)*) => {
        #[derive(Template)]
        #[template($($template)*)]
        struct $wrapper<$a>(&$a $subject);

        impl<$a> Deref for $wrapper<$a> {
            type Target = $subject;

            fn deref(&self) -> &$subject {
                self.0
            }
        }

        impl HtmlSafe for $wrapper<'_> {}
    };
    // What borrows from a snapshot.
    ($subject:ident<$a:lifetime>, $wrapper:ident, $($template:tt)*) => {
        html!(@wrapper $a, $subject<$a>, $wrapper, $($template)*);

        impl Html for $subject<'_> {
            fn html(&self) -> impl Template + HtmlSafe {
                $wrapper(self)
            }
        }
    };
    ($subject:ident, $wrapper:ident, $($template:tt)*) => {
        html!(@wrapper 'a, $subject, $wrapper, $($template)*);

        impl Html for $subject {
            fn html(&self) -> impl Template + HtmlSafe {
                $wrapper(self)
            }
        }
    };
}

html!(About<'a>, AboutHtml, path = "fragments/about.html");
html!(Actions<'a>, ActionsHtml, path = "fragments/actions.html");
html!(Badge<'a>, BadgeHtml, path = "fragments/badge.html");
html!(FileNotes, FileNotesHtml, path = "fragments/file_notes.html");
html!(Figures, FiguresHtml, path = "fragments/figures.html");
html!(FindingsSection, FindingsHtml, path = "fragments/findings.html");
html!(FirstRowsSection<'a>, FirstRowsHtml, path = "fragments/first_rows.html");
// The `data-` attributes of a run's element.
html!(RunData<'a>, RunDataHtml, path = "fragments/run_data.html");
html!(Sentence<'a>, SentenceHtml, path = "fragments/sentence.html");
// A state without its word is an icon.
html!(BadgeState<'a>, StateIconHtml, path = "fragments/state_icon.html");

html!(
    Excerpt<'a>,
    ExcerptHtml,
    ext = "html",
    source = "{% for piece in self.pieces() %}{% match piece %}{% when Piece::Text(text) %}{{ text }}\
        {% when Piece::Control(name) %}<span class=\"control\">{{ name }}</span>\
        {% when Piece::Fault(sign) %}<mark>{{ sign }}</mark>{% endmatch %}{% endfor %}"
);
// `runboard.js` shows it in the viewer's time zone.
html!(
    Moment,
    MomentHtml,
    ext = "html",
    source = r#"<time datetime="{{ at }}" title="{{ at }}">{{ self.plain() }}</time>"#
);
// `runboard.js` counts its seconds.
html!(
    Ticking,
    TickingHtml,
    ext = "html",
    source = r#"{{ Mark::VolatileStart }}<span class="kept" data-ticks="{{ so_far.as_millis() }}">{{ self.plain() }}</span>{{ Mark::VolatileEnd }}"#
);
// `runboard.js` updates it as long as more answers are expected.
html!(
    AsOf,
    AsOfHtml,
    ext = "html",
    source = r#"{% if is_last %}{{ moment.html() }}{% else %}{{ Mark::VolatileStart }}<span data-as-of="{{ moment.at }}">{{ moment.html() }}</span>{{ Mark::VolatileEnd }}{% endif %}"#
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::UnixMillis;

    #[test]
    fn a_moment_is_an_element_that_scripts_can_read() {
        let now = UnixMillis::from_rfc3339("2026-11-23T20:43:26.599Z").unwrap();
        assert_eq!(
            Moment::new(now, now).html().to_string(),
            r#"<time datetime="2026-11-23T20:43:26.599Z" title="2026-11-23T20:43:26.599Z">20:43:26 UTC</time>"#
        );
    }
}
