//! The HTTP servers: shared data, middleware, listeners.

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
    function::{self, Previewer, Processor},
    http::{
        api_rate::ApiRate,
        api_reference::ApiReference,
        assets, audit, compression, csrf, error, error_form, headers,
        health::Health,
        origin::PublicOrigin,
        patience,
        serving::{self, Connections},
        told,
        upload::Uploads,
    },
    imports::Imports,
    replicas::Bus,
    report::EngineName,
    store::Store,
    web::{export::Exports, site::Site},
    webhooks::Webhooks,
};

/// How much longer than [`HttpLimits::stop_grace`] requests may take to end when the server stops: an upload that takes
/// too long is still answered.
const ANSWER_GRACE: Duration = Duration::from_secs(3);

/// The data that the handlers of the public listener share.
#[derive(Clone)]
pub(super) struct Shared {
    pub origin: web::Data<PublicOrigin>,
    pub site: web::Data<Site>,
    pub accounts: web::Data<Accounts>,
    pub api_rate: web::Data<ApiRate>,
    pub proxies: web::Data<TrustedProxies>,
    pub limits: web::Data<HttpLimits>,
    pub imports: web::Data<Imports>,
    pub uploads: web::Data<Uploads>,
    pub store: web::Data<Store>,
    pub storage: web::Data<Storage>,
    pub previewer: web::Data<Previewer>,
    pub health: web::Data<Health>,
    pub links: web::Data<LinkKey>,
    pub bus: web::Data<Bus>,
    /// None if no other process can use the database.
    pub other_assets: Option<web::Data<assets::OtherVersions>>,
    pub exports: web::Data<Exports>,
    pub webhooks: web::Data<Webhooks>,
    pub engine: web::Data<EngineName>,
    pub reference: web::Data<ApiReference>,
    /// The functions, and the path at which Inngest calls them. None with the embedded engine, which calls
    /// them on another listener.
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
        grace: shared.limits.stop_grace + ANSWER_GRACE,
    };
    serving::serve(listener, options, move || {
        let shared = shared.clone();
        let app = actix_web::App::new()
            .app_data(shared.origin)
            .app_data(shared.site)
            .app_data(shared.accounts)
            .app_data(shared.api_rate)
            .app_data(shared.proxies)
            .app_data(shared.limits)
            .app_data(shared.imports)
            .app_data(shared.uploads)
            .app_data(shared.store)
            .app_data(shared.storage)
            .app_data(shared.previewer)
            .app_data(shared.health)
            .app_data(shared.links)
            .app_data(shared.bus)
            .app_data(shared.exports)
            .app_data(shared.webhooks)
            .app_data(shared.engine)
            .app_data(shared.reference)
            .app_data(web::QueryConfig::default().error_handler(|_, _| error::Error::Unreadable.into()))
            .app_data(web::FormConfig::default().error_handler(|why, _| error::Error::from_form(&why).into()))
            .configure(|routes| {
                if let Some(assets) = shared.other_assets {
                    routes.app_data(assets);
                }
            })
            .configure(routes::public)
            .configure(routes::api)
            // After the pages, so that a configured path cannot replace one.
            .configure(|routes| {
                if let Some((processor, path)) = shared.functions {
                    routes.app_data(processor);
                    function::serve::routes(routes, Some(&path));
                }
            });
        behind_middleware(app)
    })
}

/// The middleware of all requests to the pages. The last one sees a request first.
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
    // Not `from_fn`, which allocates for each request; polls are frequent.
    app.wrap_fn(|request, service| service.call(request).map_ok(error_form::as_asked))
        .wrap(from_fn(told::before_the_answer))
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

/// The origin of a listener, as seen from this machine.
pub(super) fn origin_of(mut address: SocketAddr) -> Result<Url, StartError> {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(format!("http://{address}").parse()?)
}
