//! The receiver in docs/webhook.md, run as it stands there.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use crate::support::{reserved_port::ReservedPort, spawn_app_on, until, until_seen};

const DOCUMENT: &str = include_str!("../../../docs/webhook.md");

#[tokio::test]
async fn the_receiver_of_the_document_takes_what_is_genuine_and_nothing_else() {
    let script = DOCUMENT.split("```js\n").nth(1).unwrap().split("```").next().unwrap();
    let reserved = ReservedPort::new();
    let address = SocketAddr::from(([127, 0, 0, 1], reserved.port));
    let allowed = format!("127.0.0.1/32:{}", reserved.port).parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.allow_addresses = allowed;
        config.late_runs = super::LATE_RUNS;
    })
    .await;
    let mira = app.signed_in().await;
    let url = format!("http://{address}/");
    let secret = super::save(&mira, &url).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("receiver.mjs");
    std::fs::write(&file, script).unwrap();
    let mut node = Command::new("node")
        .arg(&file)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("WEBHOOK_SECRET", &secret)
        .env("PORT", reserved.port.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let (lines, log) = (BufReader::new(node.stdout.take().unwrap()).lines(), Arc::clone(&said));
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| log.lock().unwrap().push(line)));
    until("the receiver", || TcpStream::connect(address).is_ok()).await;

    // A sender that hangs up in the middle, and one that sends too much.
    let mut broken_off = TcpStream::connect(address).unwrap();
    broken_off.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
    drop(broken_off);
    let http = reqwest::Client::new();
    let too_long = http.post(&url).body("x".repeat((1 << 20) + 1)).send().await.unwrap();
    assert_eq!(too_long.status().as_u16(), 413);
    let forged = http
        .post(&url)
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", (runboard::base::time::UnixMillis::wall().0 / 1_000).to_string())
        .header("webhook-signature", "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=")
        .body(r#"{"type":"import.finished","data":{}}"#);
    assert_eq!(forged.send().await.unwrap().status().as_u16(), 401);
    let import = mira.upload("orders.csv", "id,name\n1,Ada\n2\n").await;
    mira.wait_for_state(&import, "Completed").await;
    until("the message", || !said.lock().unwrap().is_empty()).await;
    let line = said.lock().unwrap()[0].clone();
    assert!(line.starts_with("orders.csv: Completed. 1 row processed, 1 failed"), "{line}");
    let shown = async || super::text(&mira, "/account/webhook").await.contains("status 204");
    until_seen("the delivery", shown, true).await;
    assert!(node.try_wait().unwrap().is_none(), "it still runs");
    node.kill().unwrap();
    node.wait().unwrap();
    app.stop().await;
}
