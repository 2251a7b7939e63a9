//! The OpenAPI document, its page, and the running program as schemathesis sees it.

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use reqwest::{Method, StatusCode, header};
use runboard::http::api_reference::PROBLEMS;
use serde_json::Value;

use crate::{
    routes::API_ROUTES,
    support::{
        binary::{Binary, runboard},
        program::Program,
        spawn_app,
        visitor::Visitor,
    },
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[tokio::test]
async fn the_document_describes_every_route_and_nothing_else() {
    let app = spawn_app().await;
    let answer = app.visitor().get("/api/v1/openapi.json").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().contains_key(header::ETAG));
    let document: Value = answer.json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(document["servers"][0]["url"], "/api/v1");
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
            methods.map(move |method| format!("{method} /api/v1{path}"))
        })
        .collect();
    let table: BTreeSet<String> =
        API_ROUTES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(described, table);
    // Each reference leads somewhere, and each answer with a body says what it is.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name} is no plain name");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            for status in ["500", "503"] {
                assert!(
                    responses.contains_key(status) || path == "/openapi.json",
                    "{method} {path}: {status}"
                );
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn the_page_shows_the_document_and_every_problem() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let page = owner.get("/api").await.text().await.unwrap();
    for (method, path, _) in &API_ROUTES {
        let route = format!("{method} {}", path.strip_prefix("/api/v1").unwrap());
        assert!(page.contains(&route), "{route}");
    }
    for problem in PROBLEMS {
        assert!(page.contains(&format!("id=\"{}\"", problem.name)), "{}", problem.name);
    }
    for said in ["Idempotency-Key", "stateText", "A token needs the scope", "application/problem+json"] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "no other host");
    let account = owner.get("/account").await.text().await.unwrap();
    assert!(account.contains("href=\"/api\""), "the account page leads there");
    app.stop().await;
}

/// The names of problems are in the code that makes them.
#[test]
fn every_problem_that_the_code_names_is_described() {
    let source = |file: &str| std::fs::read_to_string(Path::new(ROOT).join("src/http").join(file)).unwrap();
    let between = |text: &str, from: &str, to: &str| {
        let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{from}"));
        rest.split_once(to).unwrap_or_else(|| panic!("{to}")).0.to_owned()
    };
    let code = [
        between(&source("error.rs"), "fn kind(", "\n    }"),
        between(&source("problem.rs"), "let (kind, title) = match self {", "};"),
        between(&source("upload/error.rs"), "pub fn kind(", "\n    }"),
        source("csrf.rs"),
    ]
    .concat();
    let is_name = |text: &&str| {
        text.len() > 3
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            && !text.contains("sec-")
    };
    let named: BTreeSet<&str> = code.split('"').skip(1).step_by(2).filter(is_name).collect();
    let named: BTreeSet<&str> = named
        .into_iter()
        .filter(|name| !["none", "origin", "same-origin", "same-site"].contains(name))
        .collect();
    let described: BTreeSet<&str> = PROBLEMS.iter().map(|problem| problem.name).collect();
    assert_eq!(named, described);
}

/// schemathesis makes requests from the document, right ones and wrong ones, and judges each answer by it.
#[tokio::test]
async fn the_running_program_keeps_what_its_document_promises() {
    let tool = Path::new(ROOT).join("target/schemathesis/bin/schemathesis");
    assert!(tool.is_file(), "schemathesis is missing. `make setup` installs it.");
    let data = tempfile::tempdir().unwrap();
    let server = Binary::start(
        runboard(data.path())
            .env("RUNBOARD_SIGN_UP", "open")
            .env("RUNBOARD_API_RATE", "1000000")
            .env("RUNBOARD_ENGINE_RETRY_SECONDS", "0.1")
            .env("RUST_LOG", "error"),
    );
    let mut owner = Visitor::new(&server.origin);
    owner.sign_up("mira@example.org").await;
    let program = Program::of(&owner, &["read", "import", "tokens"]).await;
    let mut imports = Vec::new();
    for name in ["orders.csv", "deleted.csv"] {
        let import = owner.upload(name, "a;b\n1;2\n3\n").await;
        owner.wait_for_state(&import, "Completed").await;
        imports.push(import.rsplit('/').next().unwrap().to_owned());
    }
    let mut command = Command::new(tool);
    command
        .current_dir(data.path())
        .args(["--config-file", &format!("{ROOT}/tests/schemathesis/schemathesis.toml"), "--no-color", "run"])
        .arg(format!("{}/api/v1/openapi.json", server.origin))
        .args(["--header", &format!("Authorization: Bearer {}", program.secret())])
        .env("HYPOTHESIS_STORAGE_DIRECTORY", data.path())
        .env("RUNBOARD_IMPORT", &imports[0])
        .env("RUNBOARD_DELETED_IMPORT", &imports[1])
        .env("NO_PROXY", "127.0.0.1");
    let running = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = tokio::time::timeout(Duration::from_secs(300), running).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("Test cases:"), "{told}");
    // It is as well as before.
    let again = program.request(Method::GET, "/api/v1/me").send().await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
}
