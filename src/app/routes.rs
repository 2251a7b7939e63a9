//! The route table of the public listener, except for the endpoint that Inngest calls (`function::serve`).

use actix_web::{Route, guard, web};

use crate::{
    http::{assets, error, health},
    web::{
        downloads, export, files, output,
        pages::{account, admin, dashboard, delete, import, reset, sign_in, sign_out, sign_up},
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
        .route("/account/export.zip", read().to(export::show))
        .route("/account/delete", read().to(account::leave::show))
        .route("/account/delete", web::post().to(account::leave::submit))
        .route("/reset", read().to(reset::show))
        .route("/reset", web::post().to(reset::submit))
        .route("/admin", read().to(admin::show))
        .route("/admin/invitations", web::post().to(admin::invitations::make))
        .route("/admin/invitations/end", web::post().to(admin::invitations::end))
        .route("/admin/accounts/{account}/reset-link", web::post().to(admin::accounts::reset_link))
        .route("/admin/accounts/{account}/disable", web::post().to(admin::accounts::disable))
        .route("/admin/accounts/{account}/enable", web::post().to(admin::accounts::enable))
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
        .default_service(web::to(error::not_found));
}

/// GET, and HEAD for a client that needs only the headers.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
