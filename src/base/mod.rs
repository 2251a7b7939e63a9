//! What every room uses: ids, time, configuration, TLS, tasks, the client address of a request, and limits on what
//! strangers can use.

pub mod client_address;
pub mod config;
pub mod ids;
pub mod limits;
pub mod tasks;
pub mod time;
pub mod tls;
