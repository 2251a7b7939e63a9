//! The account and the pages below it.

use askama::Template;
use runboard::{
    accounts::EndedMail,
    api::openapi::for_people,
    base::ids::UserId,
    report::moment::Moment,
    web::pages::{
        AccountPage, AdminPage, FormError,
        account::{
            SessionLine,
            email::EmailPage,
            leave::{LeavePage, LeftPage},
            mail::MailChoice,
            password::PasswordPage,
            tokens::{EndTokenPage, MadeTokenPage, NewTokenPage, TokenLine},
        },
        admin::{AccountLine, InvitationDraft, InvitationLine, LinkPage},
        api::ApiPage,
        reset::ResetPage,
    },
};

use super::{
    Page,
    snapshots::{at, frame, report_inputs},
};

pub fn pages() -> Vec<Page> {
    let now = report_inputs().now;
    let session = |device: &str, address: &str, is_own| SessionLine {
        name: format!("{}-{}", device.len(), address.len()),
        device: device.to_owned(),
        address: Some(address.to_owned()),
        last_seen: Moment::new(if is_own { now } else { at("09:41:10") }, now),
        is_own,
    };
    let account = AccountPage {
        frame: frame(),
        news: None,
        sessions: vec![session("Firefox on Linux", "198.51.100.7", true)],
        tokens: Vec::new(),
        mail: None,
        webhook: None,
        is_webhook_gone: false,
        is_admin: false,
    };
    let token = |name: &str, expires: Option<&str>, has_expired| TokenLine {
        id: "01M852CE07XGB7KM34R9298TW7".to_owned(),
        name: name.to_owned(),
        scopes: "read, import".to_owned(),
        made: Moment::new(at("08:00:00"), now),
        expires: expires.map(|time| Moment::new(at(time), now)),
        has_expired,
        last_used: expires.map(|_| Moment::new(at("14:01:00"), now)),
        webhook: has_expired.then(|| "hooks.example.org:8443".to_owned()),
    };
    let several = AccountPage {
        news: Some("The password is changed. You were signed out everywhere else.".to_owned()),
        sessions: vec![
            session("Firefox on Linux", "198.51.100.7", true),
            session("Safari on iPhone", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", false),
            session("Unknown browser", "203.0.113.80", false),
        ],
        tokens: vec![
            token("nightly upload", Some("23:00:00"), false),
            token("an old script of somebody with a long name", Some("09:00:00"), true),
            token("laptop", None, false),
        ],
        mail: Some(MailChoice { chosen: EndedMail::Failures }),
        webhook: Some("hooks.example.org".to_owned()),
        is_webhook_gone: true,
        is_admin: true,
        ..account.clone()
    };
    let password = PasswordPage { frame: frame(), error: None };
    let wrong_password = PasswordPage {
        error: Some(FormError::of(&["present"], "This is not your present password.")),
        ..password.clone()
    };
    let email = EmailPage { frame: frame(), email: String::new(), error: None };
    let taken = EmailPage {
        email: "eve@example.org".to_owned(),
        error: Some(FormError::of(&["email"], "This e-mail address already has an account.")),
        ..email.clone()
    };
    let new_token = NewTokenPage {
        frame: frame(),
        name: String::new(),
        reads: true,
        imports: true,
        makes_tokens: false,
        days: "90".to_owned(),
        webhook: String::new(),
        error: None,
    };
    let no_secret = NewTokenPage {
        webhook: "https://hooks.example.org/nightly".to_owned(),
        error: Some(FormError::of(
            &["webhook"],
            "Your account has no secret yet that webhooks are signed with. Make it on the page Webhook of your account \
             first.",
        )),
        ..new_token.clone()
    };
    let same_name = NewTokenPage {
        name: "nightly upload".to_owned(),
        error: Some(FormError::of(&["name"], "You have a token of this name already.")),
        ..new_token.clone()
    };
    let made = MadeTokenPage {
        frame: frame(),
        name: "nightly upload".to_owned(),
        secret: "rb_0123456789abcdefghijABCDEFGHIJ2z4kDq7".to_owned(),
    };
    let end_token = EndTokenPage { frame: frame(), token: token("nightly upload", Some("23:00:00"), false) };
    let leave = LeavePage { frame: frame(), error: None };
    let last_admin = LeavePage {
        error: Some(FormError::of_form("You are the only admin, and other people have accounts here.")),
        ..leave.clone()
    };
    let line = |email: &str, stores: &str| AccountLine {
        id: UserId::generate(),
        email: email.to_owned(),
        stores: stores.to_owned(),
        since: Moment::new(at("08:00:00"), now),
        seen: None,
        is_admin: false,
        is_disabled: false,
        is_in_deletion: false,
        is_own: false,
    };
    let seen = || Some(Moment::new(at("14:01:00"), now));
    let admin = AdminPage {
        frame: frame(),
        news: Some("The account is disabled. Its sessions and tokens have ended."),
        accounts: vec![
            AccountLine {
                is_admin: true,
                is_own: true,
                seen: seen(),
                ..line("mira@example.org", "1,204 imports, 38 GB")
            },
            AccountLine {
                seen: seen(),
                ..line("a-very-long-name.of-a-person@subsidiary.example.org", "1 import, 2 KB")
            },
            AccountLine { is_disabled: true, ..line("eve@example.org", "0 imports, 0 B") },
            AccountLine { is_in_deletion: true, ..line("gone@example.org", "3 imports, 1 MB") },
        ],
        next_page: Some("/admin?after=01".to_owned()),
        invitations: vec![InvitationLine {
            name: "0123456789abcdef".to_owned(),
            note: Some("Noor, accounting".to_owned()),
            made_by: "mira@example.org".to_owned(),
            expires: Moment::new(at("23:00:00"), now),
        }],
        mail_route: None,
        draft: InvitationDraft::default(),
        error: None,
    };
    let admin_with_mail = AdminPage {
        news: None,
        mail_route: Some("smtp.subsidiary.example.org:587 (from runboard@subsidiary.example.org)".to_owned()),
        draft: InvitationDraft { note: "Noor, accounting".to_owned(), email: "noor".to_owned() },
        error: Some(FormError::of(&["email"], "Enter a valid e-mail address, or none.")),
        ..admin.clone()
    };
    let link = LinkPage {
        frame: frame(),
        title: "Invitation".to_owned(),
        sentence: "Send this link to the person you invite. It makes one account, within 7 days.".to_owned(),
        secret: "https://runboard.example.org/sign-up?token=qNnv4lXyOXbw-tIyINtVnA06r1Ym5DyGjiU1tCLVhQk"
            .to_owned(),
        mail_token: None,
    };
    let mailed = LinkPage { mail_token: Some("token".to_owned()), ..link.clone() };
    let reset = ResetPage {
        link: Some(("mira@example.org".to_owned(), "token".to_owned())),
        sends_mail: false,
        error: None,
    };
    let over = ResetPage { link: None, ..reset.clone() };
    let over_with_mail = ResetPage { sends_mail: true, ..over.clone() };
    let api = ApiPage::new(frame(), &for_people()).render().unwrap();
    vec![
        Page::new("account-new-token", new_token.render().unwrap()),
        Page::new("account-new-token-refused", same_name.render().unwrap()),
        Page::new("account-new-token-no-secret", no_secret.render().unwrap()),
        Page::new("account-made-token", made.render().unwrap()),
        Page::new("account-end-token", end_token.render().unwrap()),
        Page::new("account-delete", leave.render().unwrap()),
        Page::new("account-delete-refused", last_admin.render().unwrap()),
        Page::new("account-deleted", LeftPage { is_done: true }.render().unwrap()),
        Page::new("account-being-deleted", LeftPage { is_done: false }.render().unwrap()),
        Page::new("admin", admin.render().unwrap()),
        Page::new("admin-with-mail", admin_with_mail.render().unwrap()),
        Page::new("admin-link-by-mail", mailed.render().unwrap()),
        Page::new("admin-link", link.render().unwrap()),
        Page::new("reset", reset.render().unwrap()),
        Page::new("reset-over", over.render().unwrap()),
        Page::new("reset-over-with-mail", over_with_mail.render().unwrap()),
        Page::new("account", account.render().unwrap()),
        Page::new("account-several-sessions", several.render().unwrap()),
        Page::new("account-password", password.render().unwrap()),
        Page::new("account-password-refused", wrong_password.render().unwrap()),
        Page::new("account-email", email.render().unwrap()),
        Page::new("account-email-refused", taken.render().unwrap()),
        Page::new("api", api),
    ]
}
