//! The address of a CSV file on another server.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use url::Url;

/// An http or https address. The guard decides whether it may be fetched, at the time of the fetch.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// Why a text is not an http or https address: a sentence that says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    #[error("This is a file on a computer, not an address. Choose the file instead.")]
    FilePath,
    #[error("Only http and https addresses can be imported, not {0}.")]
    OtherScheme(String),
    #[error("Begin the address with https:// or http://.")]
    NoScheme,
    #[error("This address is incomplete. Enter all of it, as in https://example.org/orders.csv.")]
    Incomplete,
    #[error("The host or port in this address is not valid. Check the spelling.")]
    BadHost,
}

/// The longest scheme that an error names; real schemes are shorter.
const LONGEST_SCHEME: usize = 20;

impl Address {
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host, and the port if it is not the scheme's default.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// The address without user name, password, query and fragment. The path may still contain a secret, so
    /// it is shown only to the import's owner.
    #[must_use]
    pub fn without_secrets(&self) -> String {
        let mut url = self.0.clone();
        // Neither call can fail for an http address.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        url.into()
    }

    /// The decoded last segment of the path, or the host if there is none. It comes from a stranger: make it
    /// safe before showing it.
    #[must_use]
    pub fn file_name(&self) -> String {
        last_segment(&self.0).unwrap_or_else(|| self.host().to_owned())
    }

    /// Parses an address as people type it: `files.example/orders.csv` becomes an https address. Text without
    /// a dot in the host, or without a path, is more likely a file's name than an address.
    pub fn typed(text: &str) -> Result<Self, NotAnAddress> {
        let text = text.trim();
        if text.contains("://") && has_scheme(text) {
            return text.parse();
        }
        if is_file_path(text) {
            return Err(NotAnAddress::FilePath);
        }
        let (authority, _) = text.split_once('/').unwrap_or((text, ""));
        match authority.rsplit_once(':') {
            _ if authority.contains(['@', '[']) => return Err(NotAnAddress::NoScheme),
            Some((scheme, port)) if port.parse::<u16>().is_err() => {
                let is_scheme = has_scheme(text) && !scheme.contains('.');
                return Err(if is_scheme {
                    NotAnAddress::other_scheme(scheme)
                } else {
                    NotAnAddress::BadHost
                });
            }
            _ => {}
        }
        let host = authority.split(':').next().unwrap_or_default();
        if authority == text || host.is_empty() {
            return Err(NotAnAddress::Incomplete);
        }
        if !host.contains('.') {
            return Err(NotAnAddress::NoScheme);
        }
        if host.split('.').any(str::is_empty) || authority.matches(':').count() > 1 {
            return Err(NotAnAddress::BadHost);
        }
        format!("https://{text}").parse()
    }
}

impl NotAnAddress {
    fn other_scheme(scheme: &str) -> Self {
        match scheme {
            "file" => Self::FilePath,
            "http" | "https" => Self::Incomplete,
            scheme => Self::OtherScheme(scheme.chars().take(LONGEST_SCHEME).collect()),
        }
    }
}

/// Whether `text` begins with a scheme and a colon, by RFC 3986.
fn has_scheme(text: &str) -> bool {
    let is_scheme_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.split_once(':').is_some_and(|(scheme, _)| scheme.chars().all(is_scheme_char))
}

/// Whether `text` is a Windows or Unix path of a file.
fn is_file_path(text: &str) -> bool {
    let drive = text.split_once(':').is_some_and(|(drive, path)| {
        drive.len() == 1 && drive.starts_with(|c: char| c.is_ascii_alphabetic()) && path.starts_with('/')
    });
    let is_rooted = text.starts_with('/') && !text.starts_with("//");
    drive
        || is_rooted
        || text.contains('\\')
        || ["./", "../", "~/"].iter().any(|start| text.starts_with(start))
}

/// The decoded last segment of a path; None if it is empty.
pub(super) fn last_segment(url: &Url) -> Option<String> {
    let segment = url.path_segments()?.next_back()?;
    let name = percent_decode_str(segment).decode_utf8_lossy();
    (!name.trim().is_empty()).then(|| name.into_owned())
}

impl FromStr for Address {
    type Err = NotAnAddress;

    /// Drops the fragment, which is never sent. It may name the sheet of a Google spreadsheet, and is then kept
    /// in the query.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let mut url = Url::parse(text.trim()).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => NotAnAddress::NoScheme,
            url::ParseError::EmptyHost => NotAnAddress::Incomplete,
            _ => NotAnAddress::BadHost,
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NotAnAddress::other_scheme(url.scheme()));
        }
        if let Some(sheet) = url.fragment().and_then(|fragment| fragment.strip_prefix("gid="))
            && url.host_str() == Some("docs.google.com")
            && url.query_pairs().all(|(name, _)| name != "gid")
        {
            let sheet = sheet.to_owned();
            url.query_pairs_mut().append_pair("gid", &sheet);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

/// Only the host: path and query may contain a secret.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_name_and_a_host() {
        for (text, name, host) in [
            ("https://files.example/2026/orders.csv?key=secret#top", "orders.csv", "files.example"),
            (" http://files.example/kunden-%C3%BCbersicht.csv ", "kunden-übersicht.csv", "files.example"),
            ("https://files.example", "files.example", "files.example"),
            ("https://files.example/2026/", "files.example", "files.example"),
            ("HTTP://Files.Example:8080/%20", "files.example", "files.example"),
            ("http://[::1]/a.csv", "a.csv", "[::1]"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.file_name().as_str(), address.host()), (name, host), "{text}");
        }
    }

    #[test]
    fn only_http_and_https_are_addresses() {
        for text in [
            "",
            "orders.csv",
            "files.example/orders.csv",
            "//files.example/orders.csv",
            "ftp://files.example/orders.csv",
            "file:///etc/passwd",
            "data:text/csv,a",
            "javascript:alert(1)",
            "http://",
            "https://exa mple/",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_without_its_scheme_is_taken_as_https() {
        for (text, url) in [
            ("files.example/orders.csv", "https://files.example/orders.csv"),
            (" Files.Example:8443/a.csv?key=1 ", "https://files.example:8443/a.csv?key=1"),
            ("203.0.113.7/a.csv", "https://203.0.113.7/a.csv"),
            (
                "files.example/?next=http://other.example/a.csv",
                "https://files.example/?next=http://other.example/a.csv",
            ),
            ("http://files.example/a.csv", "http://files.example/a.csv"),
        ] {
            let typed = Address::typed(text).map(|address| address.url().to_string());
            assert_eq!(typed.unwrap_or_default(), url, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_told_apart() {
        use NotAnAddress::{BadHost, FilePath, Incomplete, NoScheme};
        let other = |scheme: &str| NotAnAddress::OtherScheme(scheme.to_owned());
        for (text, why) in [
            ("", Incomplete),
            ("orders.csv", Incomplete),
            ("files.example", Incomplete),
            ("//files.example/orders.csv", Incomplete),
            ("http://", Incomplete),
            ("./orders.csv", FilePath),
            ("../orders.csv", FilePath),
            ("~/orders.csv", FilePath),
            ("/home/mira/orders.csv", FilePath),
            ("C:\\Users\\mira\\orders.csv", FilePath),
            ("C:/Users/mira/orders.csv", FilePath),
            ("\\\\server\\share\\orders.csv", FilePath),
            ("file:/etc/passwd", FilePath),
            ("file:///etc/passwd", FilePath),
            ("localhost/orders.csv", NoScheme),
            ("me:secret@files.example/a.csv", NoScheme),
            ("me@files.example/a.csv", NoScheme),
            ("[::1]/a.csv", NoScheme),
            ("data:text/csv,a", other("data")),
            ("javascript:alert(1)", other("javascript")),
            ("ftp://files.example/orders.csv", other("ftp")),
            ("s3://bucket/orders.csv", other("s3")),
            ("https://exa mple/", BadHost),
            ("exa mple.org/a.csv", BadHost),
            ("files..example/a.csv", BadHost),
            ("files.example:99999/a.csv", BadHost),
            ("https://files.example:99999/a.csv", BadHost),
        ] {
            assert_eq!(Address::typed(text), Err(why), "{text}");
        }
        let long = format!("{}://x/", "x".repeat(8_000));
        assert!(Address::typed(&long).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn what_is_logged_of_an_address_is_its_host() {
        let address: Address = "https://me:secret@files.example/a.csv?key=secret".parse().unwrap();
        assert_eq!(format!("{address:?}"), "Address(files.example)");
    }
}
