//! `GET, POST /account/tokens`: makes a token, which is shown once; `GET, POST /account/tokens/{token}/end`.

use std::{collections::BTreeSet, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ContentType},
    web,
};
use askama::Template;
use serde::Deserialize;

use crate::{
    accounts::{Accounts, MakeTokenError, NewToken, Scope, TokenInfo, TokenName},
    base::{ids::UserId, time::UnixMillis},
    files::Address,
    http::{
        error::Error,
        origin::PublicOrigin,
        principal::{FormOf, Principal},
        session,
    },
    report::moment::Moment,
    web::{
        flash::{self, AccountChange, Flash},
        pages::form_error::{FormError, Refusal},
        site::Site,
        views::{Frame, Html},
    },
    webhooks::Webhooks,
};

/// A token in the list.
#[derive(Clone, Debug)]
pub struct TokenLine {
    pub id: String,
    pub name: String,
    /// `read, import`.
    pub scopes: String,
    pub made: Moment,
    /// None: never.
    pub expires: Option<Moment>,
    pub has_expired: bool,
    /// None: not used yet.
    pub last_used: Option<Moment>,
    /// The host that the ends of its imports are told to.
    pub webhook: Option<String>,
}

impl TokenLine {
    #[must_use]
    pub fn new(token: TokenInfo, now: UnixMillis) -> Self {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        Self {
            id: token.id.to_string(),
            scopes: scopes.join(", "),
            made: Moment::new(token.created_at, now),
            expires: token.expires_at.map(|at| Moment::new(at, now)),
            has_expired: token.has_expired(now),
            last_used: token.last_used_at.map(|at| Moment::new(at, now)),
            webhook: token.webhook.map(|address| address.host_and_port()),
            name: token.name,
        }
    }
}

/// The lifetimes to choose from, in days, each with its words.
const LIFETIMES: [(&str, &str); 5] =
    [("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "never")];

/// The one that is chosen first.
const USUAL_LIFETIME: &str = "90";

#[derive(Clone, Debug, Template)]
#[template(path = "pages/account/new_token.html")]
pub struct NewTokenPage {
    pub frame: Frame,
    pub name: String,
    pub reads: bool,
    pub imports: bool,
    pub makes_tokens: bool,
    pub days: String,
    /// The address of its webhook as it was typed.
    pub webhook: String,
    pub error: Option<FormError>,
}

/// A token that was just made.
#[derive(Clone, Template)]
#[template(path = "pages/account/made_token.html")]
pub struct MadeTokenPage {
    pub frame: Frame,
    pub name: String,
    pub secret: String,
}

#[derive(Clone, Debug, Template)]
#[template(path = "pages/account/end_token.html")]
pub struct EndTokenPage {
    pub frame: Frame,
    pub token: TokenLine,
}

/// A missing field counts as empty; a scope that is not ticked is missing.
#[derive(Deserialize)]
pub struct TokenForm {
    #[serde(default)]
    name: String,
    read: Option<String>,
    import: Option<String>,
    tokens: Option<String>,
    #[serde(default)]
    days: String,
    #[serde(default)]
    webhook: String,
}

/// The names of the form's fields.
const NAME: &str = "name";
/// The ticks together.
const SCOPES: &str = "scopes";
const DAYS: &str = "days";
const WEBHOOK: &str = "webhook";

impl NewTokenPage {
    fn blames(&self, field: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.blames(field))
    }

    /// Whether the page opens with the focus on the name: no other field is to be corrected.
    fn begins_with_name(&self) -> bool {
        ![SCOPES, DAYS, WEBHOOK].into_iter().any(|field| self.blames(field))
    }

    /// The lifetimes to choose from, their words, and which one is chosen.
    fn lifetimes(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        LIFETIMES.into_iter().map(|(days, words)| (days, words, days == self.days))
    }
}

impl NewTokenPage {
    fn of(form: TokenForm, frame: Frame) -> Self {
        Self {
            frame,
            name: form.name,
            reads: form.read.is_some(),
            imports: form.import.is_some(),
            makes_tokens: form.tokens.is_some(),
            days: form.days,
            webhook: form.webhook,
            error: None,
        }
    }

    fn checked(&self) -> Result<NewToken, FormError> {
        let name: TokenName =
            self.name.parse().map_err(|error| FormError::of(&[NAME], format!("{error}")))?;
        let chosen =
            [(self.reads, Scope::Read), (self.imports, Scope::Import), (self.makes_tokens, Scope::Tokens)];
        let scopes: BTreeSet<Scope> =
            chosen.into_iter().filter(|(is_chosen, _)| *is_chosen).map(|(_, scope)| scope).collect();
        if scopes.is_empty() {
            return Err(FormError::of(&[SCOPES], "Choose what the token may do."));
        }
        let lifetime = LIFETIMES.iter().find(|(days, _)| *days == self.days).and_then(|(days, _)| {
            days.parse::<u64>().ok().map(|days| Duration::from_secs(days * 24 * 60 * 60))
        });
        if lifetime.is_none() && !self.days.is_empty() {
            return Err(FormError::of(&[DAYS], "Choose when the token expires."));
        }
        Ok(NewToken { name, scopes, lifetime, webhook: None })
    }

    /// The address of its webhook, if one was typed.
    async fn webhook(
        &self,
        user: UserId,
        webhooks: &Webhooks,
    ) -> Result<Result<Option<Address>, FormError>, Error> {
        let typed = self.webhook.trim();
        if typed.is_empty() {
            return Ok(Ok(None));
        }
        if !webhooks.has_secret(user).await? {
            let sentence = "Your account has no secret yet that webhooks are signed with. Make it on the page Webhook \
                            of your account first.";
            return Ok(Err(FormError::of(&[WEBHOOK], sentence)));
        }
        let address = webhooks.address(typed).await;
        Ok(address.map(Some).map_err(|error| FormError::of(&[WEBHOOK], error.to_string())))
    }
}

pub async fn show(user: Principal, site: web::Data<Site>) -> Result<HttpResponse, Error> {
    let page = NewTokenPage {
        frame: site.frame(&user),
        name: String::new(),
        reads: true,
        imports: true,
        makes_tokens: false,
        days: USUAL_LIFETIME.to_owned(),
        webhook: String::new(),
        error: None,
    };
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(page.render()?))
}

pub async fn make(
    FormOf(user, form): FormOf<Principal, TokenForm>,
    (accounts, webhooks): (web::Data<Accounts>, web::Data<Webhooks>),
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    let page = NewTokenPage::of(form, site.frame(&user));
    let new = match page.checked() {
        Ok(new) => new,
        Err(error) => return refused(page, error),
    };
    let new = match page.webhook(user.user, &webhooks).await? {
        Ok(webhook) => NewToken { webhook, ..new },
        Err(error) => return refused(page, error),
    };
    // A reload of the page that shows the token sends its form again, and must not make another one.
    if accounts.tokens(user.user).await?.iter().any(|token| token.name == new.name.as_str()) {
        let error = "You have a token of this name already. Choose another name, or end that token first.";
        return refused(page, FormError::of(&[NAME], error));
    }
    match accounts.make_token(user.user, new).await {
        Ok((secret, token)) => {
            let page =
                MadeTokenPage { frame: page.frame, name: token.name, secret: secret.expose().to_owned() };
            Ok(HttpResponse::Ok()
                .content_type(ContentType::html())
                .insert_header((CACHE_CONTROL, "no-store"))
                .body(page.render()?))
        }
        Err(MakeTokenError::TooMany) => refused(
            page,
            FormError::of_form("You have as many tokens as an account can have. End one first."),
        ),
        // It was disabled or deleted in the meantime.
        Err(error) => Err(error.into()),
    }
}

fn refused(page: NewTokenPage, error: FormError) -> Result<HttpResponse, Error> {
    let refusal = Refusal::from(error);
    let mut answer = Refusal::answer(Some(&refusal));
    let page = NewTokenPage { error: Some(refusal.error), ..page };
    Ok(answer.content_type(ContentType::html()).body(page.render()?))
}

pub async fn ask(
    user: Principal,
    accounts: web::Data<Accounts>,
    site: web::Data<Site>,
    token: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let tokens = accounts.tokens(user.user).await?;
    let found = tokens.into_iter().find(|known| known.id.to_string() == *token).ok_or(Error::NotFound)?;
    let page = EndTokenPage { frame: site.frame(&user), token: TokenLine::new(found, UnixMillis::now()) };
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(page.render()?))
}

pub async fn end(
    request: HttpRequest,
    user: Principal,
    accounts: web::Data<Accounts>,
    origin: web::Data<PublicOrigin>,
    token: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let token = token.parse().map_err(|_| Error::NotFound)?;
    if !accounts.end_token(user.user, token).await? {
        return Err(Error::NotFound);
    }
    let mut response = session::see_other("/account");
    flash::send(&request, &mut response, &origin, &Flash::Account(AccountChange::TokenEnded));
    Ok(response)
}
