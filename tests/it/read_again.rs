//! Running an import again to be read differently.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{Response, StatusCode, header};
use runboard::{base::ids::ImportId, csv::Choices, store::Store};

use crate::{
    choices::chosen,
    support::{
        TestApp, database,
        host::{Host, Reply},
        spawn_app, spawn_app_on,
        visitor::{Panel, Visitor},
    },
};

const FILE: &str = "id;price\n1;2,50\n2;3\n";

async fn over(visitor: &Visitor, import: &str) -> String {
    let is_over = |panel: &Panel| ["Completed", "Failed"].contains(&&*panel.state);
    visitor.wait_for(import, "its end", is_over).await.state
}

fn location(response: &Response) -> String {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

async fn retry(visitor: &Visitor, import: &str, fields: &[(&str, &str)]) -> Response {
    visitor.post_form(&format!("{import}/retry"), fields).await
}

fn id(import: &str) -> ImportId {
    import.rsplit('/').next().unwrap().parse().unwrap()
}

async fn choices(app: &TestApp, import: &str) -> Choices {
    let database = database::url(app.data.path());
    let store = Store::open(&database).await.unwrap();
    let row = store.import(id(import)).await.unwrap().unwrap();
    assert_eq!(store.choices_of_event(&row.event_id).await.unwrap(), row.choices);
    store.close().await;
    row.choices
}

#[tokio::test]
async fn each_distinct_reading_makes_one_import_however_often_it_is_asked_for() {
    let app = spawn_app().await;
    let mut visitor = app.signed_in().await;
    let parent = visitor.upload("prices.csv", FILE).await;
    over(&visitor, &parent).await;
    let readings: [&[(&str, &str)]; 4] = [
        &[],
        &[("delimiter", "semicolon")],
        &[("delimiter", "semicolon"), ("header", "none"), ("encoding", "latin1")],
        &[("delimiter", "pipe"), ("quote", "detect")],
    ];
    let mut children = BTreeSet::new();
    for fields in readings {
        let clicks = (0..8).map(|_| retry(&visitor, &parent, fields));
        let led_to: BTreeSet<String> = join_all(clicks).await.iter().map(location).collect();
        assert_eq!(led_to.len(), 1, "{fields:?}: {led_to:?}");
        let child = led_to.into_iter().next().unwrap();
        over(&visitor, &child).await;
        assert_eq!(choices(&app, &child).await, chosen(fields));
        children.insert(child);
    }
    assert_eq!(children.len(), readings.len());

    // Detection is what nothing says, however it is said; the query says the same as the form; other names of a
    // value are no other reading.
    let detected = location(&retry(&visitor, &parent, &[("delimiter", ""), ("header", "detect")]).await);
    assert_eq!(choices(&app, &detected).await, Choices::default());
    let with_query = format!("{parent}/retry?encoding=windows-1252&delimiter=%3B");
    let in_query = visitor.post_form(&with_query, &[("header", "none")]).await;
    let led_to = [detected, location(&in_query)];
    assert!(led_to.iter().all(|import| children.contains(import)), "{led_to:?} {children:?}");

    // All of them are linked from the parent, also after a restart.
    let app = spawn_app_on(app.stop().await, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    let page = visitor.get(&parent).await.text().await.unwrap();
    for child in &children {
        assert!(page.contains(&format!("Re-run as <a href=\"{child}\">")), "{child}: {page}");
        let page = visitor.get(child).await.text().await.unwrap();
        assert!(page.contains(&format!("Re-run of <a href=\"{parent}\">")), "{page}");
    }
    let again = location(&retry(&visitor, &parent, readings[2]).await);
    assert!(children.contains(&again));
    let panel = visitor.panel(&again).await.html;
    let form = panel.split("id=\"retry-all-").nth(1).unwrap();
    for (field, value) in [("delimiter", "semicolon"), ("encoding", "windows-1252"), ("header", "none")] {
        let kept = format!("<input type=\"hidden\" name=\"{field}\" value=\"{value}\">");
        assert!(form.contains(&kept), "what was chosen is kept when it is run again: {form}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_value_that_is_not_allowed_is_told_on_the_page_and_makes_nothing() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let parent = visitor.upload("prices.csv", FILE).await;
    over(&visitor, &parent).await;
    for (fields, words) in [
        (&[("encoding", "utf-99")][..], "Runboard does not know this encoding."),
        (&[("delimiter", "\n")], "A separator has 1 to 4 bytes"),
        (&[("delimiter", "comma"), ("header", "-1")], "Enter the number of the header line, or none."),
        (&[("header_rows", "4")], "A header has 1, 2 or 3 rows."),
    ] {
        let answer = retry(&visitor, &parent, fields).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(words) && page.contains("prices.csv"), "{fields:?}: {page}");
    }
    let answer = retry(&visitor, &parent, &[("only", "failed"), ("delimiter", "pipe")]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().await.unwrap().contains("Failed rows are read as their import read them."));
    let page = visitor.get("/").await.text().await.unwrap();
    assert_eq!(page.matches("data-import-id=").count(), 1, "{page}");
    app.stop().await;
}

#[tokio::test]
async fn what_was_fetched_is_read_differently_from_the_same_bytes() {
    let host = Host::start(|_, _| Reply::file(FILE)).await;
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.allow_addresses = host.allowed().parse().unwrap();
    })
    .await;
    let visitor = app.signed_in().await;
    let answer = visitor
        .post_with(&[], &[("url", &host.url("/prices.csv")), ("encoding", "utf-8"), ("look", "")])
        .await;
    let parent = Visitor::import_in(answer).await;
    over(&visitor, &parent).await;
    assert_eq!(choices(&app, &parent).await, chosen(&[("encoding", "utf-8")]));
    let requests = host.asked().len();
    let child = location(&retry(&visitor, &parent, &[("delimiter", ";")]).await);
    over(&visitor, &child).await;
    assert_eq!(choices(&app, &child).await, chosen(&[("delimiter", ";")]));
    assert_eq!(host.asked().len(), requests, "nothing is fetched again");
    app.stop().await;
}

#[tokio::test]
async fn failed_rows_that_are_run_again_are_copied_from_their_run_again_as_long_as_it_is_there() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let uploads = || app.data.path().join("files/uploads").read_dir().unwrap().count();
    let parent = visitor.upload("mixed.csv", "a,b\n1,2\n3\n").await;
    over(&visitor, &parent).await;
    let mut import = location(&retry(&visitor, &parent, &[("only", "failed")]).await);
    over(&visitor, &import).await;
    for _ in 0..2 {
        import = location(&retry(&visitor, &import, &[]).await);
        over(&visitor, &import).await;
        assert_eq!((visitor.panel(&import).await.counts(), uploads()), ((0, 1), 1));
        // Their reading is that of the run that they come from.
        let answer = retry(&visitor, &import, &[("delimiter", "pipe")]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(visitor.post_form(&format!("{parent}/delete"), &[]).await.status(), StatusCode::SEE_OTHER);
    import = location(&retry(&visitor, &import, &[]).await);
    over(&visitor, &import).await;
    assert_eq!((visitor.panel(&import).await.counts(), uploads()), ((0, 1), 1));
    app.stop().await;
}

#[tokio::test]
async fn failed_rows_of_an_earlier_version_are_read_as_it_has_read_them() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let fields = [("quote", "none"), ("escape", "backslash")];
    let file = b"a,b\n1,x\\,y\n2,x\\,y,z\n";
    let parent = Visitor::import_in(visitor.post_bytes_with("old.csv", file, &fields).await).await;
    over(&visitor, &parent).await;
    assert_eq!(visitor.panel(&parent).await.counts(), (1, 1));
    // Its plan becomes that of the version before backslashes meant anything in a file without quotes.
    app.sql(
        "UPDATE step SET result = \
         replace(replace(result, ',\"reader_3\":true', ''), '\"reader_version\":4', '\"reader_version\":2') \
         WHERE step_id = 'plan'",
    )
    .await;
    let child = location(&retry(&visitor, &parent, &[("only", "failed")]).await);
    over(&visitor, &child).await;
    let failed = visitor.download(&format!("{child}/failed.csv")).await;
    let failed = String::from_utf8(failed).unwrap();
    assert!(failed.contains("\"4 fields, expected 2\""), "{failed}");
    app.stop().await;
}
