//! What an operator may write, and what stops the start.

use std::{net::SocketAddr, time::Duration};

use clap::{CommandFactory, Parser};
use runboard::config::{AccountCommand, AllowedAddresses, Args, Command, Config, SignUp};
use secrecy::ExposeSecret;

fn read(arguments: &[&str]) -> Result<Config, String> {
    let Ok(args) = Args::try_parse_from([&["runboard"], arguments].concat()) else {
        panic!("not a command line: {arguments:?}");
    };
    Config::from_args(&args).map_err(|error| error.to_string())
}

#[test]
fn nothing_configured_is_a_configuration() {
    let config = read(&[]).unwrap();
    assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 8080)));
    assert_eq!(config.public_url, None);
    assert_eq!(config.data_dir, std::env::current_dir().unwrap().join("data"));
    let database = config.database_url.expose_secret();
    assert!(
        database.starts_with("sqlite:///") && database.ends_with("/data/runboard.db?mode=rwc"),
        "{database}"
    );
    assert_eq!(config.sign_up, SignUp::First);
    assert_eq!(config.max_upload_bytes, 10 * 1024 * 1024 * 1024);
    assert_eq!(config.max_record_bytes, 16 * 1024 * 1024);
    assert_eq!(config.allow_addresses, AllowedAddresses::default());
    assert!(config.workers >= 1);
    assert_eq!(config.engine_retries, [15, 30, 60].map(Duration::from_secs));
}

#[test]
fn every_setting_can_be_set() {
    let config = read(&[
        "--listen=[::]:80",
        "--public-url=https://runboard.example.org",
        "--data-dir=/var/lib/runboard",
        "--database-url=postgres://runboard:secret@db/runboard",
        "--sign-up=open",
        "--max-upload-bytes=3 GiB",
        "--max-record-bytes=1000",
        "--allow-addresses=10.0.0.0/8, [fd00::]/8:8443",
        "--workers=3",
        "--engine-retry-seconds=0, 0.25,1",
    ])
    .unwrap();
    assert_eq!(config.listen.to_string(), "[::]:80");
    assert_eq!(config.public_url.unwrap().as_str(), "https://runboard.example.org/");
    assert_eq!(config.data_dir.to_str(), Some("/var/lib/runboard"));
    assert_eq!(config.database_url.expose_secret(), "postgres://runboard:secret@db/runboard");
    assert_eq!(config.sign_up, SignUp::Open);
    assert_eq!(config.max_upload_bytes, 3 << 30);
    assert_eq!(config.max_record_bytes, 1000);
    assert!(config.allow_addresses.contain(SocketAddr::from(([10, 1, 2, 3], 443))));
    assert!(!config.allow_addresses.contain(SocketAddr::from(([10, 1, 2, 3], 8443))));
    assert_eq!(config.workers, 3);
    assert_eq!(config.engine_retries, [0, 250, 1000].map(Duration::from_millis));
}

#[test]
fn an_empty_optional_setting_is_not_set() {
    let config = read(&["--public-url=", "--database-url=", "--allow-addresses=", "--workers="]).unwrap();
    assert_eq!(config.public_url, None);
    assert!(config.database_url.expose_secret().starts_with("sqlite:"));
}

/// Flag, wrong value, and how the line begins.
const WRONG: [(&str, &str, &str); 31] = [
    ("--listen", "8080", r#"RUNBOARD_LISTEN is "8080": it can be an IP address and a port"#),
    ("--listen", "localhost:8080", r#"RUNBOARD_LISTEN is "localhost:8080": it can be"#),
    ("--listen", "", r#"RUNBOARD_LISTEN is "": it can be"#),
    (
        "--public-url",
        "runboard.example.org",
        r#"RUNBOARD_PUBLIC_URL is "runboard.example.org": it can be an http"#,
    ),
    ("--public-url", "ftp://example.org", r#"RUNBOARD_PUBLIC_URL is "ftp://example.org": it can be"#),
    ("--public-url", "https://example.org/app", r#"RUNBOARD_PUBLIC_URL is "https://example.org/app": it"#),
    ("--public-url", "https://example.org/?a=secret", r#"RUNBOARD_PUBLIC_URL is "https:...": it can be"#),
    ("--public-url", "https://me:secret@example.org", r#"RUNBOARD_PUBLIC_URL is "https:...": it can be"#),
    ("--data-dir", "", r#"RUNBOARD_DATA_DIR is "": it can be the path of a folder"#),
    (
        "--database-url",
        "mysql://me:secret@db/x",
        r#"RUNBOARD_DATABASE_URL is "mysql:...": it can be a sqlite:"#,
    ),
    ("--database-url", "host=db password=secret", r#"RUNBOARD_DATABASE_URL is "...": it can be"#),
    ("--database-url", "./secret.db", r#"RUNBOARD_DATABASE_URL is "...": it can be"#),
    ("--sign-up", "anyone", r#"RUNBOARD_SIGN_UP is "anyone": it can be first, open or closed."#),
    ("--sign-up", "First", r#"RUNBOARD_SIGN_UP is "First": it can be"#),
    ("--sign-up", "first\nopen", r#"RUNBOARD_SIGN_UP is "first\nopen": it can be"#),
    ("--max-upload-bytes", "0", r#"RUNBOARD_MAX_UPLOAD_BYTES is "0": it can be a number of bytes above 0"#),
    ("--max-upload-bytes", "10GB", r#"RUNBOARD_MAX_UPLOAD_BYTES is "10GB": it can be"#),
    ("--max-upload-bytes", "-1", r#"RUNBOARD_MAX_UPLOAD_BYTES is "-1": it can be"#),
    ("--max-upload-bytes", "1.5GiB", r#"RUNBOARD_MAX_UPLOAD_BYTES is "1.5GiB": it can be"#),
    (
        "--max-upload-bytes",
        "9223372036854775808",
        r#"RUNBOARD_MAX_UPLOAD_BYTES is "9223372036854775808": it"#,
    ),
    ("--max-upload-bytes", "99999999999GiB", r#"RUNBOARD_MAX_UPLOAD_BYTES is "99999999999GiB": it can be"#),
    ("--max-record-bytes", "GiB", r#"RUNBOARD_MAX_RECORD_BYTES is "GiB": it can be"#),
    (
        "--allow-addresses",
        "10.0.0.0/8,localhost",
        r#"RUNBOARD_ALLOW_ADDRESSES is "10.0.0.0/8,localhost": it can be IP networks"#,
    ),
    ("--workers", "0", r#"RUNBOARD_WORKERS is "0": it can be a number from 1 to 1024."#),
    ("--workers", "1025", r#"RUNBOARD_WORKERS is "1025": it can be"#),
    ("--workers", "all", r#"RUNBOARD_WORKERS is "all": it can be"#),
    (
        "--engine-retry-seconds",
        "",
        r#"RUNBOARD_ENGINE_RETRY_SECONDS is "": it can be seconds from 0 to 86400"#,
    ),
    ("--engine-retry-seconds", "15,,60", r#"RUNBOARD_ENGINE_RETRY_SECONDS is "15,,60": it can be"#),
    ("--engine-retry-seconds", "-1", r#"RUNBOARD_ENGINE_RETRY_SECONDS is "-1": it can be"#),
    ("--engine-retry-seconds", "NaN", r#"RUNBOARD_ENGINE_RETRY_SECONDS is "NaN": it can be"#),
    ("--engine-retry-seconds", "86401", r#"RUNBOARD_ENGINE_RETRY_SECONDS is "86401": it can be"#),
];

#[test]
fn a_wrong_value_is_refused_in_one_line_that_shows_no_secret() {
    for (flag, value, line) in WRONG {
        let refusal = read(&[&format!("{flag}={value}")]).map(|_| ()).unwrap_err();
        assert!(refusal.starts_with(line), "{flag}={value} is refused with: {refusal}");
        assert!(!refusal.contains('\n') && !refusal.contains("secret"), "{refusal}");
    }
}

#[test]
fn every_flag_is_the_variable_of_the_same_name() {
    let mut settings = 0;
    for argument in Args::command().get_arguments() {
        let Some(variable) = argument.get_env() else { continue };
        let flag = argument.get_long().unwrap();
        assert_eq!(variable, format!("RUNBOARD_{}", flag.replace('-', "_").to_uppercase()).as_str());
        settings += 1;
    }
    assert_eq!(settings, 10);
}

#[test]
fn without_a_word_it_serves_and_flags_may_stand_before_or_behind_the_word() {
    let parse = |line: &str| Args::try_parse_from(line.split(' ')).map_err(|error| error.to_string());
    assert_eq!(parse("runboard").ok().unwrap().command, None);
    assert_eq!(parse("runboard serve").ok().unwrap().command, Some(Command::Serve));
    for line in ["runboard --workers=3 account list", "runboard account list --workers=3"] {
        let args = parse(line).ok().unwrap();
        assert_eq!(args.command, Some(Command::Account(AccountCommand::List)));
        assert_eq!(Config::from_args(&args).unwrap().workers, 3, "{line}");
    }
    assert!(parse("runboard account add").is_err(), "an account has an e-mail address");
}
