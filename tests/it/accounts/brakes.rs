//! The limits of guessed passwords and of invented accounts, and whom they affect.

use std::time::Instant;

use actix_web::{
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::StatusCode,
    test::TestRequest,
};
use futures_util::future::join_all;
use runboard::base::config::SignUp;

use super::{Answer, Database, LOOPBACK, PASSWORD, app, form, get, password, send};

const OWNER: &str = "ada@example.org";

fn sign_in(from: &str, email: &str, password: &str) -> TestRequest {
    form("/sign-in", email, password).peer_addr(format!("{from}:4711").parse().unwrap())
}

/// The answers to `count` wrong passwords.
async fn guesses(
    app: &impl Service<
        actix_http::Request,
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
    >,
    from: &str,
    email: &str,
    count: usize,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    for guess in 0..count {
        answers.push(send(app, sign_in(from, email, &format!("guess {guess}"))).await);
    }
    answers
}

/// Sends wrong passwords until one is refused, and then the right one before it could pass. Returns the answer to that.
/// `attempt` makes the request of this number with this password.
async fn refused(
    app: &impl Service<
        actix_http::Request,
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
    >,
    attempt: impl Fn(u64, &str) -> TestRequest,
) -> Answer {
    loop {
        let (start, mut passed) = (Instant::now(), 0);
        let (asked_at, refused) = loop {
            let asked_at = Instant::now();
            let answer = send(app, attempt(passed, &format!("guess {passed}"))).await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                break (asked_at, answer);
            }
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
            passed += 1;
        };
        // One comes back each minute, and the passwords may take long.
        let came_back = start.elapsed().as_secs() / 60;
        assert!((10..=10 + came_back).contains(&passed), "{passed} passed, and {came_back} came back");
        let wait: u64 = refused.retry_after.as_deref().unwrap().parse().unwrap();
        let right = send(app, attempt(passed, PASSWORD)).await;
        let is_in_time = asked_at.elapsed().as_secs() + 1 < wait;
        if is_in_time || right.status == StatusCode::TOO_MANY_REQUESTS {
            return right;
        }
        // One has come back since, so that the right one was let through and has cleared the others.
    }
}

#[actix_web::test]
async fn after_ten_wrong_passwords_an_address_waits_a_minute_and_the_owner_elsewhere_does_not() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add(OWNER.parse().unwrap(), password(PASSWORD)).await.unwrap();
    let right = refused(&app, |_, password| sign_in("203.0.113.9", OWNER, password)).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "the right one waits too");
    let wait: u64 = right.retry_after.as_deref().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(right.body.contains("Too many attempts. Try again in"), "{}", right.body);

    assert!(send(&app, sign_in("192.0.2.1", OWNER, PASSWORD)).await.leads_to("/"), "the owner, elsewhere");
}

#[actix_web::test]
async fn a_session_goes_on_while_its_account_is_guessed_at() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add(OWNER.parse().unwrap(), password(PASSWORD)).await.unwrap();
    let session = send(&app, sign_in("203.0.113.9", OWNER, PASSWORD)).await.session();
    let right = refused(&app, |_, password| sign_in("203.0.113.9", OWNER, password)).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(send(&app, get("/").cookie(session)).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn the_right_password_takes_wrong_ones_back() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add(OWNER.parse().unwrap(), password(PASSWORD)).await.unwrap();
    for _ in 0..2 {
        guesses(&app, "203.0.113.9", OWNER, 9).await;
        assert!(send(&app, sign_in("203.0.113.9", OWNER, PASSWORD)).await.leads_to("/"));
    }
}

#[actix_web::test]
async fn an_address_has_thirty_attempts_however_many_accounts_it_invents() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add(OWNER.parse().unwrap(), password(PASSWORD)).await.unwrap();
    // Concurrent attempts from different addresses of one /64: they are counted before a password is checked.
    let attempts = (0..60).map(|invented| {
        let from = format!("[2001:db8:1:2::{invented:x}]");
        send(&app, sign_in(&from, &format!("eve{invented}@example.org"), "guess"))
    });
    let answers = join_all(attempts).await;
    let refused: Vec<_> =
        answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).collect();
    // One attempt becomes available every two seconds.
    assert!((20..=30).contains(&refused.len()), "{}", refused.len());
    assert!(refused.iter().all(|answer| answer.retry_after.is_some()), "{refused:?}");
    let next_network = send(&app, sign_in("[2001:db8:1:3::1]", OWNER, PASSWORD)).await;
    assert!(next_network.leads_to("/"), "{next_network:?}");
}

/// Each network has thirty attempts, and one party can have many networks.
#[actix_web::test]
async fn one_party_with_many_networks_keeps_nobody_from_signing_in() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add(OWNER.parse().unwrap(), password(PASSWORD)).await.unwrap();
    let attempts = (0..200).map(|network| {
        let from = format!("[2001:db8:1:{network:x}::1]");
        send(&app, sign_in(&from, "eve@example.org", "guess"))
    });
    // Queued behind all of the attempts.
    let owner = send(&app, sign_in("[2001:db8:2::1]", OWNER, PASSWORD));
    let (answers, owner) = tokio::join!(join_all(attempts), owner);
    let busy = answers.iter().filter(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE).count();
    assert!(busy >= 100, "{busy} are refused");
    assert!(owner.leads_to("/"), "{owner:?}");
}

#[actix_web::test]
async fn a_network_makes_ten_accounts_an_hour() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::Open, LOOPBACK).await;
    let app = app(&accounts, None).await;
    let sign_up = |from: &str, name: usize| {
        form("/sign-up", &format!("person{name}@example.org"), PASSWORD)
            .peer_addr(format!("{from}:4711").parse().unwrap())
    };
    let start = Instant::now();
    for name in 0..10 {
        assert!(send(&app, sign_up("203.0.113.9", name)).await.leads_to("/"), "{name}");
    }
    let refused = send(&app, sign_up("203.0.113.9", 10)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.retry_after.is_some());
    // Of the six minutes some have passed on a slow machine.
    let fewest = 6 - start.elapsed().as_secs() / 60;
    let says = |minutes| refused.body.contains(&format!("Try again in {minutes} minutes."));
    assert!((fewest..=6).any(says), "at least {fewest}: {}", refused.body);
    assert!(send(&app, sign_up("203.0.113.10", 10)).await.leads_to("/"), "others are not held up");
    assert_eq!(accounts.list().await.unwrap().len(), 11);
}

#[actix_web::test]
async fn behind_a_trusted_proxy_visitors_are_told_apart_and_elsewhere_nobody_can_pretend() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add(OWNER.parse().unwrap(), password(PASSWORD)).await.unwrap();
    let through = |proxy: &str, visitor: &str, password: &str| {
        sign_in(proxy, OWNER, password).insert_header(("x-forwarded-for", visitor.to_owned()))
    };
    // The guesser's own entry stands left of the proxy's.
    let forged = |guess: u64| format!("192.0.2.{guess}, 203.0.113.9");
    let right = refused(&app, |guess, password| through("10.0.0.1", &forged(guess), password)).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(send(&app, through("10.0.0.1", "198.51.100.7", PASSWORD)).await.leads_to("/"));

    let pretended = |guess: u64| format!("192.0.2.{guess}");
    let right = refused(&app, |guess, password| through("203.0.113.200", &pretended(guess), password)).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "no trusted proxy: its own address counts");
}
