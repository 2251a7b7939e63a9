//! Compresses answers.
//!
//! A body in memory is compressed as a whole and sent with its length. A stream (a download) is not
//! compressed: its length is announced, and a large file costs no CPU time.

use std::cell::RefCell;

use actix_web::{
    Error, HttpMessage,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{
            ACCEPT_ENCODING, AcceptEncoding, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ContentEncoding,
            ETAG, Encoding, Header, HeaderMap, HeaderName, HeaderValue, Preference, Quality, VARY,
        },
    },
    middleware::Next,
};
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

/// A smaller body fits into the same packet as its head, so compression gains nothing.
const SMALLEST: usize = 860;

/// A larger body would block the other requests of its thread for tens of milliseconds.
const LARGEST: usize = 1 << 20;

/// The fastest level. Every answer is compressed anew, so time matters more than size.
const LEVEL: Compression = Compression::new(1);

/// Set on every answer that depends on the accepted encodings, so that caches keep them apart.
pub const VARY_BY_ENCODING: (HeaderName, &str) = (VARY, "accept-encoding");

/// zlib's largest and default window.
const WINDOW_BITS: u8 = 15;

thread_local! {
    /// Creating a compressor costs more than compressing a fragment, so each thread keeps one.
    static GZIP: RefCell<Compress> = RefCell::new(Compress::new_gzip(LEVEL, WINDOW_BITS));
}

/// The encoding of `offered` that the request prefers; the first one of equals (RFC 9110, section 12.5.3).
/// `Identity` if it accepts none of them.
#[must_use]
pub fn negotiate(request: &impl HttpMessage, offered: &[ContentEncoding]) -> ContentEncoding {
    let identity = ContentEncoding::Identity;
    if !request.headers().contains_key(ACCEPT_ENCODING) {
        return identity;
    }
    let Ok(AcceptEncoding(accepted)) = AcceptEncoding::parse(request) else { return identity };
    let named = |wanted: &Preference<Encoding>| {
        accepted.iter().find(|accepted| accepted.item == *wanted).map(|accepted| accepted.quality)
    };
    let quality = |encoding: ContentEncoding| named(&Preference::Specific(Encoding::Known(encoding)));
    let mut best = (identity, quality(identity).unwrap_or(Quality::ZERO));
    for encoding in offered {
        let quality = quality(*encoding).or_else(|| named(&Preference::Any)).unwrap_or(Quality::ZERO);
        let is_better = if best.0 == identity { quality >= best.1 } else { quality > best.1 };
        if quality > Quality::ZERO && is_better {
            best = (*encoding, quality);
        }
    }
    best.0
}

/// Compresses text bodies in memory, if their size makes it worthwhile.
pub async fn in_one_piece(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody, Bytes>>, Error> {
    let response = next.call(request).await?;
    if !may_be_compressed(response.status(), response.headers()) {
        return Ok(response.map_into_left_body());
    }
    let wanted = negotiate(response.request(), &[ContentEncoding::Gzip]);
    Ok(response.map_body(|head, body| {
        let body = match body.try_into_bytes() {
            Ok(body) => body,
            Err(stream) => return EitherBody::left(stream),
        };
        if !(SMALLEST..=LARGEST).contains(&body.len()) {
            return EitherBody::right(body);
        }
        let (name, value) = VARY_BY_ENCODING;
        head.headers.append(name, HeaderValue::from_static(value));
        if wanted == ContentEncoding::Identity {
            return EitherBody::right(body);
        }
        let Some(compressed) = gzip(&body) else { return EitherBody::right(body) };
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        weaken_etag(&mut head.headers);
        EitherBody::right(compressed)
    }))
}

/// Whether an answer with this head becomes smaller by compression and stays correct.
fn may_be_compressed(status: StatusCode, headers: &HeaderMap) -> bool {
    let has_whole_body = !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT);
    let is_text = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim_end();
        kind.starts_with("text/") || kind.ends_with("json") || kind.ends_with("xml")
    });
    has_whole_body
        && is_text
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
}

/// The tag was made for the uncompressed bytes. The compressed ones are equivalent, but not identical.
fn weaken_etag(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).map(HeaderValue::as_bytes).filter(|tag| !tag.starts_with(b"W/")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag].concat()) {
        headers.insert(ETAG, weak);
    }
}

/// None if the result is not smaller.
fn gzip(body: &[u8]) -> Option<Bytes> {
    GZIP.with_borrow_mut(|gzip| {
        gzip.reset();
        let mut compressed = Vec::with_capacity(body.len());
        let status = gzip.compress_vec(body, &mut compressed, FlushCompress::Finish).ok()?;
        (status == Status::StreamEnd).then(|| compressed.into())
    })
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App, HttpResponse,
        http::Method,
        middleware::from_fn,
        test::{TestRequest, call_service, init_service},
        web,
    };

    use super::*;

    #[test]
    fn what_a_request_prefers_is_taken_and_what_it_refuses_is_not() {
        use ContentEncoding::{Brotli, Gzip, Identity};
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", Brotli),
            ("gzip, deflate", Gzip),
            ("br;q=0.5, gzip", Gzip),
            ("br;q=0, gzip;q=0.1", Gzip),
            ("gzip;q=0", Identity),
            ("*", Brotli),
            ("br;q=0, *", Gzip),
            ("*;q=0", Identity),
            ("identity, gzip;q=0.5", Identity),
            ("identity;q=0, gzip;q=0.5", Gzip),
            ("deflate", Identity),
            ("GZIP", Gzip),
            ("", Identity),
            (";;q=,", Identity),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT_ENCODING, accepted)).to_http_request();
            assert_eq!(negotiate(&request, &[Brotli, Gzip]), expected, "{accepted}");
        }
        assert_eq!(negotiate(&TestRequest::default().to_http_request(), &[Brotli, Gzip]), Identity);
    }

    /// The answer to a client that accepts `accepted`, from a handler that answers `status` with these
    /// headers and bytes.
    async fn answer(
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        body: &'static str,
        (method, accepted): (Method, &str),
    ) -> (HeaderMap, Bytes) {
        let handler = move || async move {
            let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap());
            for header in headers {
                response.insert_header(*header);
            }
            response.body(body)
        };
        let app = App::new().wrap(from_fn(in_one_piece)).default_service(web::to(handler));
        let app = init_service(app).await;
        let request = TestRequest::default().method(method).insert_header((ACCEPT_ENCODING, accepted));
        let response = call_service(&app, request.to_request()).await;
        let headers = response.headers().clone();
        let Ok(body) = response.into_body().try_into_bytes() else { panic!("a body in one piece") };
        (headers, body)
    }

    const TEXT: (&str, &str) = ("content-type", "text/html; charset=utf-8");
    const GET: (Method, &str) = (Method::GET, "gzip");

    fn unpacked(body: &[u8]) -> String {
        std::io::read_to_string(flate2::read::GzDecoder::new(body)).unwrap()
    }

    #[actix_web::test]
    async fn text_is_compressed_in_one_piece() {
        let text: &'static str = "all is well. ".repeat(1_000).leak();
        for method in [Method::GET, Method::HEAD] {
            let (headers, body) = answer(200, &[TEXT, ("etag", "\"1\"")], text, (method, "gzip")).await;
            assert_eq!(unpacked(&body), text);
            assert_eq!(headers.get(CONTENT_ENCODING).unwrap(), "gzip");
            assert_eq!(headers.get(VARY).unwrap(), "accept-encoding");
            assert_eq!(headers.get(ETAG).unwrap(), "W/\"1\"");
        }
        // A second body must contain nothing of the first one that the compressor handled.
        assert_eq!(unpacked(&answer(404, &[TEXT], text, GET).await.1), text);
        let (headers, body) = answer(200, &[TEXT, ("etag", "\"1\"")], text, (Method::GET, "br")).await;
        assert_eq!(body, text);
        assert!(!headers.contains_key(CONTENT_ENCODING));
        assert_eq!(headers.get(VARY).unwrap(), "accept-encoding", "others get another answer");
        assert_eq!(headers.get(ETAG).unwrap(), "\"1\"");
    }

    #[actix_web::test]
    async fn what_compression_would_break_or_not_help_is_left_alone() {
        let text: &'static str = "all is well. ".repeat(1_000).leak();
        for (status, headers, body) in [
            (200, &[TEXT][..], "small"),
            (200, &[TEXT], ""),
            (200, &[("content-type", "image/png")], text),
            (200, &[], text),
            (200, &[TEXT, ("content-encoding", "br")], text),
            (206, &[TEXT, ("content-range", "bytes 0-9/90")], text),
            (204, &[TEXT], ""),
            (304, &[TEXT], ""),
        ] {
            let (answered, sent) = answer(status, headers, body, GET).await;
            assert_eq!(sent, body, "{status} {headers:?}");
            assert_ne!(answered.get(CONTENT_ENCODING), Some(&HeaderValue::from_static("gzip")));
        }
    }
}
