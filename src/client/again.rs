//! What is done with an import that there is: start, run again, cancel, delete.

use reqwest::Method;
use serde_json::{Map, Value};

use super::{
    ask::{self, Interrupts},
    download::Downloads,
    ending::Ending,
    error::ClientError,
    follow::{Begun, Following},
    login,
    printed::{self, plain},
    screen::Screen,
    server::RemoteServer,
    upload::{IDEMPOTENCY_KEY, new_key, reading_json},
};
use crate::base::config::{DeleteArgs, OneImportArgs, ReadingArgs, RetryArgs, StartArgs};

/// `runboard start`.
pub async fn start(args: StartArgs) -> Result<Ending, ClientError> {
    let StartArgs { import, wait, reading } = args;
    let (server, screen) = (login::connect(&import.server)?, Screen::new());
    let downloads = Downloads::new(&wait, 1)?;
    let path = format!("imports/{}/start", import.id);
    let begun = post(&server, &screen, &path, request_body(None, &reading)).await?;
    let (id, told) = (begun.told.id, &begun.told.import);
    if told.has_ended() {
        printed::complain(&format!(
            "{} was started before and has ended. To run it again: runboard retry {id}",
            told.file_name
        ));
    }
    let following = Following::new(&server, &screen, &wait, &downloads);
    if wait.no_wait {
        following.print_begun(&begun, false);
    }
    following.all(vec![begun], &mut Interrupts::catch()?).await
}

/// `runboard retry`.
pub async fn retry(args: RetryArgs) -> Result<Ending, ClientError> {
    let RetryArgs { import, only_failed, wait, reading } = args;
    let (server, screen) = (login::connect(&import.server)?, Screen::new());
    let downloads = Downloads::new(&wait, 1)?;
    let path = format!("imports/{}/retry", import.id);
    let body = request_body(only_failed.then_some("failed"), &reading);
    let begun = post(&server, &screen, &path, body).await?;
    let following = Following::new(&server, &screen, &wait, &downloads);
    following.print_begun(&begun, !wait.no_wait);
    following.all(vec![begun], &mut Interrupts::catch()?).await
}

fn request_body(only: Option<&str>, reading: &ReadingArgs) -> Value {
    let only = only.map(|only| ("only".to_owned(), only.into()));
    let reading = reading_json(reading).map(|reading| ("reading".to_owned(), reading));
    Value::Object(Map::from_iter(only.into_iter().chain(reading)))
}

/// Posts what makes or starts an import.
async fn post(server: &RemoteServer, screen: &Screen, path: &str, body: Value) -> Result<Begun, ClientError> {
    let key = new_key();
    let request = || server.request(Method::POST, path).header(IDEMPOTENCY_KEY, &key).json(&body);
    let told = server.told(&server.make(screen, request).await?)?;
    Ok(Begun { told, source: None })
}

/// `runboard cancel`.
pub async fn cancel(args: &OneImportArgs) -> Result<Ending, ClientError> {
    let server = login::connect(&args.server)?;
    let path = format!("imports/{}/cancel", args.id);
    let told = server.told(&server.ask(|| server.request(Method::POST, &path)).await?)?;
    let import = &told.import;
    let (name, state) = (plain(&import.file_name), import.state_line());
    // A run that the engine has lost is cancelled there.
    let was_over = import.has_ended() && import.state != "Lost";
    printed::line(&match import.state.as_str() {
        // By this request or before it.
        "Cancelled" => format!("{name}: {state}"),
        _ if was_over => format!("{name} was over already: {state}"),
        _ => format!("Cancelling {name}. So far: {state}"),
    })?;
    Ok(Ending::Completed)
}

/// `runboard delete`. On a terminal it asks first.
pub async fn delete(args: &DeleteArgs) -> Result<Ending, ClientError> {
    let id = args.import.id;
    let server = login::connect(&args.import.server)?;
    let import = server.import(id).await?;
    let name = &import.import.file_name;
    if !args.yes {
        let refused = match ask::confirm(format!("Delete {name} and its files for good?")).await {
            Some(true) => None,
            Some(false) => Some("Nothing was deleted."),
            None => Some("Nothing was deleted. Without a terminal to ask at, say --yes."),
        };
        if let Some(sentence) = refused {
            printed::complain(sentence);
            return Ok(Ending::Other);
        }
    }
    let path = format!("imports/{id}");
    server.ask(|| server.request(Method::DELETE, &path)).await?;
    printed::line(&plain(&format!("{name} was deleted.")))?;
    Ok(Ending::Completed)
}
