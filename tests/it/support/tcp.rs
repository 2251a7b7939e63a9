//! A wire between a client and a server, which counts the client's messages and can be cut only on the
//! client's side.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub struct Wire {
    pub port: u16,
    sent: Arc<AtomicUsize>,
    cuts: watch::Sender<usize>,
}

impl Wire {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            sent: Arc::default(),
            cuts: watch::Sender::new(0),
        };
        let (sent, cuts) = (Arc::clone(&wire.sent), wire.cuts.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(carry(client, port, Arc::clone(&sent), cuts));
            }
        });
        wire
    }

    /// The number of messages that clients have sent.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// Closes all connections on the clients' side; the server does not notice.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(client: TcpStream, port: u16, sent: Arc<AtomicUsize>, mut cuts: watch::Receiver<usize>) {
    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            sent.fetch_add(1, Ordering::SeqCst);
            if to_server.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = copy(&mut from_server, &mut to_client) => {}
        cut = cuts.changed() => if cut.is_ok() {
            drop((from_client, to_client));
            // Until the test ends, the server sees silent connections.
            while cuts.changed().await.is_ok() {}
        },
    }
}
