//! Tests that need an app, a database or a fake of another server.

mod accounts;
mod attempts;
mod bad_input;
mod cancel;
mod client;
mod client_errors;
mod config;
mod conformance;
mod crash;
mod csv;
mod disk_full;
mod engine;
mod fetch;
mod function;
mod function_server;
mod imports;
mod inngest_api;
mod layers;
mod next_attempt;
mod postgres;
mod routes;
mod source;
mod start_and_stop;
mod steps;
mod support;
mod views;
