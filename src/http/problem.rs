//! Problem details for HTTP APIs (RFC 9457): the errors of the API.

use std::{fmt, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::{BoxBody, EitherBody, MessageBody},
    dev::ServiceResponse,
    error::QueryPayloadError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde::Serialize;

use super::{
    audit,
    error::Error,
    error_info::{ErrorInfo, seconds},
    parser_words::{of_json, of_whole},
    reading_fields::RefusedField,
    upload::UploadError,
};
use crate::{accounts::Scope, base::limits::bytes_at_most};

/// The media type.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The longest part of a detail that repeats what was sent, in characters.
const MOST_REPEATED: usize = 300;

/// Who may ask, in answers without valid credentials (RFC 6750, section 3).
const CHALLENGE: &str = "Bearer realm=\"Runboard\"";

/// Why a request of a program is refused.
#[derive(Debug)]
pub enum Problem {
    /// What a page would say too.
    Shared(Error),
    /// Neither a token nor a session.
    NoCredentials,
    /// A token that is unknown, has ended or has expired.
    BadToken,
    /// The token is valid, but does not allow this.
    MissingScope(Scope),
    /// The limit of requests is used up.
    TooManyRequests { retry_after: Duration },
    /// No route of this path has the method.
    WrongMethod { allowed: String },
    /// The body is of a type that the route does not take: a sentence.
    WrongType(&'static str),
    /// The body is larger than this many bytes.
    TooLarge { limit: u64 },
    /// A query or a body that cannot be parsed: a sentence.
    Malformed(String),
    /// It can be parsed, but the content is wrong: a sentence.
    NotAccepted(String),
    /// Nothing was imported.
    Upload(UploadError),
}

impl Problem {
    /// The content of the answer.
    #[must_use]
    pub fn info(&self) -> ErrorInfo {
        let (kind, title) = match self {
            Self::Shared(error) => return error.info(),
            Self::NoCredentials => ("no-credentials", "No token"),
            Self::BadToken => ("bad-token", "Wrong token"),
            Self::MissingScope(_) => ("missing-scope", "Not allowed"),
            Self::TooManyRequests { .. } => ("too-many-requests", "Too many requests"),
            Self::WrongMethod { .. } => ("wrong-method", "Wrong method"),
            Self::WrongType(_) => ("wrong-content-type", "Wrong content type"),
            Self::TooLarge { .. } => ("too-large", "Too large"),
            Self::Malformed(_) => ("malformed", "Bad request"),
            Self::NotAccepted(_) => ("not-accepted", "Not accepted"),
            Self::Upload(error) => error.kind(),
        };
        let retry_after = match self {
            Self::TooManyRequests { retry_after } => Some(*retry_after),
            _ => None,
        };
        let log_chain = match self {
            Self::Upload(error) if error.is_failure() => Some(format!("{error:?}")),
            _ => None,
        };
        ErrorInfo {
            status: self.status_code(),
            kind: Some(kind),
            title,
            sentence: self.to_string().into(),
            retry_after,
            log_chain,
        }
    }

    /// Why `body` is not JSON.
    #[must_use]
    pub fn no_json(body: &[u8], why: &serde_json::Error) -> Self {
        Self::Malformed(format!("{}.", of_json(body, why)))
    }

    /// Why JSON is not the object that a route takes.
    #[must_use]
    pub fn from_json(why: &serde_json::Error) -> Self {
        Self::NotAccepted(format!("{}.", repeated(&of_whole("The body", &why.to_string()))))
    }

    /// A field of a query that the route does not have.
    #[must_use]
    pub fn unknown_field(name: &str) -> Self {
        Self::Malformed(format!("The query has the unknown field `{}`.", repeated(&name)))
    }

    /// Why a query is not one that a route takes.
    #[must_use]
    pub fn from_query(why: &QueryPayloadError) -> Self {
        let why: &dyn fmt::Display = match why {
            QueryPayloadError::Deserialize(why) => why,
            why => why,
        };
        Self::Malformed(format!("{}.", repeated(&of_whole("The query", &why.to_string()))))
    }

    fn challenge(&self) -> Option<String> {
        match self {
            Self::NoCredentials => Some(CHALLENGE.to_owned()),
            Self::BadToken => Some(format!("{CHALLENGE}, error=\"invalid_token\"")),
            Self::MissingScope(scope) => {
                Some(format!("{CHALLENGE}, error=\"insufficient_scope\", scope=\"{scope}\""))
            }
            _ => None,
        }
    }
}

/// The start of what a parser says, which may repeat what was sent.
fn repeated(why: &dyn fmt::Display) -> String {
    let why = why.to_string();
    match why.char_indices().nth(MOST_REPEATED) {
        Some((end, _)) => format!("{} ...", &why[..end]),
        None => why,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(error) => error.fmt(f),
            Self::NoCredentials => {
                f.write_str("This needs a token. Make one on your account page and send it as Authorization: Bearer.")
            }
            Self::BadToken => f.write_str(
                "This token is not valid. It was copied incompletely, has expired, or was ended by its owner.",
            ),
            Self::MissingScope(scope) => write!(f, "This token does not have the scope {scope}."),
            Self::TooManyRequests { retry_after } => match seconds(*retry_after) {
                1 => f.write_str("Too many requests. Try again in 1 second."),
                seconds => write!(f, "Too many requests. Try again in {seconds} seconds."),
            },
            Self::WrongMethod { allowed } => write!(f, "This address takes {allowed} only."),
            Self::WrongType(sentence) => f.write_str(sentence),
            Self::TooLarge { limit } => {
                write!(f, "The body is larger than {}, the limit here.", bytes_at_most(*limit))
            }
            Self::Malformed(sentence) | Self::NotAccepted(sentence) => f.write_str(sentence),
            Self::Upload(error) => error.fmt(f),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Shared(error) => error.status_code(),
            Self::NoCredentials | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::MissingScope(_) => StatusCode::FORBIDDEN,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotAccepted(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Upload(error) => error.status(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let info = self.info();
        info.log();
        let mut head = info.head();
        if let Some(challenge) = self.challenge() {
            head.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        if let Self::WrongMethod { allowed } = self {
            head.insert_header((header::ALLOW, allowed.as_str()));
        }
        let mut response = head.content_type(MEDIA_TYPE).body(body(&info, None));
        // The middleware writes it again, with the id of the request.
        response.extensions_mut().insert(info);
        response
    }
}

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Shared(error.into())
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        Self::Upload(error)
    }
}

impl From<RefusedField> for Problem {
    fn from(refused: RefusedField) -> Self {
        Self::NotAccepted(refused.to_string())
    }
}

/// The body of an error's answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/api#not-found",
    "title": "Not found",
    "status": 404,
    "detail": "Page not found, or you don't have access to it.",
    "instance": "01KBC8Z3V5F0M3E2J8W4R7T9QX"
}))]
pub struct ProblemDetails<'i> {
    /// A section of the page that describes the API, or `about:blank` if the status says it all.
    #[serde(rename = "type")]
    kind: String,
    title: &'i str,
    status: u16,
    detail: &'i str,
    /// The id of the request, which is also in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

fn body(info: &ErrorInfo, instance: Option<String>) -> String {
    let details = ProblemDetails {
        kind: info.kind.map_or_else(|| "about:blank".to_owned(), |kind| format!("/api#{kind}")),
        title: info.title,
        status: info.status.as_u16(),
        detail: &info.sentence,
        instance,
    };
    serde_json::to_string(&details).unwrap_or_default()
}

/// Whether every answer at `path` is for programs.
#[must_use]
pub fn is_of_the_api(path: &str) -> bool {
    path.strip_prefix("/api/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer to `request` for an error that no handler made.
pub(super) fn response(info: &ErrorInfo, request: &HttpRequest) -> HttpResponse {
    info.head().content_type(MEDIA_TYPE).body(body(info, Some(audit::request_id(request))))
}

/// The same error as problem details with the id of the request. `info` is None if actix made the answer, or
/// another API than ours, whose answers stay as they are.
pub(super) fn in_place_of<B: MessageBody>(
    mut response: ServiceResponse<B>,
    info: Option<ErrorInfo>,
) -> ServiceResponse<EitherBody<B>> {
    let status = response.status();
    let info = match info {
        Some(info) => info,
        None if is_of_the_api(response.request().path()) => of_status(status),
        None => return response.map_into_left_body(),
    };
    let body = body(&info, Some(audit::request_id(response.request())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response.map_body(|_, _| EitherBody::right(BoxBody::new(body)))
}

/// An error that has only a status.
fn of_status(status: StatusCode) -> ErrorInfo {
    let title = status.canonical_reason().unwrap_or("Error");
    let sentence = "Runboard could not take this request.".into();
    ErrorInfo { status, kind: None, title, sentence, retry_after: None, log_chain: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_parser_repeats_is_cut_between_characters() {
        assert_eq!(repeated(&"short"), "short");
        let long = repeated(&"é".repeat(MOST_REPEATED + 1));
        assert_eq!(long, format!("{} ...", "é".repeat(MOST_REPEATED)));
    }

    #[test]
    fn only_the_api_is_for_programs() {
        for path in ["/api/v1", "/api/v1/", "/api/v1/me"] {
            assert!(is_of_the_api(path), "{path}");
        }
        for path in ["/api", "/api/v10/me", "/api/inngest", "/imports/api/v1", "/%61pi/v1/me"] {
            assert!(!is_of_the_api(path), "{path}");
        }
    }
}
