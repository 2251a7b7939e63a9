//! Where files are stored: `RUNBOARD_STORAGE_URL`, `RUNBOARD_STORAGE_LINKS`, and the variables of AWS.

use std::{env, fmt};

use secrecy::SecretString;
use url::Url;

use super::{
    ConfigError,
    args::Args,
    check::{check, optional, scheme_only},
};

/// A bucket of an S3-compatible server. As text its address, which is no secret.
#[derive(Clone, Debug)]
pub struct BucketConfig {
    pub bucket: String,
    /// In front of the names of all objects, without slashes at its ends. May be empty.
    pub prefix: String,
    /// `RUNBOARD_STORAGE_LINKS`.
    pub links: StorageLinks,
    /// Region, endpoint, credentials and so on, as variables of AWS with their values.
    pub aws: Vec<(String, SecretString)>,
}

/// How a signed link to a stored file, or a download of one, is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageLinks {
    /// With a redirect to the S3 server, by a link that it accepts for some minutes.
    Direct,
    /// With the file.
    Through,
}

const A_BUCKET: &str = "the address of a bucket, such as s3://bucket or s3://bucket/prefix";

impl BucketConfig {
    /// None unless `RUNBOARD_STORAGE_URL` is set.
    pub(super) fn from_args(args: &Args) -> Result<Option<Self>, ConfigError> {
        let links = check("RUNBOARD_STORAGE_LINKS", &args.storage_links, "direct or through", links)?;
        let Some(text) = optional(args.storage_url.as_ref()) else {
            return match links {
                StorageLinks::Through => Ok(None),
                StorageLinks::Direct => Err(ConfigError::Missing {
                    variable: "RUNBOARD_STORAGE_URL",
                    why: "only a bucket has direct links",
                }),
            };
        };
        Self::at("RUNBOARD_STORAGE_URL", text, links).map(Some)
    }

    /// The bucket at the address `text`, which is the value of `variable`.
    pub(super) fn at(variable: &'static str, text: &str, links: StorageLinks) -> Result<Self, ConfigError> {
        let Some((bucket, prefix)) = bucket_and_prefix(text) else {
            let may_hold_a_secret = text.contains(['@', '?']);
            return Err(ConfigError::Invalid {
                variable,
                value: if may_hold_a_secret { scheme_only(text) } else { text.to_owned() },
                allowed: A_BUCKET,
            });
        };
        let aws: Vec<_> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty())
            .collect();
        refuse_plain_http(&aws)?;
        let aws = aws.into_iter().map(|(name, value)| (name, value.into())).collect();
        Ok(Self { bucket, prefix, links, aws })
    }
}

impl fmt::Display for BucketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

fn links(text: &str) -> Option<StorageLinks> {
    match text {
        "direct" => Some(StorageLinks::Direct),
        "through" => Some(StorageLinks::Through),
        _ => None,
    }
}

/// Their names have only characters that need no escape.
fn bucket_and_prefix(text: &str) -> Option<(String, String)> {
    let url = Url::parse(text).ok()?;
    let has_more = !url.username().is_empty()
        || url.password().is_some()
        || url.port().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    let bucket = url.host_str().filter(|bucket| (3..=63).contains(&bucket.len()) && is_plain(bucket))?;
    let prefix = url.path().trim_matches('/');
    let is_prefix = prefix.is_empty() || prefix.split('/').all(is_plain);
    (url.scheme() == "s3" && !has_more && is_prefix).then(|| (bucket.to_owned(), prefix.to_owned()))
}

fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.bytes().all(is_plain) && name.bytes().any(|byte| byte != b'.')
}

/// Credentials and files must not be sent in the clear by mistake.
fn refuse_plain_http(aws: &[(String, String)]) -> Result<(), ConfigError> {
    let value = |name: &str| aws.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if value("AWS_ALLOW_HTTP").is_some_and(|allowed| allowed.eq_ignore_ascii_case("true") || allowed == "1") {
        return Ok(());
    }
    for one in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        if value(one).is_some_and(|endpoint| endpoint.starts_with("http:")) {
            let why = "an http address, which does not encrypt, is used only if AWS_ALLOW_HTTP is true";
            return Err(ConfigError::Contradiction { one, other: "AWS_ALLOW_HTTP", why });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_bucket_and_what_stands_in_front_of_all_names() {
        for (text, expected) in [
            ("s3://files", Some(("files", ""))),
            ("s3://files/", Some(("files", ""))),
            ("s3://files.example/a/b-1/", Some(("files.example", "a/b-1"))),
            ("s3://ab", None),
            ("s3://files/a//b", None),
            ("s3://files/a b", None),
            ("s3://files/../b", Some(("files", "b"))),
            ("https://files/a", None),
            ("s3://key:secret@files", None),
            ("s3://files?region=eu", None),
            ("files", None),
        ] {
            let expected = expected.map(|(bucket, prefix)| (bucket.to_owned(), prefix.to_owned()));
            assert_eq!(bucket_and_prefix(text), expected, "{text}");
        }
    }

    #[test]
    fn an_http_endpoint_must_be_allowed() {
        let aws = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            refuse_plain_http(&pairs).map_err(|error| error.to_string())
        };
        let http = ("AWS_ENDPOINT_URL", "http://minio:9000");
        let refusal = aws(&[http]).unwrap_err();
        assert!(
            refusal.starts_with("AWS_ENDPOINT_URL and AWS_ALLOW_HTTP contradict each other: "),
            "{refusal}"
        );
        for allowed in
            [&[http, ("AWS_ALLOW_HTTP", "true")][..], &[("AWS_ENDPOINT_URL", "https://minio")], &[]]
        {
            assert_eq!(aws(allowed), Ok(()));
        }
    }
}
