//! The HTTP servers: what their handlers share, middleware, listeners.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    body::MessageBody,
    dev::{ServerHandle, Service, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web,
};
use futures_util::TryFutureExt;
use url::Url;

use super::{StartError, routes};
use crate::{
    accounts::Accounts,
    base::config::{HttpLimits, TrustedProxies},
    files::{LinkKey, Storage},
    function::{self, Processor},
    http::{
        audit, compression, csrf, error, headers,
        health::Health,
        origin::PublicOrigin,
        patience,
        serving::{self, Connections},
    },
    imports::Imports,
    store::Store,
    web::{assets, site::Site},
};

/// How long requests may take to end when the server stops: calls of Inngest among them, which are
/// steps at work. Those of the embedded engine have ended by then.
const REQUEST_GRACE: Duration = Duration::from_secs(10);

/// What the handlers of the public listener share.
#[derive(Clone)]
pub(super) struct Shared {
    pub origin: web::Data<PublicOrigin>,
    pub site: web::Data<Site>,
    pub accounts: web::Data<Accounts>,
    pub proxies: web::Data<TrustedProxies>,
    pub limits: web::Data<HttpLimits>,
    pub imports: web::Data<Imports>,
    pub store: web::Data<Store>,
    pub storage: web::Data<Storage>,
    pub health: web::Data<Health>,
    pub links: web::Data<LinkKey>,
    /// Where Inngest calls us, the functions and their path. The embedded engine does so elsewhere.
    pub functions: Option<(web::Data<Processor>, String)>,
}

pub(super) fn serve_public(
    listener: TcpListener,
    shared: Shared,
    connections: Arc<Connections>,
) -> io::Result<ServerHandle> {
    assets::prepare();
    let options = serving::ServeOptions {
        limits: *shared.limits.get_ref(),
        connections,
        header_lines: headers::lines(&shared.origin).into(),
        workers: None,
        grace: REQUEST_GRACE,
    };
    serving::serve(listener, options, move || {
        let shared = shared.clone();
        let app = actix_web::App::new()
            .app_data(shared.origin)
            .app_data(shared.site)
            .app_data(shared.accounts)
            .app_data(shared.proxies)
            .app_data(shared.limits)
            .app_data(shared.imports)
            .app_data(shared.store)
            .app_data(shared.storage)
            .app_data(shared.health)
            .app_data(shared.links)
            .app_data(web::QueryConfig::default().error_handler(|_, _| error::Error::Unreadable.into()))
            .app_data(web::FormConfig::default().error_handler(|why, _| error::Error::from_form(&why).into()))
            .configure(routes::public)
            // Behind the pages, whose paths no setting can take.
            .configure(|routes| {
                if let Some((processor, path)) = shared.functions {
                    routes.app_data(processor);
                    function::serve::routes(routes, Some(&path));
                }
            });
        behind_middleware(app)
    })
}

/// What every request to the pages passes. The last one sees it first.
pub fn behind_middleware<T, B>(
    app: actix_web::App<T>,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
>
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    // No `from_fn`: that takes an allocation for each request, of which polls are many.
    app.wrap_fn(|request, service| service.call(request).map_ok(error::as_asked))
        .wrap(from_fn(patience::with_the_database))
        .wrap(from_fn(csrf::refuse_cross_site))
        .wrap(from_fn(compression::in_one_piece))
        .wrap(from_fn(audit::log))
        .wrap(from_fn(headers::secure))
        .wrap(from_fn(serving::within))
}

pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen { address, source })
}

/// The origin at which a listener is reached from this machine.
pub(super) fn origin_of(mut address: SocketAddr) -> Result<Url, StartError> {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(format!("http://{address}").parse()?)
}
