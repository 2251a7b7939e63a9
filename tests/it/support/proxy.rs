//! An HTTP proxy that misbehaves as scripted, request by request.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};
use url::Url;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Pass,
    /// Forwards it after this time.
    Delay(Duration),
    /// Forwards it once [`Proxy::release`] is called.
    Hold,
    /// Resets the connection; the request is not forwarded.
    Reset,
    /// Forwards it, and closes without the answer.
    CutBeforeAnswer,
    /// Forwards it, and closes in the middle of the answer's body.
    CutInAnswer,
    /// Forwards half of its body, then closes both sides.
    HalfARequest,
    /// Forwards it, and answers with half of the body as if that were all.
    HalfAnAnswer,
    /// Forwards it twice at once, and returns the later answer.
    Twice,
    /// Answers with this status itself.
    Status(u16),
}

/// A received request.
#[derive(Debug)]
pub struct Request {
    head: String,
    bytes: Vec<u8>,
}

type Script = Box<dyn FnMut(&Request) -> Behaviour + Send>;

pub struct Proxy {
    pub origin: Url,
    script: Arc<Mutex<Script>>,
    is_released: watch::Sender<bool>,
}

impl Proxy {
    /// Starts in front of `upstream`, and forwards everything until it gets a script.
    pub async fn start(upstream: &Url) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(|_| Behaviour::Pass)));
        let upstream = format!("{}:{}", upstream.host_str().unwrap(), upstream.port().unwrap());
        let (shared, is_released) = (Arc::clone(&script), watch::Sender::new(false));
        let released = is_released.subscribe();
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let (shared, upstream, released) = (Arc::clone(&shared), upstream.clone(), released.clone());
                // A client may hang up at any time.
                tokio::spawn(async move { serve(connection, &shared, &upstream, released).await.ok() });
            }
        });
        Self { origin, script, is_released }
    }

    /// Sets the behaviour from now on, request by request.
    pub fn behave(&self, script: impl FnMut(&Request) -> Behaviour + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// Lets requests go on that are held, and those that would be.
    pub fn release(&self) {
        self.is_released.send_replace(true);
    }
}

impl Request {
    /// Method and path, without the query.
    pub fn target(&self) -> &str {
        self.head.split(" HTTP/").next().and_then(|line| line.split('?').next()).unwrap_or_default()
    }

    pub fn query(&self) -> &str {
        let line = self.head.split(" HTTP/").next().unwrap_or_default();
        line.split_once('?').map_or("", |(_, query)| query)
    }

    /// A header's value; names are in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Reads a request, and makes its connection close after it.
    async fn read(connection: &mut TcpStream) -> io::Result<Self> {
        let (head, mut body) = read_head(connection).await?;
        let mut request = Self { head, bytes: Vec::new() };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        while body.len() < length {
            if connection.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let head = request.head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        request.bytes = [head.as_bytes(), b"\r\n", &body].concat();
        Ok(request)
    }
}

/// A message's head including its last line end, and the bytes of the body that arrived with it.
async fn read_head(connection: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            bytes.truncate(end + 2);
            return Ok((String::from_utf8(bytes).unwrap(), body));
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn serve(
    mut connection: TcpStream,
    script: &Mutex<Script>,
    upstream: &str,
    mut released: watch::Receiver<bool>,
) -> io::Result<()> {
    let request = Request::read(&mut connection).await?;
    let behaviour = (script.lock().unwrap())(&request);
    let bytes = &request.bytes;
    match behaviour {
        Behaviour::Pass => connection.write_all(&pass(upstream, bytes).await?).await,
        Behaviour::Delay(pause) => {
            sleep(pause).await;
            connection.write_all(&pass(upstream, bytes).await?).await
        }
        Behaviour::Hold => {
            // At the end of a test nobody can release it any more.
            if released.wait_for(|released| *released).await.is_err() {
                return Ok(());
            }
            connection.write_all(&pass(upstream, bytes).await?).await
        }
        Behaviour::Reset => connection.set_zero_linger(),
        Behaviour::CutBeforeAnswer => pass(upstream, bytes).await.map(drop),
        Behaviour::CutInAnswer => {
            let answer = pass(upstream, bytes).await?;
            let (head, body) = split(&answer);
            connection.write_all(head).await?;
            connection.write_all(&body[..body.len() / 2]).await
        }
        Behaviour::HalfARequest => {
            let (head, body) = split(bytes);
            let mut to = TcpStream::connect(upstream).await?;
            to.write_all(head).await?;
            to.write_all(&body[..body.len() / 2]).await?;
            to.shutdown().await
        }
        Behaviour::HalfAnAnswer => {
            let answer = pass(upstream, bytes).await?;
            let (head, body) = split(&answer);
            let body = &body[..body.len() / 2];
            let lines = std::str::from_utf8(head).unwrap().trim_end().lines();
            let mut kept: Vec<_> = lines.filter(|line| !is_header(line, "content-length")).collect();
            let length = format!("content-length: {}", body.len());
            kept.push(&length);
            connection.write_all(format!("{}\r\n\r\n", kept.join("\r\n")).as_bytes()).await?;
            connection.write_all(body).await
        }
        Behaviour::Twice => {
            let first = pass(upstream, bytes);
            let second = pass(upstream, bytes);
            let (first, second) = tokio::join!(first, second);
            first?;
            connection.write_all(&second?).await
        }
        Behaviour::Status(status) => {
            let answer = format!(
                "HTTP/1.1 {status} Trouble\r\ncontent-length: 9\r\nconnection: close\r\n\r\nNot today"
            );
            connection.write_all(answer.as_bytes()).await
        }
    }
}

/// The whole answer to a request.
async fn pass(upstream: &str, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut to = TcpStream::connect(upstream).await?;
    to.write_all(request).await?;
    let mut answer = Vec::new();
    to.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// A message's head with the empty line, and its body.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    message.split_at(end + 4)
}

fn is_header(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
}
