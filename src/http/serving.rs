//! An HTTP server with limits for connections and requests.
//!
//! actix's own `HttpServer` has no limit of connections per address, no deadline for bodies, no deadline for
//! the heads of later requests on a connection, and answers malformed heads without our headers. All four are
//! decided where bytes arrive, so this builds the server from the same parts with its own connection type.

mod body;
mod connection;
mod connections;

use std::{fmt, io, net::TcpListener, rc::Rc, sync::Arc, time::Duration};

use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_server::{Server, ServerHandle};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{HttpRequest, body::MessageBody, dev::AppConfig, rt::net::TcpStream};
use tokio_util::sync::CancellationToken;

use self::connection::{Activity, Connection};
pub use self::{body::within, connections::Connections};
use crate::base::config::HttpLimits;

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long the rest of a refused body is read, so that its sender sees the answer.
const LINGER: Duration = Duration::from_secs(1);

/// How a listener is served.
#[derive(Clone)]
pub struct ServeOptions {
    pub limits: HttpLimits,
    pub connections: Arc<Connections>,
    /// The header lines of answers to malformed heads, each with its line end.
    pub header_lines: Arc<str>,
    /// The number of threads; None: one per core.
    pub workers: Option<usize>,
    /// How long requests may take to end when the server stops.
    pub grace: Duration,
}

/// Is cancelled once the client of `request` has closed its side of the connection: for an answer that takes long.
#[must_use]
pub fn hang_up(request: &HttpRequest) -> CancellationToken {
    request.conn_data::<Rc<Activity>>().map(|activity| activity.hang_up()).unwrap_or_default()
}

/// Serves the applications of `factory` in the background until the handle stops it. Each application must be
/// wrapped in [`within`].
pub fn serve<F, I, S, B>(listener: TcpListener, options: ServeOptions, factory: F) -> io::Result<ServerHandle>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let mut builder = Server::build().disable_signals().shutdown_timeout(options.grace.as_secs());
    if let Some(workers) = options.workers {
        builder = builder.workers(workers);
    }
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("http", listener, move || {
        let stopping = stopping.clone();
        let app = factory().into_factory().map_err(|error| error.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
            .client_request_timeout(options.limits.head)
            .client_disconnect_timeout(LINGER)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.activity());
            })
            .h1(map_config(app, |_| AppConfig::default()));
        let options = options.clone();
        fn_service(move |stream: TcpStream| {
            let accepted = Connection::accept(stream, &options);
            async move { accepted }
        })
        .and_then(http)
    })?;
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(handle)
}
