//! A bucket that cannot be used stops the start with a line that says what to change.

use std::{path::Path, process::Output};

use tempfile::TempDir;
use url::Url;

use super::blocking;
use crate::{
    start_and_stop::refusal,
    support::{
        binary::{Binary, run, runboard},
        files_under,
        host::{Host, Reply, with_body},
        s3::{S3Server, aws},
        visitor::Visitor,
    },
};

/// Runs the program with these variables, beside those of a server at `origin`.
async fn refused(origin: &Url, more: &[(&'static str, &'static str)]) -> String {
    let (data, aws, more) = (tempfile::tempdir().unwrap(), aws(origin), more.to_vec());
    blocking(move || {
        let mut command = runboard(data.path());
        command.env("RUST_LOG", "off").env("RUNBOARD_STORAGE_URL", "s3://files/of/runboard");
        refusal(&run(command.envs(aws).envs(more)))
    })
    .await
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_stops_the_start_with_a_line() {
    let server = S3Server::start().await;
    let line = refused(&server.origin, &[("RUNBOARD_STORAGE_URL", "s3://others/of/runboard")]).await;
    assert!(line.starts_with("The bucket of s3://others/of/runboard does not exist."), "{line}");

    let forbidding = Host::start(|_, _| {
        let body = b"<Error><Code>SignatureDoesNotMatch</Code><StringToSign>secret</StringToSign></Error>";
        Reply::Bytes(with_body("403 Forbidden", "", body))
    })
    .await;
    let origin = Url::parse(&format!("http://127.0.0.1:{}", forbidding.port)).unwrap();
    let line = refused(&origin, &[]).await;
    assert!(line.starts_with("The S3 server refuses the credentials for s3://files/of/runboard"), "{line}");
    assert!(!line.contains("secret"), "{line}");

    // Nobody listens there.
    let nowhere = Url::parse("http://127.0.0.1:1").unwrap();
    let line = refused(&nowhere, &[]).await;
    assert!(line.starts_with("s3://files/of/runboard cannot be used: "), "{line}");
    assert!(line.ends_with("AWS_ENDPOINT_URL and AWS_REGION say where the bucket is."), "{line}");

    let none = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1"),
    ];
    let line = refused(&server.origin, &none).await;
    assert!(line.starts_with("There are no credentials for s3://files/of/runboard: "), "{line}");

    let line = refused(&server.origin, &[("AWS_ALLOW_HTTP", "false")]).await;
    assert!(line.starts_with("AWS_ENDPOINT_URL and AWS_ALLOW_HTTP contradict each other: "), "{line}");
    let line = refused(&server.origin, &[("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "perhaps")]).await;
    assert!(line.starts_with("The settings of s3://files/of/runboard cannot be used: "), "{line}");
}

/// Starts a server in `data`, and leaves an import in it.
async fn use_once(server: Option<&S3Server>, data: &Path) {
    let mut command = runboard(data);
    command.env("RUNBOARD_SIGN_UP", "open");
    if let Some(server) = server {
        server.configure(&mut command);
    }
    let program = Binary::start(&mut command);
    let mut visitor = Visitor::new(&program.origin);
    visitor.sign_up("mira@example.org").await;
    let import = visitor.upload("orders.csv", "a,b\n1,2\n").await;
    visitor.wait_for_state(&import, "Completed").await;
}

#[tokio::test]
async fn a_database_and_a_bucket_that_do_not_belong_together_are_refused_until_they_are_joined() {
    let server = S3Server::start().await;
    let [first, second, of_folder] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    use_once(Some(&server), first.path()).await;
    let before = server.names().await;
    let start = |data: &TempDir, word: &str| -> Output {
        let mut command = runboard(data.path());
        run(server.configure(command.arg(word).env("RUST_LOG", "off")))
    };
    let line = refusal(&start(&second, "serve"));
    assert!(line.starts_with("The database is empty, but the files in s3://files/of/runboard "), "{line}");
    use_once(None, of_folder.path()).await;
    let line = refusal(&start(&of_folder, "serve"));
    assert!(line.starts_with("The database is not the one of the files in s3://files/of/runboard"), "{line}");
    assert_eq!(server.names().await, before);

    let told = start(&of_folder, "adopt");
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.starts_with("The database and the files in s3://files/of/runboard now belong together."),
        "{told}"
    );
    assert!(told.contains("  unnamed       2 that no import names"), "{told}");
    assert!(told.contains("  incomplete    1 imports whose file is not in the bucket"), "{told}");
    assert_eq!(server.names().await, before, "nothing is deleted");
    assert_eq!(files_under(&of_folder.path().join("files")), 2);
    let line = refusal(&start(&first, "serve"));
    assert!(line.starts_with("The database is not the one of the files in"), "{line}");
}
