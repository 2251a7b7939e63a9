//! The commands in docs/cli.md, as a person runs them.

use clap::CommandFactory;
use runboard::base::config::{Args, ClientCommand};

use super::Desk;

const DOCUMENT: &str = include_str!("../../../docs/cli.md");

fn blocks() -> Vec<&'static str> {
    DOCUMENT.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[tokio::test]
async fn the_commands_of_the_document_do_what_it_says() {
    let (desk, host) = Desk::beside_host().await;
    desk.file("token.txt", desk.program.secret());
    desk.file("customers.csv", "a,b\n1,2\n");
    let script = format!("set -eux\n{}", blocks().join("\n")).replace("https://example.org", &host.url(""));
    let mut shell = desk.in_shell(&script);
    // The login is what the commands use.
    shell.env_remove("RUNBOARD_TOKEN");
    let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{out}");
    for said in [
        "Logged in to ",
        "{\"status\":\"success\",\"processedItems\":2,\"failedItems\":1}\n",
        "  1 x 1 field, expected 2, first in line 3: 2\n",
        "orders.csv was deleted.\n",
        "1 rows failed\n",
        "The saved token is forgotten here.",
    ] {
        assert!(out.contains(said), "{said}: {out}\n{told}");
    }
    assert_eq!(desk.content("processed.csv"), "id,name\r\n1,Zoë\r\n3,Ada\r\n");
    assert!(desk.content("runboard.bash").contains("only-failed"));
    assert!(desk.content("man1/runboard-import.1").contains("fail"));
    desk.stop().await;
}

#[test]
fn the_document_has_every_command_and_every_option() {
    let all = blocks().join("\n");
    let command = Args::command();
    let is_client =
        |command: &&clap::Command| <ClientCommand as clap::Subcommand>::has_subcommand(command.get_name());
    for command in command.get_subcommands().filter(is_client) {
        let name = command.get_name();
        assert!(all.contains(&format!("runboard {name}")), "{name} is run");
        for option in command.get_arguments().filter_map(|option| option.get_long()) {
            let is_said = DOCUMENT.contains(&format!("--{option}"));
            assert!(is_said || ["help", "wait"].contains(&option), "--{option} of {name}");
        }
    }
}
