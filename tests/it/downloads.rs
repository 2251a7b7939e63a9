//! Downloads in parts: ranges, conditions, and a download that is resumed.

use std::{fs, path::Path, slice};

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::{
    Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
        CONTENT_TYPE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
        LAST_MODIFIED, LOCATION, RANGE,
    },
};
use sqlx::{AnyPool, Row};

use crate::support::{database, spawn_app, spawn_app_on, visitor::Visitor};

/// Cuts the outputs of the only import into parts, as several steps leave them: the lengths of the parts.
async fn cut_into_steps(data: &Path) -> [Vec<usize>; 2] {
    let url = database::url(data);
    let pool = AnyPool::connect(&url).await.unwrap();
    let step = sqlx::query("SELECT processed_file, failed_file FROM step WHERE step_id = 'rows-1'");
    let step = step.fetch_one(&pool).await.unwrap();
    let mut lengths = [Vec::new(), Vec::new()];
    for (column, lengths) in lengths.iter_mut().enumerate() {
        let key: String = step.get(column);
        let all = fs::read(data.join("files").join(&key)).unwrap();
        let cuts = [0, 7, all.len() / 2, all.len() - 3, all.len()];
        for (part, cut) in cuts.windows(2).enumerate() {
            let key = if part == 0 { key.clone() } else { format!("runs/{column}-{part}") };
            fs::write(data.join("files").join(key), &all[cut[0]..cut[1]]).unwrap();
            lengths.push(cut[1] - cut[0]);
        }
    }
    for part in 1..lengths[0].len() {
        sqlx::query(
            "INSERT INTO step (run_id, step_id, position, result, processed, failed, end_byte, processed_file, \
             failed_file, started_at, committed_at) SELECT run_id, $1, position + $2, result, 0, 0, end_byte, $3, \
             $4, started_at, committed_at FROM step WHERE step_id = 'rows-1'",
        )
        .bind(format!("rows-{}", part + 1))
        .bind(part as i64)
        .bind(format!("runs/0-{part}"))
        .bind(format!("runs/1-{part}"))
        .execute(&pool)
        .await
        .unwrap();
    }
    pool.close().await;
    lengths
}

async fn ask(visitor: &Visitor, path: &str, headers: &[(reqwest::header::HeaderName, &str)]) -> Response {
    let mut request = visitor.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.send().await.unwrap()
}

async fn part(visitor: &Visitor, path: &str, range: &str, of: usize) -> Bytes {
    let answer = ask(visitor, path, &[(RANGE, range), (ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{range}");
    assert!(!answer.headers().contains_key(CONTENT_ENCODING), "{range}");
    assert!(answer.headers().contains_key(CONTENT_DISPOSITION), "{range}");
    let told = answer.headers()[CONTENT_RANGE].to_str().unwrap().to_owned();
    let length = answer.headers()[CONTENT_LENGTH].to_str().unwrap().to_owned();
    let body = answer.bytes().await.unwrap();
    assert_eq!(length, body.len().to_string(), "{range}");
    assert!(told.starts_with("bytes ") && told.ends_with(&format!("/{of}")), "{range}: {told}");
    body
}

#[tokio::test]
async fn any_range_of_a_download_has_the_bytes_of_the_whole() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let rows: String =
        (0..40).map(|row| if row % 4 == 3 { format!("{row}\n") } else { format!("{row},x\n") }).collect();
    let import = visitor.upload("orders.csv", format!("id,text\n{rows}")).await;
    visitor.wait_for_state(&import, "Completed").await;
    let paths = ["processed.csv", "failed.csv"].map(|name| format!("{import}/{name}"));
    let before = [visitor.download(&paths[0]).await, visitor.download(&paths[1]).await];
    let data = app.stop().await;
    let lengths = cut_into_steps(data.path()).await;
    let app = spawn_app_on(data, |_| {}).await;
    let visitor = visitor.at(&app.origin);
    for ((path, whole), lengths) in paths.iter().zip(before).zip(lengths) {
        assert_eq!(visitor.download(path).await, whole, "{path} in parts");
        let length = whole.len();
        let header = length - lengths.iter().sum::<usize>();
        assert!(header > 0 && lengths.len() == 4, "{path}: {lengths:?}");
        let mut starts = vec![0, header];
        for part in &lengths {
            starts.push(starts.last().unwrap() + part);
        }
        for (n, start) in starts.iter().enumerate() {
            for end in &starts[n + 1..] {
                for (from, to) in [(*start, end - 1), (start + 1, *end), (start.saturating_sub(1), end - 2)] {
                    let body = part(&visitor, path, &format!("bytes={from}-{to}"), length).await;
                    assert_eq!(body, whole[from..=to.min(length - 1)], "{path}: {from}-{to} of {starts:?}");
                }
            }
            if *start < length {
                let body = part(&visitor, path, &format!("bytes={start}-"), length).await;
                assert_eq!(body, whole[*start..], "{path}: {start}- of {starts:?}");
                let body = part(&visitor, path, &format!("bytes=-{}", start + 1), length).await;
                assert_eq!(body, whole[length - start - 1..], "{path}: the last {}", start + 1);
            }
        }
    }
    app.stop().await;
}

/// More than the kernel keeps for a reader that has stopped.
const LARGE: usize = 32 << 20;

#[tokio::test]
async fn a_download_that_broke_off_is_resumed() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let mut csv = b"id,text\n".to_vec();
    for row in 0..LARGE / 1_000 {
        csv.extend_from_slice(format!("{row},{:01000}\n", row * 7).as_bytes());
    }
    let import = visitor.upload("large.csv", csv).await;
    visitor.wait_for_state(&import, "Completed").await;
    let path = format!("{import}/processed.csv");
    let whole = visitor.download(&path).await;
    let answer = visitor.get(&path).await;
    let etag = answer.headers()[ETAG].to_str().unwrap().to_owned();
    let (mut got, mut body) = (Vec::new(), answer.bytes_stream());
    while got.len() < LARGE / 2 {
        got.extend_from_slice(&body.next().await.unwrap().unwrap());
    }
    drop(body);
    // The tag stays that of these bytes after a restart.
    let data = app.stop().await;
    let app = spawn_app_on(data, |_| {}).await;
    let visitor = visitor.at(&app.origin);
    let range = format!("bytes={}-", got.len());
    let rest = ask(&visitor, &path, &[(RANGE, &range), (IF_RANGE, &etag)]).await;
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    got.extend_from_slice(&rest.bytes().await.unwrap());
    assert!(got == whole, "{} of {} bytes", got.len(), whole.len());
    app.stop().await;
}

#[tokio::test]
async fn what_a_client_has_already_is_not_sent_again() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("orders.csv", "a,b\n1,2\n3\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let path = &format!("{import}/processed.csv");
    let answer = visitor.get(path).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let headers = answer.headers().clone();
    assert_eq!(headers[ACCEPT_RANGES], "bytes");
    let [etag, date] = [ETAG, LAST_MODIFIED].map(|name| headers[name].to_str().unwrap().to_owned());
    assert!(etag.starts_with('"') && etag.len() > 20, "a strong tag: {etag}");
    assert_eq!(answer.text().await.unwrap(), "a,b\r\n1,2\r\n");
    let other = visitor.get(&format!("{import}/failed.csv")).await;
    assert_ne!(other.headers()[ETAG], etag);

    let (range, old, long_ago) =
        ("bytes=5-", "\"0123456789abcdef0123456789abcdef\"", "Sat, 29 Oct 1994 19:43:31 GMT");
    for (sent, status, text) in [
        (&[(RANGE, range)][..], 206, "1,2\r\n"),
        (&[(RANGE, range), (IF_RANGE, &etag)], 206, "1,2\r\n"),
        (&[(RANGE, range), (IF_RANGE, &date)], 206, "1,2\r\n"),
        (&[(RANGE, range), (IF_RANGE, old)], 200, "a,b\r\n1,2\r\n"),
        (&[(RANGE, range), (IF_RANGE, long_ago)], 200, "a,b\r\n1,2\r\n"),
        (&[(RANGE, "bytes=0-1,5-6")], 200, "a,b\r\n1,2\r\n"),
        (&[(RANGE, "bytes=ten-")], 200, "a,b\r\n1,2\r\n"),
        (&[(RANGE, "bytes=10-")], 416, ""),
        (&[(RANGE, "bytes=10-"), (IF_RANGE, old)], 200, "a,b\r\n1,2\r\n"),
        (&[(IF_NONE_MATCH, &etag)], 304, ""),
        (&[(IF_NONE_MATCH, &etag), (RANGE, range)], 304, ""),
        (&[(IF_NONE_MATCH, old)], 200, "a,b\r\n1,2\r\n"),
        (&[(IF_MODIFIED_SINCE, &date)], 304, ""),
        (&[(IF_MODIFIED_SINCE, long_ago)], 200, "a,b\r\n1,2\r\n"),
        (&[(IF_MATCH, &etag), (RANGE, range)], 206, "1,2\r\n"),
        (&[(IF_MATCH, old), (RANGE, range)], 412, ""),
        (&[(IF_UNMODIFIED_SINCE, long_ago)], 412, ""),
    ] {
        let answer = ask(&visitor, path, sent).await;
        assert_eq!(answer.status().as_u16(), status, "{sent:?}");
        assert_eq!(answer.headers()[ETAG], etag, "{sent:?}");
        let told = answer.headers().get(CONTENT_RANGE).map(|told| told.to_str().unwrap().to_owned());
        let expected = match status {
            206 => Some("bytes 5-9/10"),
            416 => Some("bytes */10"),
            _ => None,
        };
        assert_eq!(told.as_deref(), expected, "{sent:?}");
        assert_eq!(answer.text().await.unwrap(), text, "{sent:?}");
    }

    // A HEAD has the same answer for every range.
    let head = visitor.request(Method::HEAD, path).header(RANGE, range).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    for name in [ACCEPT_RANGES, ETAG, LAST_MODIFIED, CONTENT_LENGTH, CONTENT_TYPE, CONTENT_DISPOSITION] {
        assert_eq!(head.headers().get(&name), Some(&headers[&name]), "{name}");
    }
    assert!(head.bytes().await.unwrap().is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_range_opens_no_door() {
    let app = spawn_app().await;
    let visitor = app.signed_in().await;
    let import = visitor.upload("orders.csv", "a,b\n1,2\n3\n").await;
    visitor.wait_for_state(&import, "Completed").await;
    let path = &format!("{import}/processed.csv");
    let etag = visitor.get(path).await.headers()[ETAG].to_str().unwrap().to_owned();
    let mut stranger = app.visitor();
    stranger.sign_up("eve@example.org").await;
    for header in [(RANGE, "bytes=0-1"), (RANGE, "bytes=99-"), (IF_NONE_MATCH, &etag), (IF_MATCH, "\"no\"")] {
        let answer = ask(&stranger, path, slice::from_ref(&header)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{header:?}");
        assert!(!answer.headers().contains_key(ETAG) && !answer.headers().contains_key(CONTENT_RANGE));
        let answer = ask(&app.visitor(), path, slice::from_ref(&header)).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{header:?}");
        assert!(answer.headers()[LOCATION].to_str().unwrap().starts_with("/sign-in"), "{header:?}");
    }

    let _busy = app.busy().await;
    let import = visitor.upload("waits.csv", "a,b\n1,2\n").await;
    let answer = ask(&visitor, &format!("{import}/processed.csv"), &[(RANGE, "bytes=0-1")]).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT, "before the end");
    app.stop().await;
}
