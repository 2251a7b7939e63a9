//! `RUNBOARD_STORAGE_LINKS=direct`: downloads that are one object are answered with a redirect to the bucket.

use reqwest::{Client, Method, Response, StatusCode, header};
use runboard::base::config::StorageLinks;
use serde_json::Value;
use url::Url;

use crate::{
    share::{WEEK_WITH_ROWS, share},
    support::{TestApp, program::Program, s3::S3Server, spawn_app_on, visitor::Visitor},
};

const ORDERS: &str = "id,name\n1,Zoë\n2\n3,Ada\n";
const PROCESSED: &str = "id,name\r\n1,Zoë\r\n3,Ada\r\n";
const FAILED: &str = "_line,_column,_reason,id,name,_extra\r\n3,,\"1 field, expected 2\",2\r\n";

async fn spawn_direct(server: &S3Server, step_bytes: u64) -> TestApp {
    let mut bucket = server.config();
    bucket.links = StorageLinks::Direct;
    spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.bucket = Some(bucket);
        config.step_bytes = step_bytes..=step_bytes;
    })
    .await
}

/// Where a redirect leads to, which is an output in the bucket.
fn redirected(answer: &Response, server: &S3Server) -> Url {
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT, "{answer:?}");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let to = Url::parse(answer.headers()[header::LOCATION].to_str().unwrap()).unwrap();
    assert_eq!(to.origin(), server.origin.origin());
    assert!(to.path().contains("/of/runboard/runs/"), "{to}");
    let lifetime = to.query_pairs().find(|(name, _)| name == "X-Amz-Expires").unwrap().1;
    assert_eq!(lifetime, "300");
    to
}

/// A client without a session or a token.
fn stranger() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// What a download is, from wherever it comes.
async fn content(answer: Response, server: &S3Server) -> String {
    let answer = match answer.status() {
        StatusCode::OK => answer,
        _ => stranger().get(redirected(&answer, server)).send().await.unwrap(),
    };
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.unwrap()
}

#[tokio::test]
async fn downloads_lead_to_the_bucket_for_everybody_who_may_have_them() {
    let server = S3Server::seaweedfs();
    let app = spawn_direct(&server, 1 << 20).await;
    let owner = app.signed_in().await;
    let import = owner.upload("orders.csv", ORDERS).await;
    owner.wait_for_state(&import, "Completed").await;
    let program = Program::of(&owner, &["read"]).await;
    let link = share(&owner, &import, &WEEK_WITH_ROWS).await;
    for (which, expected) in [("processed.csv", PROCESSED), ("failed.csv", FAILED)] {
        let answers = [
            owner.get(&format!("{import}/{which}")).await,
            program.get(&format!("/api/v1{import}/{which}")).await,
            app.visitor().get(&format!("{link}/{which}")).await,
        ];
        for answer in answers {
            let there = stranger().get(redirected(&answer, &server)).send().await.unwrap();
            assert_eq!(there.status(), StatusCode::OK);
            let headers = there.headers().clone();
            assert_eq!(headers[header::CONTENT_TYPE], "text/csv; charset=utf-8");
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
            let name = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
            assert!(
                name.starts_with("attachment; ") && name.contains(&format!("orders%2D{which}")),
                "{name}"
            );
            assert_eq!(there.text().await.unwrap(), expected);
        }
    }
    let (mut other, path) = (app.visitor(), format!("{import}/processed.csv"));
    other.sign_up("ada@example.org").await;
    let uploader = Program::of(&owner, &["import"]).await;
    assert_eq!(other.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(uploader.get(&format!("/api/v1{path}")).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(app.visitor().get(&format!("{link}0/processed.csv")).await.status(), StatusCode::NOT_FOUND);
    app.stop().await;
}

#[tokio::test]
async fn a_link_to_the_bucket_opens_one_file_by_the_method_that_was_asked_for_and_conditions_come_first() {
    let server = S3Server::seaweedfs();
    let app = spawn_direct(&server, 1 << 20).await;
    let owner = app.signed_in().await;
    let import = owner.upload("orders.csv", ORDERS).await;
    owner.wait_for_state(&import, "Completed").await;
    let path = format!("{import}/processed.csv");
    let to = redirected(&owner.get(&path).await, &server);
    let part = stranger().get(to.clone()).header(header::RANGE, "bytes=3-6").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.text().await.unwrap(), &PROCESSED[3..=6]);
    let other = to.as_str().replacen("processed.csv", "other.csv", 1);
    assert_ne!(other, to.as_str());
    assert_eq!(stranger().get(other).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let head = owner.request(Method::HEAD, &path).send().await.unwrap();
    let head = stranger().head(redirected(&head, &server)).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers()[header::CONTENT_LENGTH], PROCESSED.len().to_string());
    let ask = async |condition, value: &str| {
        owner.request(Method::GET, &path).header(condition, value).send().await.unwrap()
    };
    assert_eq!(ask(header::IF_NONE_MATCH, "*").await.status(), StatusCode::NOT_MODIFIED);
    // A tag or a date of the bucket is for the bucket.
    for name in [header::ETAG, header::LAST_MODIFIED] {
        let value = head.headers()[&name].to_str().unwrap();
        let condition = if name == header::ETAG { header::IF_MATCH } else { header::IF_UNMODIFIED_SINCE };
        let to = redirected(&ask(condition.clone(), value).await, &server);
        let there = stranger().get(to).header(condition, value).send().await.unwrap();
        assert_eq!(there.status(), StatusCode::OK);
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_changed_on_its_way_or_of_several_objects_goes_through_runboard() {
    let server = S3Server::seaweedfs();
    let app = spawn_direct(&server, 100_000).await;
    let owner = app.signed_in().await;
    // Several steps, of which the last alone has records that fail.
    let good: String = (0..50_000).map(|n| format!("{n},paid\n")).collect();
    let orders = format!("id,state\n{good}x\ny\n");
    let import = owner.upload("orders.csv", &orders).await;
    owner.wait_for_state(&import, "Completed").await;
    let processed = format!("id,state\r\n{}", good.replace('\n', "\r\n"));
    let answer = owner.get(&format!("{import}/processed.csv")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.unwrap() == processed);
    let failed = "_line,_column,_reason,id,state,_extra\r\n50002,,\"1 field, expected 2\",x\r\n\
                  50003,,\"1 field, expected 2\",y\r\n";
    let answer = owner.get(&format!("{import}/failed.csv")).await;
    redirected(&answer, &server);
    assert_eq!(content(answer, &server).await, failed);
    let as_source = owner.get(&format!("{import}/failed.csv?as=source")).await;
    assert_eq!(as_source.status(), StatusCode::OK);
    assert_eq!(as_source.text().await.unwrap().lines().count(), 3);

    // The header in front of the first record is none.
    let list = owner.get(&format!("/api/v1{import}/failures")).await;
    let list: Value = list.json().await.unwrap();
    let raw: Vec<_> = list["data"].as_array().unwrap().iter().map(|failure| failure["raw"].clone()).collect();
    assert_eq!((raw, &list["next"]), (vec!["x".into(), "y".into()], &Value::Null));
    let again = owner.post_form(&format!("{import}/retry"), &[("only", "failed")]).await;
    let again = Visitor::import_in(again).await;
    assert_eq!(owner.wait_for_state(&again, "Completed").await.counts(), (0, 2));
    let none = owner.get(&format!("{again}/processed.csv")).await;
    assert_eq!(none.status(), StatusCode::OK, "it has no object");
    assert_eq!(none.text().await.unwrap(), "id,state\r\n");
    app.stop().await;
}
