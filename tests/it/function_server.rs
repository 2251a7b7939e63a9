//! An app of functions that an engine calls. The test decides what each one answers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, http::StatusCode, web};
use futures_util::future::BoxFuture;
use runboard::inngest::{
    call::{
        Call, FunctionSpec, NO_RETRY_HEADER, Op, REQ_VERSION_HEADER, Registration, Retries, Runtime, SDK,
        SDK_HEADER, StepSpec, TriggerSpec,
    },
    signature,
};
use serde_json::Value;
use ulid::Ulid;

use crate::inngest_api::until;

/// The app. Each function `name` is triggered by the event `{app}/{name}`.
pub struct FunctionServer {
    /// Unique, so that tests never see each other's runs.
    pub app: String,
    pub url: String,
    functions: Vec<Function>,
    calls: Arc<Mutex<Vec<Received>>>,
    server: ServerHandle,
}

#[derive(Clone)]
pub struct Function {
    name: &'static str,
    triggers: Vec<(String, Option<String>)>,
    retries: Option<u32>,
    behaviour: Behaviour,
}

/// Stands for the app in triggers, which are written before its name is known.
const APP: &str = "{app}";

type Behaviour = Arc<dyn Fn(Received) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A received call.
#[derive(Clone)]
pub struct Received {
    pub function: String,
    pub call: Call,
    pub raw: web::Bytes,
    /// With lower-case names.
    pub headers: BTreeMap<String, String>,
}

pub struct Answer {
    status: StatusCode,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

impl Function {
    pub fn new<F: Future<Output = Answer> + Send + 'static>(
        name: &'static str,
        behaviour: impl Fn(Received) -> F + Send + Sync + 'static,
    ) -> Self {
        let behaviour: Behaviour = Arc::new(move |received| Box::pin(behaviour(received)));
        Self { name, triggers: vec![(format!("{APP}/{name}"), None)], retries: None, behaviour }
    }

    /// A function that always gives the same answer.
    pub fn answering(name: &'static str, answer: impl Fn() -> Answer + Send + Sync + 'static) -> Self {
        Self::new(name, move |_| std::future::ready(answer()))
    }

    pub fn retries(self, retries: u32) -> Self {
        Self { retries: Some(retries), ..self }
    }

    /// Triggered by the event of another function.
    pub fn on(self, function: &str) -> Self {
        Self { triggers: vec![(format!("{APP}/{function}"), None)], ..self }
    }

    /// Triggered by each event `name` for which `expression` is true; `{app}` in it stands for the app.
    pub fn on_event(self, name: &str, expression: &str) -> Self {
        Self { triggers: vec![(name.to_owned(), Some(expression.to_owned()))], ..self }
    }
}

impl Answer {
    /// The function ended with this body.
    pub fn output(body: impl ToString) -> Self {
        Self::new(200, body)
    }

    /// A step ran.
    pub fn step(name: &str, data: Value) -> Self {
        Self::ops(&serde_json::json!([Op::step_run(name, data)]))
    }

    pub fn ops(ops: &Value) -> Self {
        Self::new(206, ops)
    }

    pub fn new(status: u16, body: impl ToString) -> Self {
        let headers =
            vec![(SDK_HEADER, SDK), (REQ_VERSION_HEADER, "2"), ("content-type", "application/json")];
        Self { status: StatusCode::from_u16(status).unwrap(), headers, body: body.to_string() }
    }

    pub fn no_retry(self) -> Self {
        self.with(NO_RETRY_HEADER, "true")
    }

    pub fn retry_after(self, seconds: &'static str) -> Self {
        self.with("retry-after", seconds)
    }

    pub fn without_sdk_header(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != SDK_HEADER);
        self
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl FunctionServer {
    pub async fn start(functions: Vec<Function>) -> Self {
        Self::start_as(format!("test-{}", Ulid::new().to_string().to_lowercase()), functions).await
    }

    /// Another server of the same app, as after a restart.
    pub async fn start_as(app: String, functions: Vec<Function>) -> Self {
        let calls: Arc<Mutex<Vec<Received>>> = Arc::default();
        let state = web::Data::new(State {
            app: app.clone(),
            functions: functions.clone(),
            calls: Arc::clone(&calls),
        });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .app_data(web::PayloadConfig::new(64 << 20))
                .route("/api/inngest", web::post().to(answer))
        })
        .workers(1)
        .shutdown_timeout(0)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let url = format!("http://{}/api/inngest", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { app, url, functions, calls, server: handle }
    }

    /// The event that triggers `function`.
    pub fn event(&self, function: &str) -> String {
        format!("{}/{function}", self.app)
    }

    pub fn registration(&self) -> Registration {
        let functions = self.functions.iter().map(|function| {
            let slug = format!("{}-{}", self.app, function.name);
            let url = format!("{}?fnId={slug}&stepId=step", self.url);
            let step = StepSpec {
                id: "step".into(),
                name: "step".into(),
                runtime: Runtime { kind: "http".into(), url },
                retries: function.retries.map(|attempts| Retries { attempts }),
            };
            FunctionSpec {
                id: slug,
                name: function.name.into(),
                triggers: function.triggers.iter().map(|trigger| self.trigger(trigger)).collect(),
                steps: BTreeMap::from([("step".into(), step)]),
            }
        });
        Registration {
            url: self.url.clone(),
            deploy_type: "ping".into(),
            app_name: self.app.clone(),
            sdk: SDK.into(),
            v: "0.1".into(),
            framework: "actix".into(),
            functions: functions.collect(),
        }
    }

    fn trigger(&self, (event, expression): &(String, Option<String>)) -> TriggerSpec {
        let named = |text: &str| text.replace(APP, &self.app);
        TriggerSpec { event: Some(named(event)), expression: expression.as_deref().map(named), cron: None }
    }

    /// The calls of one function so far.
    pub fn calls(&self, function: &str) -> Vec<Received> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|received| received.function == function).cloned().collect()
    }

    /// Waits until a function has been called `count` times.
    pub async fn called(&self, function: &str, count: usize) -> Vec<Received> {
        let enough = || async {
            let calls = self.calls(function);
            if calls.len() >= count { Ok(calls) } else { Err(format!("{} calls", calls.len())) }
        };
        until(&format!("{count} calls of {function}"), enough).await
    }
}

impl Drop for FunctionServer {
    fn drop(&mut self) {
        // Sends the stop without waiting for it.
        drop(self.server.stop(false));
    }
}

impl Received {
    /// Whether the call's signature was made with `key`.
    pub fn is_signed_by(&self, key: &secrecy::SecretString) -> bool {
        let signature = self.headers.get(signature::HEADER).map_or("", String::as_str);
        signature::verify(signature, &self.raw, key, runboard::base::time::UnixMillis::now())
    }
}

struct State {
    app: String,
    functions: Vec<Function>,
    calls: Arc<Mutex<Vec<Received>>>,
}

async fn answer(
    state: web::Data<State>,
    query: web::Query<BTreeMap<String, String>>,
    request: HttpRequest,
    raw: web::Bytes,
) -> HttpResponse {
    let State { app, functions, calls } = state.get_ref();
    let function = functions.iter().find(|function| query["fnId"] == format!("{app}-{}", function.name));
    let function = function.expect("only functions of this app are called");
    let headers = request.headers().iter();
    let received = Received {
        function: function.name.to_owned(),
        call: serde_json::from_slice(&raw).expect("a call has the shape of a call"),
        raw,
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect(),
    };
    calls.lock().unwrap_or_else(PoisonError::into_inner).push(received.clone());
    let answer = (function.behaviour)(received).await;
    let mut response = HttpResponse::build(answer.status);
    for header in answer.headers {
        response.insert_header(header);
    }
    response.body(answer.body)
}
