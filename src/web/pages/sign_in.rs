//! `GET, POST /sign-in`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use crate::{
    accounts::{Accounts, SignInError},
    web::{error::Error, origin::PublicOrigin, session},
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/sign_in.html")]
pub struct SignInPage {
    /// As it was typed.
    pub email: String,
    /// Why the form came back: a sentence.
    pub error: Option<String>,
    /// One of our own paths, to go on to.
    pub next: Option<String>,
    /// Whether to show the way to sign-up.
    pub sign_up_offered: bool,
    /// Where one signs in: `runboard.example.org`.
    pub host: String,
}

/// `/sign-in?next=`.
#[derive(Deserialize)]
pub struct Query {
    next: Option<String>,
}

/// What the form sends. A field that is missing counts as left empty.
#[derive(Deserialize)]
pub struct Form {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    next: Option<String>,
}

const NOT_AN_EMAIL: &str = "Enter a valid e-mail address.";
const WRONG: &str = "Wrong e-mail or password.";
const TOO_MANY: &str = "Too many attempts. Wait five minutes and try again.";

pub async fn show(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<Query>,
) -> Result<HttpResponse, Error> {
    let next = query.into_inner().next.filter(|path| is_own_path(path));
    if session::current(&request, &accounts).await?.is_some() {
        return Ok(session::see_other(next.as_deref().unwrap_or("/")));
    }
    if accounts.awaits_first().await? {
        return Ok(session::see_other("/sign-up"));
    }
    page(StatusCode::OK, &accounts, &origin, String::new(), next, None)
}

pub async fn submit(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<Query>,
    form: web::Form<Form>,
) -> Result<HttpResponse, Error> {
    let Form { email: typed, password, next } = form.into_inner();
    let next = next.or(query.into_inner().next).filter(|path| is_own_path(path));
    let Ok(email) = typed.parse() else {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return page(status, &accounts, &origin, typed, next, Some(NOT_AN_EMAIL));
    };
    let address = request.peer_addr().map(|peer| peer.ip());
    let (status, error) = match accounts.sign_in(&email, password.into(), address).await {
        Ok(user) => {
            let location = next.as_deref().unwrap_or("/");
            return Ok(session::begin(&request, &accounts, &origin, user, location).await?);
        }
        Err(SignInError::WrongCredentials) => (StatusCode::UNAUTHORIZED, WRONG),
        Err(SignInError::TooManyAttempts) => (StatusCode::TOO_MANY_REQUESTS, TOO_MANY),
        Err(SignInError::Failed(error)) => return Err(error.into()),
    };
    page(status, &accounts, &origin, typed, next, Some(error))
}

fn page(
    status: StatusCode,
    accounts: &Accounts,
    origin: &PublicOrigin,
    email: String,
    next: Option<String>,
    error: Option<&str>,
) -> Result<HttpResponse, Error> {
    let page = SignInPage {
        email,
        error: error.map(str::to_owned),
        next,
        sign_up_offered: accounts.is_open(),
        host: origin.authority().to_owned(),
    };
    Ok(HttpResponse::build(status).content_type(ContentType::html()).body(page.render()?))
}

/// Whether a browser that is sent to `path` stays with us. It reads `//host` as another host, takes
/// `\` for `/`, and skips tabs and line ends; an honest path has its other characters escaped.
fn is_own_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn next_leads_to_our_own_paths_only() {
        for own in ["/", "/imports/01JD", "/imports/01JD?only=failed", "/a//b", "/%5C%5Cevil.example"] {
            assert!(is_own_path(own), "{own}");
        }
        for foreign in [
            "",
            "imports",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\\..\\b",
            "https://evil.example/",
            "javascript:alert(1)",
            " //evil.example",
            "/\t/evil.example",
            "/\r\nSet-Cookie: a=b",
            "/\u{0}",
            "/ü",
        ] {
            assert!(!is_own_path(foreign), "{foreign:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_let_through_stays_on_the_host(path in "[/\\\\.@:?#a\t\n%-]{0,12}") {
            let here = Url::parse("http://127.0.0.1:8080/sign-in").unwrap();
            if is_own_path(&path) {
                let there = here.join(&path).unwrap();
                prop_assert_eq!(there.origin(), here.origin());
            }
        }
    }
}
