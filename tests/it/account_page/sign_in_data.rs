//! Sessions, password and e-mail address.

use reqwest::StatusCode;

use super::{PASSWORD, follow, is_signed_in, refused_with, sign_in, signed_in, text};
use crate::support::{spawn_app, visitor::attributes};

#[tokio::test]
async fn each_session_is_listed_with_its_device_and_address_and_can_be_ended_alone() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let elsewhere = signed_in(&app, "mira@example.org", PASSWORD).await;
    let third = signed_in(&app, "mira@example.org", PASSWORD).await;
    let page = text(&elsewhere, "/account").await;
    assert_eq!(
        page.matches("Firefox on Linux").count(),
        2 + 1,
        "with the name of the other's button: {page}"
    );
    assert!(page.contains("Firefox on Linux <span class=\"quiet\">(this one)"), "{page}");
    assert!(page.contains("127.0.0.1, last seen <time"), "{page}");

    // Newest first: the last one is that of the sign-up.
    let names = attributes(&page, "name=\"session\" value");
    assert_eq!(names.len(), 3, "{page}");
    let answer = elsewhere.post_form("/account/sessions/end", &[("session", &names[2])]).await;
    assert!(follow(&elsewhere, answer).await.contains("Signed out there."));
    assert!(!is_signed_in(&mira).await, "at once, although it was in use");
    assert!(is_signed_in(&third).await && is_signed_in(&elsewhere).await);
    app.stop().await;
}

#[tokio::test]
async fn all_other_sessions_end_at_once_and_ending_the_own_one_signs_out() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let others = [
        signed_in(&app, "mira@example.org", PASSWORD).await,
        signed_in(&app, "mira@example.org", PASSWORD).await,
    ];
    for other in &others {
        assert!(is_signed_in(other).await);
    }
    let answer = mira.post_form("/account/sessions/end", &[]).await;
    assert!(follow(&mira, answer).await.contains("Signed out of 2 other sessions."));
    for other in &others {
        assert!(!is_signed_in(other).await);
    }
    let page = text(&mira, "/account").await;
    assert!(!page.contains("Sign out everywhere else"), "{page}");
    let [own] = attributes(&page, "name=\"session\" value").try_into().unwrap();
    let answer = mira.post_form("/account/sessions/end", &[("session", &own)]).await;
    assert_eq!(answer.headers()["location"], "/sign-in");
    assert!(!is_signed_in(&mira).await);
    app.stop().await;
}

#[tokio::test]
async fn nobody_ends_the_session_of_another() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let [name] = attributes(&text(&mira, "/account").await, "name=\"session\" value").try_into().unwrap();
    for name in [name.as_str(), "", "%", "0"] {
        let answer = eve.post_form("/account/sessions/end", &[("session", name)]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{name:?}");
    }
    assert!(is_signed_in(&mira).await && is_signed_in(&eve).await);
    app.stop().await;
}

#[tokio::test]
async fn another_password_needs_the_present_one_and_ends_every_other_session() {
    let app = spawn_app().await;
    let mut mira = app.signed_in().await;
    let elsewhere = signed_in(&app, "mira@example.org", PASSWORD).await;
    for (present, new, sentence) in [
        ("wrong", "battery staple", "This is not your present password."),
        (PASSWORD, "short", "Choose a password of at least 8 characters."),
        (PASSWORD, "password", "one of the most common passwords"),
        ("", "", "Choose a password of at least 8 characters."),
    ] {
        let answer = mira.post_form("/account/password", &[("present", present), ("new", new)]).await;
        let status = answer.status();
        refused_with(status, &answer.text().await.unwrap(), sentence, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert!(is_signed_in(&elsewhere).await, "a refused form changes nothing");

    let copied = mira.clone();
    let answer =
        mira.post_form("/account/password", &[("present", PASSWORD), ("new", "battery staple")]).await;
    mira.keep_cookie(&answer);
    assert!(follow(&mira, answer).await.contains("The password is changed."));
    assert!(!is_signed_in(&elsewhere).await);
    assert!(!is_signed_in(&copied).await, "a copy of the cookie opens nothing any more");
    assert!(is_signed_in(&mira).await);
    assert_eq!(
        sign_in(&app.visitor(), "mira@example.org", PASSWORD).await.status(),
        StatusCode::UNAUTHORIZED
    );
    signed_in(&app, "mira@example.org", "battery staple").await;
    app.stop().await;
}

#[tokio::test]
async fn the_present_password_can_be_guessed_no_oftener_than_at_sign_in() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    for _ in 0..10 {
        let guess = [("email", "new@example.org"), ("password", "a guess")];
        assert_eq!(mira.post_form("/account/email", &guess).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let answer =
        mira.post_form("/account/password", &[("present", PASSWORD), ("new", "battery staple")]).await;
    assert!(answer.headers().contains_key("retry-after"));
    let status = answer.status();
    let page = answer.text().await.unwrap();
    refused_with(status, &page, "Too many attempts. Try again in", StatusCode::TOO_MANY_REQUESTS);
    app.stop().await;
}

#[tokio::test]
async fn another_email_address_needs_the_password_is_unique_and_takes_effect_at_once() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let elsewhere = signed_in(&app, "mira@example.org", PASSWORD).await;
    assert!(is_signed_in(&elsewhere).await);
    app.visitor().sign_up("eve@example.org").await;
    for (email, password, sentence) in [
        ("nobody", PASSWORD, "Enter a valid e-mail address."),
        ("new@example.org", "wrong", "This is not your password."),
        ("EVE@example.org", PASSWORD, "This e-mail address already has an account."),
    ] {
        let answer = mira.post_form("/account/email", &[("email", email), ("password", password)]).await;
        let status = answer.status();
        let page = answer.text().await.unwrap();
        refused_with(status, &page, sentence, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.contains(&format!("value=\"{email}\"")), "what was typed stays: {page}");
    }
    let new = [("email", " Mira@New.example "), ("password", PASSWORD)];
    let answer = mira.post_form("/account/email", &new).await;
    let page = follow(&mira, answer).await;
    assert!(page.contains("Sign in with mira@new.example from now on."), "{page}");
    assert!(text(&elsewhere, "/account").await.contains("mira@new.example"), "in every session");
    assert_eq!(
        sign_in(&app.visitor(), "mira@example.org", PASSWORD).await.status(),
        StatusCode::UNAUTHORIZED
    );
    signed_in(&app, "mira@new.example", PASSWORD).await;
    app.stop().await;
}
