//! `POST /admin/accounts/{account}/reset-link`, `/disable` and `/enable`.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{LinkPage, answer, back, link_to};
use crate::{
    accounts::{Accounts, AdminChange},
    base::ids::UserId,
    http::{error::Error, origin::PublicOrigin, principal::Admin},
    web::{flash::AdminNews, site::Site},
};

pub async fn reset_link(
    request: HttpRequest,
    Admin(user): Admin,
    accounts: web::Data<Accounts>,
    (origin, site): (web::Data<PublicOrigin>, web::Data<Site>),
    account: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let token = accounts.make_reset_link(user.user, parse(&account)?).await?;
    let Some(token) = token else { return Ok(back(&request, &origin, AdminNews::CannotReset)) };
    let email = accounts.reset_link(&token).await?.ok_or(Error::NotFound)?;
    let page = LinkPage {
        frame: site.frame(&user),
        title: "Link for a new password".to_owned(),
        sentence: format!(
            "Send this link to {email}. It sets a new password once, within 24 hours, and signs the account out \
             everywhere. It is shown only now."
        ),
        secret: link_to(&origin, &format!("/reset?token={}", token.expose())),
        mail_token: accounts.mail().map(|_| token.expose()),
    };
    answer(&page)
}

pub async fn disable(
    request: HttpRequest,
    Admin(user): Admin,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    account: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let account = parse(&account)?;
    if account == user.user {
        return Ok(back(&request, &origin, AdminNews::OwnAccount));
    }
    match accounts.disable(account).await? {
        AdminChange::Done => Ok(back(&request, &origin, AdminNews::Disabled)),
        // Another admin has disabled the one who asks.
        AdminChange::IsLastAdmin | AdminChange::NotThere => Err(Error::NotFound),
    }
}

pub async fn enable(
    request: HttpRequest,
    _admin: Admin,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    account: web::Path<String>,
) -> Result<HttpResponse, Error> {
    if !accounts.enable(parse(&account)?).await? {
        return Err(Error::NotFound);
    }
    Ok(back(&request, &origin, AdminNews::Enabled))
}

fn parse(account: &str) -> Result<UserId, Error> {
    account.parse().map_err(|_| Error::NotFound)
}
