//! `POST /admin/invitations` and `/admin/invitations/end`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use super::{LinkPage, link_to};
use crate::{
    accounts::Accounts,
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{Admin, FormOf},
        session,
    },
    web::flash::{self, AdminNews, Flash},
};

/// A missing field counts as empty.
#[derive(Deserialize)]
pub struct InviteForm {
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
pub struct EndInvitationForm {
    #[serde(default)]
    invitation: String,
}

pub async fn make(
    request: HttpRequest,
    FormOf(Admin(user), form): FormOf<Admin, InviteForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let Some(token) = accounts.invite(user.user, &form.note).await? else {
        let mut response = session::see_other("/admin");
        flash::send(&request, &mut response, &origin, &Flash::Admin(AdminNews::TooManyInvitations));
        return Ok(response);
    };
    let page = LinkPage {
        title: "Invitation".to_owned(),
        sentence:
            "Send this link to the person you invite. It makes one account, within 7 days. It is shown only \
                   now."
                .to_owned(),
        secret: link_to(&origin, &format!("/sign-up?token={}", token.expose())),
    };
    answer(&page)
}

pub async fn end(
    request: HttpRequest,
    FormOf(_admin, form): FormOf<Admin, EndInvitationForm>,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    accounts.end_invitation(&form.invitation).await?;
    let mut response = session::see_other("/admin");
    flash::send(&request, &mut response, &origin, &Flash::Admin(AdminNews::InvitationEnded));
    Ok(response)
}

/// A page with a secret, which no cache may keep.
pub(super) fn answer(page: &LinkPage) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(page.render()?))
}
