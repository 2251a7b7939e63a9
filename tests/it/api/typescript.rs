//! A client in TypeScript: its types are made from the OpenAPI document, must compile, and do the main job.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{program::Program, spawn_app};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/typescript");

/// Runs a command of Node in `folder`, with only these variables. Returns what it wrote.
async fn run(folder: &Path, mut command: Command, variables: Vec<(&'static str, String)>) -> String {
    command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(variables);
    let running = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output { status, stdout, stderr } = running.await.unwrap();
    let (told, failed) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{told}\n{failed}");
    told.into_owned()
}

#[tokio::test]
async fn types_from_the_document_compile_and_a_client_with_them_imports_a_file() {
    let tools = Path::new(FOLDER).join("node_modules");
    assert!(tools.is_dir(), "tests/typescript/node_modules is missing. `make setup` installs it.");
    let app = spawn_app().await;
    let owner = app.signed_in().await;
    let program = Program::of(&owner, &["read", "import"]).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::os::unix::fs::symlink(&tools, folder.join("node_modules")).unwrap();
    for file in ["client.ts", "package.json", "tsconfig.json"] {
        fs::copy(Path::new(FOLDER).join(file), folder.join(file)).unwrap();
    }
    let document: Value = owner.get("/api/v1/openapi.json").await.json().await.unwrap();
    fs::write(folder.join("openapi.json"), document.to_string()).unwrap();
    let node = |script: &str, arguments: &[&str]| {
        let mut command = Command::new("node");
        command.arg(script).args(arguments);
        command
    };
    let types =
        node("node_modules/openapi-typescript/bin/cli.js", &["openapi.json", "--output", "schema.ts"]);
    run(folder, types, Vec::new()).await;
    run(folder, node("node_modules/typescript/bin/tsc", &[]), Vec::new()).await;
    let server = vec![("RUNBOARD_URL", app.origin.clone()), ("RUNBOARD_TOKEN", program.secret().to_owned())];
    let told = run(folder, node("client.js", &[]), server).await;
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        ["Completed; 1; line 3: 1 field, expected 2", "404: Page not found, or you don't have access to it.",]
    );
    app.stop().await;
}
