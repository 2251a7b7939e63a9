//! Links to a page about a file, instead of to the file.

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

    /// A sentence that says how to get the file itself.
    #[must_use]
    pub fn how_to_get_the_file(self) -> &'static str {
        match self {
            Self::GoogleSheets => {
                "Share the sheet with anyone who has the link, and in the address replace /edit and what \
                 follows with /export?format=csv."
            }
            Self::GoogleDrive => {
                "Share the file with anyone who has the link, and use \
                 https://drive.google.com/uc?export=download&id= followed by the file's id."
            }
            Self::Dropbox => "In the address, change dl=0 to dl=1.",
            Self::OneDrive => "Download the file from OneDrive and upload it here.",
            Self::GitHub => "Use the address that GitHub's Raw button leads to.",
        }
    }
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
}
