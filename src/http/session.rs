//! The session cookie: reading, setting and deleting it.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time},
    http::header::{self, HeaderValue},
    web,
};

use super::{audit, origin::PublicOrigin};
use crate::{
    accounts::{self, Accounts, Browser, Session, Token},
    base::{client_address::client_address, ids::UserId},
};

/// Contains only the session's token.
pub const COOKIE: &str = "runboard_session";

/// The cookie's name over https. A browser accepts this prefix only from the host itself over https, so no
/// other host of the domain can set it. [`COOKIE`] is ignored there: another host could have set it, and a
/// visitor would work in that host's account.
pub const HOST_COOKIE: &str = "__Host-runboard_session";

/// The session token in the request, valid or not.
#[must_use]
pub fn token(request: &HttpRequest) -> Option<Token> {
    let origin = request.app_data::<web::Data<PublicOrigin>>();
    let name = origin.map_or(COOKIE, |origin| name(origin));
    cookie_values(request, name).find_map(Token::parse)
}

/// Whether the request has a session cookie, whatever its value.
#[must_use]
pub fn has_cookie(request: &HttpRequest) -> bool {
    [HOST_COOKIE, COOKIE].into_iter().any(|name| cookie_values(request, name).next().is_some())
}

/// The values of the cookies named `name`, searched in the header itself: parsing all cookies costs a poll
/// more than finding its import. Other cookies may contain any bytes, and another host can add one of the
/// same name.
fn cookie_values<'r>(request: &'r HttpRequest, name: &'static str) -> impl Iterator<Item = &'r str> {
    let headers = request.headers().get_all(header::COOKIE).map(HeaderValue::as_bytes);
    let pairs = headers.flat_map(|header| header.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let values = pairs.filter_map(move |pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.filter_map(|value| std::str::from_utf8(value).ok())
}

/// The session of the request, if it has one.
pub async fn current(request: &HttpRequest, accounts: &Accounts) -> Result<Option<Session>, accounts::Error> {
    match token(request) {
        Some(token) => accounts.session(&token, client_address(request)).await,
        None => Ok(None),
    }
}

/// Begins a session of `user`, ends the browser's previous one, and redirects to `location`.
pub async fn begin(
    request: &HttpRequest,
    accounts: &Accounts,
    origin: &PublicOrigin,
    user: UserId,
    location: &str,
) -> Result<HttpResponse, accounts::Error> {
    Ok(replace(request, accounts, origin, user, location).await?.0)
}

/// As [`begin`]; also returns the token of the new session. There is none if the account was disabled in the
/// meantime.
pub async fn replace(
    request: &HttpRequest,
    accounts: &Accounts,
    origin: &PublicOrigin,
    user: UserId,
    location: &str,
) -> Result<(HttpResponse, Option<Token>), accounts::Error> {
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let browser = Browser { user_agent: user_agent.map(str::to_owned), address: client_address(request) };
    let Some(token) = accounts.begin_session(user, token(request).as_ref(), &browser).await? else {
        return Ok((see_other("/sign-in"), None));
    };
    audit::is_by(request, user);
    let mut cookie = cookie(name(origin), origin, token.expose());
    cookie.set_max_age(time::Duration::seconds(Session::LIFETIME.as_secs().cast_signed()));
    let mut response = see_other(location);
    set(&mut response, &cookie);
    Ok((response, Some(token)))
}

/// Ends the session of the request, deletes its cookie, and redirects to sign-in.
pub async fn end(
    request: &HttpRequest,
    accounts: &Accounts,
    origin: &PublicOrigin,
) -> Result<HttpResponse, accounts::Error> {
    if let Some(session) = current(request, accounts).await? {
        audit::is_by(request, session.user);
    }
    if let Some(token) = token(request) {
        accounts.end_session(&token).await?;
    }
    let mut response = see_other("/sign-in");
    forget(&mut response, origin);
    Ok(response)
}

/// Deletes the cookie of a session that has ended.
pub fn forget(response: &mut HttpResponse, origin: &PublicOrigin) {
    set(response, &removal(name(origin), origin));
}

fn name(origin: &PublicOrigin) -> &'static str {
    if origin.is_https() { HOST_COOKIE } else { COOKIE }
}

/// `Lax`, so that a link from another site finds the person signed in. Requests that change something are
/// guarded by [`super::csrf`].
pub(crate) fn cookie(name: &'static str, origin: &PublicOrigin, value: String) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(origin.is_https())
        .finish()
}

pub(crate) fn removal(name: &'static str, origin: &PublicOrigin) -> Cookie<'static> {
    let mut cookie = cookie(name, origin, String::new());
    cookie.make_removal();
    cookie
}

pub(crate) fn set(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// 303: the client must continue there with GET.
#[must_use]
pub fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn token_in(cookies: &[u8]) -> Option<String> {
        let value = HeaderValue::from_bytes(cookies).unwrap();
        let request = TestRequest::default().insert_header((header::COOKIE, value)).to_http_request();
        token(&request).map(|token| token.expose())
    }

    #[test]
    fn the_token_is_found_beside_whatever_else_a_browser_sends() {
        let good = "qNnv4lXyOXbw-tIyINtVnA06r1Ym5DyGjiU1tCLVhQk";
        let cookie = format!("{COOKIE}={good}");
        for beside in
            ["", "a=1; ", "a=\u{e9}; ", "=x;", "runboard_session=x; ", "__Host-runboard_session=x; "]
        {
            assert_eq!(token_in(format!("{beside}{cookie}").as_bytes()).as_deref(), Some(good), "{beside}");
        }
        assert_eq!(token_in(format!("b=\u{2000}; {cookie} ; c").as_bytes()).as_deref(), Some(good));
        for other in
            [format!("\u{2000}{cookie}"), format!("x{cookie}"), format!("{COOKIE}2={good}"), good.to_owned()]
        {
            assert_eq!(token_in(other.as_bytes()), None, "{other}");
        }
    }
}
