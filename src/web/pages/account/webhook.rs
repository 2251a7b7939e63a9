//! `GET, POST /account/webhook`: where the ends of imports are told, and what became of it; and the forms below it.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use super::news;
use crate::{
    base::{ids::UserId, time::UnixMillis},
    files::Address,
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{FormOf, Principal},
        session,
    },
    report::moment::Moment,
    store::{
        deliveries::DeliveryRow,
        webhooks::{SecretChange, WebhookRow},
    },
    web::{
        flash::{self, AccountChange, Flash},
        pages::form_error::{FormError, Refusal},
        site::Site,
        views::{Frame, Html},
    },
    webhooks::{LONGEST_ATTEMPT, SHOWN, Webhooks},
};

/// Without Debug: the query of its address may be a secret.
#[derive(Clone, Template)]
#[template(path = "pages/account/webhook.html")]
pub struct WebhookPage {
    pub frame: Frame,
    /// What the form that led here has done.
    pub news: Option<String>,
    /// The address as it is set, or as it was typed.
    pub address: String,
    /// Whether there is a webhook.
    pub is_set: bool,
    /// When its receiver answered 410 (gone); nothing is sent to it since.
    pub gone: Option<Moment>,
    pub of_tokens: Vec<TokenWebhook>,
    /// The present secret. None if there is none yet.
    pub secret: Option<SecretLine>,
    /// Until when the secret before signs too.
    pub beside: Option<Moment>,
    /// Newest first.
    pub deliveries: Vec<DeliveryLine>,
    pub error: Option<FormError>,
}

/// The present secret.
#[derive(Clone, Debug)]
pub struct SecretLine {
    /// Names it in the form.
    pub id: String,
    pub made: Moment,
}

/// The webhook of a token.
#[derive(Clone, Debug)]
pub struct TokenWebhook {
    pub token: String,
    pub host: String,
    pub gone: Option<Moment>,
}

/// A delivery in the list.
#[derive(Clone, Debug)]
pub struct DeliveryLine {
    pub id: String,
    /// The file's name. None: a test.
    pub file_name: Option<String>,
    /// The path of the import's page.
    pub import: Option<String>,
    pub host: String,
    pub made: Moment,
    pub state: DeliveryState,
    /// `after 3 attempts`; empty before the second, and while an attempt is made.
    pub attempts: String,
    pub status: Option<u16>,
    /// What was answered, or why there was no answer.
    pub answer: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    Delivered(Moment),
    /// Not sent yet.
    Waiting,
    /// An attempt is being made.
    Sending,
    /// The last attempt failed.
    RetryAt(Moment),
    GivenUp,
}

/// A new secret, which is shown once.
#[derive(Clone, Template)]
#[template(path = "pages/account/made_secret.html")]
pub struct MadeSecretPage {
    pub frame: Frame,
    pub secret: String,
    /// Whether there was an earlier one, which signs, too, for a while.
    pub is_change: bool,
}

/// A missing field counts as empty.
#[derive(Deserialize)]
pub struct WebhookForm {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
pub struct SecretForm {
    /// The secret that the page has shown as the present one; empty for none.
    #[serde(default)]
    present: String,
}

/// The deliveries outside of the fold.
const NEWEST: usize = 5;

/// The name of the form's field.
const ADDRESS: &str = "address";

impl WebhookPage {
    fn shown(&self) -> u32 {
        SHOWN
    }

    /// The deliveries that are listed at once.
    fn newest(&self) -> &[DeliveryLine] {
        self.deliveries.get(..NEWEST).unwrap_or(&self.deliveries)
    }

    /// The others, in a fold: on a phone the whole list is several screens long.
    fn older(&self) -> &[DeliveryLine] {
        self.deliveries.get(NEWEST..).unwrap_or_default()
    }

    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }
}

/// The host of an address, which has no secret.
pub fn host(address: &str) -> String {
    address.parse::<Address>().map(|address| address.host_and_port()).unwrap_or_default()
}

impl TokenWebhook {
    fn new(webhook: WebhookRow, now: UnixMillis) -> Self {
        Self {
            host: host(&webhook.address),
            token: webhook.token.map(|(_, name)| name).unwrap_or_default(),
            gone: webhook.gone_at.map(|at| Moment::new(at, now)),
        }
    }
}

impl DeliveryLine {
    #[must_use]
    pub fn new(delivery: DeliveryRow, now: UnixMillis) -> Self {
        let moment = |at| Moment::new(at, now);
        let is_being_sent = delivery.sent_since().is_some_and(|at| now < at.plus(LONGEST_ATTEMPT));
        Self {
            id: delivery.id.to_string(),
            import: delivery.import.map(|import| format!("/imports/{import}")),
            file_name: delivery.file_name,
            host: host(&delivery.address),
            made: moment(delivery.made_at),
            state: match (delivery.delivered_at, delivery.next_attempt_at) {
                (_, Some(_)) if is_being_sent => DeliveryState::Sending,
                (Some(at), None) => DeliveryState::Delivered(moment(at)),
                (_, Some(at)) if delivery.attempts > 0 => DeliveryState::RetryAt(moment(at)),
                (_, Some(_)) => DeliveryState::Waiting,
                (None, None) => DeliveryState::GivenUp,
            },
            attempts: match delivery.attempts {
                _ if is_being_sent => String::new(),
                0 | 1 => String::new(),
                attempts => format!("after {attempts} attempts"),
            },
            status: delivery.status,
            answer: delivery.answer.filter(|answer| !answer.is_empty()),
        }
    }
}

async fn page(
    user: &Principal,
    webhooks: &Webhooks,
    site: &Site,
    (news, refusal): (Option<String>, Option<(String, FormError)>),
) -> Result<HttpResponse, Error> {
    let now = site.report_inputs().now;
    let settings = webhooks.settings(user.user).await?;
    let deliveries = webhooks.deliveries(user.user).await?;
    let mut secrets = settings.secrets.into_iter();
    let secret =
        secrets.next().map(|secret| SecretLine { id: secret.id, made: Moment::new(secret.made_at, now) });
    let beside = secrets.filter_map(|earlier| earlier.ends_at).max();
    let own = settings.own;
    let is_set = own.is_some();
    let gone = own.as_ref().and_then(|own| own.gone_at).map(|at| Moment::new(at, now));
    let saved = own.map(|own| own.address).unwrap_or_default();
    let (address, refusal) = match refusal {
        Some((typed, error)) => (typed, Some(Refusal::from(error))),
        None => (saved, None),
    };
    let mut answer = Refusal::answer(refusal.as_ref());
    let page = WebhookPage {
        frame: site.frame(user),
        news,
        address,
        is_set,
        gone,
        of_tokens: settings.of_tokens.into_iter().map(|webhook| TokenWebhook::new(webhook, now)).collect(),
        secret,
        beside: beside.map(|at| Moment::new(at, now)),
        deliveries: deliveries.into_iter().map(|delivery| DeliveryLine::new(delivery, now)).collect(),
        error: refusal.map(|refusal| refusal.error),
    };
    Ok(answer.content_type(ContentType::html()).body(page.render()?))
}

pub async fn show(
    request: HttpRequest,
    user: Principal,
    webhooks: web::Data<Webhooks>,
    site: web::Data<Site>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let told = flash::read(&request).and_then(|flash| news(flash, &user));
    let mut response = page(&user, &webhooks, &site, (told, None)).await?;
    flash::take_back(&request, &mut response, &origin);
    Ok(response)
}

pub async fn save(
    request: HttpRequest,
    FormOf(user, form): FormOf<Principal, WebhookForm>,
    webhooks: web::Data<Webhooks>,
    site: web::Data<Site>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let typed = form.address.trim();
    let address = match webhooks.address(typed).await {
        Ok(address) => address,
        Err(error) => {
            let error = FormError::of(&[ADDRESS], error.to_string());
            return page(&user, &webhooks, &site, (None, Some((typed.to_owned(), error)))).await;
        }
    };
    match webhooks.save(user.user, &address).await? {
        Some(secret) => made_secret(site.frame(&user), secret, false),
        None => Ok(done(&request, &origin, AccountChange::WebhookSaved)),
    }
}

/// Makes another secret, or the first one.
pub async fn change_secret(
    FormOf(user, form): FormOf<Principal, SecretForm>,
    webhooks: web::Data<Webhooks>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let present = Some(form.present.as_str()).filter(|present| !present.is_empty());
    let (change, secret) = webhooks.change_secret(user.user, present).await?;
    let sentence = match change {
        SecretChange::Done => return made_secret(site.frame(&user), secret, present.is_some()),
        // A reload of the page that shows the new one sends its form again, and must not make another one.
        SecretChange::ChangedBefore => {
            "The secret was changed in the meantime. To make another one, change it again."
        }
        SecretChange::TooMany => {
            "The secret was changed several times today. Change it again once the earlier ones have ended."
        }
    };
    let address = address(user.user, &webhooks).await?;
    page(&user, &webhooks, &site, (None, Some((address, FormError::of_form(sentence))))).await
}

pub async fn end(
    request: HttpRequest,
    user: Principal,
    webhooks: web::Data<Webhooks>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    webhooks.end(user.user).await?;
    Ok(done(&request, &origin, AccountChange::WebhookEnded))
}

pub async fn test(
    request: HttpRequest,
    user: Principal,
    webhooks: web::Data<Webhooks>,
    origin: web::Data<PublicOrigin>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    if !webhooks.may_send_by_hand(user.user).await? {
        return too_many(&user, &webhooks, &site).await;
    }
    if webhooks.send_test(user.user).await.map_err(Error::Internal)? {
        return Ok(done(&request, &origin, AccountChange::TestSent));
    }
    match webhooks.settings(user.user).await?.own {
        // The page says since when the receiver is gone.
        Some(_) => Ok(session::see_other("/account/webhook")),
        None => Err(Error::NotFound),
    }
}

pub async fn send_again(
    request: HttpRequest,
    user: Principal,
    webhooks: web::Data<Webhooks>,
    (origin, site): (web::Data<PublicOrigin>, web::Data<Site>),
    delivery: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let delivery = delivery.parse().map_err(|_| Error::NotFound)?;
    if !webhooks.may_send_by_hand(user.user).await? {
        return too_many(&user, &webhooks, &site).await;
    }
    if !webhooks.send_again(user.user, delivery).await? {
        return Err(Error::NotFound);
    }
    Ok(done(&request, &origin, AccountChange::SentAgain))
}

async fn too_many(user: &Principal, webhooks: &Webhooks, site: &Site) -> Result<HttpResponse, Error> {
    let sentence = "You have sent many in the last minute. Wait a minute, then send again.";
    let address = address(user.user, webhooks).await?;
    page(user, webhooks, site, (None, Some((address, FormError::of_form(sentence))))).await
}

/// The address that is set, or nothing.
async fn address(user: UserId, webhooks: &Webhooks) -> Result<String, Error> {
    Ok(webhooks.settings(user).await?.own.map(|own| own.address).unwrap_or_default())
}

fn made_secret(frame: Frame, secret: String, is_change: bool) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(MadeSecretPage { frame, secret, is_change }.render()?))
}

fn done(request: &HttpRequest, origin: &PublicOrigin, change: AccountChange) -> HttpResponse {
    let mut response = session::see_other("/account/webhook");
    flash::send(request, &mut response, origin, &Flash::Account(change));
    response
}
