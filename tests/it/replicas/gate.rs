//! A host of one file, which it sends once the test opens it: until then the import of its address goes on.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::link::WIRES;
use crate::{inngest_api::until, support::host::with_body};

pub struct Gate {
    port: u16,
    is_open: watch::Sender<bool>,
    waiting: Arc<watch::Sender<usize>>,
    listening: JoinHandle<()>,
}

impl Gate {
    pub fn before(file: impl AsRef<[u8]>) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer: Arc<[u8]> = with_body("200 OK", "", file.as_ref()).into();
        let (is_open, waiting) = (watch::Sender::new(false), Arc::new(watch::Sender::new(0)));
        let (opened, its) = (is_open.subscribe(), Arc::clone(&waiting));
        let listening = WIRES.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                let (opened, answer, waiting) = (opened.clone(), Arc::clone(&answer), Arc::clone(&its));
                tokio::spawn(async move {
                    waiting.send_modify(|count| *count += 1);
                    // A client may hang up at any time.
                    let _ = serve(client, opened, &answer).await;
                    waiting.send_modify(|count| *count -= 1);
                });
            }
        });
        Self { port, is_open, waiting, listening }
    }

    /// The value of `RUNBOARD_ALLOW_ADDRESSES` for it.
    pub fn allowed(&self) -> String {
        format!("127.0.0.1/32:{}", self.port)
    }

    /// An address of the file.
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    /// Waits until so many clients wait for the file.
    pub async fn until_waiting(&self, count: usize) {
        let look = || async {
            let waiting = *self.waiting.borrow();
            if waiting == count { Ok(()) } else { Err(waiting) }
        };
        until(&format!("{count} clients of the host"), look).await;
    }

    /// Sends the file to those who wait, and to all later ones.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    mut opened: watch::Receiver<bool>,
    answer: &[u8],
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let mut more = [0; 1];
    tokio::select! {
        _ = opened.wait_for(|opened| *opened) => {}
        _ = client.read(&mut more) => return Ok(()),
    }
    client.write_all(answer).await?;
    client.shutdown().await?;
    // A connection that is closed with unread bytes is reset, which could cost the client the answer.
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop)
}
