//! `GET, POST /sign-in`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use super::form_error::{FormError, Refusal};
use crate::{
    accounts::Accounts,
    base::client_address::client_address,
    http::{error::Error, origin::PublicOrigin, session},
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/sign_in.html")]
pub struct SignInPage {
    /// The address as it was typed.
    pub email: String,
    /// Why the form was refused.
    pub error: Option<FormError>,
    /// The path to continue to, one of our own.
    pub next: Option<String>,
    /// Whether to link to sign-up.
    pub sign_up_offered: bool,
    /// Whether a link for a new password can be sent by e-mail.
    pub sends_mail: bool,
    /// The host, if it is known: `runboard.example.org`.
    pub host: Option<String>,
}

impl SignInPage {
    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }
}

/// `/sign-in?next=`.
#[derive(Deserialize)]
pub struct SignInQuery {
    next: Option<String>,
}

/// The form's fields. A missing field counts as empty.
#[derive(Deserialize)]
pub struct SignInForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    next: Option<String>,
}

/// The names of the form's fields.
const EMAIL: &str = "email";
const PASSWORD: &str = "password";

pub async fn show(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<SignInQuery>,
) -> Result<HttpResponse, Error> {
    let next = query.into_inner().next.filter(|path| is_own_path(path));
    if session::current(&request, &accounts).await?.is_some() {
        return Ok(session::see_other(next.as_deref().unwrap_or("/")));
    }
    if accounts.awaits_first().await? {
        return Ok(session::see_other("/sign-up"));
    }
    page(&accounts, &origin, String::new(), next, None)
}

pub async fn submit(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    query: web::Query<SignInQuery>,
    form: web::Form<SignInForm>,
) -> Result<HttpResponse, Error> {
    let SignInForm { email: typed, password, next } = form.into_inner();
    let next = next.or(query.into_inner().next).filter(|path| is_own_path(path));
    let refusal = match typed.parse() {
        Ok(email) => match accounts.sign_in(&email, password.into(), client_address(&request)).await {
            Ok(user) => {
                let location = next.as_deref().unwrap_or("/");
                return Ok(session::begin(&request, &accounts, &origin, user, location).await?);
            }
            Err(error) => {
                let wrong = Refusal {
                    status: StatusCode::UNAUTHORIZED,
                    error: FormError::of(&[EMAIL, PASSWORD], "Wrong e-mail or password."),
                    retry_after: None,
                };
                Refusal::of_sign_in(error, wrong)?
            }
        },
        Err(_) => FormError::of(&[EMAIL], "Enter a valid e-mail address.").into(),
    };
    page(&accounts, &origin, typed, next, Some(refusal))
}

fn page(
    accounts: &Accounts,
    origin: &PublicOrigin,
    email: String,
    next: Option<String>,
    refusal: Option<Refusal>,
) -> Result<HttpResponse, Error> {
    let mut response = Refusal::answer(refusal.as_ref());
    let page = SignInPage {
        email,
        error: refusal.map(|refusal| refusal.error),
        next,
        sign_up_offered: accounts.is_open(),
        sends_mail: accounts.mail().is_some(),
        host: origin.host().map(str::to_owned),
    };
    Ok(response.content_type(ContentType::html()).body(page.render()?))
}

/// Whether a browser that is redirected to `path` stays on our host. Browsers read `//host` as another host,
/// treat `\` like `/`, and skip tabs and line ends. Our own paths have all other characters escaped.
pub(super) fn is_own_path(path: &str) -> bool {
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
