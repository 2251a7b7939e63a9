//! The route tables: the routes that need a session or a token are requested without one, and those of an import as
//! a stranger.

use clap::Parser;
use reqwest::{Method, StatusCode, header};
use runboard::base::config::{Args, Config};

use crate::support::{
    program::{Program, problem},
    spawn_app, spawn_app_on,
    visitor::Visitor,
};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    Anybody,
    /// A page: without a session it redirects to sign-in.
    SignedIn,
    /// The same, for the owner of the import only.
    Owner,
    /// The same, for an admin only.
    Admin,
}

/// Every route; `{id}` is an import. A route that `src/app/routes.rs` mounts and this table lacks fails a
/// test.
const ROUTES: [(Method, &str, For); 67] = [
    (Method::GET, "/healthz", For::Anybody),
    (Method::GET, "/readyz", For::Anybody),
    (Method::GET, "/assets/{hash}/{name}", For::Anybody),
    (Method::GET, "/favicon.ico", For::Anybody),
    (Method::GET, "/files/{import}", For::Anybody),
    (Method::GET, "/sign-up", For::Anybody),
    (Method::POST, "/sign-up", For::Anybody),
    (Method::GET, "/sign-in", For::Anybody),
    (Method::POST, "/sign-in", For::Anybody),
    (Method::POST, "/sign-out", For::Anybody),
    (Method::GET, "/account", For::SignedIn),
    (Method::POST, "/account/sessions/end", For::SignedIn),
    (Method::GET, "/account/password", For::SignedIn),
    (Method::POST, "/account/password", For::SignedIn),
    (Method::GET, "/account/email", For::SignedIn),
    (Method::POST, "/account/email", For::SignedIn),
    (Method::POST, "/account/mail", For::SignedIn),
    (Method::GET, "/account/tokens", For::SignedIn),
    (Method::POST, "/account/tokens", For::SignedIn),
    (Method::GET, "/account/tokens/{token}/end", For::SignedIn),
    (Method::POST, "/account/tokens/{token}/end", For::SignedIn),
    (Method::GET, "/account/webhook", For::SignedIn),
    (Method::POST, "/account/webhook", For::SignedIn),
    (Method::POST, "/account/webhook/end", For::SignedIn),
    (Method::POST, "/account/webhook/secret", For::SignedIn),
    (Method::POST, "/account/webhook/test", For::SignedIn),
    (Method::POST, "/account/webhook/deliveries/{delivery}/send-again", For::SignedIn),
    (Method::GET, "/account/export.zip", For::SignedIn),
    (Method::GET, "/account/delete", For::SignedIn),
    (Method::POST, "/account/delete", For::SignedIn),
    (Method::GET, "/api", For::SignedIn),
    (Method::GET, "/forgot", For::Anybody),
    (Method::POST, "/forgot", For::Anybody),
    (Method::GET, "/reset", For::Anybody),
    (Method::POST, "/reset", For::Anybody),
    (Method::GET, "/admin", For::Admin),
    (Method::POST, "/admin/invitations", For::Admin),
    (Method::POST, "/admin/invitations/end", For::Admin),
    (Method::POST, "/admin/accounts/{account}/reset-link", For::Admin),
    (Method::POST, "/admin/accounts/{account}/disable", For::Admin),
    (Method::POST, "/admin/accounts/{account}/enable", For::Admin),
    (Method::POST, "/admin/mail/test", For::Admin),
    (Method::POST, "/admin/mail/reset-link", For::Admin),
    (Method::GET, "/", For::SignedIn),
    (Method::GET, "/live", For::SignedIn),
    (Method::GET, "/imports", For::SignedIn),
    (Method::POST, "/imports", For::SignedIn),
    (Method::GET, "/sample.csv", For::SignedIn),
    (Method::POST, "/imports/sample", For::SignedIn),
    (Method::GET, "/imports/{id}", For::Owner),
    (Method::GET, "/imports/{id}/panel", For::Owner),
    (Method::POST, "/imports/{id}/cancel", For::Owner),
    (Method::POST, "/imports/{id}/retry", For::Owner),
    (Method::POST, "/imports/{id}/start", For::Owner),
    (Method::GET, "/imports/{id}/rows", For::Owner),
    (Method::GET, "/imports/{id}/delete", For::Owner),
    (Method::POST, "/imports/{id}/delete", For::Owner),
    (Method::GET, "/imports/{id}/processed.csv", For::Owner),
    (Method::GET, "/imports/{id}/failed.csv", For::Owner),
    (Method::GET, "/imports/{id}/runs/{run}/output", For::Owner),
    (Method::GET, "/imports/{id}/share", For::Owner),
    (Method::POST, "/imports/{id}/share", For::Owner),
    (Method::POST, "/imports/{id}/share/end", For::Owner),
    (Method::GET, "/shared/{token}", For::Anybody),
    (Method::GET, "/shared/{token}/panel", For::Anybody),
    (Method::GET, "/shared/{token}/processed.csv", For::Anybody),
    (Method::GET, "/shared/{token}/failed.csv", For::Anybody),
];

/// What a caller of the API needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Needs {
    /// It is for anybody.
    Nothing,
    AnyToken,
    Scope(&'static str),
}

/// Every route of the API; `{id}` is an import, and `{token}` a token.
pub const API_ROUTES: [(Method, &str, Needs); 15] = [
    (Method::GET, "/api/v1/openapi.json", Needs::Nothing),
    (Method::GET, "/api/v1/imports", Needs::Scope("read")),
    (Method::GET, "/api/v1/imports/{id}", Needs::Scope("read")),
    (Method::GET, "/api/v1/imports/{id}/processed.csv", Needs::Scope("read")),
    (Method::GET, "/api/v1/imports/{id}/failed.csv", Needs::Scope("read")),
    (Method::GET, "/api/v1/imports/{id}/failures", Needs::Scope("read")),
    (Method::POST, "/api/v1/imports", Needs::Scope("import")),
    (Method::POST, "/api/v1/imports/{id}/cancel", Needs::Scope("import")),
    (Method::POST, "/api/v1/imports/{id}/retry", Needs::Scope("import")),
    (Method::POST, "/api/v1/imports/{id}/start", Needs::Scope("import")),
    (Method::DELETE, "/api/v1/imports/{id}", Needs::Scope("import")),
    (Method::GET, "/api/v1/me", Needs::AnyToken),
    (Method::GET, "/api/v1/tokens", Needs::Scope("tokens")),
    (Method::POST, "/api/v1/tokens", Needs::Scope("tokens")),
    (Method::DELETE, "/api/v1/tokens/{token}", Needs::Scope("tokens")),
];

#[test]
fn the_tables_above_have_every_route_there_is() {
    let app = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/app/routes.rs")).unwrap();
    let (public, api) = app.split_once("fn api(").unwrap();
    let mut mounted: Vec<String> = public
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".route(\""))
        .map(|route| {
            let (path, handler) = route.split_once("\", ").unwrap();
            let method = if handler.starts_with("read()") { "GET" } else { "POST" };
            format!("{method} {path}")
        })
        .collect();
    let mut table: Vec<String> = ROUTES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    table.sort();
    mounted.sort();
    assert_eq!(mounted, table);
    assert!(!public.contains(".service("), "pages are mounted by .route, where this test sees them");

    let (api, _) = api.split_once("\n}").unwrap();
    let mut mounted = Vec::new();
    for resource in api.split("at(").skip(1) {
        let path = resource.split('"').nth(1).unwrap();
        let methods = resource.split("Method::").skip(1).map(|rest| rest.split(',').next().unwrap());
        mounted.extend(methods.map(|method| format!("{method} /api/v1{path}")));
    }
    let mut table: Vec<String> =
        API_ROUTES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    table.sort();
    mounted.sort();
    assert_eq!(mounted, table);
    let hidden = api.matches(".service(").count() - api.matches(".service(at(").count();
    assert_eq!(hidden, 1, "only the scope is mounted without at, where this test sees the rest");
    assert!(!api.contains(".route("), "the API is mounted by at");
}

#[tokio::test]
async fn a_stranger_finds_nothing_of_anothers_import_and_nobody_is_sent_to_sign_in() {
    let app = spawn_app().await;
    walk_as_a_stranger(&app.origin).await;
    app.stop().await;
}

/// Requests all pages of an import as a stranger, and without a session. On a server that nobody has used.
pub async fn walk_as_a_stranger(origin: &str) {
    let mut owner = Visitor::new(origin);
    owner.sign_up("mira@example.org").await;
    let import = owner.upload("mine.csv", "a,b\n1,2\n").await;
    owner.wait_for_state(&import, "Completed").await;
    let mut stranger = Visitor::new(origin);
    stranger.sign_up("eve@example.org").await;
    let nobody = Visitor::new(origin);

    for (method, path, who) in ROUTES.iter().filter(|(.., who)| *who != For::Anybody) {
        let path = path.replace("/imports/{id}", &import);
        for htmx in [false, true] {
            let as_htmx = |request: reqwest::RequestBuilder| {
                if htmx { request.header("HX-Request", "true") } else { request }
            };
            let answer = as_htmx(nobody.request(method.clone(), &path)).send().await.unwrap();
            if htmx {
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "no session, htmx: {method} {path}");
            } else {
                assert_eq!(answer.status(), StatusCode::SEE_OTHER, "no session: {method} {path}");
                let to = answer.headers()[header::LOCATION].to_str().unwrap();
                assert!(to.starts_with("/sign-in"), "no session: {method} {path} leads to {to}");
            }
            if matches!(who, For::Owner | For::Admin) {
                let answer = as_htmx(stranger.request(method.clone(), &path)).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::NOT_FOUND, "a stranger: {method} {path}");
            }
        }
    }
    // The stranger's own pages do not mention it either.
    let id = import.rsplit('/').next().unwrap();
    let page = stranger.get("/").await.text().await.unwrap();
    assert!(!page.contains(id) && !page.contains("mine.csv"), "/");
    // The fragment of the dashboard, which needs the header of htmx.
    for path in ["/live".to_owned(), format!("/live?keep={id}")] {
        let answer = stranger.fragment(&path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let fragment = answer.text().await.unwrap();
        assert!(fragment.contains("data-") && !fragment.contains(id), "{path}: {fragment}");
        assert!(!fragment.contains("mine.csv"), "{path}: {fragment}");
        let own = owner.fragment(&path).await.text().await.unwrap();
        assert!(!path.contains("keep") || own.contains(id), "{path} shows its owner's: {own}");
    }
}

/// The routes of the API with the ids of an import and of a token that belong to one user.
fn api_routes(import: &str, token: &str) -> Vec<(Method, String, Needs)> {
    let import = import.rsplit('/').next().unwrap();
    let path = |path: &str| path.replace("{id}", import).replace("{token}", token);
    let closed = API_ROUTES.iter().filter(|(.., needs)| *needs != Needs::Nothing);
    closed.map(|(method, pattern, needs)| (method.clone(), path(pattern), *needs)).collect()
}

#[tokio::test]
async fn the_api_answers_nobody_without_a_valid_token() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = owner.upload("mine.csv", "a,b\n1,2\n").await;
    owner.wait_for_state(&import, "Completed").await;
    let all = ["read", "import", "tokens"];
    let expired = Program::of(&owner, &all).await;
    app.sql("UPDATE api_token SET expires_at = 1").await;
    let valid = Program::of(&owner, &all).await;
    let ended = Program::of(&owner, &all).await;
    assert_eq!(ended.get("/api/v1/me").await.status(), StatusCode::OK, "it is in use, and so in memory");
    let end = valid.request(Method::DELETE, &format!("/api/v1/tokens/{}", ended.token_id));
    assert_eq!(end.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let mistyped = valid.mistyped();

    for (method, path, _) in api_routes(&import, &valid.token_id) {
        let session = owner.cookie.clone().unwrap();
        for (program, what) in [(&mistyped, "mistyped"), (&ended, "ended"), (&expired, "expired")] {
            let request = || program.request(method.clone(), &path);
            for request in [request(), request().header(header::COOKIE, &session)] {
                let answer = request.send().await.unwrap();
                let challenge = answer.headers().get(header::WWW_AUTHENTICATE).cloned();
                let problem = problem(answer).await;
                assert_eq!(problem["status"], 401, "{what}: {method} {path}: {problem}");
                assert_eq!(problem["type"], "/api#bad-token", "{what}: {method} {path}");
                let challenge = challenge.unwrap();
                let challenge = challenge.to_str().unwrap();
                assert!(
                    challenge.starts_with("Bearer ") && challenge.contains("invalid_token"),
                    "{challenge}"
                );
            }
        }
        let nobody = app.visitor();
        for htmx in [false, true] {
            let request = nobody.request(method.clone(), &path);
            let request = if htmx { request.header("HX-Request", "true") } else { request };
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"Runboard\"");
            let problem = problem(answer).await;
            assert_eq!(problem["status"], 401, "no token: {method} {path}: {problem}");
        }
    }
    assert_eq!(valid.get("/api/v1/me").await.status(), StatusCode::OK, "the others did nothing");
    app.stop().await;
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_only_for_its_owner() {
    let app = spawn_app().await;
    walk_with_tokens(&app.origin).await;
    app.stop().await;
}

/// Requests all routes of the API with tokens that may not use them. On a server that may have accounts.
pub async fn walk_with_tokens(origin: &str) {
    let mut owner = Visitor::new(origin);
    owner.sign_up("owner@example.org").await;
    let import = owner.upload("mine.csv", "a,b\n1,2\n").await;
    owner.wait_for_state(&import, "Completed").await;
    let all = ["read", "import", "tokens"];
    let valid = Program::of(&owner, &all).await;
    let mut eve = Visitor::new(origin);
    eve.sign_up("stranger@example.org").await;
    let stranger = Program::of(&eve, &all).await;

    for (method, path, needs) in api_routes(&import, &valid.token_id) {
        if let Needs::Scope(needed) = needs {
            let others: Vec<&str> = all.into_iter().filter(|scope| *scope != needed).collect();
            let answer =
                Program::of(&owner, &others).await.request(method.clone(), &path).send().await.unwrap();
            let challenge = answer.headers().get(header::WWW_AUTHENTICATE).cloned().unwrap();
            let problem = problem(answer).await;
            assert_eq!(problem["status"], 403, "without {needed}: {method} {path}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains(needed), "{problem}");
            assert!(challenge.to_str().unwrap().contains(&format!("scope=\"{needed}\"")), "{challenge:?}");
        }
        if path.contains(&valid.token_id) || path.contains("/imports/") {
            for request in [stranger.request(method.clone(), &path), eve.request(method.clone(), &path)] {
                let problem = problem(request.send().await.unwrap()).await;
                assert_eq!(problem["status"], 404, "a stranger: {method} {path}: {problem}");
            }
        }
        // With the session's cookie, a page elsewhere changes nothing.
        if method != Method::GET {
            let forged = owner.request(method.clone(), &path).header("Sec-Fetch-Site", "cross-site");
            let problem = problem(forged.send().await.unwrap()).await;
            assert_eq!(
                (&problem["status"], &problem["type"]),
                (&403.into(), &"/api#cross-site".into()),
                "{path}"
            );
        }
    }
    assert_eq!(valid.get("/api/v1/me").await.status(), StatusCode::OK, "the others did nothing");
}

#[tokio::test]
async fn every_answer_carries_a_strict_content_policy() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    for path in ["/", "/sign-in", "/nothing/here", "/live", "/healthz", "/imports/not-an-id"] {
        let answer = visitor.get(path).await;
        let policy = answer.headers().get(header::CONTENT_SECURITY_POLICY).expect(path).to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-"), "{path}: {policy}");
        for name in [
            "permissions-policy",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
            "x-request-id",
        ] {
            assert_eq!(answer.headers().get_all(name).iter().count(), 1, "{path}: {name}");
        }
        assert_eq!(answer.headers().get(header::STRICT_TRANSPORT_SECURITY), None, "{path}: it came by http");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_request_from_another_site_changes_nothing() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("mine.csv", "a,b\n1,2\n").await;
    let own =
        ["cancel", "retry", "start", "delete", "share", "share/end"].map(|what| format!("{import}/{what}"));
    let of_the_account = ROUTES.iter().filter(|(method, path, _)| {
        *method == Method::POST && (path.starts_with("/account") || path.starts_with("/admin"))
    });
    let of_the_account = of_the_account.map(|(_, path, _)| (*path).to_owned());
    for path in ["/sign-out", "/imports"].map(str::to_owned).into_iter().chain(of_the_account).chain(own) {
        let answer =
            visitor.request(Method::POST, &path).header("Sec-Fetch-Site", "cross-site").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(visitor.get("/").await.status(), StatusCode::OK, "still signed in");
    app.stop().await;
}

/// The path at which Inngest calls us is configurable and mounted outside the table. It answers neither
/// visitors nor sessions, only signed requests.
#[tokio::test]
async fn the_functions_answer_nobody_without_a_signature_and_only_where_inngest_runs_them() {
    let args = [
        "runboard",
        "--listen=127.0.0.1:0",
        "--public-url=http://127.0.0.1",
        "--inngest-event-key=key",
        "--inngest-signing-key=signkey-test-0123abcd",
        "--inngest-base-url=http://127.0.0.1:9",
    ];
    let config = Config::from_args(&Args::try_parse_from(args).unwrap()).unwrap();
    let on_inngest = spawn_app_on(tempfile::tempdir().unwrap(), |app| app.engine = config.engine).await;
    let embedded = spawn_app().await;
    let call = "/api/inngest?fnId=runboard-process-csv-upload&stepId=step";
    for app in [&on_inngest, &embedded] {
        let user = app.signed_in().await;
        for visitor in [&app.visitor(), &user] {
            for method in [Method::POST, Method::PUT] {
                let answer = visitor.request(method.clone(), call).body("{}").send().await.unwrap();
                let expected = if app.origin == embedded.origin {
                    StatusCode::NOT_FOUND
                } else {
                    StatusCode::UNAUTHORIZED
                };
                assert_eq!(answer.status(), expected, "{method} {call}");
            }
        }
    }
    on_inngest.stop().await;
    embedded.stop().await;
}
