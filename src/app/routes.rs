//! The route tables of the public listener, except for the endpoint that Inngest calls (`function::serve`).

use actix_web::{HttpResponse, Resource, Route, guard, http::Method, middleware::from_fn, web};

use crate::{
    api::{act, downloads as api_downloads, imports as api_imports, make, me, openapi, tokens},
    http::{assets, caller::identify, error, health, problem::Problem},
    web::{
        downloads, export, files, output,
        pages::{
            account::{self, webhook},
            admin, api as api_page, dashboard, delete, forgot, import, reset, share, shared, sign_in,
            sign_out, sign_up,
        },
        retry, rows, sample, start,
    },
};

/// All routes for people. A handler requires a session by its argument `Principal` or `OwnedImport`. A test
/// requests the routes that need a session without one, and those of an import as a stranger.
pub(super) fn public(routes: &mut web::ServiceConfig) {
    routes
        // The most frequent requests of open pages come first, because patterns are tried in this order.
        .route("/imports/{id}/panel", read().to(import::panel))
        .route("/live", read().to(dashboard::live))
        .route("/shared/{token}/panel", read().to(shared::panel))
        .route("/healthz", read().to(health::healthz))
        .route("/readyz", read().to(health::readyz))
        .route("/assets/{hash}/{name}", read().to(assets::serve))
        .route("/favicon.ico", read().to(assets::favicon))
        .route("/files/{import}", read().to(files::file))
        .route("/sign-up", read().to(sign_up::show))
        .route("/sign-up", web::post().to(sign_up::submit))
        .route("/sign-in", read().to(sign_in::show))
        .route("/sign-in", web::post().to(sign_in::submit))
        .route("/sign-out", web::post().to(sign_out::submit))
        .route("/account", read().to(account::show))
        .route("/account/sessions/end", web::post().to(account::sessions::end))
        .route("/account/password", read().to(account::password::show))
        .route("/account/password", web::post().to(account::password::submit))
        .route("/account/email", read().to(account::email::show))
        .route("/account/email", web::post().to(account::email::submit))
        .route("/account/mail", web::post().to(account::mail::submit))
        .route("/account/tokens", read().to(account::tokens::show))
        .route("/account/tokens", web::post().to(account::tokens::make))
        .route("/account/tokens/{token}/end", read().to(account::tokens::ask))
        .route("/account/tokens/{token}/end", web::post().to(account::tokens::end))
        .route("/account/webhook", read().to(webhook::show))
        .route("/account/webhook", web::post().to(webhook::save))
        .route("/account/webhook/end", web::post().to(webhook::end))
        .route("/account/webhook/secret", web::post().to(webhook::change_secret))
        .route("/account/webhook/test", web::post().to(webhook::test))
        .route("/account/webhook/deliveries/{delivery}/send-again", web::post().to(webhook::send_again))
        .route("/account/export.zip", read().to(export::show))
        .route("/account/delete", read().to(account::leave::show))
        .route("/account/delete", web::post().to(account::leave::submit))
        .route("/api", read().to(api_page::show))
        .route("/forgot", read().to(forgot::show))
        .route("/forgot", web::post().to(forgot::submit))
        .route("/reset", read().to(reset::show))
        .route("/reset", web::post().to(reset::submit))
        .route("/admin", read().to(admin::show))
        .route("/admin/invitations", web::post().to(admin::invitations::make))
        .route("/admin/invitations/end", web::post().to(admin::invitations::end))
        .route("/admin/accounts/{account}/reset-link", web::post().to(admin::accounts::reset_link))
        .route("/admin/accounts/{account}/disable", web::post().to(admin::accounts::disable))
        .route("/admin/accounts/{account}/enable", web::post().to(admin::accounts::enable))
        .route("/admin/mail/test", web::post().to(admin::mail::test))
        .route("/admin/mail/reset-link", web::post().to(admin::mail::reset_link))
        .route("/", read().to(dashboard::show))
        .route("/imports", read().to(dashboard::list))
        .route("/imports", web::post().to(dashboard::upload))
        .route("/sample.csv", read().to(sample::show))
        .route("/imports/sample", web::post().to(sample::import))
        .route("/imports/{id}", read().to(import::show))
        .route("/imports/{id}/cancel", web::post().to(import::cancel))
        .route("/imports/{id}/retry", web::post().to(retry::submit))
        .route("/imports/{id}/start", web::post().to(start::submit))
        .route("/imports/{id}/rows", read().to(rows::show))
        .route("/imports/{id}/delete", read().to(delete::show))
        .route("/imports/{id}/delete", web::post().to(delete::submit))
        .route("/imports/{id}/processed.csv", read().to(downloads::processed))
        .route("/imports/{id}/failed.csv", read().to(downloads::failed))
        .route("/imports/{id}/runs/{run}/output", read().to(output::show))
        .route("/imports/{id}/share", read().to(share::show))
        .route("/imports/{id}/share", web::post().to(share::make))
        .route("/imports/{id}/share/end", web::post().to(share::end))
        // For guests, who need a link and no session.
        .route("/shared/{token}", read().to(shared::show))
        .route("/shared/{token}/processed.csv", read().to(shared::processed))
        .route("/shared/{token}/failed.csv", read().to(shared::failed))
        .default_service(web::to(error::not_found));
}

/// All routes for programs. A handler requires a token or a session by its argument `ApiPrincipal` or
/// `ApiImport`, which names the scope. A test requests each route without a token, with wrong ones and as a
/// stranger.
pub(super) fn api(routes: &mut web::ServiceConfig) {
    routes.service(
        web::scope("/api/v1")
            .wrap(from_fn(identify))
            .service(at(
                "/imports",
                [(Method::GET, web::to(api_imports::list)), (Method::POST, web::to(make::make))],
            ))
            .service(at(
                "/imports/{id}",
                [(Method::GET, web::to(api_imports::show)), (Method::DELETE, web::to(act::delete))],
            ))
            .service(at("/imports/{id}/cancel", [(Method::POST, web::to(act::cancel))]))
            .service(at("/imports/{id}/retry", [(Method::POST, web::to(act::retry))]))
            .service(at("/imports/{id}/start", [(Method::POST, web::to(act::start))]))
            .service(at("/imports/{id}/processed.csv", [(Method::GET, web::to(api_downloads::processed))]))
            .service(at("/imports/{id}/failed.csv", [(Method::GET, web::to(api_downloads::failed))]))
            .service(at("/imports/{id}/failures", [(Method::GET, web::to(api_downloads::failures))]))
            .service(at("/openapi.json", [(Method::GET, web::to(openapi::show))]))
            .service(at("/me", [(Method::GET, web::to(me::show))]))
            .service(at(
                "/tokens",
                [(Method::GET, web::to(tokens::list)), (Method::POST, web::to(tokens::make))],
            ))
            .service(at("/tokens/{token}", [(Method::DELETE, web::to(tokens::end))]))
            .default_service(web::to(error::not_found)),
    );
}

/// A path of the API. Another method than those of `routes` is answered 405 with the methods that it has.
fn at<const N: usize>(path: &str, routes: [(Method, Route); N]) -> Resource {
    let names =
        routes.iter().map(|(method, _)| if method == Method::GET { "GET, HEAD" } else { method.as_str() });
    let allowed = names.collect::<Vec<_>>().join(", ");
    let mut resource = web::resource(path);
    for (method, route) in routes {
        resource = resource.route(if method == Method::GET {
            route.guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            route.guard(guard::Method(method))
        });
    }
    resource.default_service(web::to(move || {
        let refused = Problem::WrongMethod { allowed: allowed.clone() };
        async move { Err::<HttpResponse, _>(refused) }
    }))
}

/// GET, and HEAD for a client that needs only the headers.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
