//! What is offered to be run again, and what is refused.

use std::fs;

use reqwest::StatusCode;

use super::{ALL, MIXED, ONLY_FAILED, completed, run_again, stored, uploads};
use crate::{
    another::{completed_by_both, spawn_app_with_another_function},
    support::{spawn_app, spawn_app_on},
};

#[tokio::test]
async fn what_cannot_be_run_again_is_said() {
    let (app, _others) = spawn_app_with_another_function(|_| {}).await;
    let visitor = app.signed_in().await;
    let import = completed_by_both(&visitor, "good.csv", "a,b\n1,2\n").await;
    let answer = visitor.post_form(&format!("{import}/retry"), ONLY_FAILED).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert!(answer.text().await.unwrap().contains("No rows of this import failed."));
    let answer = visitor.post_form(&format!("{import}/retry"), &[("only", "processed")]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(uploads(&app), 1);
    app.stop().await;
}

#[tokio::test]
async fn failed_rows_that_would_fail_again_are_run_again_on_request_alone() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = completed(&visitor, "mixed.csv", MIXED).await;
    let panel = visitor.panel(&import).await;
    assert!(!panel.html.contains("name=\"only\" value=\"failed\""), "{}", panel.html);
    let again = run_again(&visitor, &import, ONLY_FAILED).await;
    let failed_again = visitor.wait_for_state(&again, "Completed").await;
    assert_eq!(failed_again.counts(), (0, panel.counts().1));
    app.stop().await;
}

#[tokio::test]
async fn what_would_fail_in_the_same_way_is_not_offered_to_be_run_again() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let again = "id=\"retry-all-";
    let page = visitor.upload("page.csv", "<!doctype html><title>Sign in</title><p>Please").await;
    let private = visitor.import_address("http://192.168.0.1/a.csv").await;
    let open_quotes = visitor.upload("open.csv", "\"a,b\n1,2\n").await;
    for import in [&page, &private, &open_quotes] {
        let panel = visitor.wait_for_state(import, "Failed").await.html;
        assert!(!panel.contains(again), "{panel}");
        assert!(panel.contains("class=\"button primary\" href=\"/\">Import another file</a>"), "{panel}");
    }
    let app = spawn_app_on(app.stop().await, |_| {}).await;
    let visitor = visitor.at(&app.origin);
    assert!(!visitor.panel(&page).await.html.contains(again), "it is remembered");
    // The address may have the file the next time.
    let missing = visitor.import_address("http://nowhere.invalid/a.csv").await;
    let panel = visitor.wait_for_state(&missing, "Failed").await.html;
    assert!(panel.contains(again) && !panel.contains("Import another file"), "{panel}");
    let empty = completed(&visitor, "none.csv", "a,b\n1\n").await;
    let panel = visitor.panel(&empty).await.html;
    assert!(panel.contains("<span>Download failed rows</span>"), "{panel}");
    assert!(!panel.contains("processed.csv\" download"), "there are none: {panel}");
    app.stop().await;
}

#[tokio::test]
async fn an_import_is_run_again_only_after_its_end_and_then_also_if_it_was_cancelled() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let _busy = app.busy().await;
    let import = visitor.upload("waits.csv", "a,b\n1,2\n").await;
    for what in [ALL, ONLY_FAILED] {
        let answer = visitor.post_form(&format!("{import}/retry"), what).await;
        assert_eq!(answer.status(), StatusCode::CONFLICT);
        assert!(answer.text().await.unwrap().contains("You can run it again when it has finished."));
    }
    assert!(!visitor.panel(&import).await.html.contains("/retry"));

    visitor.post_form(&format!("{import}/cancel"), &[]).await;
    visitor.wait_for_state(&import, "Cancelled").await;
    let again = run_again(&visitor, &import, ALL).await;
    visitor.post_form(&format!("{again}/cancel"), &[]).await;
    visitor.wait_for_state(&again, "Cancelled").await;
    let sizes = [&import, &again].map(|import| fs::metadata(stored(&app, import)).unwrap().len());
    assert_eq!(sizes, [8; 2]);
    app.stop().await;
}
