//! What every room may use: ids, time, configuration, TLS, tasks, and what strangers may take.

pub mod config;
pub mod ids;
pub mod limits;
pub mod tasks;
pub mod time;
pub mod tls;
