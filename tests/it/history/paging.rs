//! Paging forwards and backwards.

use std::time::Duration;

use sqlx::AnyPool;

use super::seed::{self, DAY, Seed, ids, link, page, seed};
use crate::support::spawn_app;

/// More than two pages.
const IMPORTS: usize = 123;

#[tokio::test]
async fn no_import_is_on_two_pages_or_on_none_there_and_back() {
    let app = spawn_app().await;
    let database = &seed::database(&app);
    let mut visitor = app.visitor();
    visitor.sign_up("paul@example.org").await;
    let email = "paul@example.org";
    let state = |n: usize| if n.is_multiple_of(2) { "Cancelled" } else { "Completed" };
    let seeds: Vec<Seed> = (0..IMPORTS)
        .map(|n| Seed {
            name: "page.csv",
            state: state(n),
            failed: Some(1),
            age: DAY + Duration::from_secs(n as u64),
        })
        .collect();
    let all = seed(database, email, &seeds).await;

    let mut html = page(&visitor, "/").await;
    let mut forth = vec![ids(&html)];
    assert!(html.contains("History <span class=\"count\">123</span>"), "{html}");
    assert!(html.contains("1 to 50 of 123"), "{html}");
    assert_eq!(link(&html, "Newer"), None);
    // Imports that are added meanwhile move nothing.
    let newest =
        |n: u64| Seed { name: "new.csv", state: "Completed", failed: None, age: Duration::from_secs(n) };
    let new = seed(database, email, &[newest(1), newest(2)]).await;
    for place in ["53 to 102 of 125", "103 to 125 of 125"] {
        html = page(&visitor, &link(&html, "Older").unwrap()).await;
        assert!(html.contains(place), "{place}: {html}");
        forth.push(ids(&html));
    }
    assert_eq!(link(&html, "Older"), None);
    assert_eq!(forth.concat(), all);
    let mut back = vec![ids(&html)];
    while let Some(newer) = link(&html, "Newer") {
        html = page(&visitor, &newer).await;
        back.insert(0, ids(&html));
    }
    assert_eq!(back.concat(), [new.clone(), all.clone()].concat());
    assert_eq!(back.iter().map(Vec::len).collect::<Vec<_>>(), [2, 50, 50, 23]);
    assert!(html.contains("1 to 2 of 125"), "{html}");
    let older = page(&visitor, &link(&html, "Older").unwrap()).await;
    assert_eq!(ids(&older), all[..50]);

    // The filter is kept while paging.
    html = page(&visitor, "/?state=cancelled&time=week&name=PAGE").await;
    assert!(html.contains("1 to 50 of 62"), "{html}");
    let first = ids(&html);
    let older = link(&html, "Older").unwrap();
    assert!(older.starts_with("/?state=cancelled&time=week&name=PAGE&before="), "{older}");
    html = page(&visitor, &older).await;
    assert!(html.contains("51 to 62 of 62"), "{html}");
    let cancelled: Vec<String> = all.iter().step_by(2).cloned().collect();
    assert_eq!([first.clone(), ids(&html)].concat(), cancelled);
    assert_eq!(ids(&page(&visitor, &link(&html, "Newer").unwrap()).await), first);

    // Beyond either end.
    let last = all.last().unwrap();
    html = page(&visitor, &format!("/?before={last}")).await;
    assert!(html.contains("No older imports.") && html.contains("\"count\">125<"), "{html}");
    assert_eq!(ids(&page(&visitor, &link(&html, "Newer").unwrap()).await), all[73..]);
    html = page(&visitor, &format!("/?after={}", new[0])).await;
    assert_eq!(ids(&html)[..2], new, "the newest, as nothing is newer");
    app.stop().await;
}

#[tokio::test]
async fn no_more_than_ten_thousand_are_counted() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let seeds: Vec<Seed> = (0..10_001)
        .map(|n| Seed { name: "a.csv", state: "Completed", failed: None, age: DAY + Duration::from_secs(n) })
        .collect();
    let all = seed(&seed::database(&app), "mira@example.org", &seeds).await;
    let html = page(&visitor, "/").await;
    assert!(html.contains("\"count\">more than 10,000<") && !html.contains("1 to 50"), "{html}");
    assert_eq!(ids(&html), all[..50]);
    // The same from the other end.
    let html = page(&visitor, &format!("/?before={}", all[5_000])).await;
    assert!(html.contains("\"count\">more than 10,000<"), "{html}");
    assert_eq!(ids(&html), all[5_001..5_051]);
    let html = page(&visitor, "/?time=day").await;
    assert!(html.contains("\"count\">0<"), "{html}");
    app.stop().await;
}

#[tokio::test]
async fn a_search_among_very_many_stops_on_the_way_and_goes_on_when_asked_to() {
    let app = spawn_app().await;
    let mut visitor = app.visitor();
    visitor.sign_up("mira@example.org").await;
    let needle = |age| Seed { name: "needle.csv", state: "Completed", failed: None, age };
    let database = seed::database(&app);
    let [newest, oldest] =
        seed(&database, "mira@example.org", &[needle(DAY), needle(9_000 * DAY)]).await.try_into().unwrap();
    // Between the two.
    let pool = AnyPool::connect(&database).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 199999) \
         INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, \
         cancel_requested_at, state, search_name) \
         SELECT '01A0000000' || SUBSTR(CAST(10000000000000000 + n AS TEXT), 2), (SELECT id FROM account), \
         'hay.csv', 1, 1, 1, CAST(n AS TEXT), 1, \
         'Cancelled', 'hay.csv' FROM number",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;

    let first = page(&visitor, "/?name=needle").await;
    assert_eq!(ids(&first), [&*newest]);
    assert!(first.contains("Searched back to") && first.contains(">History</h2>"), "{first}");
    let second = page(&visitor, &link(&first, "Keep searching").unwrap()).await;
    assert_eq!(ids(&second), Vec::<String>::new());
    assert!(second.contains("Nothing found so far."), "{second}");
    let third = page(&visitor, &link(&second, "Keep searching").unwrap()).await;
    assert_eq!(ids(&third), [&*oldest]);
    assert_eq!((link(&third, "Keep searching"), link(&third, "Older")), (None, None));
    // And back.
    let mut html = page(&visitor, &link(&third, "Newer").unwrap()).await;
    assert_eq!(ids(&html), Vec::<String>::new());
    html = page(&visitor, &link(&html, "Keep searching").unwrap()).await;
    assert_eq!(ids(&html), Vec::<String>::new());
    html = page(&visitor, &link(&html, "Keep searching").unwrap()).await;
    assert_eq!(ids(&html), [&*newest]);
    assert_eq!(link(&html, "Keep searching"), None);

    // A query without a name uses an index, however many imports there are.
    assert_eq!(ids(&page(&visitor, "/?state=completed").await), [&*newest, &*oldest]);
    let html = page(&visitor, "/?state=completed&name=needle").await;
    assert_eq!(ids(&html), [newest, oldest]);
    assert!(html.contains("\"count\">2<"), "{html}");
    let hay = page(&visitor, "/?name=hay").await;
    let older = page(&visitor, &link(&hay, "Older").unwrap()).await;
    assert_eq!((ids(&hay).len(), ids(&older).len()), (50, 50));
    assert!(ids(&hay)[49] > ids(&older)[0]);
    assert_eq!(ids(&page(&visitor, &link(&older, "Newer").unwrap()).await), ids(&hay));
    app.stop().await;
}
