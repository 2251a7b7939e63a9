//! The documents for developers name only files that exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const DOCUMENTS: [&str; 2] = ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Folders of the repository whose files are named by their path.
const FOLDERS: [&str; 9] =
    ["benches", "docs", "migrations", "sample", "src", "static", "templates", "tests", ".ci"];

/// The endings of files. A name such as `imports/csv.progress` is an event.
const ENDINGS: [&str; 8] = ["rs", "sql", "md", "html", "css", "js", "toml", "json"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The rooms: the top-level modules of `src`.
fn rooms() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap().path());
    let names = entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name != "lib").collect()
}

/// What stands between single backticks, outside blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2))
}

fn is_path(text: &str, rooms: &BTreeSet<String>) -> bool {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let Some((first, _)) = text.split_once('/') else { return is_plain && text.ends_with(".rs") };
    let ending = text.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
    is_plain
        && (text.ends_with(".rs") || FOLDERS.contains(&first) || rooms.contains(first))
        && ending.is_none_or(|ending| ENDINGS.contains(&ending))
}

/// Whether `path` exists below `folder`: as written, or as the module of this name.
fn exists(folder: &Path, path: &str) -> bool {
    let module = PathBuf::from(format!("{path}.rs"));
    folder.join(path).exists() || folder.join(module).is_file()
}

/// The paths in `text` that do not exist, and the number of all paths.
fn missing(text: &str) -> (BTreeSet<&str>, usize) {
    let rooms = rooms();
    let paths: BTreeSet<&str> = quoted(text).filter(|text| is_path(text, &rooms)).collect();
    let is_missing = |path: &&str| !exists(root(), path) && !exists(&root().join("src"), path);
    (paths.iter().copied().filter(is_missing).collect(), paths.len())
}

#[test]
fn every_path_in_the_documents_exists() {
    for name in DOCUMENTS {
        let text = document(name);
        let (missing, count) = missing(&text);
        assert!(count >= 10, "{name} names {count} paths");
        assert!(missing.is_empty(), "{name} names files that do not exist: {missing:?}");
    }
}

/// Each line of the map names files of its room; a line without a room continues the one above.
#[test]
fn the_map_has_every_room_and_only_files_that_exist() {
    let text = document("docs/ARCHITECTURE.md");
    let lines = text.lines().skip_while(|line| *line != "| room | contents |").skip(2);
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    let mut room = String::new();
    for line in lines.take_while(|line| line.starts_with('|')) {
        let (_, [first, contents]) = split_row(line);
        if let Some(next) = quoted(first).next() {
            next.trim_end_matches('/').trim_end_matches(".rs").clone_into(&mut room);
        }
        let count = named.entry(room.clone()).or_default();
        for file in quoted(contents).filter(|text| !text.contains(|c: char| c.is_ascii_uppercase())) {
            *count += 1;
            let src = root().join("src");
            assert!(exists(&src.join(&room), file) || exists(&src, file), "the map's {room} has no {file}");
        }
    }
    assert_eq!(named.keys().cloned().collect::<BTreeSet<_>>(), rooms(), "the rooms of the map, and of src");
    assert!(named.values().sum::<usize>() > 100, "the files of the map are seen: {named:?}");
}

fn split_row(line: &str) -> (&str, [&str; 2]) {
    let mut cells = line.split('|');
    let mut next = || cells.next().unwrap_or_default();
    (next(), [next(), next()])
}

#[test]
fn a_path_that_does_not_exist_is_found() {
    let text = "`store/mod.rs` `store/nothing.rs` `http/nothing` `views/plot.rs` `http/error` `src/web` `nothing.rs` \
                `tests/it/nothing/` `imports/csv.progress` `/v1/runs` `POST /imports`";
    let (missing, count) = missing(text);
    let expected = ["store/nothing.rs", "http/nothing", "views/plot.rs", "nothing.rs", "tests/it/nothing/"];
    assert_eq!((missing, count), (BTreeSet::from(expected), 8));
}
