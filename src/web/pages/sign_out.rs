//! `POST /sign-out`.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::{
    accounts::Accounts,
    http::{error::Error, origin::PublicOrigin, session},
};

/// Ends the session. The answer is the same without one.
pub async fn submit(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    Ok(session::end(&request, &accounts, &origin).await?)
}
