//! The page of the webhook, and the secret that is shown once.

use askama::Template;
use runboard::{
    report::moment::Moment,
    web::pages::{
        FormError,
        account::webhook::{
            DeliveryLine, DeliveryState, MadeSecretPage, SecretLine, TokenWebhook, WebhookPage,
        },
    },
};

use super::{
    Page,
    snapshots::{at, frame, report_inputs},
};

pub fn pages() -> Vec<Page> {
    let now = report_inputs().now;
    let moment = |time: &str| Moment::new(at(time), now);
    let off = WebhookPage {
        frame: frame(),
        news: None,
        address: String::new(),
        is_set: false,
        gone: None,
        of_tokens: Vec::new(),
        secret: None,
        beside: None,
        deliveries: Vec::new(),
        error: None,
    };
    let refused = WebhookPage {
        address: "http://192.168.1.5/runboard".to_owned(),
        error: Some(FormError::of(
            &["address"],
            "This address is on a private network. Ask the operator to allow it.",
        )),
        ..off.clone()
    };
    let line = |name: &str, state, attempts: &str, status, answer: &str| DeliveryLine {
        id: "01M852CE07XGB7KM34R9298TW7".to_owned(),
        file_name: (!name.is_empty()).then(|| name.to_owned()),
        import: (!name.is_empty()).then(|| "/imports/01M852CDY00000000000000001".to_owned()),
        host: "hooks.example.org:8443".to_owned(),
        made: moment("14:01:00"),
        state,
        attempts: attempts.to_owned(),
        status,
        answer: (!answer.is_empty()).then(|| answer.to_owned()),
    };
    let on = WebhookPage {
        news: Some("The webhook is saved.".to_owned()),
        address: "https://hooks.example.org:8443/a/long/path/to/a/receiver?key=0123456789abcdef".to_owned(),
        is_set: true,
        of_tokens: vec![
            TokenWebhook {
                token: "nightly upload".to_owned(),
                host: "nightly.example.org".to_owned(),
                gone: None,
            },
            TokenWebhook {
                token: "an old script of somebody with a long name".to_owned(),
                host: "a-very-long-host-name.of-a-subsidiary.example.org".to_owned(),
                gone: Some(moment("11:00:00")),
            },
        ],
        secret: Some(SecretLine { id: "01M852CE07XGB7KM34R9298TW7".to_owned(), made: moment("13:59:00") }),
        beside: Some(moment("23:00:00")),
        deliveries: vec![
            line("orders-2026-11.csv", DeliveryState::Waiting, "", None, ""),
            line(
                "a-file-with-a-very-long-name-that-goes-on-and-on-2026-11-28-final-2.csv",
                DeliveryState::RetryAt(moment("14:05:00")),
                "after 3 attempts",
                Some(503),
                "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
            ),
            line("prices.csv", DeliveryState::Sending, "", None, ""),
            line("orders.csv", DeliveryState::Delivered(moment("14:01:01")), "", Some(204), ""),
            line(
                "weather.csv",
                DeliveryState::GivenUp,
                "after 11 attempts",
                None,
                "The address could not be reached.",
            ),
            line("", DeliveryState::Delivered(moment("13:00:00")), "", Some(200), "ok"),
            line("stock-levels.csv", DeliveryState::Delivered(moment("12:00:00")), "", Some(204), ""),
            line("airports.csv", DeliveryState::Delivered(moment("11:30:00")), "", Some(204), ""),
        ],
        ..off.clone()
    };
    let gone = WebhookPage { news: None, gone: Some(moment("14:00:00")), ..on.clone() };
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=".to_owned();
    let first_secret = MadeSecretPage { frame: frame(), secret, is_change: false };
    let other_secret = MadeSecretPage { is_change: true, ..first_secret.clone() };
    vec![
        Page::new("account-webhook-off", off.render().unwrap()),
        Page::new("account-webhook-refused", refused.render().unwrap()),
        Page::new("account-webhook", on.render().unwrap()),
        Page::new("account-webhook-gone", gone.render().unwrap()),
        Page::new("account-webhook-secret", first_secret.render().unwrap()),
        Page::new("account-webhook-secret-changed", other_secret.render().unwrap()),
    ]
}
