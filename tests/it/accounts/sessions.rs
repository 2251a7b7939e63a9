//! The lifetime of sessions, and the attributes of their cookie.

use actix_web::{
    cookie::{Cookie, SameSite, time::Duration},
    http::StatusCode,
    web,
};
use runboard::{
    accounts::{Accounts, Browser, Session, Token},
    base::{config::SignUp, ids::UserId, time::UnixMillis},
    http::session::COOKIE,
    store::sessions::{MOST_SESSIONS, SessionRow},
};
use sha2::{Digest, Sha256};

use super::{Database, LOOPBACK, PASSWORD, app, form, get, own_post, password, send};

fn session_row(account: UserId, created_at: UnixMillis, expires_at: UnixMillis) -> SessionRow {
    SessionRow { account, created_at, expires_at, user_agent: None, address: None, last_seen_at: None }
}

#[actix_web::test]
async fn a_session_outlives_a_restart_and_ends_with_sign_out() {
    let database = Database::new();
    let before = database.accounts(SignUp::First, LOOPBACK).await;
    let session =
        send(&app(&before, None).await, form("/sign-up", "ada@example.org", PASSWORD)).await.session();

    let after = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&after, None).await;
    assert_eq!(send(&app, get("/").cookie(session.clone())).await.status, StatusCode::OK);

    let out = send(&app, own_post("/sign-out", &session)).await;
    assert!(out.leads_to("/sign-in"), "{out:?}");
    let removal = out.cookie.unwrap();
    assert_eq!((removal.value(), removal.max_age()), ("", Some(Duration::ZERO)));
    assert!(send(&app, get("/").cookie(session.clone())).await.leads_to("/sign-in"));
    assert!(send(&app, own_post("/sign-out", &session)).await.leads_to("/sign-in"), "twice is fine");
}

#[actix_web::test]
async fn a_live_session_touches_no_database() {
    let database = Database::new();
    let store = database.open().await;
    let accounts = web::Data::new(Accounts::new(store.clone(), SignUp::First, LOOPBACK.parse().unwrap()));
    let app = app(&accounts, None).await;
    let session = send(&app, form("/sign-up", "ada@example.org", PASSWORD)).await.session();
    assert_eq!(send(&app, get("/").cookie(session.clone())).await.status, StatusCode::OK);

    store.close().await;
    assert_eq!(send(&app, get("/").cookie(session)).await.status, StatusCode::OK);
    let other = send(&app, get("/").cookie(Cookie::new(COOKIE, "A".repeat(43)))).await;
    assert_eq!(other.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(other.body.contains("The database is not answering"), "{}", other.body);
}

#[actix_web::test]
async fn signing_in_again_ends_the_browsers_old_session_and_no_other() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    let elsewhere = send(&app, form("/sign-up", "ada@example.org", PASSWORD)).await.session();
    let old = send(&app, form("/sign-in", "ada@example.org", PASSWORD)).await.session();
    assert_eq!(send(&app, get("/").cookie(old.clone())).await.status, StatusCode::OK);

    let again =
        form("/sign-in", "ada@example.org", PASSWORD).insert_header(("sec-fetch-site", "same-origin"));
    let new = send(&app, again.cookie(old.clone())).await.session();
    assert_ne!(new.value(), old.value());
    assert!(send(&app, get("/").cookie(old)).await.leads_to("/sign-in"));
    assert_eq!(send(&app, get("/").cookie(new)).await.status, StatusCode::OK);
    assert_eq!(send(&app, get("/").cookie(elsewhere)).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn an_operators_reset_ends_all_sessions_and_sets_the_password() {
    let database = Database::new();
    let server = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&server, None).await;
    let session = send(&app, form("/sign-up", "ada@example.org", PASSWORD)).await.session();
    assert_eq!(send(&app, get("/").cookie(session.clone())).await.status, StatusCode::OK);
    server.sweep_sessions().await.unwrap();
    assert_eq!(send(&app, get("/").cookie(session.clone())).await.status, StatusCode::OK, "a live one stays");

    let operator = database.accounts(SignUp::First, LOOPBACK).await;
    assert!(operator.reset(&"ada@example.org".parse().unwrap(), password("battery staple")).await.unwrap());
    assert!(!operator.reset(&"eve@example.org".parse().unwrap(), password("battery staple")).await.unwrap());
    server.sweep_sessions().await.unwrap();
    assert!(send(&app, get("/").cookie(session)).await.leads_to("/sign-in"));
    let old = send(&app, form("/sign-in", "ada@example.org", PASSWORD)).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);
    assert!(send(&app, form("/sign-in", "ada@example.org", "battery staple")).await.leads_to("/"));
}

#[actix_web::test]
async fn an_expired_session_opens_nothing_and_is_swept() {
    let database = Database::new();
    let store = database.open().await;
    let accounts = web::Data::new(Accounts::new(store.clone(), SignUp::First, LOOPBACK.parse().unwrap()));
    let user = accounts.add("ada@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();
    let now = UnixMillis::wall();
    let expired = session_row(user, UnixMillis(0), now);
    let token_hash = hex::encode(Sha256::digest([7; 32]));
    store.create_session(&token_hash, &expired, None).await.unwrap();

    let text = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    assert!(Token::parse(text).is_some());
    let app = app(&accounts, None).await;
    assert!(send(&app, get("/").cookie(Cookie::new(COOKIE, text))).await.leads_to("/sign-in"));
    assert!(store.session(&token_hash).await.unwrap().is_some());
    accounts.sweep_sessions().await.unwrap();
    assert!(store.session(&token_hash).await.unwrap().is_none());
}

/// The case of a system clock that was set back an hour.
#[actix_web::test]
async fn an_account_has_a_hundred_sessions_and_the_oldest_make_room() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let user = accounts.add("ada@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..MOST_SESSIONS + 5 {
        tokens.push(accounts.begin_session(user, None, &Browser::default()).await.unwrap().unwrap());
    }
    let mut open = Vec::new();
    for token in &tokens {
        open.push(accounts.session(token, None).await.unwrap().is_some());
    }
    assert_eq!(open.iter().filter(|open| **open).count(), MOST_SESSIONS as usize);
    assert_eq!(open.last(), Some(&true), "the newest is one of them");
}

#[actix_web::test]
async fn a_session_that_begins_in_the_future_opens_and_is_not_swept() {
    let database = Database::new();
    let store = database.open().await;
    let accounts = web::Data::new(Accounts::new(store.clone(), SignUp::First, LOOPBACK.parse().unwrap()));
    let user = accounts.add("ada@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();
    let begin = UnixMillis::wall().plus(std::time::Duration::from_secs(3_600));
    let ahead = session_row(user, begin, begin.plus(Session::LIFETIME));
    store.create_session(&hex::encode(Sha256::digest([7; 32])), &ahead, None).await.unwrap();
    let cookie = Cookie::new(COOKIE, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");
    accounts.sweep_sessions().await.unwrap();
    let app = app(&accounts, None).await;
    assert_eq!(send(&app, get("/").cookie(cookie)).await.status, StatusCode::OK);
    // The owner can still begin a new session.
    assert!(send(&app, form("/sign-in", "ada@example.org", PASSWORD)).await.leads_to("/"));
}

#[actix_web::test]
async fn the_cookie_is_kept_from_scripts_other_sites_and_plain_connections() {
    for (public_url, secure) in [(None, None), (Some("https://runboard.example.org"), Some(true))] {
        let database = Database::new();
        let accounts = database.accounts(SignUp::First, LOOPBACK).await;
        let app = app(&accounts, public_url).await;
        let cookie = send(&app, form("/sign-up", "ada@example.org", PASSWORD)).await.cookie.unwrap();
        let name = if secure.is_some() { "__Host-runboard_session" } else { "runboard_session" };
        assert_eq!(cookie.name(), name);
        assert_eq!(cookie.http_only(), Some(true));
        assert_eq!(cookie.same_site(), Some(SameSite::Lax));
        assert_eq!(cookie.path(), Some("/"));
        assert_eq!(cookie.domain(), None);
        assert_eq!(cookie.max_age(), Some(Duration::days(30)));
        assert_eq!(cookie.secure(), secure, "{public_url:?}");
        assert_eq!(cookie.value().len(), 43, "256 bits in base64");
    }
}

/// Another host of the domain can set a cookie of the plain name.
#[actix_web::test]
async fn over_https_a_cookie_that_another_host_can_set_opens_nothing() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::Open, LOOPBACK).await;
    let over_https = app(&accounts, Some("https://runboard.example.org")).await;
    let own = send(&over_https, form("/sign-up", "eve@example.org", PASSWORD)).await.session();
    assert_eq!(own.name(), "__Host-runboard_session");
    let planted = Cookie::new(COOKIE, own.value().to_owned());
    assert!(send(&over_https, get("/").cookie(planted.clone())).await.leads_to("/sign-in"));
    // Signing in also leaves the session of that cookie alone.
    let sign_up = form("/sign-up", "mira@example.org", PASSWORD).cookie(planted);
    let mira = send(&over_https, sign_up.insert_header(("sec-fetch-site", "same-origin"))).await.session();
    assert_eq!(send(&over_https, get("/").cookie(mira)).await.body, "mira@example.org");
    assert_eq!(send(&over_https, get("/").cookie(own)).await.body, "eve@example.org");
}

#[actix_web::test]
async fn the_last_use_of_a_session_is_written_at_most_once_a_minute() {
    let database = Database::new();
    let store = database.open().await;
    let accounts = Accounts::new(store.clone(), SignUp::First, LOOPBACK.parse().unwrap());
    let user = accounts.add("ada@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();
    let token = Token::parse("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc").unwrap();
    let row = hex::encode(Sha256::digest([7; 32]));
    let written = async || store.session(&row).await.unwrap().unwrap().0;
    let now = UnixMillis::wall();
    let of_the_day_before = session_row(user, UnixMillis(1), now.plus(Session::LIFETIME));
    assert!(store.create_session(&row, &of_the_day_before, None).await.unwrap());

    let address = Some("192.0.2.7".parse().unwrap());
    assert!(accounts.session(&token, address).await.unwrap().is_some());
    assert_eq!(written().await.last_seen_at, None, "a request writes nothing");
    accounts.sweep_sessions().await.unwrap();
    assert!(written().await.last_seen_at.unwrap() >= now);
    assert_eq!(written().await.address.as_deref(), Some("192.0.2.7"));

    let tables = crate::support::database::pool(database.folder.path()).await;
    sqlx::query("UPDATE session SET last_seen_at = 2").execute(&tables).await.unwrap();
    assert!(accounts.session(&token, address).await.unwrap().is_some());
    accounts.sweep_sessions().await.unwrap();
    assert_eq!(written().await.last_seen_at, Some(UnixMillis(2)), "it was written less than a minute ago");
    let listed = accounts.sessions(user, &token).await.unwrap();
    assert!(listed[0].is_own && listed[0].last_seen_at >= now, "the memory knows better: {listed:?}");
}
