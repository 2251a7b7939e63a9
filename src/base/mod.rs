//! What every room uses: ids, time, configuration, clients of other servers and their TLS, tasks, the client address
//! of a request, secrets typed at a terminal, characters that mislead, and limits on what strangers can use.

pub mod characters;
pub mod client_address;
pub mod config;
pub mod ids;
pub mod limits;
pub mod outgoing;
pub mod tasks;
pub mod terminal;
pub mod time;
pub mod tls;
