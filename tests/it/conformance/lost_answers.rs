//! Sending over a connection that loses answers: one event and one run, however often it is sent.

use std::time::Duration;

use runboard::inngest::{Backoff, Client, Event, EventSeed, Limits, Server};
use serde_json::json;
use url::Url;

use super::World;
use crate::{
    function_server::{Answer, Function},
    support::proxy::{Behaviour, Proxy},
};

#[tokio::test]
async fn a_send_whose_answers_are_lost_is_one_event_with_one_run() {
    let world = World::with(vec![Function::answering("go", || Answer::output("1")).retries(0)]).await;
    let api: Url = world.api.base.parse().unwrap();
    let proxy = Proxy::start(&api).await;
    let backoff = Backoff {
        tries: 2,
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(10),
    };
    let server = Server {
        event_api: proxy.origin.clone(),
        api,
        event_key: world.api.event_key.clone(),
        signing_keys: world.api.signing_key.clone().into(),
        api_key: None,
        env: None,
    };
    let client = Client::with_limits(server, Limits { backoff, ..Limits::default() }).unwrap();

    // The first request never arrives; the others arrive, but their answers are lost.
    let mut mishaps = vec![
        Behaviour::Twice,
        Behaviour::CutInAnswer,
        Behaviour::HalfAnAnswer,
        Behaviour::CutBeforeAnswer,
        Behaviour::CutBeforeAnswer,
        Behaviour::Reset,
    ];
    let happened = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&happened);
    proxy.behave(move |request| {
        let behaviour = mishaps.pop().unwrap_or(Behaviour::Pass);
        seen.lock().unwrap().push((behaviour, request.header(EventSeed::HEADER).map(str::to_owned)));
        behaviour
    });
    let seed = EventSeed::generate();
    let event = Event { name: world.functions.event("go"), data: json!({"n": 1}) };
    let sent = loop {
        match client.send(&event, &seed).await {
            Ok(id) => break id,
            Err(error) => assert!(happened.lock().unwrap().len() < 6, "{error}"),
        }
    };
    assert_eq!(sent, seed.event_id(0));
    let happened = happened.lock().unwrap().clone();
    assert_eq!(happened.len(), 6, "{happened:?}");
    let seeds = happened.iter().filter(|(_, seen)| seen.as_deref() == Some(&*seed.to_string()));
    assert_eq!(seeds.count(), 6, "{happened:?}");

    let run = world.api.ended(sent.as_str()).await;
    // A run that another send had started would have started before this one.
    world.run("go").await;
    assert_eq!(world.api.runs(sent.as_str()).await, [run]);
    assert_eq!(world.functions.calls("go").len(), 2);
}
