//! Which server is meant and with which token, and the file that remembers them.

use std::{
    env,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    ask::Interrupts,
    ending::Ending,
    error::{ClientError, reason},
    printed::{self, plain, unusable},
    server::RemoteServer,
};
use crate::base::{
    config::{GivenAddress, LoginArgs, ServerArgs, unknown_variables},
    terminal,
};

/// Where a server listens if nothing is configured.
const USUAL_ORIGIN: &str = "http://127.0.0.1:8080";

/// Below the folder of configurations.
const FOLDER: &str = "runboard";
const FILE: &str = "login.json";

/// A larger file is not ours.
const MOST_BYTES: u64 = 64 << 10;

/// What the file has.
#[derive(Deserialize, Serialize)]
struct Saved {
    url: String,
    token: String,
}

impl Saved {
    /// None if somebody has changed it to something else.
    fn origin(&self) -> Option<Url> {
        let url = Url::parse(&self.url).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.username().is_empty()).then_some(url)
    }
}

/// The account of a token, as far as a person wants to know.
#[derive(Deserialize)]
struct AccountTold {
    email: String,
    scopes: Vec<String>,
}

/// The server that a command is for, with its token: a flag, else the variable, else the file. The token of the file is
/// only for the server that it was saved for.
pub fn connect(args: &ServerArgs) -> Result<RemoteServer, ClientError> {
    let (given, token) = (args.address()?, args.token());
    let saved = if given.is_some() && token.is_some() { None } else { read()? };
    let (origin, from) = address(given, saved.as_ref().map(|(saved, _)| saved))?;
    let is_for_it = |(saved, _): &(Url, SecretString)| saved.origin() == origin.origin();
    let of_file = saved.filter(is_for_it).map(|(_, token)| token);
    match token.or(of_file) {
        Some(token) => RemoteServer::new(origin, from, &token),
        None => {
            for line in unknown_variables(env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
                printed::complain(&line);
            }
            let shown = origin.origin().ascii_serialization();
            Err(ClientError::Other(format!(
                "There is no token for {shown}{from}. Make one on the page {shown}/account, then run: runboard login {shown}"
            )))
        }
    }
}

/// Asks for a token, and saves it if the server accepts it.
pub async fn login(args: &LoginArgs) -> Result<Ending, ClientError> {
    let given = args.address()?;
    let saved = if given.is_some() { None } else { read()? };
    let (origin, from) = address(given, saved.as_ref().map(|(saved, _)| saved))?;
    let shown = origin.origin().ascii_serialization();
    let prompt = format!("Token from {shown}/account (it is not shown): ");
    let mut interrupts = Interrupts::catch()?;
    let line = terminal::secret_line(&prompt, interrupts.any()).await;
    let line =
        line.map_err(|error| ClientError::Other(format!("The token cannot be read: {}.", reason(&error))))?;
    let stopped = || ClientError::Other("Stopped. Nothing was saved.".to_owned());
    let token = SecretString::from(line.ok_or_else(stopped)?.expose_secret().trim());
    if token.expose_secret().is_empty() {
        return Err(ClientError::Other("There was no token. Nothing was saved.".to_owned()));
    }
    let server = RemoteServer::new(origin.clone(), from, &token)?;
    let asking = server.ask(|| server.request(Method::GET, "me"));
    let answer = tokio::select! {
        answer = asking => answer?,
        () = interrupts.any() => return Err(stopped()),
    };
    let account: AccountTold = server.parse(&answer)?;
    let path = path()?;
    write(&path, &Saved { url: origin.into(), token: token.expose_secret().to_owned() })
        .map_err(|error| unusable(&path, "written", &error))?;
    let scopes = match account.scopes.as_slice() {
        [] => "nothing".to_owned(),
        scopes => scopes.join(", "),
    };
    printed::line(&plain(&format!(
        "Logged in to {shown} as {}. The token allows: {scopes}. It is saved in {}.",
        account.email,
        path.display()
    )))?;
    Ok(Ending::Completed)
}

/// Removes the saved token.
pub fn logout() -> Result<Ending, ClientError> {
    let path = path()?;
    match fs::remove_file(&path) {
        Ok(()) => printed::line(
            "The saved token is forgotten here. It stays valid until you end it on your account page.",
        )?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => printed::line("There is no saved token.")?,
        Err(error) => return Err(unusable(&path, "removed", &error)),
    }
    Ok(Ending::Completed)
}

/// The address that is meant, and for messages where it comes from if nobody typed it.
fn address(given: Option<GivenAddress>, saved: Option<&Url>) -> Result<(Url, &'static str), ClientError> {
    if let Some(given) = given {
        return Ok((given.url, if given.is_of_variable { " (from RUNBOARD_URL)" } else { "" }));
    }
    if let Some(saved) = saved {
        return Ok((saved.clone(), " (from the last login)"));
    }
    let usual = Url::parse(USUAL_ORIGIN);
    let usual = usual.map_err(|error| ClientError::Other(format!("{USUAL_ORIGIN}: {error}.")))?;
    Ok((usual, " (the usual address, because none was given)"))
}

/// Where the file is (XDG Base Directory Specification).
fn path() -> Result<PathBuf, ClientError> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let configurations = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    let configurations = configurations.ok_or_else(|| {
        ClientError::Other(
            "Neither HOME nor XDG_CONFIG_HOME is a folder, so there is no place for a token.".to_owned(),
        )
    })?;
    Ok(configurations.join(FOLDER).join(FILE))
}

/// None if nobody has logged in.
fn read() -> Result<Option<(Url, SecretString)>, ClientError> {
    // Without a place for the file there is none.
    let Ok(path) = path() else { return Ok(None) };
    let shown = plain(&path.display().to_string());
    let unreadable = |why: &str| ClientError::Other(format!("{shown} cannot be read: {why}."));
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(&reason(&error))),
    };
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return Err(unreadable("it is not what runboard login writes"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        printed::complain(&format!("Others can read your token. Run: chmod 600 {shown}"));
    }
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&reason(&error)))?;
    let saved = serde_json::from_str::<Saved>(&text).ok();
    let saved = saved.and_then(|saved| Some((saved.origin()?, saved.token.into())));
    saved
        .map(Some)
        .ok_or_else(|| unreadable("it is not what runboard login writes. Run runboard login again"))
}

/// Only its owner can read the file, from its first byte on, and it is whole or not there.
fn write(path: &Path, saved: &Saved) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = folder.join(format!(".{FILE}.{}", hex::encode(rand::random::<[u8; 8]>())));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(&serde_json::to_vec_pretty(saved)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    })();
    if written.is_err() {
        // It may have part of the token.
        let _ = fs::remove_file(&unfinished);
    }
    written
}
