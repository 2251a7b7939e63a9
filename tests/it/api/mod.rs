//! The API for programs.

mod acts;
mod docs;
mod document;
mod downloads;
mod imports;
mod problems;
mod rate;
mod tokens;
mod typescript;
mod writes;

use crate::support::{Busy, TestApp, program::Program, spawn_app, visitor::Visitor};

/// An import that runs until `busy` is dropped, and a program that reads it.
struct Running {
    app: TestApp,
    owner: Visitor,
    program: Program,
    busy: Busy,
    /// Its path among the pages.
    import: String,
}

async fn running() -> Running {
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read"]).await;
    let busy = app.busy().await;
    let import = owner.upload("orders.csv", "a,b\n1,2\n").await;
    owner.wait_for_state(&import, "Running").await;
    Running { app, owner, program, busy, import }
}
