//! The rows of an import as files.

use std::sync::atomic::{AtomicUsize, Ordering};

use runboard::base::config::StorageLinks;

use super::{Desk, ORDERS, ORDERS_OUTPUT, ended};
use crate::support::{
    proxy::{Behaviour, Proxy},
    s3::{S3Server, config_at},
    spawn_app_on,
};

const PROCESSED: &str = "id,name\r\n1,Zoë\r\n3,Ada\r\n";
const FAILED: &str = "_line,_column,_reason,id,name,_extra\r\n3,,\"1 field, expected 2\",2\r\n";

#[tokio::test]
async fn the_files_have_exactly_the_rows_and_replace_what_was_there() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    desk.file("failed.csv", "old");
    desk.file("elsewhere.csv", "old");
    std::os::unix::fs::symlink("elsewhere.csv", desk.folder.path().join("link.csv")).unwrap();
    let done = desk.run(&["import", "orders.csv", "--failed", "failed.csv", "--processed", "link.csv"]).await;
    assert_eq!(done.imported(), (0, ORDERS_OUTPUT));
    assert_eq!(
        (desk.content("failed.csv"), desk.content("elsewhere.csv")),
        (FAILED.into(), PROCESSED.into())
    );
    assert_eq!(desk.files(), ["elsewhere.csv", "failed.csv", "link.csv", "orders.csv"]);
    desk.stop().await;
}

#[tokio::test]
async fn what_cannot_be_written_is_said_before_the_upload() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    for (path, sentence) in [
        ("no/such/failed.csv", "--failed no/such/failed.csv: there is no such folder.\n"),
        (".", "--failed .: this is a folder. Name a file in it.\n"),
        ("/dev/null", "--failed /dev/null: this is no ordinary file.\n"),
    ] {
        let done = desk.run(&["import", "orders.csv", "--failed", path]).await;
        assert_eq!((done.code, done.err.as_str()), (Some(3), sentence));
    }
    assert!(desk.imports().await.is_empty());
    desk.stop().await;
}

#[tokio::test]
async fn an_import_that_read_nothing_leaves_no_file() {
    let desk = Desk::new().await;
    desk.file("page.csv", "<!doctype html><title>Sign in</title><p>1,2</p>");
    let done = desk.run(&["import", "page.csv", "--failed", "failed.csv"]).await;
    assert_eq!((done.code, done.err.lines().count()), (Some(1), 2), "{done:?}");
    assert!(done.err.ends_with("failed.csv: This import wrote no rows to download.\n"), "{done:?}");
    assert_eq!(desk.files(), ["page.csv"]);
    desk.stop().await;
}

#[tokio::test]
async fn a_download_goes_on_where_its_connection_broke_off() {
    let desk = Desk::new().await;
    desk.file("orders.csv", ORDERS);
    let proxy = Proxy::start(&desk.app.origin.parse().unwrap()).await;
    let ranges = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, asked) = (std::sync::Arc::clone(&ranges), AtomicUsize::new(0));
    proxy.behave(move |request| {
        if !request.target().ends_with("/processed.csv") {
            return Behaviour::Pass;
        }
        seen.lock().unwrap().push(request.header("range").map(str::to_owned));
        if asked.fetch_add(1, Ordering::SeqCst) == 0 { Behaviour::CutInAnswer } else { Behaviour::Pass }
    });
    let mut command = desk.command(&["import", "orders.csv", "--processed", "processed.csv"]);
    command.env("RUNBOARD_URL", proxy.origin.as_str());
    let done = ended(command).await;
    assert_eq!((done.code, done.output()), (Some(0), ORDERS_OUTPUT), "{done:?}");
    assert_eq!(desk.content("processed.csv"), PROCESSED);
    let half = format!("bytes={}-", PROCESSED.len() / 2);
    assert_eq!(*ranges.lock().unwrap(), [None, Some(half)]);
    desk.stop().await;
}

#[tokio::test]
async fn a_redirect_to_the_bucket_is_followed_without_the_token() {
    let server = S3Server::start().await;
    let proxy = Proxy::start(&server.origin).await;
    let mut bucket = config_at(&proxy.origin);
    bucket.links = StorageLinks::Direct;
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.bucket = Some(bucket)).await;
    let desk = Desk::at(app).await;
    desk.file("orders.csv", ORDERS);
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&asked);
    proxy.behave(move |request| {
        // Runboard itself signs in a header.
        if !request.query().contains("X-Amz-Signature=") {
            return Behaviour::Pass;
        }
        let mut seen = seen.lock().unwrap();
        seen.push(["authorization", "range"].map(|name| request.header(name).map(str::to_owned)));
        if seen.len() == 1 { Behaviour::CutInAnswer } else { Behaviour::Pass }
    });
    let words = ["import", "orders.csv", "--failed", "failed.csv", "--processed", "processed.csv"];
    let done = desk.run(&words).await;
    assert_eq!((done.code, done.output()), (Some(0), ORDERS_OUTPUT), "{done:?}");
    assert_eq!(
        (desk.content("failed.csv"), desk.content("processed.csv")),
        (FAILED.into(), PROCESSED.into())
    );
    let half = format!("bytes={}-", FAILED.len() / 2);
    assert_eq!(*asked.lock().unwrap(), [[None, None], [None, Some(half)], [None, None]]);
    desk.stop().await;
}
