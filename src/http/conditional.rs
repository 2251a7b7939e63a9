//! Conditional requests and range requests (RFC 9110, sections 13 and 14).
//!
//! Parsing the headers and resolving a range is left to actix. This module decides which header takes effect.

use std::{
    error::Error,
    ops::Range,
    time::{Duration, SystemTime},
};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    body::SizedStream,
    http::{
        Method, StatusCode,
        header::{
            ACCEPT_RANGES, ContentDisposition, ContentRange, ContentRangeSpec, ETag, EntityTag, Header,
            HttpDate, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified,
            Range as RangeHeader,
        },
    },
};
use bytes::Bytes;
use futures_util::{Stream, stream};

use crate::base::time::UnixMillis;

/// The last second that a date in a header can express, at the end of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// What conditions and ranges of a request refer to.
#[derive(Clone, Debug)]
pub struct Representation {
    /// A strong tag: equal tags mean equal bytes.
    pub etag: EntityTag,
    /// None if unknown.
    pub last_modified: Option<HttpDate>,
    /// The length of the file in bytes.
    pub length: u64,
}

/// Which part of the file is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Selection {
    Whole,
    /// A range that is not empty and lies within the file.
    Part(Range<u64>),
    /// The requested range starts at or after the end of the file.
    OutOfRange,
    NotModified,
    PreconditionFailed,
}

impl Representation {
    /// The answer to a GET or HEAD of the file. `read` gives the bytes of a range; a HEAD does not call it.
    #[must_use]
    pub fn answer<S, E>(
        &self,
        request: &HttpRequest,
        content_type: &'static str,
        disposition: ContentDisposition,
        read: impl FnOnce(Range<u64>) -> S,
    ) -> HttpResponse
    where
        S: Stream<Item = Result<Bytes, E>> + 'static,
        E: Into<Box<dyn Error>> + 'static,
    {
        let selection = self.select(request);
        let status = match selection {
            Selection::Whole => StatusCode::OK,
            Selection::Part(_) => StatusCode::PARTIAL_CONTENT,
            Selection::OutOfRange => StatusCode::RANGE_NOT_SATISFIABLE,
            Selection::NotModified => StatusCode::NOT_MODIFIED,
            Selection::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        };
        let mut response = HttpResponse::build(status);
        response.insert_header((ACCEPT_RANGES, "bytes")).insert_header(ETag(self.etag.clone()));
        if let Some(last_modified) = self.last_modified {
            response.insert_header(LastModified(last_modified));
        }
        if let Selection::Part(_) | Selection::OutOfRange = selection {
            let range = match &selection {
                Selection::Part(part) => Some((part.start, part.end - 1)),
                _ => None,
            };
            let spec = ContentRangeSpec::Bytes { range, instance_length: Some(self.length) };
            response.insert_header(ContentRange(spec));
        }
        let part = match selection {
            Selection::Whole => 0..self.length,
            Selection::Part(part) => part,
            Selection::OutOfRange | Selection::NotModified | Selection::PreconditionFailed => {
                return response.finish();
            }
        };
        response.content_type(content_type).insert_header(disposition);
        let length = part.end - part.start;
        if request.method() == Method::HEAD {
            return response.body(SizedStream::new(length, stream::empty::<Result<Bytes, E>>()));
        }
        response.body(SizedStream::new(length, read(part)))
    }

    /// Whether the request is redirected to where the file lies: unless its client has the file already. What the client
    /// expects of the file (`If-Match`, `If-Unmodified-Since`) is left to the server there, whose tag and date it knows
    /// from an earlier redirect.
    #[must_use]
    pub fn is_wanted(&self, request: &HttpRequest) -> bool {
        has::<IfMatch>(request)
            || has::<IfUnmodifiedSince>(request)
            || self.select(request) != Selection::NotModified
    }

    /// Evaluates the headers in the order of RFC 9110, section 13.2.2.
    fn select(&self, request: &HttpRequest) -> Selection {
        let is_as_expected = match sent(request) {
            Some(IfMatch::Any) => true,
            Some(IfMatch::Items(tags)) => tags.iter().any(|tag| tag.strong_eq(&self.etag)),
            // A value that cannot be read matches nothing.
            None if has::<IfMatch>(request) => false,
            None => match (sent(request), self.last_modified) {
                (Some(IfUnmodifiedSince(since)), Some(last_modified)) => last_modified <= since,
                _ => true,
            },
        };
        if !is_as_expected {
            return Selection::PreconditionFailed;
        }
        let is_known = match (sent(request), self.last_modified) {
            _ if has::<IfNoneMatch>(request) => is_known(request, &self.etag),
            (Some(IfModifiedSince(since)), Some(last_modified)) => last_modified <= since,
            _ => false,
        };
        if is_known {
            return Selection::NotModified;
        }
        // A range applies to GET only. A unit other than bytes is ignored.
        let Some(RangeHeader::Bytes(ranges)) = sent(request).filter(|_| request.method() == Method::GET)
        else {
            return Selection::Whole;
        };
        // Several ranges would need a multipart answer. A server may send the whole file instead.
        let [range] = ranges.as_slice() else { return Selection::Whole };
        if !self.is_range_of_this(request) {
            return Selection::Whole;
        }
        match range.to_satisfiable_range(self.length) {
            Some((first, last)) => Selection::Part(first..last + 1),
            None => Selection::OutOfRange,
        }
    }

    /// Whether the requested range belongs to the same version that the client has. False if `If-Range` cannot be
    /// read.
    fn is_range_of_this(&self, request: &HttpRequest) -> bool {
        if !has::<IfRange>(request) {
            return true;
        }
        match sent(request) {
            Some(IfRange::EntityTag(tag)) => tag.strong_eq(&self.etag),
            Some(IfRange::Date(date)) => self.last_modified == Some(date),
            None => false,
        }
    }
}

/// Whether the request says that it has the version of `etag` already (`If-None-Match`). False if the header
/// cannot be read.
#[must_use]
pub fn is_known(request: &HttpRequest, etag: &EntityTag) -> bool {
    match sent(request) {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(etag)),
        None => false,
    }
}

/// The `If-None-Match` of the request. None if it is missing or cannot be read.
#[must_use]
pub fn if_none_match(request: &HttpRequest) -> Option<IfNoneMatch> {
    sent(request)
}

/// `at` in whole seconds, as headers express it.
#[must_use]
pub fn http_date(at: UnixMillis) -> HttpDate {
    let seconds = at.0.div_euclid(1_000).clamp(0, LAST_SECOND).unsigned_abs();
    HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// A header of the request. None if it is missing or cannot be read.
fn sent<H: Header>(request: &HttpRequest) -> Option<H> {
    // actix reads some missing headers as an empty list.
    has::<H>(request).then(|| request.get_header::<H>()).flatten()
}

fn has<H: Header>(request: &HttpRequest) -> bool {
    request.headers().contains_key(H::name())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const CHANGED: &str = "Sun, 29 Nov 2026 02:48:49 GMT";
    const BEFORE: &str = "Sun, 29 Nov 2026 02:48:48 GMT";

    fn selection(method: Method, headers: &[(&'static str, &'static str)]) -> Selection {
        let file = Representation {
            etag: EntityTag::new_strong("now".to_owned()),
            last_modified: CHANGED.parse().ok(),
            length: 10,
        };
        let mut request = TestRequest::default().method(method);
        for header in headers {
            request = request.append_header(*header);
        }
        file.select(&request.to_http_request())
    }

    #[test]
    fn conditions_are_asked_in_their_order() {
        use Selection::{NotModified, OutOfRange, Part, PreconditionFailed, Whole};
        let range = ("range", "bytes=2-4");
        for (headers, expected) in [
            (&[][..], Whole),
            (&[range], Part(2..5)),
            (&[("range", "bytes=2-")], Part(2..10)),
            (&[("range", "bytes=2-99")], Part(2..10)),
            (&[("range", "bytes=-3")], Part(7..10)),
            (&[("range", "bytes=-99")], Part(0..10)),
            (&[("range", "bytes=10-")], OutOfRange),
            (&[("range", "bytes=-0")], OutOfRange),
            (&[("range", "bytes=4-2")], Whole),
            (&[("range", "bytes=0-1,4-5")], Whole),
            (&[("range", "lines=2-4")], Whole),
            (&[("range", "bytes=two-four")], Whole),
            (&[("range", "bytes=99999999999999999999-")], Whole),
            (&[range, ("if-range", "\"now\"")], Part(2..5)),
            (&[range, ("if-range", "\"then\"")], Whole),
            (&[range, ("if-range", "W/\"now\"")], Whole),
            (&[range, ("if-range", CHANGED)], Part(2..5)),
            (&[range, ("if-range", BEFORE)], Whole),
            (&[range, ("if-range", "now")], Whole),
            (&[("if-none-match", "\"now\"")], NotModified),
            (&[("if-none-match", "\"then\", W/\"now\"")], NotModified),
            (&[("if-none-match", "*"), range], NotModified),
            (&[("if-none-match", "\"then\""), ("if-modified-since", CHANGED)], Whole),
            (&[("if-modified-since", CHANGED)], NotModified),
            (&[("if-modified-since", BEFORE)], Whole),
            (&[("if-match", "\"now\""), range], Part(2..5)),
            (&[("if-match", "*")], Whole),
            (&[("if-match", "W/\"now\"")], PreconditionFailed),
            (&[("if-match", "\"then\""), ("if-none-match", "\"now\""), range], PreconditionFailed),
            (&[("if-unmodified-since", BEFORE), range], PreconditionFailed),
            (&[("if-unmodified-since", CHANGED), range], Part(2..5)),
            (&[("if-match", "\"now\""), ("if-unmodified-since", BEFORE)], Whole),
            (&[("if-match", "now"), ("if-unmodified-since", CHANGED), range], PreconditionFailed),
            (&[("if-none-match", "now"), ("if-modified-since", CHANGED)], Whole),
        ] {
            assert_eq!(selection(Method::GET, headers), expected, "{headers:?}");
        }
        assert_eq!(selection(Method::HEAD, &[range]), Whole);
        assert_eq!(selection(Method::HEAD, &[("if-none-match", "\"now\"")]), NotModified);
    }

    #[test]
    fn what_is_expected_of_a_file_elsewhere_is_left_to_the_server_there() {
        let file = Representation {
            etag: EntityTag::new_strong("now".to_owned()),
            last_modified: CHANGED.parse().ok(),
            length: 10,
        };
        for (header, is_wanted) in [
            (("if-none-match", "\"now\""), false),
            (("if-modified-since", CHANGED), false),
            (("if-none-match", "\"theirs\""), true),
            (("if-match", "\"theirs\""), true),
            (("if-unmodified-since", BEFORE), true),
            (("range", "bytes=10-"), true),
        ] {
            let request = TestRequest::default().insert_header(header).to_http_request();
            assert_eq!(file.is_wanted(&request), is_wanted, "{header:?}");
        }
    }

    #[test]
    fn only_a_get_that_wants_bytes_reads_the_file() {
        let file =
            Representation { etag: EntityTag::new_strong("now".to_owned()), last_modified: None, length: 10 };
        for (method, header, expected) in [
            (Method::GET, ("range", "bytes=2-4"), Some(2..5)),
            (Method::GET, ("accept", "*/*"), Some(0..10)),
            (Method::GET, ("if-none-match", "*"), None),
            (Method::GET, ("range", "bytes=10-"), None),
            (Method::HEAD, ("accept", "*/*"), None),
            (Method::HEAD, ("range", "bytes=2-4"), None),
        ] {
            let request = TestRequest::default().method(method.clone()).insert_header(header);
            let mut read = None;
            let _ = file.answer(
                &request.to_http_request(),
                "text/csv",
                ContentDisposition::attachment("a.csv"),
                |range| {
                    read = Some(range);
                    stream::empty::<Result<Bytes, std::io::Error>>()
                },
            );
            assert_eq!(read, expected, "{method} {header:?}");
        }
    }

    #[test]
    fn an_empty_file_has_no_part() {
        let etag = EntityTag::new_strong("now".to_owned());
        let file = Representation { etag, last_modified: None, length: 0 };
        let request = TestRequest::default().insert_header(("range", "bytes=0-")).to_http_request();
        assert_eq!(file.select(&request), Selection::OutOfRange);
    }

    #[test]
    fn a_date_is_told_in_whole_seconds() {
        assert_eq!(http_date(UnixMillis(1_795_920_529_999)).to_string(), CHANGED);
        for at in [i64::MIN, -1, i64::MAX] {
            assert!(http_date(UnixMillis(at)).to_string().ends_with(" GMT"), "{at}");
        }
    }
}
