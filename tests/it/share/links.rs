//! The page on which an owner makes and ends links.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use sqlx::{AnyPool, Row};

use super::{WEEK, WEEK_WITH_ROWS, completed, opens, share, text};
use crate::support::{
    TestApp, database, spawn_app, spawn_app_on,
    visitor::{Visitor, attributes},
};

/// The names of the links on the page of their import.
async fn names(owner: &Visitor, import: &str) -> Vec<String> {
    attributes(&text(owner, &format!("{import}/share")).await, "name=\"link\" value")
}

async fn status(visitor: &Visitor, path: &str) -> StatusCode {
    visitor.get(path).await.status()
}

/// Every value in the table of links, as text.
async fn table(app: &TestApp) -> Vec<String> {
    let url = database::url(app.data.path());
    let pool = AnyPool::connect(&url).await.unwrap();
    let rows = sqlx::query(
        "SELECT token_hash || ' ' || import_id || ' ' || shows_rows || ' ' || created_at || ' ' || expires_at \
         AS all_of_it FROM guest_link",
    );
    let rows = rows.fetch_all(&pool).await.unwrap();
    pool.close().await;
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

#[tokio::test]
async fn a_link_is_shown_once_listed_and_ended_at_once() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "orders.csv").await;
    assert!(text(&owner, &import).await.contains(&format!("href=\"{import}/share\"")));
    let page = text(&owner, &format!("{import}/share")).await;
    assert!(page.contains("What a link shows") && page.contains("<option value=\"7\" selected>"), "{page}");
    assert!(!page.contains("Links that work now"), "{page}");
    assert!(
        attributes(&page, "type").contains(&"checkbox".to_owned()) && !page.contains(" checked"),
        "{page}"
    );

    let link = share(&owner, &import, &WEEK).await;
    let with_rows = share(&owner, &import, &WEEK_WITH_ROWS).await;
    let token = link.strip_prefix("/shared/").unwrap();
    assert!(token.len() >= 43, "256 bits: {token}");
    assert_ne!(link, with_rows);
    let page = text(&owner, &format!("{import}/share")).await;
    assert!(!page.contains(token), "it is shown once");
    assert_eq!(page.matches("not opened yet").count(), 2, "{page}");
    assert!(page.contains(">Without rows<") && page.contains(">With rows and downloads<"), "{page}");

    let guest = app.visitor();
    opens(&guest, &link).await;
    opens(&guest, &with_rows).await;
    let start = Instant::now();
    while text(&owner, &format!("{import}/share")).await.contains("not opened yet") {
        assert!(start.elapsed() < Duration::from_secs(60), "the openings are not recorded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // Which of the two is first is unknown if both were made in one millisecond.
    let [first, _second] = names(&owner, &import).await.try_into().unwrap();
    let answer = owner.post_form(&format!("{import}/share/end"), &[("link", &first)]).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let left = [status(&guest, &link).await, status(&guest, &with_rows).await];
    assert_eq!(
        left.iter().filter(|status| **status == StatusCode::OK).count(),
        1,
        "one has ended, although it was in memory: {left:?}"
    );
    let [last] = names(&owner, &import).await.try_into().unwrap();
    owner.post_form(&format!("{import}/share/end"), &[("link", &last)]).await;
    for path in [&link, &with_rows] {
        assert_eq!(status(&guest, path).await, StatusCode::NOT_FOUND);
    }
    app.stop().await;
}

#[tokio::test]
async fn the_database_has_only_the_hash_of_a_link() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "orders.csv").await;
    let link = share(&owner, &import, &WEEK).await;
    let token = link.strip_prefix("/shared/").unwrap();
    let [row] = table(&app).await.try_into().unwrap();
    assert!(row.contains(import.rsplit('/').next().unwrap()) && !row.contains(token), "{row}");
    let hash = row.split(' ').next().unwrap();
    assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{row}");
    // The hash opens nothing, nor does the name in the form of the owner's page.
    let guest = app.visitor();
    for other in [hash, &hash[..16]] {
        assert_eq!(status(&guest, &format!("/shared/{other}")).await, StatusCode::NOT_FOUND);
    }
    let data = app.stop().await;
    let app = spawn_app_on(data, |_| {}).await;
    opens(&app.visitor(), &link).await;
    app.stop().await;
}

#[tokio::test]
async fn nobody_makes_sees_or_ends_links_to_anothers_import() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "orders.csv").await;
    let link = share(&owner, &import, &WEEK).await;
    let [name] = names(&owner, &import).await.try_into().unwrap();
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let own = completed(&eve, "own.csv").await;
    let path = format!("{import}/share");
    assert_eq!(status(&eve, &path).await, StatusCode::NOT_FOUND);
    assert_eq!(eve.post_form(&path, &WEEK).await.status(), StatusCode::NOT_FOUND);
    // By the path of the foreign import, and by that of an own one.
    for import in [&import, &own] {
        eve.post_form(&format!("{import}/share/end"), &[("link", &name)]).await;
    }
    opens(&eve, &link).await;
    assert_eq!(names(&owner, &import).await, [name], "nothing was made or ended");
    app.stop().await;
}

#[tokio::test]
async fn an_import_has_at_most_twenty_links() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "orders.csv").await;
    let other = completed(&owner, "other.csv").await;
    for _ in 0..20 {
        share(&owner, &import, &WEEK).await;
    }
    let answer = owner.post_form(&format!("{import}/share"), &WEEK_WITH_ROWS).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.unwrap();
    assert!(page.contains("This import has 20 links, the most that it can have."), "{page}");
    assert!(page.contains(" checked") && !page.contains("id=\"secret\""), "{page}");
    assert_eq!(names(&owner, &import).await.len(), 20);
    share(&owner, &other, &WEEK).await;
    // Ended links make room, and so do expired ones.
    let name = &names(&owner, &import).await[0];
    owner.post_form(&format!("{import}/share/end"), &[("link", name)]).await;
    share(&owner, &import, &WEEK).await;
    app.sql("UPDATE guest_link SET expires_at = 1").await;
    share(&owner, &import, &WEEK).await;
    assert_eq!(names(&owner, &import).await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_link_lives_as_long_as_was_chosen_and_not_for_another_time() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "orders.csv").await;
    for days in ["", "0", "8", "365", "-1", "7 "] {
        let answer = owner.post_form(&format!("{import}/share"), &[("days", days), ("rows", "on")]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{days:?}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("Choose how long the link works.") && page.contains(" checked"), "{page}");
    }
    for days in ["1", "7", "30"] {
        share(&owner, &import, &[("days", days)]).await;
    }
    let mut lives: Vec<i64> = table(&app)
        .await
        .iter()
        .map(|row| {
            let mut times = row.split(' ').skip(3).map(|time| time.parse::<i64>().unwrap());
            let made = times.next().unwrap();
            (times.next().unwrap() - made) / (24 * 60 * 60 * 1_000)
        })
        .collect();
    lives.sort_unstable();
    assert_eq!(lives, [1, 7, 30]);
    app.stop().await;
}
