mod conformance;
mod engine;
mod function_server;
mod inngest_api;
