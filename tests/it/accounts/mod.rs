//! The HTTP interface of accounts: sign-up, sign-in, sign-out, and access.

mod brakes;
mod replicas;
mod same_origin;
mod sessions;
mod sign_in;
mod sign_up;

use std::net::SocketAddr;

use actix_http::Request;
use actix_web::{
    App, HttpResponse,
    body::{MessageBody, to_bytes},
    cookie::Cookie,
    dev::{Service, ServiceResponse},
    http::{StatusCode, header},
    middleware::from_fn,
    test::{TestRequest, init_service},
    web,
};
use runboard::{
    accounts::{Accounts, Password},
    base::config::{SignUp, TrustedProxies},
    http::{
        csrf::refuse_cross_site,
        origin::PublicOrigin,
        principal::Principal,
        session::{COOKIE, HOST_COOKIE},
    },
    store::Store,
    web::pages,
};
use tempfile::TempDir;
use url::Url;

use crate::support::database;

const LOOPBACK: &str = "127.0.0.1:8080";
const EVERYWHERE: &str = "0.0.0.0:8080";
const PASSWORD: &str = "correct horse";

struct Database {
    folder: TempDir,
}

impl Database {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    async fn open(&self) -> Store {
        Store::open(&database::url(self.folder.path())).await.unwrap()
    }

    /// New accounts over the same database, as after a restart.
    async fn accounts(&self, sign_up: SignUp, listen: &str) -> web::Data<Accounts> {
        web::Data::new(Accounts::new(self.open().await, sign_up, listen.parse().unwrap()))
    }
}

/// The routes of accounts, and simple handlers for a page, a fragment and a form that need a session.
async fn app(
    accounts: &web::Data<Accounts>,
    public_url: Option<&str>,
) -> impl Service<Request, Response = ServiceResponse<impl MessageBody>, Error = actix_web::Error> {
    let own = async |who: Principal| HttpResponse::Ok().body(who.email.to_string());
    let listen: SocketAddr = LOOPBACK.parse().unwrap();
    let public_url = public_url.map(|url| Url::parse(url).unwrap());
    init_service(
        App::new()
            .app_data(accounts.clone())
            .app_data(web::Data::new("10.0.0.0/8".parse::<TrustedProxies>().unwrap()))
            .app_data(web::Data::new(PublicOrigin::new(public_url.as_ref(), listen)))
            .wrap(from_fn(refuse_cross_site))
            .route("/sign-up", web::get().to(pages::sign_up::show))
            .route("/sign-up", web::post().to(pages::sign_up::submit))
            .route("/sign-in", web::get().to(pages::sign_in::show))
            .route("/sign-in", web::post().to(pages::sign_in::submit))
            .route("/sign-out", web::post().to(pages::sign_out::submit))
            .route("/", web::get().to(own))
            .route("/imports/{id}", web::get().to(own))
            .route("/imports", web::post().to(own)),
    )
    .await
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    location: Option<String>,
    cookie: Option<Cookie<'static>>,
    retry_after: Option<String>,
    body: String,
}

impl Answer {
    /// The session that it began.
    fn session(&self) -> Cookie<'static> {
        let cookie = self.cookie.as_ref().unwrap_or_else(|| panic!("no session in {self:?}"));
        Cookie::new(cookie.name().to_owned(), cookie.value().to_owned())
    }

    fn leads_to(&self, location: &str) -> bool {
        self.status == StatusCode::SEE_OTHER && self.location.as_deref() == Some(location)
    }
}

async fn send(
    app: &impl Service<Request, Response = ServiceResponse<impl MessageBody>, Error = actix_web::Error>,
    request: TestRequest,
) -> Answer {
    let response = app.call(request.to_request()).await.unwrap_or_else(|error| panic!("{error}"));
    let header = |name| response.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
    let (location, retry_after) = (header(header::LOCATION), header(header::RETRY_AFTER));
    let cookie = session_cookie(response.response());
    let status = response.status();
    let Ok(body) = to_bytes(response.into_body()).await else { panic!("the body broke off") };
    Answer { status, location, cookie, retry_after, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// The session's cookie, or its removal if the answer only removes it.
fn session_cookie<B>(response: &HttpResponse<B>) -> Option<Cookie<'static>> {
    let of_sessions = response.cookies().filter(|it| [COOKIE, HOST_COOKIE].contains(&it.name()));
    of_sessions.min_by_key(|it| it.value().is_empty()).map(Cookie::into_owned)
}

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

fn form(path: &str, email: &str, password: &str) -> TestRequest {
    TestRequest::post().uri(path).set_form([("email", email), ("password", password)])
}

/// A post as a browser sends it from our own page.
fn own_post(path: &str, session: &Cookie<'static>) -> TestRequest {
    TestRequest::post().uri(path).insert_header(("sec-fetch-site", "same-origin")).cookie(session.clone())
}

fn password(text: &str) -> Password {
    Password::try_from(secrecy::SecretString::from(text)).unwrap()
}
