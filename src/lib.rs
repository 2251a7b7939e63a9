//! Runboard: upload a CSV, trigger `imports/csv.uploaded`, watch the runs.
//!
//! The rooms, in the order in which data passes through them:
//!
//! | room | what happens there |
//! |---|---|
//! | [`app`] | what is started and stopped, in which order; the route table |
//! | [`web`] | what a person sees: pages, and the fragments that htmx polls |
//! | [`http`] | what all handlers share: sessions, errors, origin checks, headers, listeners |
//! | [`report`] | what a program and a person are told about an import: plain text and typed values |
//! | [`imports`] | an import's life: accept the upload, send its event from the outbox, watch its runs |
//! | [`engine`] | Inngest's stand-in: the same HTTP API, a durable queue, retries |
//! | [`function`] | what the engine calls: `process-csv-upload`, a plan and a chain of steps |
//! | [`accounts`] | users, passwords, sessions |
//! | [`results`] | what a run has written: its plan, outputs, failed records |
//! | [`progress`] | what moves too fast for the database: the counters of steps at work, news of runs |
//! | [`store`] | all SQL |
//! | [`files`] | bytes in and out: stored files, signed links to them, and files fetched by their address |
//! | [`inngest`] | the wire, both ways: client, events, runs, calls, signatures |
//! | [`csv`] | pure: bytes to records, verdicts and output |
//! | [`base`] | ids, time, configuration, tasks, and what strangers may take of memory and time |
//!
//! Imports point down only, and rooms on one line never import each other:
//! `main > app > web > http, report > imports, function, engine, accounts > results > progress > store, files > inngest > csv > base`.
//! `docs/ARCHITECTURE.md` walks one upload through all of it.

// What cannot happen is said by `expect`, and its text says why it cannot.
#![warn(clippy::unwrap_used)]

pub mod accounts;
pub mod app;
pub mod base;
pub mod csv;
pub mod engine;
pub mod files;
pub mod function;
pub mod http;
pub mod imports;
pub mod inngest;
pub mod progress;
pub mod report;
pub mod results;
pub mod store;
pub mod web;
