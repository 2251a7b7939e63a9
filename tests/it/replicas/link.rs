//! A TCP connection that a test can cut: between a replica and its database, or its bucket. What a replica reads of the
//! bucket can also be held.

use std::sync::{
    Arc, LazyLock,
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
    reads: Arc<Reads>,
    listening: JoinHandle<()>,
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
        let (cut, reads) = (watch::Sender::new(Cut::No), Arc::new(Reads::that_pass()));
        let (state, its_reads) = (cut.subscribe(), Arc::clone(&reads));
        let listening = WIRES.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, port, state.clone(), Arc::clone(&its_reads)));
            }
        });
        Self { port: own, cut, reads, listening }
    }

    /// From now on.
    pub fn set(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }

    /// From now on each answer with a part of an object waits.
    pub fn hold_reads(&self) {
        self.reads.left.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// How many wait.
    pub fn held_reads(&self) -> usize {
        self.reads.waiting.load(Ordering::SeqCst)
    }

    /// Those that wait go on, and later ones wait.
    pub fn let_held_reads_pass(&self) {
        self.reads.left.add_permits(self.held_reads());
    }

    /// All go on.
    pub fn release_reads(&self) {
        // Half of the most, because some may be left.
        self.reads.left.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn carry(client: TcpStream, port: u16, state: watch::Receiver<Cut>, reads: Arc<Reads>) {
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
            end = pump(from_client, to_server, there, None) => end,
            end = pump(from_server, to_client, back, Some(&reads)) => end,
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
    reads: Option<&Reads>,
) -> Option<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
        if let Some(reads) = reads.filter(|_| is_read(&bytes[..read])) {
            reads.pass().await;
        }
        state.wait_for(|cut| *cut == Cut::No).await.ok()?;
        to.write_all(&bytes[..read]).await.ok()?;
    }
}
