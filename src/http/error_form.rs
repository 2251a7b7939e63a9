//! The form of an error's answer: a page, a notice for htmx, or problem details for a program.

use actix_web::{
    HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::ServiceResponse,
};

use super::{error_info::ErrorInfo, htmx::wants_fragment, problem};

/// The answer to `request`, whose error no handler made.
pub(super) fn answer(info: ErrorInfo, request: &HttpRequest) -> HttpResponse {
    if problem::is_of_the_api(request.path()) {
        problem::response(&info, request)
    } else if wants_fragment(request) {
        info.notice()
    } else {
        info.page()
    }
}

/// Replaces the page of an error by problem details below `/api/`, and by a notice if htmx made the request.
pub fn as_asked<B: MessageBody>(mut response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    // Open pages poll many times a second and almost never fail.
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if !is_error {
        return response.map_into_left_body();
    }
    let is_below_api = response.request().path().starts_with("/api/");
    if !is_below_api && !wants_fragment(response.request()) {
        return response.map_into_left_body();
    }
    let info = response.response_mut().extensions_mut().remove::<ErrorInfo>();
    if is_below_api {
        return problem::in_place_of(response, info);
    }
    match info {
        Some(info) => response.into_response(info.notice().map_into_right_body()),
        None => response.map_into_left_body(),
    }
}
