//! `runboard import`.

use std::{cell::Cell, pin::pin};

use reqwest::StatusCode;

use super::{
    ask::{Interrupts, Watched},
    download::Downloads,
    ending::Ending,
    error::ClientError,
    follow::{Begun, Following},
    login,
    printed::complain,
    screen::Screen,
    show,
    source::Source,
    upload::Wanted,
};
use crate::base::config::ImportArgs;

/// Sends all sources, one after the other, then waits for the imports.
pub async fn import(args: ImportArgs) -> Result<Ending, ClientError> {
    let ImportArgs { sources, name, look, wait, server, reading } = args;
    let sources = sources.iter().map(|typed| Source::typed(typed)).collect::<Result<Vec<_>, _>>()?;
    refuse_what_is_for_one(&sources, name.as_deref(), look)?;
    let downloads = Downloads::new(&wait, sources.len())?;
    downloads.spare(&sources)?;
    let server = login::connect(&server)?;
    let screen = Screen::new();
    let mut interrupts = Interrupts::catch()?;
    let following = Following::new(&server, &screen, &wait, &downloads);
    let (mut imports, mut are_all_sent) = (Vec::new(), true);
    let (is_awaited, are_several) = (!look && !wait.no_wait, sources.len() > 1);
    for source in &sources {
        let named = are_several.then(|| source.shown());
        screen.name_source(named.as_deref());
        let is_sent = Cell::new(false);
        let wanted = Wanted { source, name: name.as_deref(), reading: &reading, look, is_sent };
        let stopped = || {
            complain(&match (wanted.is_sent.get(), &named) {
                (true, named) => format!(
                    "Stopped. {} was sent whole, so it may have been imported: runboard imports shows it.",
                    named.as_deref().unwrap_or("The file")
                ),
                (false, Some(named)) => format!("Stopped while {named} was sent. Nothing more was imported."),
                (false, None) => "Stopped. Nothing more was imported.".to_owned(),
            });
        };
        let mut work = pin!(wanted.import(&server, &screen));
        let question = || Some(format!("Stop sending {}?", source.shown()));
        let made = match interrupts.watch(work.as_mut(), &screen, question).await {
            Watched::Done(made) => made,
            Watched::Yes | Watched::Left => {
                screen.end();
                stopped();
                following.leave(&imports);
                return Ok(Ending::Other);
            }
        };
        screen.end();
        match made {
            Ok(mut told) => {
                if look && (screen.is_terminal() || wait.json) {
                    // The answer to the upload does not say how the file would be read.
                    tokio::select! {
                        looked = server.import(told.id) => told = looked.unwrap_or(told),
                        () = interrupts.any() => {}
                    }
                }
                let import = Begun { told, source: named };
                if look && screen.is_terminal() {
                    show::lines(&import.told, &server).iter().for_each(|line| complain(line));
                }
                following.print_begun(&import, is_awaited);
                imports.push(import);
            }
            // The others would be refused for the same reason.
            Err(error @ ClientError::Refused { status: StatusCode::UNAUTHORIZED, .. }) => return Err(error),
            Err(error) if !are_several => return Err(error),
            Err(error) => {
                are_all_sent = false;
                complain(&with_source(source, &error.to_string()));
            }
        }
    }
    let ending = if look { following.worst() } else { following.all(imports, &mut interrupts).await? };
    Ok(if are_all_sent { ending } else { Ending::Other })
}

/// What is wrong with one of several sources, with its name in front, once.
fn with_source(source: &Source, error: &str) -> String {
    let (name, shown) = (source.name(), source.shown());
    // A server knows only the name of the file.
    match error.strip_prefix(name.as_str()).filter(|rest| rest.starts_with(' ')) {
        Some(rest) => format!("{shown}{rest}"),
        None if error.starts_with(&shown) => error.to_owned(),
        None => format!("{shown}: {error}"),
    }
}

fn refuse_what_is_for_one(sources: &[Source], name: Option<&str>, look: bool) -> Result<(), ClientError> {
    let refuse = |why: &str| Err(ClientError::Other(why.to_owned()));
    if name.is_some() && sources.len() > 1 {
        return refuse("--name is for one source. Import the others for themselves.");
    }
    if sources.iter().filter(|source| matches!(source, Source::Input)).count() > 1 {
        return refuse("Standard input can be read only once. Name - once.");
    }
    if look && sources.iter().any(|source| matches!(source, Source::Address(_))) {
        return refuse("Only a file can be looked at first, because an address is fetched by the run.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_error_names_its_source_once() {
        for (typed, error, said) in [
            ("a.csv", "a.csv cannot be read: Is a directory.", "a.csv cannot be read: Is a directory."),
            ("./a.csv", "./a.csv cannot be read.", "./a.csv cannot be read."),
            ("in/a.csv", "a.csv is empty (0 bytes).", "in/a.csv is empty (0 bytes)."),
            ("a.csv", "The upload is too large.", "a.csv: The upload is too large."),
            ("-", "standard-input.csv is empty (0 bytes).", "standard input is empty (0 bytes)."),
        ] {
            let source = Source::typed(Path::new(typed)).unwrap();
            assert_eq!(with_source(&source, error), said, "{typed}");
        }
    }
}
