//! Ensures that requests that change something come from our own pages.
//!
//! A browser states where a request comes from (`Sec-Fetch-Site`; over plain http only `Origin`), and a page
//! cannot forge it. A client that states neither is not a browser. It is refused if it sends a session's cookie.
//! A request to the API with a bearer token is exempt: a browser adds no token by itself, and beside a token the
//! API ignores a session.

use actix_web::{
    Error, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::Next,
    web,
};

use super::{bearer, error_form, error_info::ErrorInfo, origin::PublicOrigin, problem, session};

/// Middleware (for `middleware::from_fn`): answers 403 to a request from another site's page, unless it only
/// reads. Needs `web::Data<PublicOrigin>`.
pub async fn refuse_cross_site(
    origin: web::Data<PublicOrigin>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let has_token = problem::is_of_the_api(request.path()) && bearer::sent(&request).is_some();
    if only_reads || has_token || comes_from_us(request.request(), &origin) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    // A response instead of an error: the outer middleware would not add its headers to an error.
    let names_a_site = ["sec-fetch-site", "origin"].iter().any(|name| request.headers().contains_key(*name));
    let why = if names_a_site {
        "This request came from another site and was refused. Open the page here and try again."
    } else {
        "This request has a session's cookie but no Origin header, and was refused. A program has to send the \
         address of this Runboard as Origin."
    };
    let (status, kind, title) = (StatusCode::FORBIDDEN, Some("cross-site"), "Request refused");
    let info = ErrorInfo { status, kind, title, sentence: why.into(), retry_after: None, log_chain: None };
    let refused = error_form::answer(info, request.request());
    Ok(request.into_response(refused).map_into_right_body())
}

fn comes_from_us(request: &HttpRequest, public: &PublicOrigin) -> bool {
    if let Some(site) = request.headers().get("sec-fetch-site") {
        // "same-site" is another host. "none", a typed or bookmarked address, changes nothing.
        return site == "same-origin";
    }
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let from = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        return from.is_some_and(|(scheme, authority)| public.is_ours(scheme, authority, host));
    }
    !session::has_cookie(request)
}
