//! From the history to an import and back, and after a deletion.

use reqwest::{StatusCode, header};

use super::seed::page;
use crate::support::spawn_app;

#[tokio::test]
async fn an_import_leads_back_to_the_part_of_the_history_that_led_to_it() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("a&b.csv", "a,b\n1\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let back =
        |html: &str| html.split_once("<nav class=\"breadcrumb\"").unwrap().1.contains("<a href=\"/\">");

    let html = page(&visitor, "/").await;
    assert!(html.contains(&format!("class=\"row-link\" href=\"{import}\"")), "{html}");
    assert!(back(&page(&visitor, &import).await));

    let html = page(&visitor, "/?state=failed-rows&name=a%26b").await;
    let link = format!("{import}?from=state%3Dfailed-rows%26name%3Da%2526b");
    assert!(html.contains(&format!("class=\"row-link\" href=\"{link}\"")), "{html}");
    assert!(html.contains(&format!("class=\"failed-link\" href=\"{link}#reasons\"")), "{html}");
    let html = page(&visitor, &link).await;
    let there = "<a href=\"/?state=failed-rows&#38;name=a%26b#history\">Imports</a>";
    assert!(html.contains(there), "{html}");

    for elsewhere in ["//evil.example", "https://evil.example/", "next=//evil.example", "%00"] {
        let query: String = url::form_urlencoded::byte_serialize(elsewhere.as_bytes()).collect();
        assert!(back(&page(&visitor, &format!("{import}?from={query}")).await), "{elsewhere}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_deletion_is_confirmed_on_the_page_that_follows() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("a.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let words = "The import and its files were deleted.";
    assert!(!page(&visitor, "/").await.contains(words));
    // Both pages on the way have the way home.
    let question = page(&visitor, &format!("{import}/delete")).await;
    assert!(question.contains("<a class=\"site-nav\" href=\"/\">Imports</a>"), "{question}");
    let answer = visitor.post_form(&format!("{import}/delete"), &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let there = answer.headers()[header::LOCATION].to_str().unwrap();
    assert!(page(&visitor, there).await.contains(words));
    let gone = visitor.get(&import).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert!(gone.text().await.unwrap().contains("<a class=\"site-nav\" href=\"/\">Imports</a>"));
    app.stop().await;
}
