//! A port that a test keeps for a server that it starts later.

use tokio::net::TcpSocket;

/// A port on which nobody listens. It stays with this value, so that no other test gets it. A server can listen on it that
/// sets `SO_REUSEADDR`, as Node does, or `SO_REUSEPORT`.
pub struct ReservedPort {
    _socket: TcpSocket,
    pub port: u16,
}

impl ReservedPort {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.set_reuseport(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        Self { _socket: socket, port }
    }
}
