//! A host that serves files, with all possible failures.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A server with its own port that answers with raw bytes, so that it can answer wrongly.
pub struct Host {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

/// The answer to one request.
pub enum Reply {
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// These bytes, then nothing more, on an open connection.
    Hold(Vec<u8>),
    /// These bytes, then one byte now and then, without an end.
    Drip(Vec<u8>),
}

impl Reply {
    /// 200 with a length.
    pub fn file(body: impl AsRef<[u8]>) -> Self {
        Self::Bytes(with_body("200 OK", "", body.as_ref()))
    }

    /// A status and more header lines, each with its line end, without a body.
    pub fn status(status: &str, headers: &str) -> Self {
        Self::Bytes(with_body(status, headers, b""))
    }

    pub fn redirect(to: &str) -> Self {
        Self::status("302 Found", &format!("Location: {to}\r\n"))
    }
}

pub fn with_body(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

impl Host {
    /// `answer` gets the requested path, and the number of earlier requests.
    pub async fn start(answer: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&answer)));
            }
        });
        Self { port, asked }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A host with a file that never ends.
    pub async fn that_never_ends() -> Self {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na\n1\n";
        Self::start(|_, _| Reply::Hold(head.to_vec())).await
    }

    /// The value of `RUNBOARD_ALLOW_ADDRESSES` for this host.
    pub fn allowed(&self) -> String {
        format!("127.0.0.1/32:{}", self.port)
    }

    /// The requests so far: line and headers.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    asked: Arc<Mutex<Vec<String>>>,
    answer: Arc<impl Fn(&str, usize) -> Reply>,
) {
    let mut request = String::new();
    let mut reader = BufReader::new(&mut stream);
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let before = {
        let mut asked = asked.lock().unwrap();
        asked.push(request.clone());
        asked.len() - 1
    };
    // Clients that hang up early are part of the tests.
    match answer(request.split(' ').nth(1).unwrap(), before) {
        Reply::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            // A connection that is closed with unread bytes is reset, which could cost the client the answer.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
        Reply::Hold(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Reply::Drip(bytes) => {
            let _ = stream.write_all(&bytes).await;
            while stream.write_all(b"a").await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}
