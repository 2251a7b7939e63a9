//! Help, completions and manual pages.

use std::{fs, process::Command};

use super::{client, ended};

const COMMANDS: [&str; 10] =
    ["import", "imports", "show", "start", "cancel", "retry", "delete", "login", "completions", "man"];

#[tokio::test]
async fn the_help_of_a_client_lists_no_setting_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    for command in COMMANDS {
        for words in [&[command, "--help"][..], &[command, "-h"], &["help", command]] {
            let done = ended(client(folder.path(), words)).await;
            let (code, out) = done.quiet();
            assert_eq!(code, 0, "{words:?}");
            for setting in ["--data-dir", "--listen", "INNGEST_"] {
                assert!(!out.contains(setting), "{words:?} lists {setting}: {out}");
            }
            let talks = !["login", "completions", "man"].contains(&command);
            assert_eq!(out.contains("RUNBOARD_TOKEN"), talks, "{words:?}: {out}");
        }
    }
    let done = ended(client(folder.path(), &["--help"])).await;
    for command in COMMANDS {
        assert!(done.out.contains(&format!("  {command} ")), "{command}: {}", done.out);
    }
    assert!(done.out.contains("--data-dir"));
    // What is secret is not shown.
    let mut command = client(folder.path(), &["imports", "--help"]);
    command.env("RUNBOARD_TOKEN", "rb_secret");
    assert!(!ended(command).await.out.contains("rb_secret"));
}

#[tokio::test]
async fn each_shell_gets_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let done = ended(client(folder.path(), &["completions", shell])).await;
        let (code, script) = done.quiet();
        assert_eq!(code, 0, "{shell}");
        for word in ["only-failed", "imports", "data-dir", "fail-on-rows"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    // As a shell uses them: what a command offers, and what is none of its options.
    let done = ended(client(folder.path(), &["completions", "bash"])).await;
    let script = format!(
        "{}\nCOMP_WORDS=(runboard retry --); COMP_CWORD=2; _runboard runboard -- retry; echo \"${{COMPREPLY[@]}}\"",
        done.out
    );
    let offered = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
    let offered = String::from_utf8(offered.stdout).unwrap();
    assert!(offered.contains("--only-failed") && offered.contains("--token"), "{offered}");
    assert!(!offered.contains("--data-dir") && !offered.contains("--inngest-dev"), "{offered}");
}

#[tokio::test]
async fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let done = ended(client(folder.path(), &["man"])).await;
    let (code, page) = done.quiet();
    assert_eq!(code, 0);
    assert!(page.contains(".TH") && page.contains("runboard\\-import(1)"), "{page}");
    let done = ended(client(folder.path(), &["man", "pages/man1"])).await;
    assert_eq!(done.quiet(), (0, ""));
    let page =
        |command: &str| fs::read_to_string(folder.path().join(format!("pages/man1/{command}.1"))).unwrap();
    for command in COMMANDS {
        let page = page(&format!("runboard-{command}"));
        assert!(page.starts_with(".ie") && !page.contains("INNGEST"), "{command}: {page}");
    }
    assert!(page("runboard-import").contains("\\-\\-fail\\-on\\-rows"));
    assert!(page("runboard-serve").contains("INNGEST_DEV"));
    assert!(page("runboard-account-add").contains("RUNBOARD_DATA_DIR"));
}
