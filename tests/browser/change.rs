//! How a file is read is looked at before it is imported, and changed after.

use thirtyfour::prelude::*;

use crate::{
    book::{rows, workbook},
    chromium::Chromium,
    gallery::Gallery,
    support::spawn_app,
    upload::{at_import, choose, file, on_the_dashboard, text},
};

async fn click(chromium: &Chromium, selector: &str) {
    chromium.driver.find(By::Css(selector)).await.unwrap().click().await.unwrap();
}

async fn pick(chromium: &Chromium, field: &str, value: &str) {
    click(chromium, &format!("#change-{field} option[value='{value}']")).await;
}

async fn wait_for_line(chromium: &Chromium, part: &str) {
    chromium.wait_for(part, async || text(chromium, ".preview-line").await.contains(part)).await;
}

/// The first row of the preview.
async fn first_cells(chromium: &Chromium) -> String {
    text(chromium, ".preview tbody tr").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rows_follow_each_choice_and_applying_them_makes_a_new_import() {
    let (app, chromium) = on_the_dashboard().await;
    choose(&chromium, &[file(&chromium, "prices.csv", "item;price\npear;1,20\nplum;0,95\n")]).await;
    at_import(&chromium).await;
    chromium.wait_for_state("Completed").await;
    let first = chromium.driver.current_url().await.unwrap();

    click(&chromium, "#change summary").await;
    wait_for_line(&chromium, "UTF-8").await;
    pick(&chromium, "delimiter", "comma").await;
    wait_for_line(&chromium, "Separated by commas (chosen)").await;
    assert!(first_cells(&chromium).await.contains("pear;1"), "{}", first_cells(&chromium).await);

    // A separator that is not in the list counts before the list; what is refused is said beside it.
    let other = chromium.driver.find(By::Id("other-delimiter")).await.unwrap();
    other.send_keys("\"").await.unwrap();
    let refused = async || !text(&chromium, "#error-delimiter").await.is_empty();
    chromium.wait_for("the refusal", refused).await;
    assert_eq!(chromium.attribute("#other-delimiter", "aria-invalid").await.as_deref(), Some("true"));
    assert_eq!(chromium.attribute("#change-delimiter", "aria-invalid").await, None, "the list is not wrong");
    wait_for_line(&chromium, "These rows are from before the last change.").await;
    assert!(first_cells(&chromium).await.contains("pear;1"), "they stay");
    other.clear().await.unwrap();
    other.send_keys(";").await.unwrap();
    wait_for_line(&chromium, "Separated by semicolons (chosen)").await;
    assert!(text(&chromium, "#error-delimiter").await.is_empty());
    pick(&chromium, "header", "none").await;
    wait_for_line(&chromium, "no header (chosen)").await;
    assert!(first_cells(&chromium).await.starts_with("1"), "{}", first_cells(&chromium).await);

    click(&chromium, ".change-actions [type=submit]:not(.show-rows)").await;
    let is_elsewhere = async || chromium.driver.current_url().await.unwrap() != first;
    chromium.wait_for("the new import", is_elsewhere).await;
    chromium.wait_for_state("Completed").await;
    let line = text(&chromium, ".how-read").await;
    assert!(line.starts_with("Separated by semicolons (chosen), UTF-8, no header (chosen)"), "{line}");
    assert_eq!(chromium.attribute("[data-run-id]", "data-processed").await.as_deref(), Some("3"));
    assert_eq!(text(&chromium, ".related").await, "Re-run of prices.csv, read differently");
    chromium.stop_after(&["status of 422"]).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_looked_at_first_runs_when_import_is_pressed_and_goes_when_it_is_discarded() {
    let (app, chromium) = on_the_dashboard().await;
    click(&chromium, "#look").await;
    choose(&chromium, &[file(&chromium, "held.csv", "a\tb\n1\t2\n")]).await;
    at_import(&chromium).await;
    chromium.wait_for_state("Held").await;
    let sentence = text(&chromium, ".sentence").await;
    assert!(
        sentence.starts_with("Look at how it is read. Nothing runs until you press Import; kept until "),
        "{sentence}"
    );
    wait_for_line(&chromium, "UTF-8").await;
    let detect = "return document.querySelector('#change-delimiter option').textContent";
    assert!(chromium.evaluate(detect).await.as_str().unwrap().starts_with("Detect (tabs)"));
    pick(&chromium, "delimiter", "tab").await;
    wait_for_line(&chromium, "Separated by tabs (chosen)").await;
    let is_plain = async || chromium.evaluate(detect).await == "Detect";
    chromium.wait_for("nothing beside Detect, since the separator is chosen", is_plain).await;
    click(&chromium, ".change-actions [type=submit]:not(.show-rows)").await;
    chromium.wait_for_state("Completed").await;
    assert!(text(&chromium, ".how-read").await.starts_with("Separated by tabs (chosen)"));

    chromium.driver.goto(&app.origin).await.unwrap();
    click(&chromium, "#look").await;
    choose(&chromium, &[file(&chromium, "unwanted.csv", "a,b\n1,2\n")]).await;
    at_import(&chromium).await;
    chromium.wait_for_state("Held").await;
    click(&chromium, ".change-actions a").await;
    let asks = async || text(&chromium, "h1").await == "Delete unwanted.csv?";
    chromium.wait_for("the question", asks).await;
    click(&chromium, ".button.danger").await;
    let is_told = async || text(&chromium, ".notice").await.starts_with("unwanted.csv");
    chromium.wait_for("the dashboard", is_told).await;
    chromium.stop().await;
    app.stop().await;
}

/// A workbook of an empty sheet and two with rows.
fn orders(chromium: &Chromium) -> String {
    let (first, second) = (rows(&[&["id"], &["1"]]), rows(&[&["id"], &["22"]]));
    let book = workbook(&[("Cover", "", ""), ("January", "", &first), ("February", "", &second)], "");
    file(chromium, "orders.xlsx", book)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sheet_of_a_workbook_is_chosen_before_it_is_imported_and_after() {
    let (app, chromium) = on_the_dashboard().await;
    click(&chromium, "#look").await;
    choose(&chromium, &[orders(&chromium)]).await;
    at_import(&chromium).await;
    chromium.wait_for_state("Held").await;
    wait_for_line(&chromium, "Sheet \"January\", the first of 2 with rows").await;
    pick(&chromium, "sheet", "Cover").await;
    wait_for_line(&chromium, "The sheet \"Cover\" is empty.").await;
    let unreadable = async || text(&chromium, "#unreadable").await;
    chromium.wait_for("it on top", async || unreadable().await.starts_with("The sheet \"Cover\"")).await;
    pick(&chromium, "sheet", "February").await;
    chromium.wait_for("nothing on top", async || unreadable().await.is_empty()).await;
    wait_for_line(&chromium, "Sheet \"February\" (chosen), one of 2 with rows").await;
    assert!(first_cells(&chromium).await.contains("22"), "{}", first_cells(&chromium).await);
    click(&chromium, ".change-actions [type=submit]:not(.show-rows)").await;
    chromium.wait_for_state("Completed").await;
    assert!(text(&chromium, ".how-read").await.starts_with("Sheet \"February\" (chosen)"));

    let first = chromium.driver.current_url().await.unwrap();
    click(&chromium, "#change summary").await;
    wait_for_line(&chromium, "Sheet \"February\"").await;
    pick(&chromium, "sheet", "detect").await;
    wait_for_line(&chromium, "Sheet \"January\"").await;
    click(&chromium, ".change-actions [type=submit]:not(.show-rows)").await;
    let is_elsewhere = async || chromium.driver.current_url().await.unwrap() != first;
    chromium.wait_for("the new import", is_elsewhere).await;
    chromium.wait_for_state("Completed").await;
    assert!(text(&chromium, ".how-read").await.starts_with("Sheet \"January\", the first of 2"));
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheet_is_chosen_without_scripts() {
    let app = spawn_app().await;
    let chromium = Chromium::start_without_scripts().await;
    let page = &chromium.driver;
    page.goto(format!("{}/sign-up", app.origin)).await.unwrap();
    chromium.fill_in_account("mira@example.org").await;
    click(&chromium, "#look").await;
    page.find(By::Id("file")).await.unwrap().send_keys(&orders(&chromium)).await.unwrap();
    click(&chromium, ".drop-choose button[type=submit]").await;
    at_import(&chromium).await;
    chromium.wait_for_state("Held").await;
    pick(&chromium, "sheet", "Cover").await;
    click(&chromium, ".show-rows").await;
    wait_for_line(&chromium, "The sheet \"Cover\" is empty.").await;
    pick(&chromium, "sheet", "February").await;
    click(&chromium, ".show-rows").await;
    wait_for_line(&chromium, "Sheet \"February\" (chosen)").await;
    assert_eq!(chromium.evaluate("return document.getElementById('change-sheet').value").await, "February");
    click(&chromium, ".change-actions [type=submit]:not(.show-rows)").await;
    chromium.wait_for_state("Completed").await;
    assert!(text(&chromium, ".how-read").await.starts_with("Sheet \"February\" (chosen)"));
    chromium.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_is_looked_at_and_changed_without_scripts() {
    let app = spawn_app().await;
    let chromium = Chromium::start_without_scripts().await;
    let page = &chromium.driver;
    page.goto(format!("{}/sign-up", app.origin)).await.unwrap();
    chromium.fill_in_account("mira@example.org").await;

    click(&chromium, "#look").await;
    let path = file(&chromium, "held.csv", "a;b\n1;2\n3;4\n");
    page.find(By::Id("file")).await.unwrap().send_keys(&path).await.unwrap();
    click(&chromium, ".drop-choose button[type=submit]").await;
    at_import(&chromium).await;
    chromium.wait_for_state("Held").await;
    // The page shows the first rows as they would be read, and again after each choice.
    assert!(text(&chromium, ".preview-line").await.contains("UTF-8"));
    pick(&chromium, "delimiter", "comma").await;
    click(&chromium, ".show-rows").await;
    wait_for_line(&chromium, "Separated by commas (chosen)").await;
    assert_eq!(chromium.evaluate("return document.getElementById('change-delimiter').value").await, "comma");
    pick(&chromium, "delimiter", "semicolon").await;
    click(&chromium, ".change-actions [type=submit]:not(.show-rows)").await;
    chromium.wait_for_state("Completed").await;

    let first = page.current_url().await.unwrap();
    click(&chromium, "#change summary").await;
    page.find(By::Id("other-delimiter")).await.unwrap().send_keys("\"").await.unwrap();
    pick(&chromium, "quote", "none").await;
    click(&chromium, ".change-actions [type=submit]:not(.show-rows)").await;
    chromium.wait_for("the refusal", async || !text(&chromium, "#error-delimiter").await.is_empty()).await;
    let given = "return [document.getElementById('other-delimiter').value, document.getElementById('change-quote').value]";
    assert_eq!(chromium.evaluate(given).await, serde_json::json!(["\"", "none"]));
    let other = page.find(By::Id("other-delimiter")).await.unwrap();
    other.clear().await.unwrap();
    click(&chromium, ".change-actions [type=submit]:not(.show-rows)").await;
    let is_new = async || {
        let url = page.current_url().await.unwrap();
        url.path() != first.path() && !url.path().ends_with("/retry")
    };
    chromium.wait_for("the new import", is_new).await;
    chromium.wait_for_state("Completed").await;
    assert!(text(&chromium, ".how-read").await.contains("quotes are text (chosen)"));
    chromium.stop_after(&["status of 422"]).await;
    app.stop().await;
}

/// Whether the reason of a failed row is in sight, before and after scrolling to the last column, and whether the list
/// of separators shows each of them whole.
const IN_SIGHT: &str = "
    const scroll = document.getElementById('preview-rows');
    const isInSight = () => {
        const why = document.querySelector('#preview .reason-below span').getBoundingClientRect();
        const { left, right } = scroll.getBoundingClientRect();
        return why.width > 0 && why.left >= left && why.right <= right;
    };
    const before = isInSight();
    scroll.scrollLeft = scroll.scrollWidth;
    const list = document.getElementById('change-delimiter');
    const context = document.createElement('canvas').getContext('2d');
    context.font = getComputedStyle(list).font;
    const widest = Math.max(...[...list.options].map((option) => context.measureText(option.text).width));
    // Beside the words are the padding and the arrow.
    return [before, isInSight(), scroll.scrollLeft > 0, widest + 44 <= list.clientWidth];";

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_why_a_row_fails_and_each_separator_are_in_sight() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    chromium.resize(320, 800).await;
    gallery.open(&chromium, gallery.page("import-held")).await;
    assert_eq!(chromium.evaluate(IN_SIGHT).await, serde_json::json!([true, true, true, true]));
    // The rows are directly below the separator, above the other fields.
    let above = "const top = (id) => document.getElementById(id).getBoundingClientRect().top; \
         return top('change-delimiter') < top('preview') && top('preview') < top('change-quote')";
    assert_eq!(chromium.evaluate(above).await, true);
    chromium.stop().await;
    gallery.stop().await;
}
