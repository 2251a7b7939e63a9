//! Links to a page about a file, instead of to the file, and the address of the file itself.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;

use super::Address;

/// A service with known share links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareLink {
    GoogleSheets,
    GoogleDrive,
    Dropbox,
    OneDrive,
    GitHub,
}

impl ShareLink {
    /// The service whose share link `address` is.
    #[must_use]
    pub fn of(address: &Address) -> Option<Self> {
        let (host, path) = (address.host(), address.url().path());
        let is_at = |domain: &str| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if host == "docs.google.com" && path.starts_with("/spreadsheets/") {
            Some(Self::GoogleSheets)
        } else if host == "docs.google.com" || host == "drive.google.com" {
            Some(Self::GoogleDrive)
        } else if is_at("dropbox.com") {
            Some(Self::Dropbox)
        } else if is_at("sharepoint.com") || is_at("1drv.ms") || is_at("onedrive.live.com") {
            Some(Self::OneDrive)
        } else if is_at("github.com") && path.split('/').nth(3) == Some("blob") {
            Some(Self::GitHub)
        } else {
            None
        }
    }

    /// The address of the file behind `address`, if that is a share link whose download form is known. The
    /// guard checks it as any other.
    #[must_use]
    pub fn download(address: &Address) -> Option<Address> {
        let url = address.url();
        let to = match Self::of(address)? {
            Self::GoogleSheets => sheet(url),
            Self::GoogleDrive => drive_file(url),
            Self::Dropbox => dropbox(url),
            Self::OneDrive => one_drive(url),
            Self::GitHub => Some(replaced(url, &url.path().replacen("/blob/", "/raw/", 1))),
        };
        to.filter(|to| to != url).and_then(|to| to.as_str().parse().ok())
    }

    /// A sentence that says how to get the file itself, after its download form led to a page.
    #[must_use]
    pub fn how_to_get_the_file(self) -> &'static str {
        match self {
            Self::GoogleSheets => {
                "Share the sheet with anyone who has the link, or download it as CSV and import that file."
            }
            Self::GoogleDrive => {
                "Share the file with anyone who has the link, or download it and import it from here."
            }
            Self::Dropbox => "Use the link of a single file that anyone can open, or download it first.",
            Self::OneDrive => "Download the file from OneDrive and upload it here.",
            Self::GitHub => "Use the address that GitHub's Raw button leads to.",
        }
    }
}

/// `/spreadsheets/d/{id}/edit` and `/spreadsheets/d/e/{id}/pubhtml` with the sheet that is open.
fn sheet(url: &Url) -> Option<Url> {
    let mut segments: Vec<&str> = url.path_segments()?.collect();
    if segments.get(1) == Some(&"u") {
        // The number of the account that is signed in.
        segments.drain(1..3.min(segments.len()));
    }
    let gid = value(url, "gid").map(|gid| format!("&gid={gid}")).unwrap_or_default();
    let (path, query) = match segments[..] {
        [_, "d", "e", id, ..] if !id.is_empty() => {
            (format!("/spreadsheets/d/e/{id}/pub"), format!("single=true&output=csv{gid}"))
        }
        [_, "d", _, "export" | "gviz", ..] => return None,
        [_, "d", id, ..] if !id.is_empty() => {
            (format!("/spreadsheets/d/{id}/export"), format!("format=csv{gid}"))
        }
        _ => return None,
    };
    let mut to = replaced(url, &path);
    to.set_query(Some(&query));
    Some(to)
}

/// `/file/d/{id}/view` and `/open?id={id}`. The confirmation skips the page that says that a large file was not
/// scanned for viruses.
fn drive_file(url: &Url) -> Option<Url> {
    let segments: Vec<&str> = url.path_segments()?.collect();
    let id = match segments[..] {
        ["file", "d", id, ..] | ["file", "u", _, "d", id, ..] => id.to_owned(),
        ["open" | "uc"] => value(url, "id")?,
        _ => return None,
    };
    let mut to = Url::parse("https://drive.usercontent.google.com/download").ok()?;
    to.query_pairs_mut().append_pair("id", &id).append_pair("export", "download").append_pair("confirm", "t");
    if let Some(key) = value(url, "resourcekey") {
        to.query_pairs_mut().append_pair("resourcekey", &key);
    }
    Some(to)
}

fn dropbox(url: &Url) -> Option<Url> {
    let kind = url.path_segments()?.next()?;
    matches!(kind, "s" | "scl" | "sh").then(|| with_value(url, "dl", "1"))
}

/// `1drv.ms` and old links by the documented way from a share link to its content, links of SharePoint, which
/// OneDrive also uses, by their own parameter.
fn one_drive(url: &Url) -> Option<Url> {
    if url.path().starts_with("/:") {
        return Some(with_value(url, "download", "1"));
    }
    let is_old = !url.host_str()?.ends_with("sharepoint.com");
    let token = URL_SAFE_NO_PAD.encode(url.as_str());
    is_old
        .then(|| Url::parse(&format!("https://api.onedrive.com/v1.0/shares/u!{token}/root/content")).ok())?
}

/// The first value of `name` in the query.
fn value(url: &Url, name: &str) -> Option<String> {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
}

/// `url` with `value` as the only value of `name`.
fn with_value(url: &Url, name: &str, value: &str) -> Url {
    let others: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    let mut to = url.clone();
    to.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    to
}

fn replaced(url: &Url, path: &str) -> Url {
    let mut to = url.clone();
    to.set_path(path);
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_links_are_told_by_host_and_path() {
        for (address, link) in [
            ("https://docs.google.com/spreadsheets/d/1a/edit?usp=sharing", Some(ShareLink::GoogleSheets)),
            ("https://drive.google.com/file/d/1a/view", Some(ShareLink::GoogleDrive)),
            ("https://www.dropbox.com/scl/fi/1a/orders.csv?dl=0", Some(ShareLink::Dropbox)),
            ("https://dropbox.com/s/1a/orders.csv", Some(ShareLink::Dropbox)),
            ("https://1drv.ms/x/s!1a", Some(ShareLink::OneDrive)),
            ("https://acme.sharepoint.com/:x:/s/1a", Some(ShareLink::OneDrive)),
            ("https://github.com/acme/data/blob/main/orders.csv", Some(ShareLink::GitHub)),
            ("https://github.com/acme/data/raw/main/orders.csv", None),
            ("https://github.com/acme/blob", None),
            ("https://raw.githubusercontent.com/acme/data/blob/orders.csv", None),
            ("https://notdropbox.com/orders.csv", None),
            ("https://files.example/orders.csv", None),
        ] {
            assert_eq!(ShareLink::of(&address.parse().unwrap()), link, "{address}");
        }
    }

    #[test]
    fn a_share_link_leads_to_its_file() {
        for (address, download) in [
            (
                "https://docs.google.com/spreadsheets/d/1a-B_c/edit?usp=sharing#gid=42",
                "https://docs.google.com/spreadsheets/d/1a-B_c/export?format=csv&gid=42",
            ),
            (
                "https://docs.google.com/spreadsheets/u/0/d/1a/edit?gid=7#gid=7",
                "https://docs.google.com/spreadsheets/d/1a/export?format=csv&gid=7",
            ),
            (
                "https://docs.google.com/spreadsheets/d/1a",
                "https://docs.google.com/spreadsheets/d/1a/export?format=csv",
            ),
            (
                "https://docs.google.com/spreadsheets/d/e/2PACX-1a/pubhtml?gid=3&single=true",
                "https://docs.google.com/spreadsheets/d/e/2PACX-1a/pub?single=true&output=csv&gid=3",
            ),
            (
                "https://drive.google.com/file/d/1a/view?usp=sharing&resourcekey=0-k",
                "https://drive.usercontent.google.com/download?id=1a&export=download&confirm=t&resourcekey=0-k",
            ),
            (
                "https://drive.google.com/open?id=1a",
                "https://drive.usercontent.google.com/download?id=1a&export=download&confirm=t",
            ),
            (
                "https://www.dropbox.com/scl/fi/1a/orders.csv?rlkey=k&dl=0",
                "https://www.dropbox.com/scl/fi/1a/orders.csv?rlkey=k&dl=1",
            ),
            ("https://dropbox.com/s/1a/orders.csv", "https://dropbox.com/s/1a/orders.csv?dl=1"),
            (
                "https://acme.sharepoint.com/:x:/s/team/1a?e=k",
                "https://acme.sharepoint.com/:x:/s/team/1a?e=k&download=1",
            ),
            (
                "https://1drv.ms/x/s!1a",
                "https://api.onedrive.com/v1.0/shares/u!aHR0cHM6Ly8xZHJ2Lm1zL3gvcyExYQ/root/content",
            ),
            (
                "https://github.com/acme/data/blob/main/a%20b/blob/orders.csv",
                "https://github.com/acme/data/raw/main/a%20b/blob/orders.csv",
            ),
        ] {
            let found = ShareLink::download(&address.parse().unwrap());
            assert_eq!(found.map(|found| found.url().to_string()).as_deref(), Some(download), "{address}");
        }
    }

    #[test]
    fn what_is_the_file_already_or_no_file_stays() {
        for address in [
            "https://docs.google.com/spreadsheets/d/1a/export?format=csv",
            "https://docs.google.com/spreadsheets/d/1a/gviz/tq?tqx=out:csv",
            "https://docs.google.com/spreadsheets/",
            "https://docs.google.com/document/d/1a/edit",
            "https://drive.google.com/drive/folders/1a",
            "https://www.dropbox.com/scl/fi/1a/orders.csv?dl=1",
            "https://www.dropbox.com/home",
            "https://acme.sharepoint.com/sites/team/orders.csv",
            "https://files.example/blob/orders.csv",
        ] {
            assert_eq!(ShareLink::download(&address.parse().unwrap()), None, "{address}");
        }
    }
}
