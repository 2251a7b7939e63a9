//! Guest links: making and ending them, and what they show.

mod guest;
mod links;
mod over;

use reqwest::{Response, StatusCode};

use crate::support::visitor::Visitor;

/// One row is fine, and one fails. Each cell is recognisable.
const MIXED: &str = "name,town\nAnnika,Uppsala\nBartholomew\n";

/// Cells of [`MIXED`], which are in its rows alone.
const CELLS: [&str; 3] = ["Annika", "Uppsala", "Bartholomew"];

const WEEK: [(&str, &str); 1] = [("days", "7")];
pub const WEEK_WITH_ROWS: [(&str, &str); 2] = [("days", "7"), ("rows", "on")];

/// Makes a link and returns its path, from the page that shows it once.
pub async fn share(owner: &Visitor, import: &str, fields: &[(&str, &str)]) -> String {
    path_in(owner.post_form(&format!("{import}/share"), fields).await).await
}

async fn path_in(answer: Response) -> String {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let page = answer.text().await.unwrap();
    let link = page.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    let (_, path) = link.split_once("://").unwrap();
    format!("/{}", path.split_once('/').unwrap().1)
}

async fn text(visitor: &Visitor, path: &str) -> String {
    let answer = visitor.get(path).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

async fn completed(owner: &Visitor, name: &str) -> String {
    let import = owner.upload(name, MIXED).await;
    owner.wait_for_state(&import, "Completed").await;
    import
}

/// Asserts that a link shows the page of an import.
async fn opens(visitor: &Visitor, link: &str) {
    assert!(text(visitor, link).await.contains("Shared with you by link."), "{link}");
}
