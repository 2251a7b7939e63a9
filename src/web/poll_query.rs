//! The query of a poll.

use std::borrow::Cow;

use actix_web::HttpRequest;
use percent_encoding::percent_decode_str;

/// The fields of a query, read in place. actix's `Query` decodes and copies each value, which costs a poll more than
/// finding its imports; the values of a poll are ids and versions, which are never encoded by our pages.
#[derive(Clone, Copy, Debug)]
pub struct PollQuery<'q>(&'q str);

impl<'q> PollQuery<'q> {
    #[must_use]
    pub fn of(request: &'q HttpRequest) -> Self {
        Self(request.query_string())
    }

    /// The value of the first field `name`; None if there is no such field.
    #[must_use]
    pub fn field(self, name: &str) -> Option<Cow<'q, str>> {
        let value = self.0.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
        if value.contains(['%', '+']) {
            let spaced = value.replace('+', " ");
            return Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned().into());
        }
        Some(value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name_and_decoded_if_it_needs_to_be() {
        let query = PollQuery("xkeep=0&keepx=1&keep=A,B&since=&keep=C&from=state%3Dfailed+x&first");
        for (name, value) in [
            ("keep", Some("A,B")),
            ("since", Some("")),
            ("from", Some("state=failed x")),
            ("first", None),
            ("version", None),
        ] {
            assert_eq!(query.field(name).as_deref(), value, "{name}");
        }
        assert!(matches!(query.field("keep"), Some(Cow::Borrowed(_))), "nothing is copied");
        assert_eq!(PollQuery("keep=A%2CB").field("keep").as_deref(), Some("A,B"));
        assert_eq!(PollQuery("").field("keep"), None);
    }
}
