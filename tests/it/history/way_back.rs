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
async fn a_deletion_leads_back_to_the_same_part_of_the_history_which_names_the_file_once() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let session = visitor.cookie.clone().unwrap();
    let words = |name: &str| format!("role=\"status\"><bdi>{name}</bdi> and its results were deleted.</p>");
    for (name, from, there) in [
        ("a.csv", "", "/#history"),
        ("b&c.csv", "?from=state%3Dcompleted%26name%3Db%2526c", "/?state=completed&name=b%26c#history"),
        ("d.csv", "?from=%2F%2Fevil.example", "/#history"),
    ] {
        visitor.cookie = Some(session.clone());
        let import = visitor.upload(name, "a,b\n1,2\n").await;
        visitor.wait_for_state(&import, "Completed").await;
        let shown = name.replace('&', "&#38;");
        let from_kept = if from.contains("evil") { "" } else { from };
        for part in ["", "/panel"] {
            let html = visitor.fragment(&format!("{import}{part}{from}")).await.text().await.unwrap();
            let link = format!("href=\"{import}/delete{from_kept}\">Delete this import</a>");
            assert!(html.contains(&link), "{part}: {html}");
        }
        let question = page(&visitor, &format!("{import}/delete{from}")).await;
        // The confirmation page also links to the dashboard.
        assert!(
            question.contains("<a class=\"site-nav\" href=\"/\" aria-current=\"true\">Imports</a>"),
            "{question}"
        );
        assert!(question.contains(&format!("href=\"{import}{from_kept}\">Keep it</a>")), "{question}");
        assert!(question.contains(&format!("action=\"{import}/delete{from_kept}\"")), "{question}");

        let answer = visitor.post_form(&format!("{import}/delete{from}"), &[]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()[header::LOCATION].to_str().unwrap(), there);
        let flash = answer.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
        visitor.cookie = Some(format!("{session}; {flash}"));
        let html = page(&visitor, there).await;
        assert!(html.contains(&words(&shown)), "{html}");
        visitor.cookie = Some(session.clone());
        for again in [there, "/?deleted", "/?deleted=a.csv"] {
            assert!(!page(&visitor, again).await.contains("deleted."), "{again}");
        }
        let gone = visitor.get(&import).await;
        assert_eq!(gone.status(), StatusCode::NOT_FOUND);
        assert!(gone.text().await.unwrap().contains("<a class=\"site-nav\" href=\"/\">Imports</a>"));
    }
    app.stop().await;
}

#[tokio::test]
async fn filters_that_are_left_empty_do_not_stay_in_the_address() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    for (asked, there) in [
        ("/?state=&time=&name=", "/#history"),
        ("/?state=failed&time=&name=a%26b+c", "/?state=failed&name=a%26b+c#history"),
        ("/?name=", "/#history"),
        ("/?before=&state=lost&other=1", "/?state=lost#history"),
    ] {
        let answer = visitor.get(asked).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{asked}");
        assert_eq!(answer.headers()[header::LOCATION].to_str().unwrap(), there, "{asked}");
        assert_eq!(visitor.get(there).await.status(), StatusCode::OK, "{there}");
    }
    for canonical in ["/", "/?state=failed", "/?other="] {
        assert_eq!(visitor.get(canonical).await.status(), StatusCode::OK, "{canonical}");
    }
    app.stop().await;
}
