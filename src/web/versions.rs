//! Answers polls that bring nothing new, without rendering.
//!
//! A fragment's version is a hash of its text. Once a rendering had the version that the page shows, the next
//! polls compare the data that it was rendered from instead.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, http::header::ContentType};
use askama::Template;

use super::views::{Rendered, render};
use crate::base::time::UnixMillis;

/// The time of the state that an unchanged page shows.
const AS_OF: &str = "x-runboard-as-of";

/// The longest delay of texts that only time changes ("No news for 10 min").
const RENDERED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The most pages that are remembered. If more are polled within [`RENDERED_AGAIN_AFTER`], the others are rendered for
/// each poll.
const MOST: usize = 20_000;

/// The versions of one kind of fragment, each with the basis that it was rendered from. Equal bases give
/// equal texts.
#[derive(Debug)]
pub struct Versions<B> {
    known: Mutex<HashMap<String, Known<B>>>,
}

#[derive(Debug)]
struct Known<B> {
    basis: B,
    rendered_at: Instant,
}

impl<B> Default for Versions<B> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<B: Clone + PartialEq> Versions<B> {
    /// The answer to a poll of a page that shows `version`, if a rendering is known to give the same.
    #[must_use]
    pub fn unchanged(&self, version: &str, basis: &B, as_of: UnixMillis) -> Option<HttpResponse> {
        let is_known =
            self.lock().get(version).is_some_and(|known| known.is_fresh() && known.basis == *basis);
        is_known.then(|| no_news(as_of))
    }

    /// The answer to a poll of a page that shows `version`: the fragment, or 204 if its version is the same.
    pub fn answer(
        &self,
        fragment: &impl Template,
        version: &str,
        basis: &B,
        as_of: UnixMillis,
    ) -> askama::Result<HttpResponse> {
        let Rendered { html, version: rendered } = render(fragment)?;
        if rendered != version {
            return Ok(HttpResponse::Ok().content_type(ContentType::html()).body(html));
        }
        let mut known = self.lock();
        if known.len() >= MOST {
            known.retain(|_, known| known.is_fresh());
        }
        if known.len() < MOST {
            known.insert(rendered, Known { basis: basis.clone(), rendered_at: Instant::now() });
        }
        Ok(no_news(as_of))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known<B>>> {
        // Each entry is inserted as a whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Known<B> {
    fn is_fresh(&self) -> bool {
        self.rendered_at.elapsed() < RENDERED_AGAIN_AFTER
    }
}

fn no_news(as_of: UnixMillis) -> HttpResponse {
    HttpResponse::NoContent().insert_header((AS_OF, as_of.to_string())).finish()
}

#[cfg(test)]
mod tests {
    use actix_web::{body::to_bytes, http::StatusCode};

    use super::*;
    use crate::web::views::Mark;

    #[derive(Template)]
    #[template(
        ext = "html",
        source = "{{ Mark::FragmentStart }}{{ Mark::Version }} {{ text }}{{ Mark::FragmentEnd }}"
    )]
    struct Fragment {
        text: &'static str,
    }

    impl Fragment {
        fn version(&self) -> String {
            render(self).unwrap().version
        }
    }

    #[actix_web::test]
    async fn a_version_is_known_of_the_basis_that_it_was_rendered_from_and_of_no_other() {
        let versions = Versions::default();
        let (fragment, at) = (Fragment { text: "Queued" }, UnixMillis(5_000));
        let version = fragment.version();
        assert!(versions.unchanged(&version, &1, at).is_none(), "not rendered yet");

        let changed = versions.answer(&fragment, "another", &1, at).unwrap();
        assert_eq!(changed.status(), StatusCode::OK);
        let body = to_bytes(changed.into_body()).await.unwrap();
        assert_eq!(body, format!("{version} Queued").as_bytes());
        assert!(versions.unchanged(&version, &1, at).is_none(), "no page is known to show it");

        assert_eq!(versions.answer(&fragment, &version, &1, at).unwrap().status(), StatusCode::NO_CONTENT);
        let known = versions.unchanged(&version, &1, at).unwrap();
        assert_eq!(known.status(), StatusCode::NO_CONTENT);
        assert_eq!(known.headers().get(AS_OF).unwrap(), "1970-01-01T00:00:05.000Z");
        assert!(versions.unchanged(&version, &2, at).is_none(), "made of something else");
        assert!(
            versions.unchanged(&Fragment { text: "Running" }.version(), &1, at).is_none(),
            "another text"
        );
    }
}
