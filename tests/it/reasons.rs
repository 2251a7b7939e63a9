//! Why rows failed, over HTTP: on the page of an import that is over, and in the links to it.

use std::fmt::Write;

use crate::support::{spawn_app, spawn_app_on, visitor::attributes};

/// The text in the rows of the table of reasons.
fn reasons(html: &str) -> Vec<String> {
    let section = html.split(r#"id="reasons""#).nth(1).and_then(|rest| rest.split("</section>").next());
    let rows = section.unwrap_or_default().split("<tr").skip(2);
    rows.map(|row| {
        let texts = row.split('<').filter_map(|tag| Some(tag.split_once('>')?.1.trim()));
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" | ")
    })
    .collect()
}

#[tokio::test]
async fn who_watches_an_import_to_its_end_sees_why_rows_failed() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let mut csv = "id,name,amount,amount\n".to_owned();
    for n in 0..200_000 {
        let row = if n % 50_000 == 7 { ",x" } else { ",a,1,2" };
        writeln!(csv, "{n}{row}").unwrap();
    }
    let mut csv = csv.into_bytes();
    csv.extend_from_slice(b"x,a\0b,1,2\ny,<b>\xe2\x80\xae\xff,1,2\n");
    let import = visitor.upload("orders.csv", csv).await;

    // Polls of an unfinished panel do not contain it; the poll that ends the polling does.
    let panel = visitor
        .wait_for(&import, "the end", |panel| {
            let over = panel.state == "Completed";
            // Before that, its place shows how many rows have failed.
            assert!(panel.html.contains(r#"id="reasons""#), "{}", panel.html);
            assert_eq!(reasons(&panel.html).is_empty(), !over, "{}", panel.html);
            assert_eq!(panel.html.contains("hx-trigger=\"every"), !over, "{}", panel.html);
            over
        })
        .await;
    assert_eq!(panel.counts(), (199_996, 6));
    let expected = [
        "Whole row | 2 fields, expected 4 | 4 | line 9 | 7,x",
        "name | contains a NUL byte | 1 | line 200,002 | a | NUL | b",
        "name | not valid UTF-8 | 1 | line 200,003 | &#60;b&#62; | \u{fffd} | \u{fffd}",
    ];
    assert_eq!(reasons(&panel.html), expected);
    assert!(panel.html.contains("Why 6 rows failed"));
    assert!(panel.html.contains(r#"two columns named <bdi class="mono">amount</bdi>"#), "{}", panel.html);

    let page = visitor.get(&import).await.text().await.unwrap();
    assert_eq!(reasons(&page), expected);
    assert_eq!(attributes(&page, "data-failed"), ["6"]);

    // The failed count in the history links to it.
    let dashboard = visitor.get("/").await.text().await.unwrap();
    assert!(dashboard.contains(&format!(r#"class="failed-link" href="{import}#reasons""#)), "{dashboard}");
    app.stop().await;
}

#[tokio::test]
async fn the_reasons_of_an_uploaded_failed_csv_show_the_records_without_the_columns_that_were_added() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    // An unnamed column, which is at fault only in the last record.
    let import = visitor.upload("orders.csv", b"id,,note\n1,a\n2,b,c,d\n3,\xff,\xc3\xb8\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let failed = visitor.download(&format!("{import}/failed.csv")).await;
    let again = visitor.upload("orders-failed.csv", failed).await;
    let panel = visitor.wait_for_state(&again, "Completed").await;
    let expected = [
        "Whole row | 2 fields, expected 3 | 1 | line 2 | 1,a",
        "Whole row | 4 fields, expected 3 | 1 | line 3 | 2,b,c,d",
        "Unnamed column | not valid UTF-8 | 1 | line 4 | \u{fffd}",
    ];
    assert_eq!(reasons(&panel.html), expected);
    assert!(panel.html.contains("Recognised as failed rows of an earlier import"), "{}", panel.html);
    for ours in ["_line", "_column", "_reason", "_extra"] {
        assert!(!panel.html.contains(ours), "{ours}: {}", panel.html);
    }
    app.stop().await;
}

#[tokio::test]
async fn an_import_without_failed_rows_has_no_reasons_and_links_to_none() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    for csv in ["id,name\n1,a\n", "id,name\n"] {
        let import = visitor.upload("orders.csv", csv).await;
        visitor.wait_for_state(&import, "Completed").await;
        let page = visitor.get(&import).await.text().await.unwrap();
        assert!(page.contains("No rows failed.") && reasons(&page).is_empty(), "{page}");
        assert!(!page.contains("#reasons") && !page.contains("header-note"), "{page}");
    }
    let dashboard = visitor.get("/").await.text().await.unwrap();
    assert!(!dashboard.contains("#reasons"), "{dashboard}");
    app.stop().await;
}

#[tokio::test]
async fn the_reasons_add_up_to_the_lines_of_failed_csv_and_outlive_a_restart() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    // One line of each number of fields: more reasons than are kept.
    let mut csv = "a,b\n".to_owned();
    for commas in 2..202 {
        writeln!(csv, "x{}", ",".repeat(commas)).unwrap();
    }
    let import = visitor.upload("ragged.csv", csv).await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (0, 200));
    let failed = visitor.download(&format!("{import}/failed.csv")).await;
    assert_eq!(String::from_utf8(failed).unwrap().lines().count(), 1 + 200);
    let rows = reasons(&panel.html);
    assert_eq!(rows.len(), 101);
    assert_eq!(rows[0], "Whole row | 3 fields, expected 2 | 1 | line 2 | x,,");
    assert_eq!(rows[100], "– | other reasons | 100 | listed in failed.csv");

    let app = spawn_app_on(app.stop().await, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    let page = visitor.get(&import).await.text().await.unwrap();
    assert_eq!(reasons(&page), rows);
    app.stop().await;
}
