//! The volatile parts of a page, which change while it stays open: durations that tick, and the time of the
//! last answer.
//!
//! The browser updates both by itself, so they are no reason to send a fragment again: its version is a hash
//! of everything else. Templates mark these parts with [`Mark`], and one rendering ([`render`]) gives the
//! text and the version that is inserted into it.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    hash::{BuildHasher, Hasher},
    ops::Range,
};

use askama::{FastWritable, Template, Values, filters::HtmlSafe};
use foldhash::quality::FixedState;

/// A position in a template that [`render`] records. Outside [`render`] it writes nothing; inside, nothing
/// that is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Around the fragment; a page changes outside of it without a new version.
    FragmentStart,
    FragmentEnd,
    /// Around a volatile part.
    VolatileStart,
    VolatileEnd,
    /// The position of the fragment's version.
    Version,
}

impl HtmlSafe for Mark {}

impl fmt::Display for Mark {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl FastWritable for Mark {
    fn write_into(&self, dest: &mut dyn fmt::Write, values: &dyn Values) -> askama::Result<()> {
        let Ok(marks) = askama::get_value::<Marks>(values, Marks::KEY) else { return Ok(()) };
        marks.places.borrow_mut().push((*self, marks.written.get()));
        if *self == Self::Version {
            dest.write_str(NO_VERSION)?;
        }
        Ok(())
    }
}

/// A page or a fragment as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub html: String,
    /// The hash of the fragment without its volatile parts. The next poll sends it back.
    pub version: String,
}

/// Enough for most fragments, so that the buffer rarely grows.
const USUAL_BYTES: usize = 8 << 10;

/// A placeholder of equal length for a version, until that is known.
const NO_VERSION: &str = "0000000000000000";

/// Renders a fragment, or a page that contains one, with the fragment's version in it.
pub fn render(template: &impl Template) -> askama::Result<Rendered> {
    let marks = Marks::default();
    let mut recorder = Recorder { html: String::with_capacity(USUAL_BYTES), written: &marks.written };
    template.render_into_with_values(&mut recorder, &marks)?;
    let mut html = recorder.html;
    let (mut fragment, mut volatile_start) = (0..html.len(), 0);
    let (mut volatile, mut versions): (Vec<Range<usize>>, Vec<usize>) = (Vec::new(), Vec::new());
    for (mark, at) in marks.places.into_inner() {
        match mark {
            Mark::FragmentStart => fragment.start = at,
            Mark::FragmentEnd => fragment.end = at,
            Mark::VolatileStart => volatile_start = at,
            Mark::VolatileEnd => volatile.push(volatile_start..at),
            Mark::Version => versions.push(at),
        }
    }
    let mut hasher = FixedState::default().build_hasher();
    let mut hashed = fragment.start;
    for volatile in volatile.iter().filter(|part| fragment.start <= part.start && part.end <= fragment.end) {
        hasher.write(&html.as_bytes()[hashed..volatile.start]);
        hashed = volatile.end;
    }
    hasher.write(&html.as_bytes()[hashed..fragment.end]);
    let version = format!("{:016x}", hasher.finish());
    for at in versions {
        html.replace_range(at..at + NO_VERSION.len(), &version);
    }
    Ok(Rendered { html, version })
}

/// The positions of the marks in a rendering, in bytes.
#[derive(Default)]
struct Marks {
    /// The number of bytes written so far.
    written: Cell<usize>,
    places: RefCell<Vec<(Mark, usize)>>,
}

impl Marks {
    const KEY: &str = "marks";
}

impl Values for Marks {
    fn get_value<'a>(&'a self, key: &str) -> Option<&'a dyn Any> {
        (key == Self::KEY).then_some(self)
    }
}

struct Recorder<'m> {
    html: String,
    written: &'m Cell<usize>,
}

impl fmt::Write for Recorder<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.html.push_str(text);
        self.written.set(self.html.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        base::time::UnixMillis,
        report::moment::{AsOf, Ticking},
        web::views::Html,
    };

    #[derive(Template)]
    #[template(
        ext = "html",
        source = r#"<title>{{ title }}</title>{{ Mark::FragmentStart }}<p title="{{ name }}" data-version="{{ Mark::Version }}">{{ word }} for {{ ticking.html() }}, as of {{ as_of.html() }}</p><p>{{ word }}, {{ Mark::Version }}</p>{{ Mark::FragmentEnd }}<footer>{{ title }}</footer>"#
    )]
    struct Page<'a> {
        title: &'a str,
        name: &'a str,
        word: &'a str,
        ticking: Ticking,
        as_of: AsOf,
    }

    fn page<'a>(seconds: u64, as_of: i64, is_last: bool, word: &'a str) -> Page<'a> {
        Page {
            title: "Imports",
            name: "orders.csv",
            word,
            ticking: Ticking { so_far: Duration::from_secs(seconds) },
            as_of: AsOf::new(UnixMillis(as_of), is_last, UnixMillis(as_of)),
        }
    }

    fn version(page: &Page) -> String {
        render(page).unwrap().version
    }

    #[test]
    fn time_alone_makes_no_new_version_but_every_word_does() {
        let first = version(&page(1, 5_000, false, "Running"));
        assert_eq!(first, version(&page(2, 6_000, false, "Running")));
        assert_eq!(first, version(&page(86_400, 6_000, false, "Running")), "a longer text");
        assert_ne!(first, version(&page(1, 5_000, false, "Queued")));
        assert_eq!(first, version(&Page { title: "2 imports", ..page(1, 5_000, false, "Running") }));
        let last = version(&page(1, 5_000, true, "Running"));
        assert_ne!(last, version(&page(1, 6_000, true, "Running")), "the last answer's time stays");
        let named = |name, word| version(&Page { name, ..page(1, 5_000, false, word) });
        let marks = "<span data-ticks=\"0000000000000000\">";
        assert_ne!(named(marks, "Running"), named(marks, "Queued"), "a name cannot make it blind");
    }

    #[test]
    fn the_text_has_the_version_where_it_belongs_and_is_else_as_it_always_is() {
        let page = page(1, 5_000, false, "Running");
        let rendered = render(&page).unwrap();
        assert_eq!(rendered.version.len(), NO_VERSION.len());
        assert_eq!(rendered.html.matches(&rendered.version).count(), 2);
        assert_eq!(rendered.html.replace(&rendered.version, ""), page.render().unwrap());
    }
}
