//! The rules of the sources: imports point down only, rooms on one line never import each other, the files of
//! a room import each other without cycles, each outside library stays in its rooms, and no two types share a
//! name.

mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use self::source::{Module, Source, Sources};

/// The rooms from top to bottom. A room may import those below it; `main` and the binary may import all.
const LINES: [&[&str]; 11] = [
    &["app"],
    &["web", "api", "client"],
    &["http", "report"],
    &["imports", "function", "engine", "accounts", "webhooks"],
    &["results"],
    &["progress"],
    &["replicas"],
    &["store", "files"],
    &["inngest"],
    &["csv"],
    &["base"],
];

/// Libraries that may be used only under these paths of `src`.
const LIBRARIES: [(&str, &[&str]); 11] = [
    ("sqlx::", &["store/"]),
    ("utoipa::", &["api/", "http/problem.rs"]),
    ("askama::", &["web/", "http/error", "accounts/mail/"]),
    ("lettre::", &["accounts/mail/"]),
    ("actix_multipart::", &["http/upload", "web/pages/dashboard.rs"]),
    ("reqwest::", &["inngest/", "engine/", "files/", "client/", "base/outgoing.rs"]),
    ("object_store::", &["files/objects/"]),
    ("indicatif::", &["client/"]),
    ("standardwebhooks::", &["webhooks/secret.rs"]),
    (
        "actix_web::",
        &[
            "app.rs",
            "app/",
            "web/",
            "api/",
            "http/",
            "function/serve",
            "engine/api",
            "base/client_address.rs",
        ],
    ),
    // Only tests compare with it.
    ("csv_core::", &["csv/split.rs", "csv/source_form/tests.rs"]),
];

/// Type names that several files may declare, each with the reason.
const SHARED_TYPE_NAMES: [(&str, &str); 1] =
    [("Error", "each room has its own error type, and is named with it: `store::Error`, `inngest::Error`")];

#[test]
fn imports_point_down_only() {
    for source in Sources::read().iter() {
        let Some((room, line)) = source.module.first().and_then(|room| Some((room, line_of(room)?))) else {
            continue;
        };
        for used in source.rooms() {
            let Some(used_line) = line_of(used) else { continue };
            assert!(
                used == room || used_line > line,
                "{} is in the room {room} and imports {used}, which does not lie below it",
                source.path.display()
            );
        }
    }
}

/// A file may use the module that contains it: the two are one subject.
#[test]
fn the_files_of_a_room_import_each_other_in_no_circle() {
    let sources = Sources::read();
    let imports: BTreeMap<&Module, BTreeSet<&Module>> = sources
        .imports()
        .into_iter()
        .map(|(module, imported)| {
            let is_beside = |other: &&Module| module.first() == other.first() && !module.starts_with(other);
            (module, imported.into_iter().filter(is_beside).collect())
        })
        .collect();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 100, "imports are seen: {imports:?}");
    // A file that imports none of the remaining ones is in no cycle.
    let mut left: BTreeSet<&Module> = imports.keys().copied().collect();
    while let Some(free) = left.iter().find(|module| imports[*module].is_disjoint(&left)).copied() {
        left.remove(free);
    }
    let circles: Vec<_> = left
        .iter()
        .map(|module| {
            (
                module.join("::"),
                imports[*module].intersection(&left).map(|other| other.join("::")).collect::<Vec<_>>(),
            )
        })
        .collect();
    assert!(left.is_empty(), "these import each other in circles: {circles:#?}");
}

#[test]
fn each_library_stays_in_its_rooms() {
    for source in Sources::read().iter() {
        let name = source.path.to_string_lossy();
        for (library, rooms) in LIBRARIES {
            let is_allowed = rooms.iter().any(|room| name.starts_with(room));
            assert!(is_allowed || !source.text.contains(library), "{name} uses {library}");
        }
    }
}

/// A template belongs to the room of the struct that it renders, and to the rooms of the templates that extend or
/// include it. It shows values of the struct, and names no room but `web` and `http`, and none above its own.
#[test]
fn templates_name_no_room_above_those_that_render_them() {
    let sources = Sources::read();
    let mut rendered = BTreeSet::new();
    for source in sources.iter() {
        let Some(room) = source.module.first() else { continue };
        // Macros write the attribute differently, but all name the template's file.
        for path in source.text.split('"').filter(|text| text.ends_with(".html")) {
            for template in with_parts(path) {
                rendered.insert((room.as_str(), template));
            }
        }
    }
    assert!(rendered.len() > 20, "the templates are where this test looks: {rendered:?}");
    for room in ["web", "http"] {
        assert!(rendered.iter().any(|(of, _)| *of == room), "{room} renders templates: {rendered:?}");
    }
    for (room, template) in &rendered {
        let text = template_text(template);
        for (at, _) in text.match_indices("crate::") {
            let named: String = text[at + "crate::".len()..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let is_allowed = named == *room || line_of(&named) > line_of(room);
            assert!(
                is_allowed && ["web", "http"].contains(&&*named),
                "{template} is rendered by the room {room} and names {named}"
            );
        }
    }
}

/// `template` and all templates that it extends or includes.
fn with_parts(template: &str) -> BTreeSet<String> {
    let (mut found, mut left) = (BTreeSet::new(), vec![template.to_owned()]);
    while let Some(template) = left.pop() {
        let text = template_text(&template);
        if found.insert(template) {
            left.extend(quoted_after(&text, "{% extends "));
            left.extend(quoted_after(&text, "{% include "));
        }
    }
    found
}

fn template_text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands in quotes directly behind each `mark`.
fn quoted_after(text: &str, mark: &str) -> Vec<String> {
    let behind = text.split(mark).skip(1);
    behind.filter_map(|rest| Some(rest.strip_prefix('"')?.split('"').next()?.to_owned())).collect()
}

/// Handlers get an import through the extractors `OwnedImport` and `ApiImport`, which check its owner. An id alone
/// is not enough.
#[test]
fn no_handler_finds_an_import_by_itself() {
    // A signed link grants access to the file that it names.
    let asks_nobody = |source: &&Source| source.path.ends_with("web/files.rs");
    let sources = Sources::read();
    let is_handler = |source: &&Source| source.path.starts_with("web") || source.path.starts_with("api");
    let handlers = sources.iter().filter(is_handler);
    for source in handlers.filter(|source| !asks_nobody(source)) {
        for call in ["imports.get(", "store.import("] {
            assert!(!source.text.contains(call), "{} has {call}", source.path.display());
        }
    }
}

#[test]
fn no_source_file_grows_past_400_lines() {
    for source in Sources::read().iter() {
        let lines = source.text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines", source.path.display());
    }
}

/// A reader who sees a type's name knows which type it is.
#[test]
fn no_two_types_share_a_name() {
    let sources = Sources::read();
    let mut declared: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
    for source in sources.iter() {
        for name in &source.types {
            declared.entry(name).or_default().push(&source.path);
        }
    }
    assert!(declared.len() > 200, "the types are seen: {declared:?}");
    declared.retain(|_, files| files.len() > 1);
    for (name, reason) in SHARED_TYPE_NAMES {
        assert!(declared.remove(name).is_some(), "{name} is declared once; delete its exception: {reason}");
    }
    assert!(declared.is_empty(), "several types have one name: {declared:#?}");
}

#[test]
fn every_room_stands_on_a_line() {
    for source in Sources::read().iter() {
        let Some(room) = source.module.first() else { continue };
        assert!(
            room == "main" || line_of(room).is_some(),
            "the room {room} stands on no line of {}",
            file!()
        );
    }
}

fn line_of(room: &str) -> Option<usize> {
    LINES.iter().position(|line| line.contains(&room))
}
