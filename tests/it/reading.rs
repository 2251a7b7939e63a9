//! The page of an import over HTTP: where rows failed, and the first rows.

use std::path::PathBuf;

use sqlx::AnyPool;

use crate::support::{
    binary::{Binary, runboard},
    database, spawn_app, spawn_app_on,
    visitor::{Panel, Visitor},
};

/// A file of `rows` good rows, with a bad row before each index in `bad`.
fn file(rows: usize, bad: &[usize]) -> String {
    let mut text = "id,name\n".to_owned();
    for row in 0..rows {
        if bad.contains(&row) {
            text += "bad\n";
        }
        text += &format!("{row:06},a name of one length\n");
    }
    text
}

/// The stretch, of `stretches`, in which a row begins.
fn place(text: &str, stretches: usize, bad: usize) -> usize {
    let byte = text.match_indices("bad\n").nth(bad).unwrap().0;
    byte * stretches / text.len()
}

/// The positions of the ticks on the bar's thousand units.
fn ticks(html: &str) -> Vec<f64> {
    let Some((_, rest)) = html.split_once(r#"<path class="ticks" d=""#) else { return Vec::new() };
    let path = rest.split('"').next().unwrap();
    path.split('M').skip(1).map(|tick| tick.split(' ').next().unwrap().parse().unwrap()).collect()
}

/// The sums of rows and failed rows in the table.
fn table(panel: &Panel) -> (u64, u64) {
    let (_, table) = panel.html.split_once("<caption>How fast").expect("a table");
    let table = table.split("</table>").next().unwrap();
    let number = |text: &str| text.replace(',', "").parse::<u64>().unwrap();
    let (mut rows, mut failed) = (0, 0);
    for row in table.split(r#"<th scope="row">"#).skip(1) {
        let (from, rest) = row.split_once(" to ").unwrap();
        let (to, rest) = rest.split_once("</th>").unwrap();
        assert_eq!(number(from), rows + 1, "{table}");
        rows = number(to);
        failed += number(rest.split("<td>").nth(2).unwrap().split('<').next().unwrap());
    }
    (rows, failed)
}

fn plot(panel: &Panel) -> &str {
    let (_, plot) = panel.html.split_once(r#"<svg class="plot above"#).unwrap();
    plot.split(r#"<div class="panel-foot">"#).next().unwrap()
}

#[tokio::test]
async fn rows_that_failed_are_shown_where_they_are_in_the_file_also_after_a_restart() {
    let app = spawn_app().await;
    let mut visitor = app.signed_in().await;
    let text = file(60_000, &[100, 20_000, 20_001, 59_990]);
    let stretches = 100;
    let import = visitor.upload("places.csv", &text).await;
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (60_000, 4));
    assert_eq!(table(&panel), (60_004, 4));
    let mut places: Vec<usize> = (0..4).map(|bad| place(&text, stretches, bad)).collect();
    places.dedup();
    assert_eq!(places.len(), 3, "{places:?}");
    let width = 1_000.0 / stretches as f64;
    for (tick, place) in ticks(&panel.html).into_iter().zip(&places) {
        assert!((tick - (*place as f64 + 0.5) * width).abs() < 0.2, "{tick} {place}");
    }
    assert_eq!(ticks(&panel.html).len(), 3);

    let data = app.stop().await;
    let app = spawn_app_on(data, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    let again = visitor.panel(&import).await;
    assert_eq!(plot(&again), plot(&panel));
    let page = visitor.get(&import).await.text().await.unwrap();
    assert_eq!(ticks(&page), ticks(&panel.html));
    assert!(page.contains(", 2 columns</span>"), "{page}");
    app.stop().await;
}

/// An event that is rerun on Inngest has two runs of our function.
#[tokio::test]
async fn each_of_our_runs_of_an_import_that_is_over_has_its_plot() {
    let app = spawn_app().await;
    let mut visitor = app.signed_in().await;
    let import = visitor.upload("places.csv", file(60_000, &[100])).await;
    visitor.wait_for_state(&import, "Completed").await;
    let database = database::url(app.data.path());
    let data = app.stop().await;
    let pool = AnyPool::connect(&database).await.unwrap();
    for (table, columns) in [
        (
            "run",
            "import_id, function_id, function_name, status, queued_at, ended_at, processed, failed, news_at",
        ),
        ("execution", "function, started_at, attempt, max_attempts"),
        (
            "step",
            "step_id, position, result, processed, failed, end_byte, started_at, committed_at, stretches",
        ),
    ] {
        let sql = format!(
            "INSERT INTO {table} (run_id, {columns}) SELECT 'Z' || run_id, {columns} FROM {table} \
             WHERE run_id = (SELECT MIN(run_id) FROM run)"
        );
        let copied = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        assert!(copied.rows_affected() > 0, "{table}");
    }
    pool.close().await;

    let app = spawn_app_on(data, |_| {}).await;
    visitor.origin.clone_from(&app.origin);
    let panel = visitor.panel(&import).await;
    let page = visitor.get(&import).await.text().await.unwrap();
    for html in [&panel.html, &page] {
        assert_eq!(html.matches(r#"<path class="ticks""#).count(), 2, "{html}");
    }
    assert_eq!(panel.html.matches("<caption>How fast").count(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_step_that_was_killed_and_is_done_again_counts_once() {
    let data = tempfile::tempdir().unwrap();
    let server = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let text = file(700_000, &[5, 600_000]);
    let import = visitor.upload("killed.csv", &text).await;
    let has_rows = |panel: &Panel| panel.runs.iter().any(|run| run.processed.len() > 2);
    let before = visitor.wait_for(&import, "some rows", has_rows).await;
    server.kill();
    assert_eq!(before.state, "Running", "killed on its way");

    let server = Binary::start(&mut runboard(data.path()));
    visitor.origin.clone_from(&server.origin);
    let panel = visitor.wait_for_state(&import, "Completed").await;
    assert_eq!(panel.counts(), (700_000, 2));
    assert_eq!(table(&panel), (700_002, 2));
    assert_eq!(ticks(&panel.html).len(), 2);
    drop(server);
}

#[tokio::test]
async fn the_first_rows_of_odd_files_are_shown_as_they_are_read() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let number = |line: u64| format!(r#"<th scope="row">{line}</th>"#);
    let cell = |text: &str| format!("<bdi>{text}</bdi>");
    let table = [
        (
            "ragged.csv",
            vec![
                number(3) + "<td class=\"\"><bdi>6&#34; pipe</bdi>",
                "2 fields, expected 3".to_owned(),
                cell("1/2&#34;"),
                number(7)
                    + "<td class=\"\"><bdi>@note: see<span class=\"control\">LF</span>the next page</bdi>",
            ],
        ),
        (
            "quoted-newlines.csv",
            vec![
                cell("said &#34;back soon&#34;"),
                number(2) + "<td class=\"number\"><bdi>1</bdi>",
                number(5) + "<td class=\"number\"><bdi>2</bdi>",
            ],
        ),
        ("bom-umlauts.csv", vec![number(1) + "<th scope=\"col\"><bdi>Straße</bdi>", cell("177,5")]),
        ("broken-bytes.csv", vec!["<mark>\u{fffd}</mark>".to_owned(), "not valid UTF-8".to_owned()]),
        ("header-only.csv", vec!["no rows".to_owned()]),
    ];
    for (name, expected) in table {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let import = visitor.upload(name, std::fs::read(path).unwrap()).await;
        let panel = visitor.wait_for_state(&import, "Completed").await;
        for part in expected {
            assert!(panel.html.contains(&part), "{name}: {part}\n{}", panel.html);
        }
    }
    app.stop().await;
}
