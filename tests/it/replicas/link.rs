//! A TCP connection that a test can cut: between a replica and its database, or its bucket.

use std::sync::LazyLock;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::watch,
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
    listening: JoinHandle<()>,
}

impl Link {
    pub fn to(port: u16) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let own = listener.local_addr().unwrap().port();
        let cut = watch::Sender::new(Cut::No);
        let state = cut.subscribe();
        let listening = WIRES.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, port, state.clone()));
            }
        });
        Self { port: own, cut, listening }
    }

    /// From now on.
    pub fn set(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn carry(client: TcpStream, port: u16, state: watch::Receiver<Cut>) {
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
            end = pump(from_client, to_server, there) => end,
            end = pump(from_server, to_client, back) => end,
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
) -> Option<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
        state.wait_for(|cut| *cut == Cut::No).await.ok()?;
        to.write_all(&bytes[..read]).await.ok()?;
    }
}
