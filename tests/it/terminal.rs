//! The command line on a terminal.

use std::{
    io::Write,
    process::{Child, Stdio},
};

use crate::support::{
    binary::{Binary, runboard},
    terminal::Terminal,
    until_equal,
};

#[tokio::test]
async fn a_terminal_shows_no_password_and_shows_what_is_typed_after_it() {
    let data = tempfile::tempdir().unwrap();
    let _server = Binary::start(&mut runboard(data.path()));
    let asking = async |terminal: &Terminal| -> Child {
        let mut command = runboard(data.path());
        command.env("RUST_LOG", "off").args(["account", "add", "mira@example.org"]);
        command.stdin(terminal.program.try_clone().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command.spawn().unwrap();
        until_equal("the echo to be off", || terminal.echoes(), false).await;
        process
    };

    for signal in ["INT", "TERM", "HUP"] {
        let terminal = Terminal::open();
        let process = asking(&terminal).await;
        let id = process.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "Password: \nStopped. Nothing was changed.\n");
        assert!(terminal.echoes(), "after SIG{signal}");
    }

    let mut terminal = Terminal::open();
    let process = asking(&terminal).await;
    terminal.person.write_all(b"correct horse\n").unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "mira@example.org can sign in.\n");
    assert!(terminal.echoes());
    assert_eq!(terminal.shown(), "\r\n", "the line end alone");
}
