//! The form that changes how a file is read, and the offer to read it as last time.

use reqwest::StatusCode;

use crate::support::{spawn_app, visitor::Visitor};

#[tokio::test]
async fn the_form_shows_what_was_sent_and_the_first_rows_read_so() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("prices.csv", "a,b\n1,2\n3,4\n").await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert!(panel.html.contains(r#"<details class="change" id="change">"#), "folded: {}", panel.html);
    assert!(panel.html.contains("Now commas"), "{}", panel.html);

    let sent = format!("{import}?from=state%3Dfailed&delimiter=detect&delimiter=%3A%3A&header=none&header=");
    let page = visitor.get(&sent).await.text().await.unwrap();
    for part in [
        r#"<details class="change" id="change" open>"#,
        r#"name="delimiter" type="text" maxlength="4" autocapitalize="none" value="::""#,
        r#"<option value="none" selected>No header</option>"#,
        r#"<input type="hidden" name="from" value="state=failed">"#,
        r#"<p class="preview-line" role="status">"#,
        r#"id="preview-rows""#,
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // A run goes on: nothing is offered that would be refused.
    let failed = visitor.upload("text.csv", "<!doctype html><title>x</title>").await;
    let failed = visitor.wait_for_state(&failed, "Failed").await;
    assert!(failed.html.contains("?change=1#change\">Change how it is read"), "{}", failed.html);
    app.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_said_beside_its_field_and_nothing_typed_is_lost() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("prices.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let fields = [("delimiter", "comma"), ("delimiter", "\""), ("encoding", "windows-1251"), ("header", "7")];
    let refused = visitor.post_form(&format!("{import}/retry"), &fields).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = refused.text().await.unwrap();
    let error = r#"<p class="field-error" id="error-delimiter" role="alert">A separator has 1 to 4 bytes"#;
    for part in [
        error,
        r#"value="&#34;" spellcheck="false" aria-describedby="error-delimiter" aria-invalid="true""#,
        r#"<option value="windows-1251" selected>Windows-1251 (Cyrillic)</option>"#,
        r#"<option value="7" selected>Line 7</option>"#,
        r#"<option value="comma" selected>"#,
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_was_chosen_for_a_header_is_offered_for_the_next_file_with_it() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let first = visitor.upload("october.csv", "a,b\n1,2\n").await;
    let panel = visitor.wait_for_state(&first, "Completed").await;
    assert!(!panel.html.contains("Last time"), "{}", panel.html);
    let chosen = visitor.post_form(&format!("{first}/retry"), &[("quote", "none")]).await;
    assert!(chosen.status().is_redirection());

    let second = visitor.upload("november.csv", "a,b\n3,4\n").await;
    let panel = visitor.wait_for_state(&second, "Completed").await;
    let page = visitor.get(&second).await.text().await.unwrap();
    for html in [&panel.html, &page] {
        let words = "Last time you chose for a file with this header: quotes are text.";
        assert!(html.contains(words), "{html}");
        assert!(html.contains(r#"<input type="hidden" name="quote" value="none">"#), "{html}");
    }
    let other = visitor.upload("other.csv", "a,c\n3,4\n").await;
    let panel = visitor.wait_for_state(&other, "Completed").await;
    assert!(!panel.html.contains("Last time"), "{}", panel.html);
    app.stop().await;
}

#[tokio::test]
async fn a_held_import_says_what_detection_finds_and_why_rows_would_fail() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let rows = format!("a;b\n1;2\n3\n{}", "4;5\n".repeat(40));
    let posted = visitor.post_with(&[("prices.csv", rows.as_str())], &[("look", "1")]).await;
    let import = Visitor::import_in(posted).await;
    let page = visitor.get(&import).await.text().await.unwrap();
    for part in [
        r#"<option value="detect">Detect (semicolons)"#,
        r#"<option value="detect">Detect (UTF-8)</option>"#,
        r#"<tr class="reason-below"><td></td><td class="note" colspan="2"><span>1 field, expected 2</span></td></tr>"#,
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // What detection would find in place of a choice is unknown. The script reads the same from the rows.
    let page = visitor.get(&format!("{import}?delimiter=comma")).await.text().await.unwrap();
    let rows = visitor.fragment(&format!("{import}/rows?delimiter=comma")).await.text().await.unwrap();
    assert!(!page.contains("Detect (semicolons") && page.contains("Detect (UTF-8)"), "{page}");
    assert!(!rows.contains("data-detected-delimiter"), "{rows}");
    assert!(rows.contains(r#"data-detected-encoding="UTF-8""#), "{rows}");
    app.stop().await;
}
