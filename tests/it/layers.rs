//! The house: imports point down only, rooms on one line never import each other, and each outside
//! library stays in its rooms.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rooms that may be imported by the ones above; `main` and the binary stand over all.
const LINES: [&[&str]; 10] = [
    &["app"],
    &["web"],
    &["http", "report"],
    &["imports", "function", "engine", "accounts"],
    &["results"],
    &["progress"],
    &["store", "files"],
    &["inngest"],
    &["csv"],
    &["base"],
];

/// What may be named only under these paths of `src`.
const LIBRARIES: [(&str, &[&str]); 4] = [
    ("sqlx::", &["store/"]),
    ("reqwest::", &["inngest/", "engine/", "files/"]),
    ("actix_web::", &["app.rs", "app/", "web/", "http/", "function/serve", "engine/api"]),
    ("csv_core::", &["csv/"]),
];

#[test]
fn imports_point_down_only() {
    for (path, text) in sources() {
        let room = room_of(&path);
        let Some(line) = line_of(&room) else { continue };
        for used in imported_rooms(&text) {
            let Some(used_line) = line_of(&used) else { continue };
            assert!(
                used == room || used_line > line,
                "{} is in the room {room} and imports {used}, which does not lie below it",
                path.display()
            );
        }
    }
}

#[test]
fn each_library_stays_in_its_rooms() {
    for (path, text) in sources() {
        let name = path.to_string_lossy().into_owned();
        for (library, rooms) in LIBRARIES {
            let allowed = rooms.iter().any(|room| name.starts_with(room));
            assert!(allowed || !text.contains(library), "{name} uses {library}");
        }
    }
}

#[test]
fn no_source_file_grows_past_400_lines() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_room_stands_on_a_line() {
    let rooms: Vec<String> = sources().iter().map(|(path, _)| room_of(path)).collect();
    for room in rooms {
        let top = ["main", "lib"].contains(&room.as_str());
        assert!(top || line_of(&room).is_some(), "the room {room} stands on no line of {}", file!());
    }
}

/// Every source file: its path below `src`, and its text.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&src, &mut found);
    assert!(found.len() > 20, "the sources are where this test looks");
    found
        .iter()
        .map(|path| (path.strip_prefix(&src).unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect()
}

fn room_of(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn line_of(room: &str) -> Option<usize> {
    LINES.iter().position(|line| line.contains(&room))
}

/// The rooms in `crate::room` and `use crate::{room, other::...}`.
fn imported_rooms(text: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = Vec::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => rooms.push(name(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            rooms.push(name(&group[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    rooms
}

#[test]
fn the_reader_of_imports_sees_groups_and_paths() {
    let text = "use crate::{csv::{Counts, Layout}, store};\nlet x = crate::base::time::UnixMillis::now();";
    assert_eq!(imported_rooms(text), ["csv", "store", "base"]);
}
