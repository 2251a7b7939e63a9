//! What a guest sees.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode, header};

use super::{CELLS, MIXED, WEEK, WEEK_WITH_ROWS, completed, share, text};
use crate::{
    another::{completed_by_both, spawn_app_with_another_function},
    support::{
        host::{Host, Reply},
        spawn_app, spawn_app_on,
        visitor::{Panel, Visitor, attributes},
    },
};

/// The paths that a page leads to or loads, without those of its files.
fn paths(html: &str) -> Vec<String> {
    let found = ["href", "src", "action", "hx-get"].into_iter().flat_map(|name| attributes(html, name));
    found.filter(|path| !path.starts_with("/assets/") && !path.starts_with('#')).collect()
}

#[tokio::test]
async fn a_guest_without_a_session_watches_an_import_to_its_end() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let busy = app.busy().await;
    let import = owner.upload("orders.csv", MIXED).await;
    let link = share(&owner, &import, &WEEK).await;
    let guest = app.visitor();
    let waiting = |panel: &Panel| panel.runs.iter().any(|run| run.status == "Running");
    guest.wait_for(&link, "its turn", waiting).await;

    let page = text(&guest, &link).await;
    assert!(page.contains("Shared with you by link. Read-only, until <time"), "{page}");
    assert!(page.contains("It shows counts and reasons, but no rows."), "{page}");
    assert!(page.contains("<h1 id=\"file-name\"><bdi>orders.csv</bdi></h1>"), "{page}");
    assert!(page.contains("<noscript><meta http-equiv=\"refresh\""), "{page}");
    let [poll] = attributes(&page, "hx-get").try_into().unwrap();
    assert!(poll.starts_with(&format!("{link}/panel?version=")), "{poll}");
    assert_eq!(paths(&page), attributes(&page, "hx-get"), "it polls, and leads nowhere");
    let start = Instant::now();
    while guest.fragment(&poll).await.status() != StatusCode::NO_CONTENT {
        assert!(start.elapsed() < Duration::from_secs(60), "what has not changed is not sent again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A browser that asks for the fragment alone gets the page.
    let whole = guest.get(&format!("{link}/panel")).await;
    assert_eq!(whole.status(), StatusCode::SEE_OTHER);
    assert_eq!(whole.headers()[header::LOCATION], link.as_str());

    drop(busy);
    let ended = guest.wait_for_state(&link, "Completed").await;
    assert_eq!(ended.counts(), (1, 1));
    assert!(!ended.html.contains("hx-trigger"), "the end is the end: {}", ended.html);
    assert_eq!(attributes(&ended.html, "data-import-id"), [import.rsplit('/').next().unwrap()]);
    let of_owner = owner.panel(&import).await;
    assert_eq!((ended.state, ended.runs), (of_owner.state, of_owner.runs), "as the owner's page");
    assert!(ended.html.contains("1 field, expected 2") && ended.html.contains("line 3"), "{}", ended.html);
    app.stop().await;
}

#[tokio::test]
async fn polls_of_a_running_import_are_answered_from_memory() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let _busy = app.busy().await;
    let import = owner.upload("orders.csv", MIXED).await;
    owner.wait_for(&import, "its run", |panel| !panel.runs.is_empty()).await;
    let link = share(&owner, &import, &WEEK).await;
    let guest = app.visitor();
    assert_eq!(guest.panel(&link).await.state, "Running");
    app.sql("ALTER TABLE guest_link RENAME TO guest_link_elsewhere").await;
    assert_eq!(guest.panel(&link).await.state, "Running");
    // A link that is not in memory needs the table, so that this test can fail.
    let other = guest.get("/shared/qNnv4lXyOXbw-tIyINtVnA06r1Ym5DyGjiU1tCLVhQk").await;
    assert_eq!(other.status(), StatusCode::INTERNAL_SERVER_ERROR);
    app.stop().await;
}

#[tokio::test]
async fn without_rows_a_link_shows_no_cell_and_offers_no_download() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "orders.csv").await;
    let of_owner = text(&owner, &import).await;
    assert!(CELLS.iter().all(|cell| of_owner.contains(cell)), "the owner's page has them: {of_owner}");
    let link = share(&owner, &import, &WEEK).await;
    let guest = app.visitor();
    let page = text(&guest, &link).await;
    let fragment = guest.panel(&link).await.html;
    for html in [&page, &fragment] {
        for hidden in CELLS.into_iter().chain(["First rows", "First example", "failed.csv", "processed.csv"])
        {
            assert!(!html.contains(hidden), "{hidden}: {html}");
        }
        assert!(html.contains("First row<") && html.contains("line 3"), "{html}");
        is_for_guests(html);
    }
    for below in ["processed.csv", "failed.csv", "processed.csv?as=source", "failed.csv?as=source"] {
        for method in [Method::GET, Method::HEAD] {
            let answer = guest.request(method, &format!("{link}/{below}")).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{below}");
        }
    }
    app.stop().await;
}

/// Asserts that nothing is there that only an owner may see or do.
fn is_for_guests(html: &str) {
    for hidden in [
        "mira@example.org",
        "/imports/",
        "Technical details",
        "Raw output",
        "<form",
        "Delete",
        "Cancel",
        "Run again",
        "Re-run",
        "Change",
        "Share<",
        "/account",
        "Sign out",
    ] {
        assert!(!html.contains(hidden), "{hidden}: {html}");
    }
}

#[tokio::test]
async fn with_rows_a_link_shows_them_and_offers_the_downloads_and_nothing_else() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = owner.upload("orders.csv", MIXED.replace(',', ";")).await;
    owner.wait_for_state(&import, "Completed").await;
    let link = share(&owner, &import, &WEEK_WITH_ROWS).await;
    let guest = app.visitor();
    let page = text(&guest, &link).await;
    for cell in CELLS {
        assert!(page.contains(cell), "{cell}: {page}");
    }
    assert!(!page.contains("but no rows"), "{page}");
    is_for_guests(&page);
    let mut offered = paths(&page);
    offered.sort();
    let below = ["failed.csv", "failed.csv?as=source", "processed.csv", "processed.csv?as=source"];
    assert_eq!(offered, below.map(|below| format!("{link}/{below}")));
    for below in below {
        let own = owner.download(&format!("{import}/{below}")).await;
        assert_eq!(guest.download(&format!("{link}/{below}")).await, own, "{below}");
    }
    // As the owner's download, it can be resumed, but no cache keeps it.
    let path = format!("{link}/processed.csv");
    let part = guest.request(Method::GET, &path).header(header::RANGE, "bytes=5-").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(part.headers()["referrer-policy"], "no-referrer");
    app.stop().await;
}

#[tokio::test]
async fn a_download_before_the_end_has_to_wait() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let _busy = app.busy().await;
    let import = owner.upload("orders.csv", MIXED).await;
    let link = share(&owner, &import, &WEEK_WITH_ROWS).await;
    let answer = app.visitor().get(&format!("{link}/failed.csv")).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    app.stop().await;
}

#[tokio::test]
async fn the_address_of_a_file_and_why_it_failed_are_for_the_owner() {
    let host = Host::start(|_, _| Reply::status("403 Forbidden", "")).await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.allow_addresses = allowed).await;
    let owner = app.signed_in().await;
    let secret = "/internal/prices.csv?key=hunter2";
    let import = owner.import_address(&host.url(secret)).await;
    owner.wait_for_state(&import, "Failed").await;
    let of_owner = text(&owner, &import).await;
    let place = format!("127.0.0.1:{}", host.port);
    assert!(of_owner.contains(&place) && of_owner.contains("answered 403"), "{of_owner}");
    for fields in [&WEEK[..], &WEEK_WITH_ROWS] {
        let link = share(&owner, &import, fields).await;
        let page = text(&app.visitor(), &link).await;
        for hidden in [&*place, "127.0.0.1", "internal", "hunter2", "answered", "http://"] {
            assert!(!page.contains(hidden), "{hidden}: {page}");
        }
        assert!(page.contains("The reason is shown to the owner only."), "{page}");
        assert!(page.contains("prices.csv") && page.contains("From an address"), "{page}");
        is_for_guests(&page);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_csv_is_called_so_if_rows_are_shown() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = owner.upload("orders.csv", "{\"a\": 1}").await;
    owner.wait_for_state(&import, "Failed").await;
    for (fields, is_said) in [(&WEEK_WITH_ROWS[..], true), (&WEEK, false)] {
        let link = share(&owner, &import, fields).await;
        let page = text(&app.visitor(), &link).await;
        // What is said of a file can quote it.
        assert_eq!(page.contains("not a CSV"), is_said, "{page}");
        is_for_guests(&page);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_re_run_does_not_tell_of_which_import_and_its_parent_not_of_re_runs() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let parent = completed(&owner, "parent-secret.csv").await;
    let answer = owner.post_form(&format!("{parent}/retry"), &[("header", "none")]).await;
    let retry = Visitor::import_in(answer).await;
    owner.wait_for_state(&retry, "Completed").await;
    let ids = [&parent, &retry].map(|import| import.rsplit('/').next().unwrap());
    let guest = app.visitor();
    for (import, other) in [(&parent, ids[1]), (&retry, ids[0])] {
        let link = share(&owner, import, &WEEK_WITH_ROWS).await;
        let page = text(&guest, &link).await;
        assert!(!page.contains(other) && !page.contains("class=\"related\""), "{page}");
        assert!(!page.contains("by you"), "{page}");
    }
    let link = share(&owner, &retry, &WEEK).await;
    assert!(text(&guest, &link).await.contains("by the owner"), "that it is one is in the timeline");
    app.stop().await;
}

#[tokio::test]
async fn the_output_of_anothers_function_is_for_the_owner() {
    let (app, _others) = spawn_app_with_another_function(|_| {}).await;
    let owner = app.signed_in().await;
    let import = completed_by_both(&owner, "orders.csv", MIXED).await;
    let link = share(&owner, &import, &WEEK_WITH_ROWS).await;
    let page = text(&app.visitor(), &link).await;
    assert!(page.contains("audit"), "its state is shown: {page}");
    assert!(!page.contains("Output") && !page.contains("/runs/"), "{page}");
    is_for_guests(&page);
    app.stop().await;
}

#[tokio::test]
async fn a_signed_in_guest_sees_what_a_stranger_sees() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "orders.csv").await;
    let link = share(&owner, &import, &WEEK).await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let of_stranger = text(&app.visitor(), &link).await;
    assert_eq!(text(&owner, &link).await, of_stranger);
    assert_eq!(text(&eve, &link).await, of_stranger);
    assert_eq!(eve.get(&import).await.status(), StatusCode::NOT_FOUND, "the link gives no other right");
    let answer = app.visitor().get(&link).await;
    assert!(!answer.headers().contains_key(header::SET_COOKIE));
    app.stop().await;
}

#[tokio::test]
async fn the_address_of_a_link_goes_to_no_other_site_cache_or_search_engine() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let import = completed(&owner, "orders.csv").await;
    let link = share(&owner, &import, &WEEK_WITH_ROWS).await;
    let guest = app.visitor();
    let encoded = link.replacen("shared", "%73hared", 1);
    assert_ne!(encoded, link);
    let paths = ["", "/panel", "/failed.csv", "/processed.csv?as=source", "/nothing"];
    for path in paths.map(|below| format!("{link}{below}")).into_iter().chain([encoded]) {
        for answer in [guest.get(&path).await, guest.fragment(&path).await] {
            for (name, value) in [
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
                ("x-robots-tag", "noindex, nofollow"),
            ] {
                let sent: Vec<_> = answer.headers().get_all(name).iter().collect();
                assert_eq!(sent, [value], "{path}: {name}");
            }
            assert!(answer.headers().contains_key(header::CONTENT_SECURITY_POLICY), "{path}");
        }
    }
    let other = guest.get("/sign-in").await;
    assert_eq!(other.headers()["referrer-policy"], "same-origin");
    assert!(!other.headers().contains_key("x-robots-tag"));
    app.stop().await;
}

#[tokio::test]
async fn a_held_import_waits_for_its_owner() {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let held = owner.post_with(&[("held.csv", MIXED)], &[("look", "1")]).await;
    let import = Visitor::import_in(held).await;
    let link = share(&owner, &import, &WEEK_WITH_ROWS).await;
    let page = text(&app.visitor(), &link).await;
    assert!(page.contains("The owner has not started it yet.") && !page.contains("Annika"), "{page}");
    is_for_guests(&page);
    app.stop().await;
}
