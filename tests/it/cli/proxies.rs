//! The proxies that the environment names.

use std::{path::Path, process::Command};

use super::{client, ended};
use crate::support::{
    free_address,
    host::{Host, Reply},
    nginx::with_https,
};

const NO_IMPORTS: &str = "{ \"data\": [], \"next\": null }";

/// Lists the imports of a server.
fn list_of(server: &str, folder: &Path) -> Command {
    let mut command = client(folder, &["imports"]);
    command.env("RUNBOARD_URL", server).env("RUNBOARD_TOKEN", "rb_secret");
    command
}

#[tokio::test]
async fn a_server_elsewhere_is_reached_through_the_proxy() {
    let proxy = Host::start(|_, _| Reply::file(NO_IMPORTS)).await;
    let folder = tempfile::tempdir().unwrap();
    for variable in ["HTTP_PROXY", "http_proxy"] {
        let mut command = list_of("http://runboard.example.org", folder.path());
        command.env(variable, proxy.url(""));
        assert_eq!(ended(command).await.quiet().0, 0, "{variable}");
    }
    let asked = proxy.asked();
    let line = "GET http://runboard.example.org/api/v1/imports?limit=20 HTTP/1.1\r\n";
    assert!(asked.len() == 2 && asked.iter().all(|request| request.starts_with(line)), "{asked:?}");
}

#[tokio::test]
async fn the_proxy_of_a_server_with_https_does_not_get_the_token() {
    let proxy = Host::start(|_, _| Reply::status("502 Bad Gateway", "")).await;
    let folder = tempfile::tempdir().unwrap();
    // Some certificate, also on a machine that has none.
    let (_nginx, _, certificate) = with_https(&proxy.url(""));
    let mut command = list_of("https://runboard.example.org", folder.path());
    command.env("HTTPS_PROXY", proxy.url("")).env("SSL_CERT_FILE", &certificate);
    let done = ended(command).await;
    assert_eq!(done.code, Some(3), "{done:?}");
    let said = "Cannot reach https://runboard.example.org (from RUNBOARD_URL): ";
    assert!(done.err.starts_with(said) && done.err.lines().count() == 1, "{done:?}");
    let [asked] = proxy.asked().try_into().unwrap();
    assert!(asked.starts_with("CONNECT runboard.example.org:443 HTTP/1.1\r\n"), "{asked}");
    assert!(!asked.contains("rb_secret"), "{asked}");
}

#[tokio::test]
async fn no_proxy_and_a_server_on_this_machine_are_exceptions() {
    let server = Host::start(|_, _| Reply::file(NO_IMPORTS)).await;
    let folder = tempfile::tempdir().unwrap();
    let nobody = format!("http://{}", free_address());
    // An address of this machine that is not known as one.
    let elsewhere = format!("http://0.0.0.0:{}", server.port);
    for (origin, exception, code) in
        [(&elsewhere, "", 3), (&elsewhere, "example.org,0.0.0.0", 0), (&server.url(""), "", 0)]
    {
        let mut command = list_of(origin, folder.path());
        command.env("HTTP_PROXY", &nobody).env("NO_PROXY", exception);
        let done = ended(command).await;
        assert_eq!(done.code, Some(code), "{origin} without a proxy for {exception:?}: {done:?}");
    }
}
