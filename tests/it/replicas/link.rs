//! A TCP connection that a test can cut: between a replica and its database, or its bucket. A test can also look into what
//! a replica sends, and hold what it reads of the bucket.

use std::sync::{
    Arc, LazyLock, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::{Semaphore, watch},
    task::JoinHandle,
};

/// Carries the bytes of all links, also while a test blocks its own thread, as for the start of a program.
pub static WIRES: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    No,
    /// Connections are closed, and so are new ones.
    Closed,
    /// Connections stay, and new ones are accepted; nothing arrives on either side.
    Silent,
}

/// Listens on a port of its own, and carries all to another one.
pub struct Link {
    pub port: u16,
    cut: watch::Sender<Cut>,
    taps: Arc<Taps>,
    listening: JoinHandle<()>,
}

/// What a test may do with the bytes of each direction.
struct Taps {
    sought: Sought,
    reads: Reads,
}

#[derive(Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

/// A text that a test seeks in what is sent to the other port.
#[derive(Default)]
struct Sought {
    text: OnceLock<&'static str>,
    count: AtomicUsize,
}

impl Sought {
    /// `end` has the end of what was sent before on this connection, in which the text may begin.
    fn seek(&self, end: &mut Vec<u8>, bytes: &[u8]) {
        let Some(text) = self.text.get() else { return };
        end.extend_from_slice(bytes);
        let found = end.windows(text.len()).filter(|part| *part == text.as_bytes()).count();
        self.count.fetch_add(found, Ordering::Relaxed);
        end.drain(..end.len().saturating_sub(text.len() - 1));
    }
}

/// The answers of an S3 server that have a part of an object, of which a test may want to hold some.
struct Reads {
    /// How many more may pass.
    left: Semaphore,
    waiting: AtomicUsize,
}

/// An answer that waits, until it is dropped: a client that no longer waits hangs up.
struct WaitingRead<'r>(&'r AtomicUsize);

impl Drop for WaitingRead<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Reads {
    fn that_pass() -> Self {
        Self { left: Semaphore::new(Semaphore::MAX_PERMITS), waiting: AtomicUsize::default() }
    }

    async fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = WaitingRead(&self.waiting);
        if let Ok(one) = self.left.acquire().await {
            one.forget();
        }
    }
}

/// Whether an answer begins here that has a part of an object. The next answer of a connection is sent only after the next
/// request, so that it begins with the bytes that arrive next.
fn is_read(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.") && bytes.get(8..).is_some_and(|rest| rest.starts_with(b" 206 "))
}

impl Link {
    pub fn to(port: u16) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let own = listener.local_addr().unwrap().port();
        let cut = watch::Sender::new(Cut::No);
        let taps = Arc::new(Taps { sought: Sought::default(), reads: Reads::that_pass() });
        let (state, its_taps) = (cut.subscribe(), Arc::clone(&taps));
        let listening = WIRES.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, port, state.clone(), Arc::clone(&its_taps)));
            }
        });
        Self { port: own, cut, taps, listening }
    }

    /// From now on.
    pub fn set(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }

    /// From now on.
    pub fn seek(&self, text: &'static str) {
        self.taps.sought.text.set(text).expect("one text is sought");
    }

    /// How often that text was sent.
    pub fn found(&self) -> usize {
        self.taps.sought.count.load(Ordering::Relaxed)
    }

    /// From now on each answer with a part of an object waits.
    pub fn hold_reads(&self) {
        self.taps.reads.left.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// How many wait.
    pub fn held_reads(&self) -> usize {
        self.taps.reads.waiting.load(Ordering::SeqCst)
    }

    /// Those that wait go on, and later ones wait.
    pub fn let_held_reads_pass(&self) {
        self.taps.reads.left.add_permits(self.held_reads());
    }

    /// All go on.
    pub fn release_reads(&self) {
        // Half of the most, because some may be left.
        self.taps.reads.left.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn carry(client: TcpStream, port: u16, state: watch::Receiver<Cut>, taps: Arc<Taps>) {
    let mut closed = state.clone();
    let carried = async {
        let (mut before, there, back) = (state.clone(), state.clone(), state);
        before.wait_for(|cut| *cut == Cut::No).await.ok()?;
        let server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        client.set_nodelay(true).ok()?;
        server.set_nodelay(true).ok()?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            end = pump(from_client, to_server, there, &taps, Direction::ToServer) => end,
            end = pump(from_server, to_client, back, &taps, Direction::ToClient) => end,
        }
    };
    tokio::select! {
        _ = carried => {}
        // It fails when the link is dropped, which also ends its connections.
        _ = closed.wait_for(|cut| *cut == Cut::Closed) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<Cut>,
    taps: &Taps,
    direction: Direction,
) -> Option<()> {
    let (mut bytes, mut end) = (vec![0; 64 << 10], Vec::new());
    loop {
        let read = from.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
        match direction {
            Direction::ToServer => taps.sought.seek(&mut end, &bytes[..read]),
            Direction::ToClient if is_read(&bytes[..read]) => taps.reads.pass().await,
            Direction::ToClient => {}
        }
        state.wait_for(|cut| *cut == Cut::No).await.ok()?;
        to.write_all(&bytes[..read]).await.ok()?;
    }
}
