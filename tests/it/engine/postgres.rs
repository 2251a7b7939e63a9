//! The engine's own SQL on Postgres.

use runboard::inngest::RunStatus;
use serde_json::json;

use super::{registered, trigger};
use crate::{
    function_server::{Answer, Function},
    inngest_api::{Embedded, work},
    support::postgres::Postgres,
};

#[tokio::test]
async fn the_engine_runs_lists_cancels_and_tells_on_postgres() {
    let postgres = Postgres::start();
    let embedded = Embedded::on(&postgres.url, &[]).await;
    let told = |name, event| {
        let told = Function::answering(name, || Answer::output("2"));
        told.on_event(event, "event.data.function_id == '{app}-go'")
    };
    let functions = registered(
        &embedded,
        vec![
            Function::new("go", |received| async move {
                match received.call.ctx.stack.current {
                    0 => Answer::step("one", json!({"rows": 1})),
                    _ => Answer::output("1"),
                }
            }),
            told("finished", "inngest/function.finished"),
            told("cancelled", "inngest/function.cancelled"),
        ],
    )
    .await;
    let again = embedded.api.register(&functions.registration()).await;
    assert_eq!(again.body["modified"], false, "{again:?}");

    let cancelled = trigger(&embedded, &functions, "go").await;
    let run = embedded.api.runs(&cancelled).await.remove(0).run_id;
    assert_eq!(embedded.api.cancel_v2(run.as_str()).await.status, 200);
    assert_eq!(embedded.api.cancel_v2(run.as_str()).await.status, 409);
    let _working = work(&embedded.engine);
    functions.called("cancelled", 1).await;
    functions.called("finished", 1).await;

    let event = trigger(&embedded, &functions, "go").await;
    assert_eq!(embedded.api.ended(&event).await.status, RunStatus::Completed);
    functions.called("finished", 2).await;
    let listed = embedded.api.get_v2_event_runs(&event, "includeOutput=true&limit=1").await;
    assert_eq!((listed.status, &listed.body["data"][0]["output"]), (200, &json!({"data": 1})), "{listed:?}");
    assert!(listed.body["data"][0]["durationMs"].is_string(), "{listed:?}");
    let without = embedded.api.get_v2_event_runs(&event, "").await;
    assert_eq!(without.body["data"][0].get("output"), None, "{without:?}");

    // A report during a call that is over is read and ignored.
    let call = functions.calls("go").remove(0);
    let path = format!("/v1/checkpoint/{}/async", call.call.ctx.run_id);
    let body = json!({"request_id": call.headers["x-request-id"], "steps": []});
    let request = embedded.api.request(reqwest::Method::POST, &path).bearer_auth(Embedded::SIGNING_KEY);
    assert_eq!(request.json(&body).send().await.unwrap().status(), 409);
}
