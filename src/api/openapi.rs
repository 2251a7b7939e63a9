//! `GET /api/v1/openapi.json`: the OpenAPI document, made from the handlers and the types of this room.

use std::{collections::BTreeSet, sync::LazyLock};

use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, HeaderBuilder, ObjectBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder,
        Type,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{act, downloads, imports, json, make, me, reference::reference, tokens};
use crate::http::{
    api_reference::{ApiReference, PROBLEMS, ProblemKind},
    problem::{MEDIA_TYPE, Problem, ProblemDetails},
    query, session,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Runboard",
        description = "What the pages do with imports, for programs. JSON in camelCase, times in RFC 3339.\n\n\
            A program sends a token: Authorization: Bearer rb_... A token does what its scopes allow: read sees imports \
            and their files; import makes, starts, cancels, runs again and deletes them; tokens makes and ends tokens, \
            and so can do everything.\n\n\
            A list has the members data and next. The next page is the same request with cursor set to next, until next is \
            null.\n\n\
            A POST that makes something takes an Idempotency-Key. If the same request comes again with it within 24 hours, \
            it makes nothing more and gets the same import or token; another request with it gets 409.\n\n\
            A GET answers with an ETag, and 304 if that is sent as If-None-Match and nothing has changed. RateLimit says \
            how many requests are left; after 429, Retry-After says how many seconds to wait.\n\n\
            An error is application/problem+json (RFC 9457). Its type is one of the problems below, and its detail is a \
            sentence for people, the same that a page would show."
    ),
    paths(
        make::make,
        imports::list,
        imports::show,
        downloads::processed,
        downloads::failed,
        downloads::failures,
        act::start,
        act::cancel,
        act::retry,
        act::delete,
        me::show,
        tokens::list,
        tokens::make,
        tokens::end,
        show,
    ),
    components(schemas(ProblemDetails, imports::StateName, downloads::DownloadForm)),
    tags(
        (name = "imports", description = "Imports"),
        (name = "account", description = "Account and tokens"),
    ),
    servers((url = "/api/v1")),
    modifiers(&Common),
)]
struct Described;

/// The problems of each operation beside those of all of them.
const PROBLEMS_OF: [(&str, &[u16]); 15] = [
    ("makeImport", &[400, 404, 408, 409, 413, 415, 422, 507]),
    ("listImports", &[400]),
    ("showImport", &[400, 404]),
    ("downloadProcessedRows", &[400, 404, 409, 412, 416]),
    ("downloadFailedRows", &[400, 404, 409, 412, 416]),
    ("listFailedRows", &[400, 404, 409]),
    ("startImport", &[400, 404, 408, 413, 415, 422, 507]),
    ("cancelImport", &[400, 404, 408, 409, 413, 415, 422]),
    ("retryImport", &[400, 404, 408, 409, 410, 413, 415, 422, 507]),
    ("deleteImport", &[400, 404, 409]),
    ("showAccount", &[400]),
    ("listTokens", &[400]),
    ("makeToken", &[400, 404, 408, 409, 413, 415, 422]),
    ("endToken", &[400, 404]),
    ("showDocument", &[400]),
];

/// What any operation with a token may answer.
const OF_ALL: [u16; 5] = [401, 403, 429, 500, 503];

/// What a status means, for people: when its only problem happens, or which problems have it.
fn meaning(status: u16) -> String {
    let problems: Vec<&ProblemKind> = PROBLEMS.iter().filter(|problem| problem.status == status).collect();
    match (status, problems.as_slice()) {
        // Of conditional requests and ranges. HTTP says it all.
        (412, _) => "The file is another one than If-Match says.".to_owned(),
        (416, _) => "The file is shorter than the range.".to_owned(),
        (_, [only]) => only.when.to_owned(),
        (_, several) => {
            let names: Vec<&str> = several.iter().map(|problem| problem.name).collect();
            format!("One of the problems {}.", names.join(", "))
        }
    }
}

/// Adds what all operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("rb_...");
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(session::COOKIE));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
        let statuses = PROBLEMS_OF.iter().flat_map(|(_, statuses)| *statuses).chain(&OF_ALL);
        for status in statuses.copied().collect::<BTreeSet<u16>>() {
            components.responses.insert(name(status), RefOr::T(problem(status, &meaning(status))));
        }
        for item in document.paths.paths.values_mut() {
            if let Some(read) = &mut item.get {
                add_tag(read);
            }
            for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten() {
                add_problems(operation);
            }
        }
    }
}

fn add_problems(operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    let own = PROBLEMS_OF.iter().find(|(of, _)| *of == id).map_or(&[][..], |(_, statuses)| *statuses);
    let is_open = operation.security.as_ref().is_none_or(Vec::is_empty);
    let common = if is_open { &[][..] } else { &OF_ALL[..] };
    for status in own.iter().chain(common) {
        let answer = RefOr::Ref(Ref::from_response_name(name(*status)));
        operation.responses.responses.insert(status.to_string(), answer);
    }
}

/// Each read can be asked whether it has changed.
fn add_tag(read: &mut Operation) {
    let tag = HeaderBuilder::new().schema(text()).description(Some("Tells whether it has changed."));
    if let Some(RefOr::T(whole)) = read.responses.responses.get_mut("200") {
        whole.headers.insert("ETag".to_owned(), tag.build());
    }
    let same = ResponseBuilder::new().description("It is as If-None-Match says.").build();
    read.responses.responses.insert("304".to_owned(), RefOr::T(same));
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn name(status: u16) -> String {
    format!("Problem{status}")
}

fn problem(status: u16, meaning: &str) -> Response {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let mut response =
        ResponseBuilder::new().description(meaning).content(MEDIA_TYPE, Content::new(Some(schema)));
    if status == 401 {
        response = response.header("WWW-Authenticate", HeaderBuilder::new().schema(text()).build());
    }
    if status == 429 || status == 503 {
        response = response.header("Retry-After", HeaderBuilder::new().schema(text()).build());
    }
    response.build()
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::to_value(Described::openapi()).unwrap_or_else(|error| {
        tracing::error!("the OpenAPI document cannot be written: {error}");
        Value::Null
    })
});

/// The document as text for people.
#[must_use]
pub fn for_people() -> ApiReference {
    reference(&DOCUMENT)
}

/// This document.
///
/// It needs no token.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "showDocument", tag = "account",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")),
)]
pub async fn show(request: HttpRequest) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    json(&request, &*DOCUMENT)
}
