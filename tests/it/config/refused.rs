//! What is refused, in one line that says what to change.

use super::{KEYS, read};

const A_WRONG_API_KEY: &str = "INNGEST_API_KEY must be an API key of Inngest, which begins with sk-inn-api-.";

#[test]
fn what_contradicts_itself_or_is_not_enough_is_refused() {
    let public = "--public-url=https://runboard.example.org";
    let engine = ["--engine-listen=127.0.0.1:0", "--engine-event-key=e", "--engine-signing-key=12ab"];
    let table: [(&[&str], &str); 15] = [
        (&["--inngest-signing-key=12ab", public], "INNGEST_EVENT_KEY is not set: "),
        (&["--inngest-event-key=e", public], "INNGEST_SIGNING_KEY is not set: "),
        (&KEYS, "RUNBOARD_PUBLIC_URL is not set: "),
        (&[KEYS[0], "--inngest-signing-key=signkey-prod-", public], "INNGEST_SIGNING_KEY must be a key"),
        (&["--inngest-base-url=http://inngest:8288", public], "INNGEST_EVENT_KEY is not set: "),
        (
            &["--inngest-dev=1", "--listen=0.0.0.0:80"],
            "INNGEST_DEV and RUNBOARD_LISTEN contradict each other: ",
        ),
        (
            &[engine[0], engine[1], engine[2], "--inngest-dev=1"],
            "RUNBOARD_ENGINE_LISTEN and INNGEST_DEV contradict each other: ",
        ),
        (&[engine[0], engine[1]], "RUNBOARD_ENGINE_SIGNING_KEY is not set: "),
        (&[engine[0], engine[2]], "RUNBOARD_ENGINE_EVENT_KEY is not set: "),
        (
            &[engine[0], engine[1], "--engine-signing-key=secret"],
            "RUNBOARD_ENGINE_SIGNING_KEY must be an even",
        ),
        (&["--inngest-event-key=a secret", KEYS[1], public], "INNGEST_EVENT_KEY must be printable ASCII"),
        (&["--inngest-api-key=sk-inn-api-12ab", public], "INNGEST_EVENT_KEY is not set: "),
        (&[KEYS[0], KEYS[1], "--inngest-api-key=signkey-prod-secret", public], A_WRONG_API_KEY),
        (&[KEYS[0], KEYS[1], "--inngest-api-key=sk-inn-api-", public], A_WRONG_API_KEY),
        (&[KEYS[0], KEYS[1], "--inngest-api-key=sk-inn-api-a secret", public], A_WRONG_API_KEY),
    ];
    for (arguments, line) in table {
        let refusal = read(arguments).map(|_| ()).unwrap_err();
        assert!(refusal.starts_with(line), "{arguments:?} is refused with: {refusal}");
        assert!(!refusal.contains('\n') && !refusal.contains("secret"), "{refusal}");
    }
}

/// Flag, wrong value, and the beginning of the error.
const WRONG: [(&str, &str, &str); 65] = [
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
    (
        "--storage-url",
        "s3://ab",
        r#"RUNBOARD_STORAGE_URL is "s3://ab": it can be the address of a bucket, such"#,
    ),
    ("--storage-url", "https://files", r#"RUNBOARD_STORAGE_URL is "https://files": it can be"#),
    ("--storage-url", "s3://key:secret@files", r#"RUNBOARD_STORAGE_URL is "s3:...": it can be"#),
    ("--storage-links", "redirect", r#"RUNBOARD_STORAGE_LINKS is "redirect": it can be direct or through."#),
    ("--storage-links", "direct", "RUNBOARD_STORAGE_URL is not set: only a bucket has direct links."),
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
    ("--quota-bytes", "0", r#"RUNBOARD_QUOTA_BYTES is "0": it can be a number of bytes above 0"#),
    ("--max-record-bytes", "GiB", r#"RUNBOARD_MAX_RECORD_BYTES is "GiB": it can be"#),
    (
        "--allow-addresses",
        "10.0.0.0/8,localhost",
        r#"RUNBOARD_ALLOW_ADDRESSES is "10.0.0.0/8,localhost": it can be IP networks"#,
    ),
    ("--workers", "0", r#"RUNBOARD_WORKERS is "0": it can be a number from 1 to 1024."#),
    (
        "--database-connections",
        "1",
        r#"RUNBOARD_DATABASE_CONNECTIONS is "1": it can be a number from 2 to 1000."#,
    ),
    (
        "--database-acquire-seconds",
        "31",
        r#"RUNBOARD_DATABASE_ACQUIRE_SECONDS is "31": it can be seconds from 1 to 30."#,
    ),
    ("--api-rate", "0", r#"RUNBOARD_API_RATE is "0": it can be requests a minute from 1 to 1000000"#),
    ("--connections-per-address", "-1", r#"RUNBOARD_CONNECTIONS_PER_ADDRESS is "-1": it can be"#),
    (
        "--trusted-proxies",
        "proxy.example",
        r#"RUNBOARD_TRUSTED_PROXIES is "proxy.example": it can be IP networks"#,
    ),
    ("--fetches", "0", r#"RUNBOARD_FETCHES is "0": it can be a number from 1 to 1024."#),
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
    ("--poll-budget", "0", r#"RUNBOARD_POLL_BUDGET is "0": it can be requests a second from 0.1 to 1000"#),
    ("--poll-budget", "NaN", r#"RUNBOARD_POLL_BUDGET is "NaN": it can be"#),
    ("--processor", "no", r#"RUNBOARD_PROCESSOR is "no": it can be on or off."#),
    ("--push", "1", r#"RUNBOARD_PUSH is "1": it can be on or off."#),
    ("--output-pointers", "/a", r#"RUNBOARD_OUTPUT_POINTERS is "/a": it can be pairs of JSON pointers"#),
    ("--output-pointers", "a,b", r#"RUNBOARD_OUTPUT_POINTERS is "a,b": it can be"#),
    ("--output-pointers", "/a~2,/b", r#"RUNBOARD_OUTPUT_POINTERS is "/a~2,/b": it can be"#),
    ("--smtp-url", "smtp.example.org:25", r#"RUNBOARD_SMTP_URL is "...": it can be smtps://"#),
    (
        "--smtp-url",
        "https://me:secret@example.org",
        r#"RUNBOARD_SMTP_URL is "https:...": it can be smtps://"#,
    ),
    (
        "--smtp-url",
        "smtp://me:secret@example.org",
        r#"RUNBOARD_SMTP_URL is "smtp:...": it can be smtps://, or smtp:// with ?tls=required: a"#,
    ),
    (
        "--smtp-url",
        "smtp://me:secret@example.org?tls=opportunistic",
        r#"RUNBOARD_SMTP_URL is "smtp:...": it can be"#,
    ),
    ("--smtp-url", "smtps://secret@example.org", r#"RUNBOARD_SMTP_URL is "smtps:...": it can be"#),
    ("--smtp-url", "smtp://example.org?tls=secret", r#"RUNBOARD_SMTP_URL is "smtp:...": it can be"#),
    ("--smtp-url", "smtps://example.org/secret", r#"RUNBOARD_SMTP_URL is "smtps:...": it can be"#),
    ("--smtp-url", "smtp://?tls=required", r#"RUNBOARD_SMTP_URL is "smtp:...": it can be"#),
    ("--mail-from", "runboard", r#"RUNBOARD_MAIL_FROM is "runboard": it can be an e-mail address in ASCII"#),
    (
        "--mail-from",
        "Runboard <runboard@example.org>",
        r#"RUNBOARD_MAIL_FROM is "Runboard <runboard@example.org>": it can be"#,
    ),
    ("--mail-from", "a@b\r\nBcc: c@d", r#"RUNBOARD_MAIL_FROM is "a@b\r\nBcc: c@d": it can be"#),
    ("--engine-listen", "8288", r#"RUNBOARD_ENGINE_LISTEN is "8288": it can be an IP address and a port"#),
    ("--inngest-dev", "yes", r#"INNGEST_DEV is "...": it can be 1, 0, or the http or https address"#),
    ("--inngest-dev", "ftp://me:secret@host", r#"INNGEST_DEV is "ftp:...": it can be"#),
    ("--inngest-base-url", "http://me:secret@host", r#"INNGEST_BASE_URL is "http:...": it can be an http"#),
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
