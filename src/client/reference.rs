//! Completions and manual pages, both made of the command line itself.

use std::{fs, io, path::Path};

use clap_complete::Shell;

use super::{
    ending::Ending,
    error::{ClientError, reason},
    printed::{self, unusable},
};
use crate::base::config::described;

/// Prints the script that completes commands in a shell.
pub fn completions(shell: Shell) -> Result<Ending, ClientError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut described(), "runboard", &mut script);
    printed::bytes(&script)?;
    Ok(Ending::Completed)
}

/// Prints the manual page, or writes a page for each command into a folder.
pub fn manual(folder: Option<&Path>) -> Result<Ending, ClientError> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(described()).render(&mut page);
        rendered
            .map_err(|error| ClientError::Other(format!("The page cannot be made: {}.", reason(&error))))?;
        printed::bytes(&page)?;
        return Ok(Ending::Completed);
    };
    let written: io::Result<()> =
        fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(described(), folder));
    written.map_err(|error| unusable(folder, "written", &error))?;
    Ok(Ending::Completed)
}
