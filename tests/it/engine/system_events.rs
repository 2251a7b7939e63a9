//! The engine's own events: the parts that the conformance suite cannot observe.

use runboard::{engine::DispatchOutcome, inngest::RunStatus};
use serde_json::json;
use sqlx::AnyPool;

use super::{registered, trigger};
use crate::{
    function_server::{Answer, Function},
    inngest_api::{Embedded, work},
};

const FINISHED: &str = "inngest/function.finished";
const OF_GO: &str = "event.data.function_id == '{app}-go'";

fn go() -> Function {
    Function::answering("go", || Answer::output("1")).retries(0)
}

fn listener() -> Function {
    Function::answering("listener", || Answer::output("2")).retries(0)
}

/// The names of all recorded events, oldest first.
async fn recorded(embedded: &Embedded) -> Vec<String> {
    let pool = AnyPool::connect(&embedded.database).await.unwrap();
    let names = sqlx::query_scalar("SELECT name FROM engine_event ORDER BY received_at, name");
    names.fetch_all(&pool).await.unwrap()
}

#[tokio::test]
async fn the_end_of_a_run_and_what_it_triggers_are_one_record() {
    let embedded = Embedded::start().await;
    let functions = registered(&embedded, vec![go(), listener().on_event(FINISHED, OF_GO)]).await;
    let event = trigger(&embedded, &functions, "go").await;
    assert!(matches!(embedded.engine.step().await.unwrap(), DispatchOutcome::Ended(_)));
    assert_eq!(embedded.api.runs(&event).await[0].status, RunStatus::Completed);
    // No other step was taken, and the listener's run is due.
    assert!(matches!(embedded.engine.step().await.unwrap(), DispatchOutcome::Ended(_)));
    assert_eq!(functions.calls("listener").len(), 1);
    assert_eq!(embedded.engine.step().await.unwrap(), DispatchOutcome::Idle { until: None });
}

#[tokio::test]
async fn nothing_is_recorded_that_triggers_nothing() {
    let embedded = Embedded::start().await;
    let functions = registered(&embedded, vec![go()]).await;
    trigger(&embedded, &functions, "go").await;
    embedded.engine.step().await.unwrap();
    assert_eq!(recorded(&embedded).await, [functions.event("go")]);

    // A function listens, but not for this event.
    let other = vec![listener().on_event(FINISHED, "event.data.function_id == 'other'")];
    registered(&embedded, other).await;
    trigger(&embedded, &functions, "go").await;
    embedded.engine.step().await.unwrap();
    assert_eq!(recorded(&embedded).await.len(), 2);

    // The same holds for a function that was removed from its app.
    let heard = registered(&embedded, vec![listener().on_event(FINISHED, "event.data.x == null")]).await;
    let mut app = heard.registration();
    app.functions.clear();
    embedded.api.register(&app).await;
    trigger(&embedded, &functions, "go").await;
    embedded.engine.step().await.unwrap();
    assert_eq!(recorded(&embedded).await.len(), 3);
    assert_eq!(embedded.engine.step().await.unwrap(), DispatchOutcome::Idle { until: None });
}

#[tokio::test]
async fn runs_that_tell_of_an_end_tell_of_none_themselves() {
    let embedded = Embedded::start().await;
    let all = |name, event| {
        let fails = Function::answering(name, || Answer::new(400, "{}").no_retry());
        fails.on_event(event, "event.data.nothing == null")
    };
    let functions = registered(
        &embedded,
        vec![go(), all("finished", FINISHED), all("failed", "inngest/function.failed")],
    )
    .await;
    trigger(&embedded, &functions, "go").await;
    assert!(matches!(embedded.engine.step().await.unwrap(), DispatchOutcome::Ended(_)));
    assert!(matches!(embedded.engine.step().await.unwrap(), DispatchOutcome::Ended(_)));
    assert_eq!(embedded.engine.step().await.unwrap(), DispatchOutcome::Idle { until: None });
    assert_eq!((functions.calls("finished").len(), functions.calls("failed").len()), (1, 0));
}

#[tokio::test]
async fn a_cancel_wakes_the_dispatch_for_those_who_are_told() {
    let embedded = Embedded::start().await;
    let told = listener().on_event("inngest/function.cancelled", OF_GO);
    let functions = registered(&embedded, vec![go(), told]).await;
    let _working = work(&embedded.engine);
    // An hour ahead, so that only the cancel can wake the loop.
    let later = runboard::base::time::UnixMillis::now().plus(std::time::Duration::from_secs(3_600));
    let event = embedded.api.send(&json!({"name": functions.event("go"), "ts": later.0})).await;
    let run = embedded.api.runs(&event).await.remove(0);
    assert_eq!(embedded.api.cancel(run.run_id.as_str()).await.status, 200);
    functions.called("listener", 1).await;
    // A second cancel reports nothing.
    assert_eq!(embedded.api.cancel(run.run_id.as_str()).await.status, 200);
    assert_eq!(functions.calls("listener")[0].call.event.id.as_str(), run.run_id.as_str());
    assert_eq!(functions.calls("go").len(), 0);
}
