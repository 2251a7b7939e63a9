//! A real nginx in front of a server, configured as docs/deploy.md says.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{TestApp, spawn_app_on};

const DEADLINE: Duration = Duration::from_secs(30);

/// The `server` block of docs/deploy.md.
fn documented() -> &'static str {
    let guide = include_str!("../../../docs/deploy.md");
    let block = guide.split("```nginx\n").nth(1).expect("docs/deploy.md has a block for nginx");
    block.split("```").next().unwrap()
}

pub struct Nginx {
    process: Child,
    _folder: TempDir,
}

/// A server that people reach at the address of an nginx. `keep` selects the lines of the documented block
/// that its configuration has.
pub async fn spawn_behind_nginx(keep: impl Fn(&str) -> bool) -> (TestApp, Nginx) {
    let (port, upstream) = (free_port(), free_port());
    let public = format!("http://127.0.0.1:{port}").parse().unwrap();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.listen = ([127, 0, 0, 1], upstream).into();
        config.public_url = Some(public);
        config.max_upload_bytes = 8 << 20;
    })
    .await;
    let nginx = Nginx::start(port, &format!("http://127.0.0.1:{upstream}"), keep);
    (app, nginx)
}

/// A port that is not in use at the moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Nginx {
    /// Listens on `port` and forwards everything to the server at `upstream`. Uses the lines of the
    /// documented block that `keep` selects, without TLS.
    fn start(port: u16, upstream: &str, keep: impl Fn(&str) -> bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server: Vec<String> = documented()
            .lines()
            .filter(|line| !line.trim_start().starts_with("ssl_") && keep(line.trim_start()))
            .map(|line| line.replace("listen 443 ssl", &format!("listen 127.0.0.1:{port}")))
            .map(|line| line.replace("http://127.0.0.1:8080", upstream))
            // Here the port is part of the address.
            .map(|line| line.replace("Host $host", "Host $http_host"))
            .collect();
        Self::with_server(port, folder, &server.join("\n"))
    }

    /// Listens on `port`, and passes each request to the next of the servers at `upstreams`. A request that may change
    /// something is not repeated at another one, once it was sent.
    pub fn in_turn(port: u16, upstreams: &[u16]) -> Self {
        let servers: String = upstreams
            .iter()
            .map(|port| format!("server 127.0.0.1:{port} max_fails=1 fail_timeout=1s;\n"))
            .collect();
        let server = format!(
            "upstream replicas {{\n{servers}keepalive 32;\n}}\n\
             server {{\nlisten 127.0.0.1:{port};\nclient_max_body_size 0;\nlocation / {{\n\
             proxy_pass http://replicas;\nproxy_http_version 1.1;\nproxy_set_header Host $http_host;\n\
             proxy_set_header Connection \"\";\n\
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
             proxy_request_buffering off;\nproxy_max_temp_file_size 0;\nproxy_next_upstream error timeout;\n\
             proxy_connect_timeout 1s;\nproxy_read_timeout 15s;\n}}\n}}"
        );
        Self::with_server(port, tempfile::tempdir().unwrap(), &server)
    }

    /// Listens on `port` in front of three replicas at `upstreams`, with docs/replicas.nginx.conf.
    pub fn as_documented(port: u16, upstreams: [u16; 3]) -> Self {
        let mut config = include_str!("../../../docs/replicas.nginx.conf")
            .replace("listen 8080;", &format!("listen 127.0.0.1:{port};"));
        for (number, upstream) in (1..).zip(upstreams) {
            config = config.replace(&format!("runboard-{number}:8080"), &format!("127.0.0.1:{upstream}"));
        }
        Self::with_server(port, tempfile::tempdir().unwrap(), &config)
    }

    /// Starts with this `server` block, which listens on `port`.
    fn with_server(port: u16, folder: TempDir, server: &str) -> Self {
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};", folder.path().display()));
        let config = format!(
            "daemon off; pid {0}/pid; error_log {0}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\n{1}\n{2}\n}}\n",
            folder.path().display(),
            temporary.join("\n"),
            server,
        );
        let path = folder.path().join("nginx.conf");
        fs::write(&path, config).unwrap();
        let mut process = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
            .arg("-c")
            .arg(&path)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("nginx is installed (make setup)");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = process.try_wait().unwrap() {
                panic!("nginx ended with {status}");
            }
            assert!(start.elapsed() < DEADLINE, "nginx does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, _folder: folder }
    }
}

/// An nginx with https for `localhost` in front of `upstream`. Returns its address and its certificate, which signs
/// itself.
pub fn with_https(upstream: &str) -> (Nginx, String, PathBuf) {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&key);
    let made = openssl.arg("-out").arg(&certificate).stderr(Stdio::null()).status();
    assert!(made.expect("openssl is installed").success());
    let server = format!(
        "server {{\nlisten 127.0.0.1:{port} ssl;\nserver_name localhost;\nssl_certificate {};\n\
         ssl_certificate_key {};\nlocation / {{ proxy_pass {upstream}; }}\n}}",
        certificate.display(),
        key.display()
    );
    let nginx = Nginx::with_server(port, folder, &server);
    (nginx, format!("https://localhost:{port}"), certificate)
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM: the master ends its workers.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
