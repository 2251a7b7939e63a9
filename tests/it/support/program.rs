//! A program that calls the API with a token.

use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};

use super::visitor::Visitor;

#[derive(Clone)]
pub struct Program {
    /// Without a session.
    visitor: Visitor,
    token: String,
    pub token_id: String,
}

impl Program {
    /// A program with a new token of a signed-in visitor.
    pub async fn of(owner: &Visitor, scopes: &[&str]) -> Self {
        let new = json!({ "name": "a test", "scopes": scopes });
        let answer = owner.request(Method::POST, "/api/v1/tokens").json(&new).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        let made: Value = answer.json().await.unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self { visitor: Visitor::new(&owner.origin), token: text("token"), token_id: text("id") }
    }

    /// Its token.
    pub fn secret(&self) -> &str {
        &self.token
    }

    /// The same program with a character too much in its token.
    pub fn mistyped(&self) -> Self {
        Self { token: format!("{}0", self.token), ..self.clone() }
    }

    /// A request without an `Origin`, as programs make it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.visitor.foreign_request(method, path).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }
}

/// The problem details of an answer, whose form is checked.
pub async fn problem(answer: Response) -> Value {
    let (status, url) = (answer.status().as_u16(), answer.url().to_string());
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let id = answer.headers()["x-request-id"].clone();
    let text = answer.text().await.unwrap();
    assert_eq!(
        kind.as_ref().and_then(|kind| kind.to_str().ok()),
        Some("application/problem+json"),
        "{url}: {text}"
    );
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["status"], status, "{url}: {problem}");
    assert_eq!(problem["instance"], id.to_str().unwrap(), "{url}: {problem}");
    for member in ["type", "title", "detail"] {
        assert!(
            problem[member].as_str().is_some_and(|text| !text.is_empty()),
            "{url}: {member} of {problem}"
        );
    }
    problem
}
