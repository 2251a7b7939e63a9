//! The answers of the API.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ContentType, ETag, EntityTag, HeaderName, LOCATION},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::http::{conditional, problem::Problem};

/// Unlike a page, it may be stored by the program, which then asks with `If-None-Match` whether it is still true.
const STORED_BY_THE_CALLER: (HeaderName, &str) = (CACHE_CONTROL, "private, no-cache");

/// The bytes of a tag are half of those of the hash, which is enough to tell the states of one thing apart.
const TAG_BYTES: usize = 16;

/// 200 with `value` as JSON and a tag of its bytes; 304 if the request has that tag already.
pub fn json(request: &HttpRequest, value: &impl Serialize) -> Result<HttpResponse, Problem> {
    let body = serde_json::to_vec(value)?;
    let tag = EntityTag::new_strong(hash(&body));
    Ok(tagged(request, tag, body))
}

/// 200 with JSON and its tag; 304 if the request has that tag already.
pub fn tagged(request: &HttpRequest, tag: EntityTag, json: Vec<u8>) -> HttpResponse {
    let is_known = conditional::is_known(request, &tag);
    let mut head = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    head.insert_header(ETag(tag)).insert_header(STORED_BY_THE_CALLER);
    if is_known { head.finish() } else { head.content_type(ContentType::json()).body(json) }
}

/// The hexadecimal hash of a state, for its tag.
pub fn hash(state: &[u8]) -> String {
    hex::encode(&Sha256::digest(state)[..TAG_BYTES])
}

/// 202 with `value` as JSON: what was asked for goes on after the answer.
pub fn accepted(value: &impl Serialize) -> Result<HttpResponse, Problem> {
    let body = serde_json::to_vec(value)?;
    Ok(HttpResponse::Accepted().content_type(ContentType::json()).body(body))
}

/// 201 with `value` as JSON, at `location`.
pub fn created(location: &str, value: &impl Serialize) -> Result<HttpResponse, Problem> {
    let body = serde_json::to_vec(value)?;
    let mut head = HttpResponse::Created();
    Ok(head.insert_header((LOCATION, location)).content_type(ContentType::json()).body(body))
}
