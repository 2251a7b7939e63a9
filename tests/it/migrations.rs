//! The migrations folder. Two branches may each add the next number.

use std::{collections::BTreeMap, fs, path::Path};

/// The numbers of the files, with the file of each number.
fn numbered(files: impl IntoIterator<Item = String>) -> Result<BTreeMap<u32, String>, String> {
    let mut numbers = BTreeMap::new();
    for file in files {
        let number = file
            .split_once('_')
            .filter(|(number, rest)| number.len() == 4 && rest.len() > 4 && rest.ends_with(".sql"))
            .and_then(|(number, _)| number.parse().ok())
            .ok_or_else(|| format!("{file} is not named like 0001_init.sql"))?;
        if let Some(other) = numbers.insert(number, file.clone()) {
            return Err(format!("{other} and {file} have one number"));
        }
    }
    Ok(numbers)
}

#[test]
fn each_migration_has_a_number_of_its_own_and_is_compiled_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let entries = fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let numbers: Vec<i64> = numbered(files).unwrap().into_keys().map(i64::from).collect();
    let compiled: Vec<i64> = sqlx::migrate!().iter().map(|migration| migration.version).collect();
    assert_eq!(compiled, numbers, "the order in which they are applied is that of their numbers");
}

#[test]
fn a_number_that_is_taken_twice_and_a_strange_name_are_found() {
    let numbered = |files: &[&str]| numbered(files.iter().map(|file| (*file).to_owned()));
    assert!(numbered(&["0001_init.sql", "0003_engine.sql"]).is_ok());
    assert!(numbered(&["0017_a.sql", "0016_b.sql", "0017_c.sql"]).unwrap_err().contains("one number"));
    for strange in ["17_a.sql", "0017.sql", "0017_a.txt", "readme.md"] {
        assert!(numbered(&[strange]).is_err(), "{strange}");
    }
}
