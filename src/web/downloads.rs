//! `GET /imports/{id}/processed.csv` and `failed.csv`.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::{
    files::Storage,
    http::{download::download, error::Error, principal::OwnedImport},
    results::outputs::Which,
    store::Store,
};

pub async fn processed(
    request: HttpRequest,
    OwnedImport { import, .. }: OwnedImport,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    download(&request, &import, Which::Processed, &store, &storage).await
}

pub async fn failed(
    request: HttpRequest,
    OwnedImport { import, .. }: OwnedImport,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    download(&request, &import, Which::Failed, &store, &storage).await
}
