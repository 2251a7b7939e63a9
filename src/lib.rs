//! Runboard: upload a CSV, trigger `imports/csv.uploaded`, watch the runs.
//!
//! The rooms, from top to bottom:
//!
//! | room | contents |
//! |---|---|
//! | [`app`] | start and stop of all parts, in order; the route table |
//! | [`web`] | for people: pages, and the fragments that htmx polls |
//! | [`api`] | for programs: JSON below `/api/v1` |
//! | [`client`] | for a person at a terminal: commands that talk to a server below `/api/v1` |
//! | [`http`] | what all handlers share: sessions, tokens, errors, origin checks, headers, listeners |
//! | [`report`] | the description of an import for people and programs: plain text and typed values |
//! | [`imports`] | the life of an import: accept the upload, send its event from the outbox, watch its runs |
//! | [`engine`] | the embedded replacement for Inngest: the same HTTP API, a durable queue, retries |
//! | [`function`] | the function that the engine calls: `process-csv-upload`, a plan and a chain of steps |
//! | [`accounts`] | users, passwords, sessions, tokens, guest links, e-mails |
//! | [`webhooks`] | tells the ends of imports to addresses |
//! | [`results`] | the results of a run: its plan, outputs, failed records |
//! | [`progress`] | state that changes too fast for the database: the counters of running steps, news of runs |
//! | [`replicas`] | the processes on one database: who lives, who leads, what they tell each other, what they count together |
//! | [`store`] | all SQL |
//! | [`files`] | stored files, signed links to them, and files that are fetched by their address or unpacked |
//! | [`inngest`] | the wire, both ways: client, events, runs, calls, signatures |
//! | [`csv`] | pure: how a file is read, then bytes to records, verdicts and output |
//! | [`base`] | ids, time, configuration, tasks, and limits on the memory and time that strangers can use |
//!
//! Uses point down only, and rooms between the same two `>` never use each other:
//! `main > app > web, api, client > http, report > imports, function, engine, accounts, webhooks > results > progress > replicas > store, files > inngest > csv > base`.
//! `docs/ARCHITECTURE.md` says where a change goes, and follows one upload through all of it.

// Impossible cases use `expect`, whose text says why they cannot happen.
#![warn(clippy::unwrap_used)]

pub mod accounts;
pub mod api;
pub mod app;
pub mod base;
pub mod client;
pub mod csv;
pub mod engine;
pub mod files;
pub mod function;
pub mod http;
pub mod imports;
pub mod inngest;
pub mod progress;
pub mod replicas;
pub mod report;
pub mod results;
pub mod store;
pub mod web;
pub mod webhooks;
