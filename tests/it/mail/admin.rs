//! What an admin sends.

use reqwest::{Response, StatusCode, header};
use runboard::base::config::SignUp;

use super::{NEW_PASSWORD, app_with, location, path, text, until_nothing_waits};
use crate::support::{
    TestApp,
    mail_server::MailServer,
    spawn_app_on,
    visitor::{Visitor, attributes},
};

/// A server whose only account is an admin's, and that admin.
async fn closed_app(server: &MailServer) -> (TestApp, Visitor) {
    let app = app_with(server).await;
    let admin = app.signed_in().await;
    let (data, mail) = (app.stop().await, server.config());
    let app = spawn_app_on(data, |config| {
        config.sign_up = SignUp::Closed;
        config.mail = Some(mail);
    })
    .await;
    let admin = admin.at(&app.origin);
    (app, admin)
}

/// The link that a page shows once.
async fn secret_in(answer: Response) -> (String, String) {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let page = answer.text().await.unwrap();
    let secret = page.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    (page, secret)
}

/// The page that a form leads to, with the message for it.
async fn follow(visitor: &Visitor, answer: Response) -> String {
    let to = location(&answer).to_owned();
    let cookies = answer.headers().get_all(header::SET_COOKIE).iter();
    let mut cookies = cookies.filter_map(|cookie| cookie.to_str().unwrap().split(';').next());
    let flash = cookies.find(|cookie| cookie.starts_with("runboard_flash=")).unwrap();
    let mut with_flash = visitor.clone();
    with_flash.cookie = Some(format!("{}; {flash}", visitor.cookie.as_ref().unwrap()));
    text(&with_flash, &to).await
}

#[tokio::test]
async fn an_invitation_is_sent_and_shown_once() {
    let server = MailServer::start();
    let (app, admin) = closed_app(&server).await;
    let refused =
        admin.post_form("/admin/invitations", &[("note", "Eve, accounting"), ("email", "eve")]).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = refused.text().await.unwrap();
    assert!(page.contains("Enter a valid e-mail address, or none."), "{page}");
    assert!(page.contains("value=\"Eve, accounting\"") && page.contains("value=\"eve\""), "{page}");

    // It has the shape of an address, and no server would take it.
    let refused = admin.post_form("/admin/invitations", &[("note", "Eve"), ("email", "a;b@x.org")]).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = refused.text().await.unwrap();
    assert!(page.contains("No e-mail can be sent to this address. Enter another one, or none."), "{page}");
    assert!(page.contains("value=\"a;b@x.org\""), "{page}");

    let made = admin.post_form("/admin/invitations", &[("note", ""), ("email", "Eve@example.org")]).await;
    let (page, shown) = secret_in(made).await;
    assert!(page.contains("This link is on its way to eve@example.org."), "{page}");
    let mail = server.only().await;
    assert_eq!(mail.to, ["eve@example.org"]);
    assert_eq!(mail.header("Subject"), "You are invited to Runboard");
    assert_eq!(mail.link("/sign-up"), shown);
    assert!(attributes(&mail.html, "href").contains(&shown));
    assert!(text(&admin, "/admin").await.contains("<p class=\"name\">eve@example.org</p>"));

    let (mut eve, token) = (app.visitor(), shown.split_once("token=").unwrap().1.to_owned());
    assert!(text(&eve, &path(&shown)).await.contains("You are invited to this Runboard."));
    let fields = [("email", "eve@example.org"), ("password", NEW_PASSWORD), ("token", &*token)];
    let signed_up = eve.post_form("/sign-up", &fields).await;
    assert_eq!(location(&signed_up), "/");
    eve.keep_cookie(&signed_up);
    let again = app.visitor().post_form("/sign-up", &fields).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);

    // Without an address nothing is sent.
    secret_in(admin.post_form("/admin/invitations", &[("note", "Noor"), ("email", " ")]).await).await;
    until_nothing_waits(&app.data).await;
    assert_eq!(server.taken().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_link_for_a_new_password_is_also_sent_if_the_admin_wants_that() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    let admin = app.signed_in().await;
    let mut eve = app.visitor();
    eve.sign_up("eve@example.org").await;
    let page = text(&admin, "/admin").await;
    let line = page.split("<li>").skip(1).find(|line| line.contains("eve@example.org")).unwrap();
    let make = attributes(line, "action").into_iter().find(|to| to.ends_with("/reset-link")).unwrap();
    let (page, shown) = secret_in(admin.post_form(&make, &[]).await).await;
    assert!(page.contains("Also send it by e-mail"), "{page}");
    let token = shown.split_once("token=").unwrap().1;
    assert_eq!(attributes(&page, "name=\"token\" value"), [token]);

    let send = async |visitor: &Visitor, token: &str| {
        visitor.post_form("/admin/mail/reset-link", &[("token", token)]).await
    };
    assert_eq!(send(&eve, token).await.status(), StatusCode::NOT_FOUND, "no admin");
    assert!(follow(&admin, send(&admin, token).await).await.contains("The link is on its way by e-mail."));
    let mail = server.only().await;
    assert_eq!(mail.to, ["eve@example.org"]);
    assert_eq!(mail.link("/reset"), shown);
    until_nothing_waits(&app.data).await;

    // Neither an invitation nor a link that is over goes to anybody.
    let (_, invitation) = secret_in(admin.post_form("/admin/invitations", &[]).await).await;
    for over in ["nothing", invitation.split_once("token=").unwrap().1] {
        let page = follow(&admin, send(&admin, over).await).await;
        assert!(page.contains("The link is not valid any more. Make a new one."), "{page}");
    }
    until_nothing_waits(&app.data).await;
    assert_eq!(server.taken().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn an_admin_sees_that_e_mails_arrive() {
    let server = MailServer::start();
    let app = app_with(&server).await;
    let admin = app.signed_in().await;
    let page = text(&admin, "/admin").await;
    let route = format!("127.0.0.1:{} (from runboard@example.org)", server.port);
    assert!(page.contains(&route) && page.contains("action=\"/admin/mail/test\""), "{page}");
    let answer = admin.post_form("/admin/mail/test", &[]).await;
    assert!(follow(&admin, answer).await.contains("A test e-mail to you is on its way."));
    let mail = server.only().await;
    assert_eq!(
        (mail.to.as_slice(), mail.header("Subject")),
        (["mira@example.org".to_owned()].as_slice(), "Test e-mail from Runboard")
    );
    assert!(!mail.encrypted && mail.user.is_none());
    app.stop().await;
}
