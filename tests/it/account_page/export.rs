//! `GET /account/export.zip`.

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
};

use reqwest::{Method, StatusCode};
use runboard::web::export::MOST_IMPORTS;
use serde_json::Value;

use crate::support::{
    host::{Host, Reply},
    spawn_app, spawn_app_on, until_seen,
    visitor::Visitor,
};

/// The files of a zip with their text, as Python's zipfile reads them, which checks every checksum.
type Zip = BTreeMap<String, String>;

const READ: &str = "import io, json, sys, zipfile; \
    zip = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())); \
    assert zip.testzip() is None; \
    json.dump({name: zip.read(name).decode('utf-8', 'replace') for name in zip.namelist()}, sys.stdout)";

async fn export(visitor: &Visitor, query: &str) -> Zip {
    unpacked(&visitor.download(&format!("/account/export.zip{query}")).await)
}

fn unpacked(zip: &[u8]) -> Zip {
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed (make setup)");
    // It reads everything before it writes.
    python.stdin.take().unwrap().write_all(zip).unwrap();
    let read = python.wait_with_output().unwrap();
    assert!(read.status.success(), "Python reads the zip");
    serde_json::from_slice(&read.stdout).unwrap()
}

fn file<'z>(zip: &'z Zip, name: &str) -> &'z str {
    zip.get(name).unwrap_or_else(|| panic!("{name} in {:?}", zip.keys()))
}

fn list(zip: &Zip) -> Value {
    serde_json::from_str(file(zip, "imports.json")).unwrap()
}

fn id(import: &str) -> &str {
    import.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn the_export_has_every_import_with_its_file_and_both_outputs_and_nothing_of_others() {
    let host = Host::start(|_, _| Reply::file("x,y\n5,6\n")).await;
    let allowed = host.allowed().parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| config.allow_addresses = allowed).await;
    let mira = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let uploaded = mira.upload("größe: 1.csv", "a,b\n1,2\n3\n").await;
    let fetched = mira.import_address(&host.url("/prices.csv")).await;
    let others = eve.upload("secret.csv", "a\n1\n").await;
    for (visitor, import) in [(&mira, &uploaded), (&mira, &fetched), (&eve, &others)] {
        visitor.wait_for_state(import, "Completed").await;
    }

    let zip = export(&mira, "").await;
    let list = list(&zip);
    assert_eq!(list["next"], Value::Null);
    let imports = list["data"].as_array().unwrap();
    let ids: Vec<&str> = imports.iter().map(|import| import["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [id(&fetched), id(&uploaded)], "newest first");
    assert_eq!(imports[1]["state"], "Completed");
    assert_eq!(imports[1]["runs"][0]["processedItems"], 1);
    assert_eq!(imports[1]["runs"][0]["failedItems"], 1);
    assert_eq!(imports[0]["sourceUrl"], host.url("/prices.csv"));

    let folder = id(&uploaded);
    assert_eq!(file(&zip, &format!("{folder}/upload/größe_ 1.csv")), "a,b\n1,2\n3\n");
    for name in ["processed.csv", "failed.csv"] {
        let downloaded = mira.download(&format!("{uploaded}/{name}")).await;
        assert_eq!(file(&zip, &format!("{folder}/{name}")).as_bytes(), downloaded, "{name}");
    }
    assert_eq!(file(&zip, &format!("{}/upload/prices.csv", id(&fetched))), "x,y\n5,6\n");
    assert!(zip.keys().all(|name| !name.contains(id(&others))));
    app.stop().await;
}

#[tokio::test]
async fn an_export_without_imports_is_a_zip_and_a_head_request_sends_none() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let zip = export(&mira, "").await;
    assert_eq!(list(&zip)["data"].as_array().unwrap().len(), 0);
    assert_eq!(zip.len(), 1);
    let head = mira.request(Method::HEAD, "/account/export.zip").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers()["content-type"], "application/zip");
    assert_eq!(mira.get("/account/export.zip?before=nothing").await.status(), StatusCode::BAD_REQUEST);
    app.stop().await;
}

#[tokio::test]
async fn a_zip_ends_after_so_many_imports_and_says_where_the_rest_is() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    let import = mira.upload("oldest.csv", "a\n1\n").await;
    mira.wait_for_state(&import, "Completed").await;
    // One more import than a zip has.
    app.sql(
        "INSERT INTO import (id, account_id, file_name, size_bytes, receiving_at, received_at, event_id, \
         finished_at, state, search_name) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
         SELECT '7ZZZZZZZZZZZZZZZZZZZZZ' || SUBSTR(CAST(9999 + i AS TEXT), 2), account_id, 'many.csv', 0, 1, 1, \
         'e' || i, 1, 'Skipped', 'many.csv' FROM import, n",
    )
    .await;
    let zip = export(&mira, "").await;
    let first = list(&zip);
    assert_eq!(first["data"].as_array().unwrap().len(), MOST_IMPORTS);
    let next = first["next"].as_str().unwrap();
    let zip = export(&mira, next.strip_prefix("/account/export.zip").unwrap()).await;
    let rest = list(&zip);
    assert_eq!(rest["data"].as_array().unwrap().len(), 1);
    assert_eq!((&rest["data"][0]["id"], &rest["next"]), (&Value::from(id(&import)), &Value::Null));
    assert_eq!(file(&zip, &format!("{}/upload/oldest.csv", id(&import))), "a\n1\n");
    app.stop().await;
}

#[tokio::test]
async fn two_exports_of_a_user_run_at_once_and_a_third_waits_for_one_to_end() {
    let app = spawn_app().await;
    let mira = app.signed_in().await;
    // Larger than what fits between the server and a client that does not read, and not compressible.
    let letter = || char::from(b'a' + rand::random::<u8>() % 26);
    let noise: String =
        (0..240_000).map(|_| (0..99).map(|_| letter()).chain(['\n']).collect::<String>()).collect();
    let import = mira.upload("noise.csv", format!("a\n{noise}")).await;
    mira.wait_for_state(&import, "Completed").await;
    let (first, second) = (mira.get("/account/export.zip").await, mira.get("/account/export.zip").await);
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    let third = mira.get("/account/export.zip").await;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(third.headers().contains_key("retry-after"));
    assert!(third.text().await.unwrap().contains("Your data is being downloaded already."));
    drop(first);
    let second = unpacked(&second.bytes().await.unwrap());
    assert_eq!(second.len(), 4, "imports.json, the file, and both outputs: {:?}", second.keys());
    let again = async || mira.get("/account/export.zip").await.status() == StatusCode::OK;
    until_seen("room for another", again, true).await;
    app.stop().await;
}
