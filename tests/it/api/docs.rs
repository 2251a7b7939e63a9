//! The commands in docs/api.md, as a person runs them.

use std::process::Command;

use crate::support::{program::Program, spawn_app};

const DOCUMENT: &str = include_str!("../../../docs/api.md");

#[tokio::test]
async fn the_commands_of_the_document_do_what_it_says() {
    let blocks: Vec<&str> =
        DOCUMENT.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 8, "{blocks:?}");
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import", "tokens"]).await;
    let folder = tempfile::tempdir().unwrap();
    let script = format!("set -eux\n{}", blocks.join("\n"));
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &script])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RUNBOARD_URL", &app.origin)
        .env("RUNBOARD_TOKEN", program.secret());
    let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{out}");
    for said in ["1 row processed, 2 failed, in ", "\"lastLine\":5", "304\n", "401\n", "\"rb_"] {
        assert!(out.contains(said), "{said}: {out}");
    }
    let processed = std::fs::read_to_string(folder.path().join("processed.csv")).unwrap();
    assert_eq!(processed, "id,name\r\n1,Zoë\r\n");
    app.stop().await;
}
