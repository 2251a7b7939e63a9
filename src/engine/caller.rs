//! Makes one HTTP call of a function.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    redirect,
};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use url::Url;

use super::canonical;
use crate::{
    base::{ids::RunId, time::UnixMillis},
    inngest::{
        self,
        call::{NO_RETRY_HEADER, REQ_VERSION_HEADER, SDK_HEADER, Stack},
        signature,
    },
    store::engine::queue::Claim,
};

/// Inngest's limit for a step's output. An answer carries one output, so it needs no more.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Inngest's limit for a call's body. The function fetches what does not fit.
const MAX_CALL_BYTES: usize = 4 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A longer call is aborted, because it would hold a worker forever. A step is about a second of work.
const CALL_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// The step id of a call for the next step, whichever it is.
const ANY_STEP: &str = "step";

/// Calls functions.
#[derive(Clone, Debug)]
pub struct Caller {
    http: reqwest::Client,
    signing_key: SecretString,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Answered(CallResponse),
    /// The answer's body is longer than [`MAX_ANSWER_BYTES`].
    TooLong,
    /// No complete answer arrived.
    Unreachable,
    /// The request could not be built, for this reason.
    NotCalled(String),
}

/// The HTTP response of the function, or of a server in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResponse {
    pub status: StatusCode,
    /// Whether the function itself answered.
    pub from_sdk: bool,
    pub no_retry: bool,
    pub retry_at: Option<UnixMillis>,
    pub req_version: Option<i64>,
    pub body: Vec<u8>,
}

/// The body of a call request: [`crate::inngest::call::Call`] with every key that a real server sends.
#[derive(Serialize)]
struct CallBody<'a> {
    ctx: CallContext<'a>,
    defers: Map<String, Value>,
    event: &'a RawValue,
    /// Empty if `use_api` is set.
    events: Vec<&'a RawValue>,
    /// Empty if `use_api` is set.
    steps: BTreeMap<&'a str, &'a RawValue>,
    /// The function must fetch the events and the steps from the API.
    use_api: bool,
    version: i64,
}

#[derive(Serialize)]
struct CallContext<'a> {
    attempt: u32,
    disable_immediate_execution: bool,
    env: &'a str,
    fn_id: &'a str,
    generation_id: u32,
    job_id: &'a str,
    max_attempts: u32,
    qi_id: &'a str,
    request_id: &'a str,
    run_id: &'a str,
    stack: Stack,
    step_id: &'a str,
    use_api: bool,
}

impl Caller {
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(signing_key: SecretString) -> Result<Self, inngest::Error> {
        crate::base::tls::install();
        let http = reqwest::Client::builder()
            .user_agent("Inngest")
            // Functions are called over http on this machine, so neither certificates nor a proxy are needed.
            .tls_certs_only([])
            .no_proxy()
            .redirect(redirect::Policy::none())
            // A reused connection that the function's server is closing would cost an attempt.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .build()
            .map_err(|error| inngest::Error::Setup(error.to_string()))?;
        Ok(Self { http, signing_key })
    }

    /// Calls the function of `claim` once and reads its answer.
    pub async fn call(&self, claim: &Claim) -> Reply {
        let job = job_id(&claim.run_id, claim.steps.len());
        let body = match body(claim, &job) {
            Ok(body) => body,
            Err(error) => return Reply::NotCalled(format!("its state cannot be read: {error}")),
        };
        let url = match url_of(claim) {
            Ok(url) => url,
            Err(error) => return Reply::NotCalled(error.to_string()),
        };
        let signature = signature::sign(&body, &self.signing_key, UnixMillis::wall());
        let request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(signature::HEADER, signature)
            .header(REQ_VERSION_HEADER, claim.req_version)
            .header("x-inngest-generation-id", generation(claim))
            .header("x-inngest-job-id", &job)
            .header("x-inngest-step-id", step_of(claim))
            .header("x-request-id", &claim.lease)
            .header("x-run-id", claim.run_id.as_str())
            .body(body);
        match request.send().await {
            Ok(response) => read(response).await,
            Err(error) if error.is_builder() => Reply::NotCalled(error.to_string()),
            Err(error) => unreachable(claim, &error),
        }
    }
}

async fn read(mut response: reqwest::Response) -> Reply {
    let status = response.status();
    let headers = response.headers();
    let mut answer = CallResponse {
        status,
        from_sdk: headers.contains_key(SDK_HEADER),
        no_retry: text(headers, NO_RETRY_HEADER) == Some("true"),
        retry_at: text(headers, RETRY_AFTER.as_str())
            .and_then(|value| retry_at(value, UnixMillis::now(), UnixMillis::wall())),
        req_version: text(headers, REQ_VERSION_HEADER).and_then(|value| value.parse().ok()),
        body: Vec::new(),
    };
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if answer.body.len() + chunk.len() > MAX_ANSWER_BYTES => return Reply::TooLong,
            Ok(Some(chunk)) => answer.body.extend_from_slice(&chunk),
            Ok(None) => return Reply::Answered(answer),
            Err(error) => {
                tracing::warn!(%error, "a function's answer was cut off");
                return Reply::Unreachable;
            }
        }
    }
}

fn unreachable(claim: &Claim, error: &reqwest::Error) -> Reply {
    tracing::warn!(run = %claim.run_id, url = claim.url, %error, "a function could not be reached");
    Reply::Unreachable
}

/// The complete body, or, if that is too large, one without the parts that the function can fetch.
fn body(claim: &Claim, job: &str) -> serde_json::Result<Vec<u8>> {
    // The body contains the event twice.
    let least = 2 * claim.event.len() + claim.steps.iter().map(|step| step.output.len()).sum::<usize>();
    if least <= MAX_CALL_BYTES {
        let whole = body_with(claim, job, false)?;
        if whole.len() <= MAX_CALL_BYTES {
            return Ok(whole);
        }
    }
    body_with(claim, job, true)
}

fn body_with(claim: &Claim, job: &str, use_api: bool) -> serde_json::Result<Vec<u8>> {
    let event: &RawValue = serde_json::from_str(&claim.event)?;
    let carried = if use_api { &[] } else { claim.steps.as_slice() };
    let steps = carried
        .iter()
        .map(|step| Ok((step.id.as_str(), serde_json::from_str(&step.output)?)))
        .collect::<serde_json::Result<_>>()?;
    let stack = claim.steps.iter().map(|step| step.id.clone()).collect();
    let body = serde_json::to_value(CallBody {
        ctx: CallContext {
            attempt: claim.attempt,
            disable_immediate_execution: false,
            env: "",
            fn_id: &claim.function_id,
            generation_id: generation(claim),
            job_id: job,
            max_attempts: claim.max_attempts,
            qi_id: job,
            request_id: &claim.lease,
            run_id: claim.run_id.as_str(),
            stack: Stack { current: claim.steps.len(), stack },
            step_id: step_of(claim),
            use_api,
        },
        defers: Map::new(),
        event,
        events: if use_api { Vec::new() } else { vec![event] },
        steps,
        use_api,
        version: claim.req_version,
    })?;
    Ok(canonical::to_vec(&body))
}

/// The id of the step to call, as it is used in URLs and headers.
fn step_of(claim: &Claim) -> &str {
    claim.planned.as_deref().unwrap_or(ANY_STEP)
}

/// The function's registered URL with the step to call.
fn url_of(claim: &Claim) -> Result<Url, url::ParseError> {
    let mut url: Url = claim.url.parse()?;
    if claim.planned.is_some() {
        let others: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| name != "stepId").collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair("stepId", step_of(claim));
    }
    Ok(url)
}

/// The id of the job between two steps. A retry keeps the id.
pub fn job_id(run: &RunId, finished_steps: usize) -> String {
    format!("{run}-{finished_steps}")
}

/// 1-based.
fn generation(claim: &Claim) -> u32 {
    claim.attempt.saturating_add(1)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `Retry-After` as SDKs send it: seconds, or an RFC 3339 time of the clock `wall`.
fn retry_at(value: &str, now: UnixMillis, wall: UnixMillis) -> Option<UnixMillis> {
    match value.parse() {
        Ok(seconds) => Some(now.plus(Duration::from_secs(seconds))),
        Err(_) => UnixMillis::from_rfc3339(value).map(|at| now.plus(at.since(wall))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        inngest::call::{Call, step_id},
        store::engine::queue::StepOutput,
    };

    fn claim() -> Claim {
        Claim {
            function_name: String::new(),
            idle_turns: 0,
            run_id: RunId::from("01M8532JEX1SP78PSANCV2SARF".to_owned()),
            event_id: "01M852BFZNDZSECF4ZXVXKXYMX".to_owned().into(),
            tenant: String::new(),
            lease: "01M8532JG1DZEHE9CZNBPAJ53K".into(),
            function_id: "9fcb7cff-b8e9-5807-b80b-9e8200977ba4".into(),
            slug: "app-fn".into(),
            url: "http://127.0.0.1:1/".into(),
            event_name: "a/b".into(),
            event: r#"{"name":"a/b","data":{"z":1.0,"n":12345678901234567890},"id":"e","ts":1,"user":{}}"#
                .into(),
            attempt: 1,
            max_attempts: 4,
            req_version: 2,
            planned: None,
            steps: vec![StepOutput { id: step_id("plan"), output: r#"{"data":{"a":1}}"#.into() }],
        }
    }

    #[test]
    fn a_call_has_the_shape_that_functions_read() {
        let claim = claim();
        let body = body(&claim, &job_id(&claim.run_id, claim.steps.len())).unwrap();
        // Canonical JSON, because an SDK serialises it again before it checks the signature.
        let event =
            r#""event":{"data":{"n":12345678901234567000,"z":1},"id":"e","name":"a/b","ts":1,"user":{}}"#;
        assert!(String::from_utf8_lossy(&body).contains(event));
        let call: Call = serde_json::from_slice(&body).unwrap();
        assert_eq!((call.ctx.attempt, call.ctx.max_attempts), (1, Some(4)));
        assert_eq!(call.ctx.stack.stack, [step_id("plan")]);
        assert_eq!(call.steps[&step_id("plan")], serde_json::json!({"data": {"a": 1}}));
        assert_eq!((call.events.len(), call.use_api, call.ctx.run_id), (1, false, claim.run_id));
    }

    #[test]
    fn a_planned_step_is_called_for_by_the_address() {
        let planned = Claim {
            url: "http://127.0.0.1:1/api?fnId=app-fn&stepId=step&x=%20y".into(),
            planned: Some("aa".into()),
            ..claim()
        };
        let url = url_of(&planned).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:1/api?fnId=app-fn&x=+y&stepId=aa");
        let call: Value = serde_json::from_slice(&body(&planned, "job").unwrap()).unwrap();
        assert_eq!(call["ctx"]["step_id"], "aa");
        let any = Claim { planned: None, ..planned };
        assert_eq!(url_of(&any).unwrap().as_str(), any.url);
    }

    #[test]
    fn a_call_that_would_be_too_large_leaves_out_what_the_function_can_ask_for() {
        let mut large = claim();
        large.steps[0].output = format!(r#"{{"data":"{}"}}"#, "x".repeat(MAX_CALL_BYTES - 500));
        let body = body(&large, "job").unwrap();
        let call: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&call["use_api"], &call["ctx"]["use_api"]), (&Value::Bool(true), &Value::Bool(true)));
        assert_eq!((&call["events"], &call["steps"]), (&serde_json::json!([]), &serde_json::json!({})));
        assert_eq!((&call["event"]["id"], &call["ctx"]["stack"]["current"]), (&"e".into(), &1.into()));
    }

    #[test]
    fn retry_after_is_seconds_or_a_time() {
        let now = UnixMillis(1_000);
        assert_eq!(retry_at("2", now, now), Some(UnixMillis(3_000)));
        assert_eq!(retry_at("1970-01-01T00:00:05Z", now, now), Some(UnixMillis(5_000)));
        assert_eq!(retry_at("soon", now, now), None);
        let ahead = now.plus(Duration::from_secs(3_600));
        assert_eq!(retry_at("1970-01-01T00:00:05Z", ahead, now), Some(ahead.plus(Duration::from_secs(4))));
    }
}
