//! `GET /imports/{id}/processed.csv` and `failed.csv`.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::{
    files::Storage,
    http::{
        download::{Form, download},
        error::Error,
        principal::OwnedImport,
    },
    results::outputs::Which,
    store::Store,
};

pub async fn processed(
    request: HttpRequest,
    OwnedImport { import, .. }: OwnedImport,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    let wanted = (Which::Processed, Form::asked_for(&request));
    download(&request, &import, wanted, &store, &storage).await
}

pub async fn failed(
    request: HttpRequest,
    OwnedImport { import, .. }: OwnedImport,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    let wanted = (Which::Failed, Form::asked_for(&request));
    download(&request, &import, wanted, &store, &storage).await
}
