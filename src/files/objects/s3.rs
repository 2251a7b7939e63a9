//! A bucket of an S3-compatible server.

use std::{io, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStoreExt, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    client::SpawnedReqwestConnector,
    path::Path,
};
use secrecy::ExposeSecret;
use tokio::{runtime::Handle, time::timeout};
use ulid::Ulid;

use super::away;
use crate::{
    base::{config::BucketConfig, tls},
    files::key::INCOMING,
};

/// How long one request may take, with its body.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How often a request is repeated, and until when. Longer than two requests that get no answer take, so that one is
/// repeated. What still fails then is repeated by the engine, or by a person.
const RETRIES: usize = 4;
const RETRY_WITHIN: Duration = Duration::from_secs(2 * REQUEST_WITHIN.as_secs() + 15);

/// How long the first requests of a start may take in all.
const CHECKED_WITHIN: Duration = Duration::from_secs(30);

/// The most characters of an error that a refused start repeats.
const MOST_REASON: usize = 300;

/// The variables without which credentials are searched for in the metadata of a cloud's machine.
const CREDENTIALS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// Why a bucket cannot be used. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("The bucket of {0} does not exist. Create it, or set RUNBOARD_STORAGE_URL to another one.")]
    NoBucket(BucketConfig),
    #[error(
        "The S3 server refuses the credentials for {0}, or they may not read, write and delete there. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN set them."
    )]
    Refused(BucketConfig),
    #[error(
        "There are no credentials for {0}: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and this machine has none of its own."
    )]
    NoCredentials(BucketConfig),
    #[error("{bucket} cannot be used: {why}. AWS_ENDPOINT_URL and AWS_REGION say where the bucket is.")]
    Unusable { bucket: BucketConfig, why: String },
    #[error("The settings of {bucket} cannot be used: {why}. Check the variables that begin with AWS_.")]
    Settings { bucket: BucketConfig, why: String },
    #[error("The folder for temporary files cannot be used: {0}. RUNBOARD_DATA_DIR sets it.")]
    Scratch(#[from] io::Error),
}

/// A client of the bucket, whose requests run on `runtime`, wherever they are made.
pub(super) fn client(config: &BucketConfig, runtime: Handle) -> Result<AmazonS3, BucketError> {
    tls::install();
    let options = ClientOptions::new()
        .with_timeout(REQUEST_WITHIN)
        .with_connect_timeout(CONNECT_WITHIN)
        // Loading the machine's certificates fails if it has none, and plain http needs none.
        .with_no_system_certificates(is_plain_http(config))
        // That of `GET /files/{import}`.
        .with_default_content_type("text/csv");
    let retries =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRY_WITHIN };
    let builder = AmazonS3Builder::new()
        .with_client_options(options)
        .with_retry(retries)
        .with_http_connector(SpawnedReqwestConnector::new(runtime))
        // Not every server has the bulk request.
        .with_disable_bulk_delete(true);
    let builder = config.aws.iter().fold(builder, |builder, (name, value)| {
        match name.to_ascii_lowercase().parse() {
            Ok(key) => builder.with_config(key, value.expose_secret()),
            // One that only other programs know.
            Err(_) => builder,
        }
    });
    let client = builder.with_bucket_name(&config.bucket).build();
    client.map_err(|error| BucketError::Settings { bucket: config.clone(), why: reason(&error) })
}

/// Whether all requests go to an http endpoint, and none to a service for credentials.
fn is_plain_http(config: &BucketConfig) -> bool {
    let value = |name: &str| config.aws.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let endpoint = value("AWS_ENDPOINT_URL_S3").or_else(|| value("AWS_ENDPOINT_URL"));
    endpoint.is_some_and(|url| url.expose_secret().starts_with("http:")) && value(CREDENTIALS[0]).is_some()
}

/// Writes an object below `prefix` and deletes it again.
pub(super) async fn check(client: &AmazonS3, config: &BucketConfig) -> Result<(), BucketError> {
    let probe = Path::from(format!("{}/{INCOMING}/probe-{}", config.prefix, Ulid::new()));
    let write = async {
        client.put(&probe, PutPayload::from_static(b".")).await?;
        client.head(&probe).await?;
        client.delete(&probe).await
    };
    let bucket = config.clone();
    match timeout(CHECKED_WITHIN, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Error::NotFound { .. })) => Err(BucketError::NoBucket(bucket)),
        Ok(Err(Error::PermissionDenied { .. } | Error::Unauthenticated { .. })) => {
            Err(BucketError::Refused(bucket))
        }
        Ok(Err(error)) => {
            let has_credentials = config.aws.iter().any(|(name, _)| CREDENTIALS.contains(&name.as_str()));
            // The path at which the machines of AWS have them.
            if !has_credentials && error.to_string().contains("/latest/") {
                return Err(BucketError::NoCredentials(bucket));
            }
            Err(BucketError::Unusable { bucket, why: reason(&error) })
        }
        Err(_) => Err(BucketError::Unusable {
            bucket,
            why: format!("it did not answer within {} s", CHECKED_WITHIN.as_secs()),
        }),
    }
}

/// The beginning of the error's text, which never has the secret key.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().trim_end_matches('.');
    line.chars().take(MOST_REASON).collect()
}

/// As an error of the operations on files. Its text is for the log.
pub(super) fn io_error(error: Error) -> io::Error {
    match error {
        Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, error),
        error => away(error),
    }
}

pub(super) type SharedClient = Arc<AmazonS3>;
