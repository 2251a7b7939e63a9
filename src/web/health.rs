//! `GET /healthz`: alive. `GET /readyz`: able to work.

use actix_web::{HttpResponse, web};

use crate::{inngest::Client, store::Store};

pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("alive\n")
}

/// 200 if the database and the engine answer, else 503 with which one does not.
pub async fn readyz(store: web::Data<Store>, client: web::Data<Client>) -> HttpResponse {
    let database = store.ping().await;
    let engine = client.health().await;
    if let Err(error) = &database {
        tracing::warn!(%error, "not ready: database");
    }
    if let Err(error) = &engine {
        tracing::warn!(%error, "not ready: engine");
    }
    let word = |ok: bool| if ok { "ready" } else { "not answering" };
    let body = format!("database: {}\nengine: {}\n", word(database.is_ok()), word(engine.is_ok()));
    let mut response = if database.is_ok() && engine.is_ok() {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response.content_type("text/plain; charset=utf-8").body(body)
}
