//! Runboard: upload a CSV, trigger `imports/csv.uploaded`, watch the runs.
//!
//! The rooms, in the order in which data passes through them:
//!
//! | room | what happens there |
//! |---|---|
//! | [`web`] | what a person sees: pages, and the fragments that htmx polls |
//! | [`imports`] | an import's life: accept the upload, send its event from the outbox, watch its runs |
//! | [`engine`] | Inngest's stand-in: the same HTTP API, a durable queue, retries |
//! | [`function`] | what the engine calls: `process-csv-upload`, a plan and a chain of steps |
//! | [`accounts`] | users, passwords, sessions |
//! | [`store`] | all SQL, and the live numbers that are kept in memory |
//! | [`source`] | bytes in and out: stored files, signed links to them, and files fetched by their address |
//! | [`inngest`] | the wire, both ways: client, events, runs, calls, signatures |
//! | [`csv`] | pure: bytes to records, verdicts and output |
//! | [`limits`] | how often, by whom and in whose turn something may be asked for, and how much memory it may hold |
//!
//! Imports point down only, and rooms on one line never import each other:
//! `main > app > web > imports, function, engine, accounts > store, source > inngest > csv, ids, time, config, tasks, limits`.
//! `docs/ARCHITECTURE.md` walks one upload through all of it.

// What cannot happen is said by `expect`, and its text says why it cannot.
#![warn(clippy::unwrap_used)]

pub mod accounts;
pub mod app;
pub mod config;
pub mod csv;
pub mod engine;
pub mod function;
pub mod ids;
pub mod imports;
pub mod inngest;
pub mod limits;
pub mod source;
pub mod store;
pub mod tasks;
pub mod time;
pub mod web;
