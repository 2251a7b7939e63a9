//! Sign-in, and its refusals.

use actix_web::{cookie::Cookie, http::StatusCode, test::TestRequest};
use runboard::{base::config::SignUp, http::session::COOKIE};

use super::{Database, LOOPBACK, PASSWORD, app, form, get, password, send};

#[actix_web::test]
async fn a_refused_form_comes_back_with_the_email_and_without_the_password() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::Open, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add("ada@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();

    let cases = [
        ("/sign-up", "Eve@Example.org", "short12", StatusCode::UNPROCESSABLE_ENTITY),
        ("/sign-up", "eve.example.org", "long enough", StatusCode::UNPROCESSABLE_ENTITY),
        ("/sign-up", "ada@example.org", "long enough", StatusCode::UNPROCESSABLE_ENTITY),
        ("/sign-in", "ada.example.org", "long enough", StatusCode::UNPROCESSABLE_ENTITY),
        ("/sign-in", "ada@example.org", "not her password", StatusCode::UNAUTHORIZED),
        ("/sign-in", "ada@example.org", "", StatusCode::UNAUTHORIZED),
        ("/sign-in", "eve@example.org", "not her password", StatusCode::UNAUTHORIZED),
    ];
    for (path, email, password, status) in cases {
        let answer = send(&app, form(path, email, password)).await;
        assert_eq!(answer.status, status, "{path} {email} {password}");
        assert!(answer.cookie.is_none());
        assert!(answer.body.contains(&format!(r#"value="{email}""#)), "{}", answer.body);
        assert!(answer.body.contains(r#"role="alert""#), "it says why: {}", answer.body);
        assert!(password.is_empty() || !answer.body.contains(password), "{}", answer.body);
    }
    let wrong = send(&app, form("/sign-in", "ada@example.org", "not her password")).await;
    let unknown = send(&app, form("/sign-in", "eve@example.org", "not her password")).await;
    assert_eq!(
        wrong.body.replace("ada@", "eve@"),
        unknown.body,
        "the answer does not reveal who has an account"
    );
    let empty = send(&app, TestRequest::post().uri("/sign-up").set_form([("other", "field")])).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[actix_web::test]
async fn an_error_is_tied_to_the_fields_it_is_about_and_rules_are_said_before_they_are_broken() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::Open, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add("ada@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();
    let fresh = send(&app, get("/sign-up")).await.body;
    assert!(fresh.contains("At least 8 characters."), "{fresh}");
    assert!(input(&fresh, "password").contains(r#"aria-describedby="password-rules""#), "{fresh}");
    assert!(!fresh.contains("aria-invalid"), "{fresh}");
    let forgotten = send(&app, get("/sign-in")).await.body;
    assert!(forgotten.contains("runboard account reset"), "{forgotten}");

    for (path, email, password, wrong) in [
        ("/sign-up", "eve@example.org", "short12", &["password"][..]),
        ("/sign-up", "eve@example.org", "Password1", &["password"]),
        ("/sign-up", "eve.example.org", "long enough", &["email"]),
        ("/sign-in", "eve.example.org", "long enough", &["email"]),
        ("/sign-in", "eve@example.org", "long enough", &["email", "password"]),
    ] {
        let page = send(&app, form(path, email, password)).await.body;
        assert!(page.contains(r#"id="form-error""#), "{page}");
        for field in ["email", "password"] {
            let input = input(&page, field);
            let blamed = input.contains(r#"aria-invalid="true""#);
            assert_eq!(blamed, wrong.contains(&field), "{path} {email} {password}: {input}");
            assert_eq!(blamed, input.contains("form-error"), "{input}");
        }
    }
    let page = send(&app, form("/sign-in", "eve@example.org", "long enough")).await.body;
    assert!(page.contains("Wrong e-mail or password."), "{page}");
}

/// The input element of the field.
fn input<'p>(page: &'p str, name: &str) -> &'p str {
    let is_named = |input: &&str| input.contains(&format!(r#" id="{name}""#));
    page.split("<input").skip(1).filter_map(|rest| rest.split('>').next()).find(is_named).expect(name)
}

#[actix_web::test]
async fn without_a_session_a_page_leads_to_sign_in_and_back_and_a_fragment_answers_401() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add("ada@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();

    let page = send(&app, get("/imports/7?only=failed&x=%C3%BC")).await;
    assert!(page.leads_to("/sign-in?next=%2Fimports%2F7%3Fonly%3Dfailed%26x%3D%25C3%25BC"), "{page:?}");
    let fragment = send(&app, get("/imports/7").insert_header(("hx-request", "true"))).await;
    assert_eq!((fragment.status, fragment.location), (StatusCode::UNAUTHORIZED, None));
    assert!(send(&app, TestRequest::post().uri("/imports")).await.leads_to("/sign-in"));
    for nonsense in ["", "short", &"A".repeat(43), &"A".repeat(4000)] {
        let cookie = Cookie::new(COOKIE, nonsense.to_owned());
        assert!(send(&app, get("/").cookie(cookie)).await.leads_to("/sign-in"), "{nonsense}");
    }
}

#[actix_web::test]
async fn next_survives_a_refusal_and_leads_to_our_own_paths_only() {
    let database = Database::new();
    let accounts = database.accounts(SignUp::First, LOOPBACK).await;
    let app = app(&accounts, None).await;
    accounts.add("ada@example.org".parse().unwrap(), password(PASSWORD)).await.unwrap();

    let refused = send(&app, form("/sign-in?next=%2Fimports%2F7", "ada@example.org", "wrong")).await;
    assert!(refused.body.contains(r#"name="next" value="/imports/7""#), "{}", refused.body);

    let cases = [
        ("/imports/7", "/imports/7"),
        ("/imports/7?only=failed", "/imports/7?only=failed"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\r\nset-cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ];
    for (next, location) in cases {
        let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("next", next)];
        let answer = send(&app, TestRequest::post().uri("/sign-in").set_form(fields)).await;
        assert!(answer.leads_to(location), "{next:?}: {answer:?}");
        let page = send(&app, get("/sign-in?next=//evil.example")).await;
        assert!(!page.body.contains("evil"), "{}", page.body);
    }
}
