//! Finds environment variables that look like settings but are not; most are misspelt.

use clap::CommandFactory;

use super::Args;

/// The prefixes of all settings.
const PREFIXES: [&str; 2] = ["RUNBOARD_", "INNGEST_"];

/// At most one edit per this many letters counts as a misspelling; with more edits it is another name.
const LETTERS_PER_EDIT: usize = 4;

/// One warning for each of `names` that has the prefix of a setting but is not one.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let command = Args::command();
    let of_clients = command.get_subcommands().flat_map(|client| client.get_arguments());
    let settings = command.get_arguments().chain(of_clients);
    let known: Vec<&str> = settings.filter_map(|setting| setting.get_env()?.to_str()).collect();
    let looks_like_ours = |name: &String| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let mut unknown: Vec<String> = names
        .into_iter()
        .filter(|name| looks_like_ours(name) && !known.contains(&name.as_str()))
        .map(|name| match nearest(&name, &known) {
            Some(nearest) => format!("{name} is not known; did you mean {nearest}?"),
            None => format!("{name} is not known and has no effect."),
        })
        .collect();
    unknown.sort();
    unknown
}

fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let own_part = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let most_edits = (own_part.len() / LETTERS_PER_EDIT).clamp(1, 3);
    let edits = |other: &&str| strsim::osa_distance(name, other);
    known.iter().copied().min_by_key(edits).filter(|other| edits(other) <= most_edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Vec<String> {
        unknown_variables([name.to_owned()])
    }

    #[test]
    fn a_misspelt_variable_is_named_with_the_nearest_that_there_is() {
        for (name, nearest) in [
            ("RUNBOARD_LISTN", "RUNBOARD_LISTEN"),
            ("RUNBOARD_DATADIR", "RUNBOARD_DATA_DIR"),
            ("RUNBOARD_MAX_UPLOAD_BYTE", "RUNBOARD_MAX_UPLOAD_BYTES"),
            ("RUNBOARD_SIGNUP", "RUNBOARD_SIGN_UP"),
            ("RUNBOARD_WOKRERS", "RUNBOARD_WORKERS"),
            ("RUNBOARD_TOKNE", "RUNBOARD_TOKEN"),
            ("INNGEST_SINGING_KEY", "INNGEST_SIGNING_KEY"),
        ] {
            assert_eq!(told(name), [format!("{name} is not known; did you mean {nearest}?")]);
        }
    }

    #[test]
    fn a_variable_that_is_like_no_other_is_named_alone_and_others_are_nobodys_business() {
        assert_eq!(
            told("RUNBOARD_COLOUR_OF_THE_SKY"),
            ["RUNBOARD_COLOUR_OF_THE_SKY is not known and has no effect."]
        );
        // Kubernetes sets these for a service of that name.
        for name in ["RUNBOARD_PORT", "RUNBOARD_SERVICE_HOST", "RUNBOARD_PORT_80_TCP"] {
            assert_eq!(told(name), [format!("{name} is not known and has no effect.")]);
        }
        for name in [
            "RUNBOARD_LISTEN",
            "RUNBOARD_URL",
            "RUNBOARD_TOKEN",
            "INNGEST_DEV",
            "PATH",
            "RUST_LOG",
            "MY_RUNBOARD_LISTN",
        ] {
            assert_eq!(told(name), [] as [&str; 0], "{name}");
        }
    }
}
