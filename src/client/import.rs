//! `runboard import`.

use std::{cell::Cell, pin::pin};

use reqwest::StatusCode;

use super::{
    ask::{Interrupts, Watched},
    download::Downloads,
    ending::Ending,
    error::ClientError,
    follow::Following,
    login,
    printed::complain,
    screen::Screen,
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
    for source in &sources {
        let is_sent = Cell::new(false);
        let wanted = Wanted { source, name: name.as_deref(), reading: &reading, look, is_sent };
        let stopped = || {
            complain(if wanted.is_sent.get() {
                "Stopped. The file was sent whole, so it may have been imported: runboard imports shows it."
            } else {
                "Stopped. Nothing more was imported."
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
            Ok(import) => imports.push(import),
            // The others would be refused for the same reason.
            Err(error @ ClientError::Refused { status: StatusCode::UNAUTHORIZED, .. }) => return Err(error),
            Err(error) if sources.len() == 1 => return Err(error),
            Err(error) => {
                are_all_sent = false;
                complain(&format!("{}: {error}", source.shown()));
            }
        }
    }
    let ending = if look {
        for import in &imports {
            if screen.is_terminal() {
                complain(&format!("{}: runboard start {}", import.import.file_name, import.id));
            }
            following.print_begun(import)?;
        }
        Ending::Completed
    } else {
        following.all(imports, &mut interrupts).await?
    };
    Ok(if are_all_sent { ending } else { Ending::Other })
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
