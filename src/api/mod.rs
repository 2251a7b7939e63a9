//! The API for programs, below `/api/v1`: JSON in camelCase, times in RFC 3339, errors as problem details.
//!
//! A handler takes `ApiPrincipal` or `ApiImport`, whose type parameter names the scope that it needs.

mod answer;
pub mod me;
pub mod tokens;

use std::collections::BTreeSet;

pub use self::answer::{created, json};
use crate::{accounts::Scope, base::time::UnixMillis};

/// A time as the API writes it.
fn time(at: UnixMillis) -> String {
    at.to_string()
}

/// Scopes as the API writes them.
fn names(scopes: &BTreeSet<Scope>) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.as_str()).collect()
}
