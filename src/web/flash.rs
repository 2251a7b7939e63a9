//! A message that the next page shows once about the form that led to it. It is stored in a cookie until that
//! page is requested, so the server needs no state for it.
//!
//! The cookie is signed with the session's token, so that no other host, user or session can make a page show
//! a message.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, time},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::views::RefusedForm;
use crate::{
    accounts::Token,
    http::{origin::PublicOrigin, session},
};

const COOKIE: &str = "runboard_flash";

/// A browser that has not followed the redirect by then will not follow it.
const LIFETIME: time::Duration = time::Duration::minutes(1);

/// Browsers drop a cookie of more than 4,096 bytes, including its name and attributes.
const LONGEST_VALUE: usize = 3_800;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Flash {
    /// The name of the file whose import was deleted.
    Deleted(String),
    /// The files of a form that were not imported, while others were.
    Refused(RefusedForm),
    /// What has changed of the account.
    Account(AccountChange),
    /// What an admin has changed.
    Admin(AdminNews),
    /// A guest link was ended.
    GuestLinkEnded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminNews {
    InvitationEnded,
    TooManyInvitations,
    Disabled,
    Enabled,
    OwnAccount,
    CannotReset,
    /// A link for a new password is sent by e-mail.
    LinkQueued,
    /// It is not, because the link is not valid any more.
    LinkOver,
    TestMailQueued,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountChange {
    Password,
    Email,
    SessionEnded,
    TokenEnded,
    WebhookSaved,
    WebhookEnded,
    /// A test was sent to the webhook.
    TestSent,
    /// A delivery is sent again.
    SentAgain,
    /// Which ends of imports are told by e-mail.
    Mail,
    /// So many.
    OtherSessionsEnded(u64),
}

/// Sends `flash` with a redirect. Returns false and sends nothing if it is too long for a cookie.
pub fn send(
    request: &HttpRequest,
    response: &mut HttpResponse,
    origin: &PublicOrigin,
    flash: &Flash,
) -> bool {
    session::token(request).is_some_and(|token| send_to(&token, response, origin, flash))
}

/// As [`send`], to the session of `token`, which this response begins.
pub fn send_to(token: &Token, response: &mut HttpResponse, origin: &PublicOrigin, flash: &Flash) -> bool {
    let Ok(json) = serde_json::to_vec(flash) else { return false };
    let signature = mac(token, &json).finalize().into_bytes();
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let value = format!("{}.{}", encode(&json), encode(&signature));
    let fits = value.len() <= LONGEST_VALUE;
    if fits {
        let mut cookie = session::cookie(COOKIE, origin, value);
        cookie.set_max_age(LIFETIME);
        session::set(response, &cookie);
    }
    fits
}

/// The message in the request, if it was sent to this session.
#[must_use]
pub fn read(request: &HttpRequest) -> Option<Flash> {
    let (cookie, token) = (request.cookie(COOKIE)?, session::token(request)?);
    let (json, signature) = cookie.value().split_once('.')?;
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let (json, signature) = (decode(json)?, decode(signature)?);
    // Compares in constant time.
    mac(&token, &json).verify_slice(&signature).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Deletes the cookie with the page that shows the message, so that a reload does not show it again.
pub fn take_back(request: &HttpRequest, response: &mut HttpResponse, origin: &PublicOrigin) {
    if request.cookie(COOKIE).is_some() {
        let removal: Cookie<'_> = session::removal(COOKIE, origin);
        session::set(response, &removal);
    }
}

fn mac(token: &Token, json: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(token.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(json);
    mac
}
