//! Tests that need an app, a database or a fake of another server.

mod accounts;
mod client;
mod client_errors;
mod config;
mod conformance;
mod engine;
mod function;
mod function_server;
mod inngest_api;
mod source;
mod steps;
mod views;
