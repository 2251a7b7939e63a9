//! The API for programs, below `/api/v1`: JSON in camelCase, times in RFC 3339, errors as problem details.
//!
//! A handler takes `ApiPrincipal` or `ApiImport`, whose type parameter names the scope that it needs.

pub mod act;
mod answer;
mod cursor;
pub mod describe;
pub mod downloads;
mod held;
mod import_json;
pub mod imports;
pub mod make;
pub mod me;
pub mod openapi;
mod reading_json;
mod reference;
pub mod tokens;
mod wait;

use std::collections::BTreeSet;

pub use self::answer::{accepted, created, json};
use self::answer::{hash, tagged};
use crate::{
    accounts::Scope,
    base::time::UnixMillis,
    report::{EngineName, ReportInputs, guest::Audience},
};

/// A time as the API writes it.
fn time(at: UnixMillis) -> String {
    at.to_string()
}

/// What is said about imports is as of now.
fn inputs(engine: &EngineName) -> ReportInputs {
    ReportInputs { now: UnixMillis::now(), engine: *engine, audience: Audience::Owner }
}

/// Scopes as the API writes them.
fn names(scopes: &BTreeSet<Scope>) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.as_str()).collect()
}
