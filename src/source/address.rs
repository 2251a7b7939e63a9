//! The address of a CSV that lies elsewhere.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use url::Url;

/// An http or https address. Whether it may be fetched is another question, asked when it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// The text is no http or https address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https address")]
pub struct NotAnAddress;

impl Address {
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host, and the port if it is another than the scheme's.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// Without the name and password before the host, the query and the fragment. The path may hold a secret
    /// still: for the page of its owner only.
    #[must_use]
    pub fn without_secrets(&self) -> String {
        let mut url = self.0.clone();
        // Neither can be refused of an http address.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        url.into()
    }

    /// The last segment of the path, decoded; the host if there is none. As others say it: only to be
    /// shown, once it is made safe.
    #[must_use]
    pub fn file_name(&self) -> String {
        last_segment(&self.0).unwrap_or_else(|| self.host().to_owned())
    }
}

impl Address {
    /// As a person types it: `files.example/orders.csv` is taken as https. A host without a dot, or without
    /// a path behind it, is rather a file's name than an address.
    pub fn typed(text: &str) -> Result<Self, NotAnAddress> {
        let text = text.trim();
        let (authority, path) = text.split_once('/').ok_or(NotAnAddress)?;
        if authority.ends_with(':') && path.starts_with('/') {
            return text.parse();
        }
        let host = match authority.rsplit_once(':') {
            None => authority,
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            // A scheme, as in `file:/etc/passwd`, or a password.
            Some(_) => return Err(NotAnAddress),
        };
        let is_host = host.split('.').all(|label| !label.is_empty()) && host.contains('.');
        if !is_host || host.contains([':', '@', '\\']) {
            return Err(NotAnAddress);
        }
        format!("https://{text}").parse()
    }
}

/// The last segment of a path, decoded; None if it is empty.
pub(super) fn last_segment(url: &Url) -> Option<String> {
    let segment = url.path_segments()?.next_back()?;
    let name = percent_decode_str(segment).decode_utf8_lossy();
    (!name.trim().is_empty()).then(|| name.into_owned())
}

impl FromStr for Address {
    type Err = NotAnAddress;

    /// A fragment is left out: it is never sent.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let mut url = Url::parse(text.trim()).map_err(|_| NotAnAddress)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NotAnAddress);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

/// The host alone: path and query may hold what opens the file.
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
            assert_eq!(text.parse::<Address>(), Err(NotAnAddress), "{text}");
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
    fn a_file_name_a_folder_and_another_scheme_are_not_taken_as_https() {
        for text in [
            "",
            "orders.csv",
            "files.example",
            "./orders.csv",
            "../orders.csv",
            "/home/mira/orders.csv",
            "C:\\Users\\mira\\orders.csv",
            "C:/Users/mira/orders.csv",
            "//files.example/orders.csv",
            "localhost/orders.csv",
            "mailto:mira@files.example/a",
            "file:/etc/passwd",
            "data:text/csv,a",
            "me:secret@files.example/a.csv",
            "me@files.example/a.csv",
            "[::1]/a.csv",
            "ftp://files.example/orders.csv",
        ] {
            assert_eq!(Address::typed(text), Err(NotAnAddress), "{text}");
        }
    }

    #[test]
    fn what_is_logged_of_an_address_is_its_host() {
        let address: Address = "https://me:secret@files.example/a.csv?key=secret".parse().unwrap();
        assert_eq!(format!("{address:?}"), "Address(files.example)");
    }
}
