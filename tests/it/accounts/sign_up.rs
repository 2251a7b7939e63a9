//! Who may create an account, and when.

use actix_web::{http::StatusCode, test::TestRequest};
use futures_util::future::join_all;
use runboard::{
    base::{config::SignUp, ids::UserId, time::UnixMillis},
    store::accounts::NewAccount,
};

use super::{Database, EVERYWHERE, LOOPBACK, PASSWORD, app, form, get, send};

#[actix_web::test]
async fn the_first_minute_leads_to_sign_up_and_the_account_is_in() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;

    assert!(send(&app, get("/")).await.leads_to("/sign-up"));
    assert!(send(&app, get("/sign-in")).await.leads_to("/sign-up"));
    let page = send(&app, get("/sign-up")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.body.contains(r#"name="email""#) && page.body.contains(r#"name="password""#),
        "{}",
        page.body
    );

    assert!(page.body.contains("Its owner is the admin"), "{}", page.body);

    // No account exists to sign in with.
    let refused = send(&app, form("/sign-up", "ada@example.org", "short")).await;
    for body in [&page.body, &refused.body] {
        assert!(body.contains("<form") && !body.contains("/sign-in"), "{body}");
    }

    let answer = send(&app, form("/sign-up", " Ada@Example.org", PASSWORD)).await;
    assert!(answer.leads_to("/"), "{answer:?}");
    let dashboard = send(&app, get("/").cookie(answer.session())).await;
    assert_eq!((dashboard.status, dashboard.body.as_str()), (StatusCode::OK, "ada@example.org"));
    assert!(send(&app, get("/sign-up").cookie(answer.session())).await.leads_to("/"));
    assert!(send(&app, get("/sign-in").cookie(answer.session())).await.leads_to("/"));
}

#[actix_web::test]
async fn only_the_first_account_can_be_made_first() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    assert!(send(&app, form("/sign-up", "ada@example.org", PASSWORD)).await.leads_to("/"));

    let second = send(&app, form("/sign-up", "eve@example.org", PASSWORD)).await;
    assert_eq!(second.status, StatusCode::FORBIDDEN);
    assert!(second.cookie.is_none());
    assert!(!second.body.contains("<form"), "there is nothing to fill in: {}", second.body);
    assert!(second.body.contains("Have an account? <a href=\"/sign-in\">"), "{}", second.body);
    assert_eq!(send(&app, get("/sign-up")).await.status, StatusCode::FORBIDDEN);
    assert!(!send(&app, get("/sign-in")).await.body.contains("/sign-up"));
    assert_eq!(accounts.list().await.unwrap().len(), 1);
}

#[actix_web::test]
async fn of_twenty_first_sign_ups_at_once_one_makes_an_account() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    let sign_ups =
        (0..20).map(|number| send(&app, form("/sign-up", &format!("person{number}@example.org"), PASSWORD)));
    let answers = join_all(sign_ups).await;
    assert_eq!(answers.iter().filter(|answer| answer.leads_to("/")).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::FORBIDDEN).count(), 19);
    assert_eq!(accounts.list().await.unwrap().len(), 1);
}

#[actix_web::test]
async fn of_twenty_inserts_that_all_saw_an_empty_table_one_is_made() {
    let database = Database::new();
    let store = database.open().await;
    let made = join_all((0..20).map(|number| {
        let account = NewAccount {
            id: UserId::generate(),
            email: format!("person{number}@example.org"),
            password_hash: "unused".to_owned(),
            created_at: UnixMillis::now(),
        };
        let store = store.clone();
        async move { store.create_first_account(&account).await.unwrap() }
    }))
    .await;
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
}

#[actix_web::test]
async fn beyond_loopback_the_first_account_needs_the_printed_link() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, EVERYWHERE).await;
    let app = app(&accounts, None).await;

    assert!(send(&app, get("/")).await.leads_to("/sign-up"));
    let without = send(&app, get("/sign-up")).await;
    assert_eq!(without.status, StatusCode::FORBIDDEN);
    assert!(without.body.contains("printed"), "{}", without.body);
    for path in ["/sign-up", "/sign-up?token=", "/sign-up?token=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        let stranger = send(&app, form(path, "eve@example.org", PASSWORD)).await;
        assert_eq!(stranger.status, StatusCode::FORBIDDEN, "{path}");
    }

    let token = accounts.link_token().await.unwrap().unwrap().expose();
    let page = send(&app, get(&format!("/sign-up?token={token}"))).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains(&token), "the form sends it along: {}", page.body);
    let fields = [("email", "ada@example.org"), ("password", "short"), ("token", &token)];
    let refused = send(&app, TestRequest::post().uri("/sign-up").set_form(fields)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains(&token), "the form that came back still has it: {}", refused.body);

    let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("token", &token)];
    assert!(send(&app, TestRequest::post().uri("/sign-up").set_form(fields)).await.leads_to("/"));
    let again = send(&app, form(&format!("/sign-up?token={token}"), "eve@example.org", PASSWORD)).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN, "a one-time link works once");
    assert!(accounts.link_token().await.unwrap().is_none());
}

#[actix_web::test]
async fn the_link_in_the_address_is_enough() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, EVERYWHERE).await;
    let app = app(&accounts, None).await;
    let token = accounts.link_token().await.unwrap().unwrap().expose();
    let answer = send(&app, form(&format!("/sign-up?token={token}"), "ada@example.org", PASSWORD)).await;
    assert!(answer.leads_to("/"), "{answer:?}");
}

#[actix_web::test]
async fn open_lets_anyone_in_once_and_closed_nobody() {
    let database = Database::new();
    let open = database.accounts(SignUp::Open, EVERYWHERE).await;
    let open_door = app(&open, None).await;
    assert!(open.link_token().await.unwrap().is_none());
    let first = "This is the first account here. Its owner is the admin";
    assert!(send(&open_door, get("/sign-up")).await.body.contains(first));
    for email in ["ada@example.org", "grace@example.org"] {
        assert!(send(&open_door, form("/sign-up", email, PASSWORD)).await.leads_to("/"), "{email}");
    }
    assert!(!send(&open_door, get("/sign-up")).await.body.contains("the admin"));
    let taken = send(&open_door, form("/sign-up", "ADA@example.org", PASSWORD)).await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(send(&open_door, get("/sign-in")).await.body.contains("/sign-up"));

    let empty = Database::new();
    let closed = empty.accounts(SignUp::Closed, LOOPBACK).await;
    let closed_door = app(&closed, None).await;
    assert!(send(&closed_door, get("/")).await.leads_to("/sign-in"));
    let refused = send(&closed_door, form("/sign-up", "ada@example.org", PASSWORD)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(closed.list().await.unwrap().is_empty());
}
