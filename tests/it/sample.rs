//! The sample file for users who have none at hand.

use reqwest::StatusCode;

use crate::support::spawn_app;

#[tokio::test]
async fn the_sample_can_be_looked_at_and_imported_and_its_broken_rows_come_back() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let dashboard = visitor.get("/").await.text().await.unwrap();
    assert!(dashboard.contains("action=\"/imports/sample\"") && dashboard.contains("href=\"/sample.csv\""));
    assert!(dashboard.contains("00R,Livingston Municipal,Livingston,TX,USA,30.68586111,-95.01792778\n"));
    assert!(dashboard.contains("Try ours: 3,376 airports, 210 KB"), "{dashboard}");

    let sample = visitor.get("/sample.csv").await;
    assert_eq!(sample.headers()["content-type"], "text/plain; charset=utf-8", "looked at, not downloaded");
    let sample = sample.bytes().await.unwrap();
    assert_eq!(sample.len() / 1_000, 210);

    let answer = visitor.post_form("/imports/sample", &[]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let import = answer.headers()["location"].to_str().unwrap().to_owned();
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (3_371, 5));
    let page = visitor.get(&import).await.text().await.unwrap();
    let how_read = page.split("class=\"how-read\">").nth(1).unwrap().split("</p>").next().unwrap();
    assert!(how_read.contains("UTF-8") && !how_read.contains("guess"), "{how_read}");
    let failed = String::from_utf8(visitor.download(&format!("{import}/failed.csv")).await).unwrap();
    let lines: Vec<&str> = failed.lines().skip(1).filter_map(|row| row.split(',').next()).collect();
    assert_eq!(lines, ["212", "498", "1204", "2333", "3377"]);

    let dashboard = visitor.get("/").await.text().await.unwrap();
    assert!(!dashboard.contains("/imports/sample"), "a user with imports is not offered a sample");
    app.stop().await;
}
