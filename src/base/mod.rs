//! What every room uses: ids, time, configuration, TLS, tasks, and limits on what strangers can use.

pub mod config;
pub mod ids;
pub mod limits;
pub mod tasks;
pub mod time;
pub mod tls;
