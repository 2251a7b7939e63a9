//! The history over HTTP: filtered, searched, paged.

mod migration;
mod paging;
mod seed;
mod state;
mod way_back;

use reqwest::{StatusCode, header};
use seed::{DAY, Seed, ids, page, seed, text};

use crate::support::spawn_app;

/// The id in the path of an import.
fn id(import: &str) -> String {
    import.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn each_filter_narrows_alone_and_together_with_others() {
    let app = spawn_app().await;
    let database = &seed::database(&app);
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let mut stranger = app.visitor();
    stranger.sign_up("eve@example.org").await;
    let theirs = stranger.upload("kunden-übersicht.csv", "a,b\n1\n").await;
    stranger.wait_for_state(&theirs, "Completed").await;

    let plain = visitor.upload("Kunden-ÜBERSICHT.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&plain, "Completed").await;
    let ragged = visitor.upload("100%_done.csv", "a,b\n1\n2,2\n").await;
    visitor.wait_for_state(&ragged, "Completed").await;
    let failed = visitor.import_address("http://127.0.0.1:9/1000-done.csv").await;
    visitor.wait_for_state(&failed, "Failed").await;
    let busy = app.busy().await;
    let cancelled = visitor.upload("long.csv", "a,b\n1,2\n").await;
    visitor.wait_for(&cancelled, "a run", |panel| !panel.runs.is_empty()).await;
    visitor.post_form(&format!("{cancelled}/cancel"), &[]).await;
    visitor.wait_for_state(&cancelled, "Cancelled").await;
    drop(busy);
    let seeds = [
        Seed { name: "skipped.csv", state: "Skipped", failed: None, age: 2 * DAY },
        Seed { name: "übersicht-old.csv", state: "Failed", failed: Some(3), age: 20 * DAY },
        Seed { name: "ancient.csv", state: "Completed", failed: Some(0), age: 300 * DAY },
        Seed { name: "prehistoric.csv", state: "Completed", failed: Some(0), age: 400 * DAY },
    ];
    let seeded = seed(database, "mira@example.org", &seeds).await;
    let [plain, ragged, failed, cancelled] = [&plain, &ragged, &failed, &cancelled].map(|import| id(import));
    let [skipped, old, ancient, prehistoric] = seeded.try_into().unwrap();

    let all = [&cancelled, &failed, &ragged, &plain, &skipped, &old, &ancient, &prehistoric];
    for (query, wanted) in [
        ("", all.to_vec()),
        ("state=completed", vec![&ragged, &plain, &ancient, &prehistoric]),
        ("state=failed-rows", vec![&ragged, &old]),
        ("state=failed", vec![&failed, &old]),
        ("state=cancelled", vec![&cancelled]),
        ("state=skipped", vec![&skipped]),
        ("time=day", all[..4].to_vec()),
        ("time=week", all[..5].to_vec()),
        ("time=month", all[..6].to_vec()),
        ("time=year", all[..7].to_vec()),
        ("name=%C3%BCbersicht", vec![&plain, &old]),
        // Written with combining characters and in upper case.
        ("name=U%CC%88BERSICHT", vec![&plain, &old]),
        ("name=++DONE+", vec![&failed, &ragged]),
        ("name=0%25_d", vec![&ragged]),
        ("name=%25", vec![&ragged]),
        ("name=_", vec![&ragged]),
        ("name=%5C", vec![]),
        ("name=nothing-like-it", vec![]),
        ("state=failed&name=done", vec![&failed]),
        ("state=failed&time=day", vec![&failed]),
        ("state=failed&time=month&name=%C3%9C", vec![&old]),
        ("state=completed&time=week&name=kunden", vec![&plain]),
        ("state=skipped&time=day", vec![]),
        // Unknown values are ignored.
        ("state=Completed&time=century", all.to_vec()),
        ("name=%00%0A", all.to_vec()),
        ("name=%FF", vec![]),
    ] {
        let html = page(&visitor, &format!("/?{query}")).await;
        assert_eq!(ids(&html), wanted.into_iter().cloned().collect::<Vec<_>>(), "{query}");
        let count = ids(&html).len();
        assert!(html.contains(&format!("History <span class=\"count\">{count}</span>")), "{query}: {html}");
        assert_eq!(html.contains("No import matches these filters"), count == 0, "{query}");
        let is_narrow = !["", "name=%00%0A"].contains(&query) && !query.contains("century");
        assert_eq!(html.contains(r#"class="clear" href="/#history""#), is_narrow, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_was_chosen_stays_in_the_form() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    assert!(!page(&visitor, "/").await.contains("role=\"search\""), "nothing to search yet");
    let import = visitor.upload("a.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let html = page(&visitor, "/?state=failed-rows&time=week&name=%22%3E%3Cb%3E").await;
    assert!(html.contains(r#"<option value="failed-rows" selected>With failed rows</option>"#), "{html}");
    assert!(html.contains(r#"<option value="week" selected>Last 7 days</option>"#), "{html}");
    assert!(html.contains(r#"type="search" value="&#34;&#62;&#60;b&#62;""#), "{html}");
    assert_eq!(html.matches(" selected").count(), 2);
    app.stop().await;
}

#[tokio::test]
async fn what_goes_on_stays_whatever_the_history_is_narrowed_to() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let done = visitor.upload("done.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&done, "Completed").await;
    let _busy = app.busy().await;
    let long = visitor.upload("long.csv", "a,b\n1,2\n").await;
    for (query, count) in [("", 1), ("name=done", 1), ("name=long", 0), ("state=failed", 0), ("time=day", 1)]
    {
        let html = page(&visitor, &format!("/?{query}")).await;
        let (live, history) = html.split_once("id=\"history\"").unwrap();
        assert!(live.contains(&format!("data-import-id=\"{}\"", id(&long))), "{query}: {html}");
        assert!(history.contains(&format!("<span class=\"count\">{count}</span>")), "{query}: {history}");
        assert!(!text(history).contains("long.csv"), "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_wrong_query_is_answered_with_a_page() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let long = "x".repeat(4_000);
    for (query, status) in [
        ("state=%F0%9F%92%A9&time=-1", StatusCode::OK),
        (&*format!("name={long}"), StatusCode::OK),
        ("before=01M852BFZNDZSECF4ZXVXKXYMX&after=01M852BFZNDZSECF4ZXVXKXYMX", StatusCode::OK),
        ("unknown=1", StatusCode::OK),
        ("before=x", StatusCode::NOT_FOUND),
        ("after=%00", StatusCode::NOT_FOUND),
        ("state=a&state=b", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(visitor.get(&format!("/?{query}")).await.status(), status, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_address_of_a_refused_form_leads_to_the_dashboard() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let answer = visitor.get("/imports").await;
    assert_eq!(
        (answer.status(), &answer.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/".parse().unwrap())
    );
    app.stop().await;
}
