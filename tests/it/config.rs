//! The configuration: valid values, and the errors that stop the start.

mod refused;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use clap::{CommandFactory, Parser};
use runboard::base::config::{
    AccountCommand, AllowedAddresses, AnyCommand, Args, Command, Config, EngineConfig, OutputPointers,
    SignUp, SmtpEncryption, StorageLinks,
};
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
    assert_eq!((config.fetches, config.api_rate), (16, 600));
    assert_eq!(config.engine_retries, [15, 30, 60].map(Duration::from_secs));
    assert!(matches!(config.engine, EngineConfig::Embedded(None)));
    assert_eq!((config.poll_budget, config.processor, config.push), (10.0, true, true));
    assert_eq!(config.output_pointers, OutputPointers::default());
    assert!(config.mail.is_none() && config.bucket.is_none());
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
        "--fetches=5",
        "--api-rate=60",
        "--database-connections=40",
        "--database-acquire-seconds=5",
        "--engine-retry-seconds=0, 0.25,1",
        "--poll-budget=2.5",
        "--processor=off",
        "--push=off",
        "--output-pointers=/stats/ok,/stats/bad;/a~1b,/c",
        "--smtp-url=smtps://mira%40example.org:p%3Ass@smtp.example.org",
        "--mail-from=runboard@example.org",
        "--storage-url=s3://files/of/runboard/",
        "--storage-links=direct",
        "--engine-listen=127.0.0.1:8288",
        "--engine-event-key=event-key",
        "--engine-signing-key=signkey-test-0123abcd",
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
    assert_eq!((config.workers, config.fetches, config.database_pool.connections), (3, 5, 40));
    assert_eq!(config.database_pool.acquire_within, Duration::from_secs(5));
    assert_eq!(config.api_rate, 60);
    assert_eq!(config.engine_retries, [0, 250, 1000].map(Duration::from_millis));
    assert_eq!((config.poll_budget, config.processor, config.push), (2.5, false, false));
    let pairs: Vec<_> = config.output_pointers.pairs().cloned().collect();
    assert_eq!(pairs, [["/stats/ok", "/stats/bad"], ["/a~1b", "/c"], ["/processedItems", "/failedItems"]]);
    let mail = config.mail.unwrap();
    assert_eq!(
        (mail.from.as_str(), mail.server.to_string()),
        ("runboard@example.org", "smtp.example.org:465".to_owned())
    );
    assert_eq!(mail.server.encryption, SmtpEncryption::FromTheStart);
    let login = mail.server.login.unwrap();
    assert_eq!((login.user.expose_secret(), login.password.expose_secret()), ("mira@example.org", "p:ss"));
    let bucket = config.bucket.unwrap();
    assert_eq!((bucket.to_string().as_str(), bucket.links), ("s3://files/of/runboard", StorageLinks::Direct));
    let EngineConfig::Embedded(Some(exposed)) = config.engine else { panic!("{:?}", config.engine) };
    assert_eq!(exposed.listen.to_string(), "127.0.0.1:8288");
    assert_eq!(exposed.event_key.expose_secret(), "event-key");
    assert_eq!(exposed.signing_key.expose_secret(), "signkey-test-0123abcd");
}

/// The server's addresses, the keys, and our own address.
fn inngest(arguments: &[&str]) -> (bool, String, String, String, Vec<String>, Option<String>) {
    let config = read(arguments).unwrap();
    let EngineConfig::Inngest(inngest) = config.engine else { panic!("{arguments:?}: {:?}", config.engine) };
    (
        inngest.is_dev,
        inngest.api.to_string(),
        inngest.event_api.to_string(),
        inngest.event_key.expose_secret().to_owned(),
        inngest.signing_keys.iter().map(|key| key.expose_secret().to_owned()).collect(),
        inngest.serve_origin.map(|origin| origin.to_string()),
    )
}

const KEYS: [&str; 2] = ["--inngest-event-key=e", "--inngest-signing-key=signkey-prod-12ab"];

#[test]
fn keys_alone_mean_the_cloud() {
    let public = "--public-url=https://runboard.example.org";
    let (is_dev, api, event_api, event_key, signing_keys, origin) =
        inngest(&[KEYS[0], KEYS[1], "--inngest-signing-key-fallback=signkey-prod-34cd", public]);
    assert!(!is_dev);
    assert_eq!((api.as_str(), event_api.as_str()), ("https://api.inngest.com/", "https://inn.gs/"));
    assert_eq!(
        (event_key.as_str(), signing_keys),
        ("e", vec!["signkey-prod-12ab".to_owned(), "signkey-prod-34cd".to_owned()])
    );
    assert_eq!(origin.as_deref(), Some("https://runboard.example.org/"));
}

#[test]
fn a_dev_server_needs_no_keys_and_no_public_address() {
    for one in ["1", "true"] {
        let (is_dev, api, event_api, _, signing_keys, origin) = inngest(&[&format!("--inngest-dev={one}")]);
        assert!(is_dev && signing_keys.is_empty() && origin.is_none());
        assert_eq!((api.as_str(), &api), ("http://localhost:8288/", &event_api));
    }
    let (is_dev, api, ..) = inngest(&["--inngest-dev=http://127.0.0.1:9000"]);
    assert_eq!((is_dev, api.as_str()), (true, "http://127.0.0.1:9000/"));
}

#[test]
fn each_address_can_be_set_for_itself_and_they_may_have_paths() {
    let origin = "--inngest-serve-origin=http://runboard:8080";
    let base = "--inngest-base-url=https://inngest.example.org/api";
    let with = |more: &[&str]| {
        let (_, api, event_api, ..) = inngest(&[&[KEYS[0], KEYS[1], origin, base], more].concat());
        (api, event_api)
    };
    let of_base = "https://inngest.example.org/api".to_owned();
    assert_eq!(with(&[]), (of_base.clone(), of_base.clone()));
    let events = "--inngest-event-api-base-url=http://events:8288";
    assert_eq!(with(&[events]), (of_base.clone(), "http://events:8288/".to_owned()));
    assert_eq!(with(&["--inngest-api-base-url=http://api:8288"]), ("http://api:8288/".to_owned(), of_base));
}

#[test]
fn a_dev_server_that_is_switched_off_selects_nothing() {
    for off in ["0", "false", ""] {
        let config = read(&[&format!("--inngest-dev={off}"), "--inngest-env=staging"]).unwrap();
        assert!(matches!(config.engine, EngineConfig::Embedded(None)), "INNGEST_DEV={off}");
    }
}

#[test]
fn an_smtp_server_has_the_port_and_encryption_of_its_address_and_needs_a_sender() {
    let from = "--mail-from=runboard@example.org";
    let server = |url: &str| {
        let server = read(&[&format!("--smtp-url={url}"), from]).unwrap().mail.unwrap().server;
        (server.to_string(), server.encryption, server.login.is_some())
    };
    use SmtpEncryption::{FromTheStart, IfOffered, None, StartTls};
    for (url, expected) in [
        ("smtp://relay", ("relay:25", None, false)),
        ("smtp://relay:2525/", ("relay:2525", None, false)),
        ("smtp://relay?tls=opportunistic", ("relay:587", IfOffered, false)),
        ("smtp://me:secret@relay?tls=required", ("relay:587", StartTls, true)),
        ("smtps://me:secret@relay:1465?tls=required", ("relay:1465", FromTheStart, true)),
        // A password that stays on this machine.
        ("smtp://me:secret@127.0.0.1:25", ("127.0.0.1:25", None, true)),
        ("smtp://me:secret@localhost", ("localhost:25", None, true)),
        ("smtp://[::1]:2525", ("[::1]:2525", None, false)),
    ] {
        let (address, encryption, has_login) = server(url);
        assert_eq!((address.as_str(), encryption, has_login), expected, "{url}");
    }
    let shown = format!("{:?}", read(&["--smtp-url=smtps://me:secret@relay", from]).unwrap());
    assert!(shown.contains("relay") && !shown.contains("secret"), "{shown}");
    let refusal = |arguments: &[&str]| read(arguments).map(|_| ()).unwrap_err();
    assert!(refusal(&["--smtp-url=smtp://relay"]).starts_with("RUNBOARD_MAIL_FROM is not set: "));
    let everywhere = ["--smtp-url=smtp://relay", from, "--listen=0.0.0.0:80"];
    assert!(refusal(&everywhere).starts_with("RUNBOARD_PUBLIC_URL is not set: "));
    assert!(read(&[&everywhere[..], &["--public-url=https://runboard.example.org"]].concat()).is_ok());
    assert!(read(&[from]).unwrap().mail.is_none(), "an address alone sends nothing");
}

#[test]
fn an_empty_optional_setting_is_not_set() {
    let config =
        read(&["--public-url=", "--database-url=", "--storage-url=", "--allow-addresses=", "--workers="])
            .unwrap();
    assert_eq!(config.public_url, None);
    assert!(config.database_url.expose_secret().starts_with("sqlite:"));
}

#[test]
fn every_flag_is_the_variable_of_the_same_name() {
    let command = Args::command();
    let of_clients: Vec<_> = command.get_subcommands().flat_map(|client| client.get_arguments()).collect();
    let mut settings = BTreeSet::new();
    for argument in command.get_arguments().chain(of_clients) {
        let Some(variable) = argument.get_env() else { continue };
        // A client's address can also stand without its flag.
        let flag = argument.get_long().unwrap_or(argument.get_id().as_str());
        let name = flag.replace('-', "_").to_uppercase();
        let name = if name.starts_with("INNGEST_") { name } else { format!("RUNBOARD_{name}") };
        assert_eq!(variable, name.as_str());
        settings.insert(name);
    }
    assert_eq!(settings.len(), 39 + 2, "of the server and of clients: {settings:?}");
}

#[test]
fn without_a_word_it_serves_and_flags_may_stand_before_or_behind_the_word() {
    let parse = |line: &str| Args::try_parse_from(line.split(' ')).map_err(|error| error.to_string());
    assert_eq!(parse("runboard").ok().unwrap().command, None);
    assert_eq!(parse("runboard serve").ok().unwrap().command, Some(AnyCommand::Server(Command::Serve)));
    for line in ["runboard --workers=3 account list", "runboard account list --workers=3"] {
        let args = parse(line).ok().unwrap();
        let list = Command::Account(AccountCommand::List);
        assert_eq!(args.command, Some(AnyCommand::Server(list)));
        assert_eq!(Config::from_args(&args).unwrap().workers, 3, "{line}");
    }
    assert!(parse("runboard account add").is_err(), "an account has an e-mail address");
}
