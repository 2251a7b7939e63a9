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

/// The first migration that several versions can work with at once.
const FIRST_OF_REPLICAS: u32 = 31;

/// A program goes on working with the tables while the next version migrates them. So a migration only adds: tables,
/// indexes, and columns that an older program need not fill. One that does more says which migration a program must
/// know at least (`-- contracts: 0040` in its first line); older programs are refused then.
fn objection(number: u32, sql: &str) -> Option<String> {
    let first = sql.lines().next().unwrap_or_default();
    if let Some(oldest) = first.strip_prefix("-- contracts: ") {
        let is_before = oldest.len() == 4 && oldest.parse().is_ok_and(|oldest: u32| oldest < number);
        return (!is_before).then(|| format!("{first}: not the number of an earlier migration"));
    }
    let uncommented: String =
        sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let mut made = Vec::new();
    for statement in uncommented.to_lowercase().split(';') {
        let spaced = statement.replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let adds = match words.as_slice() {
            [] | ["insert" | "update", ..] | ["create", "index", ..] => true,
            ["create", "table", table, ..] => {
                made.push((*table).to_owned());
                refers_safely(&words, &made)
            }
            ["create", "unique", "index", _, "on", table, ..] => made.iter().any(|made| made == table),
            ["alter", "table", table, "add", "column", _, _, rest @ ..] => {
                made.iter().any(|made| made == table)
                    || (refers_safely(rest, &made)
                        && !rest.iter().any(|word| ["unique", "primary", "check"].contains(word))
                        && (!rest.contains(&"not") || rest.contains(&"default")))
            }
            _ => false,
        };
        if !adds {
            return Some(statement.trim().to_owned());
        }
    }
    None
}

/// Whether an older program, which does not know of these references, can still delete the rows that they name.
fn refers_safely(words: &[&str], made: &[String]) -> bool {
    words.iter().enumerate().filter(|(_, word)| **word == "references").all(|(at, _)| {
        let mut after = words[at + 1..].iter();
        let table = after.next();
        if table.is_some_and(|table| made.iter().any(|made| made == table)) {
            return true;
        }
        let rest: Vec<&str> = after.skip_while(|word| **word != ")").skip(1).take(4).copied().collect();
        matches!(rest.as_slice(), ["on", "delete", "cascade", ..] | ["on", "delete", "set", "null"])
    })
}

#[test]
fn a_migration_only_adds_to_the_tables_or_says_which_programs_it_shuts_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let entries = fs::read_dir(&folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut read = 0;
    for (number, file) in numbered(files).unwrap().range(FIRST_OF_REPLICAS..) {
        let objection = objection(*number, &fs::read_to_string(folder.join(file)).unwrap());
        assert_eq!(objection, None, "{file} breaks programs of the version before");
        read += 1;
    }
    assert!(read >= 2, "the files are read");
}

#[test]
fn a_statement_that_breaks_older_programs_is_found() {
    for sql in [
        "ALTER TABLE import ADD COLUMN a TEXT;",
        "ALTER TABLE import ADD COLUMN a BIGINT NOT NULL DEFAULT 0; -- DROP it later; it is not used\n",
        "ALTER TABLE import ADD COLUMN a TEXT REFERENCES b (id) ON DELETE SET NULL;",
        "CREATE TABLE a (id TEXT PRIMARY KEY, b TEXT NOT NULL UNIQUE, c TEXT REFERENCES account (id) ON DELETE CASCADE);\n\
         CREATE UNIQUE INDEX a_by_b ON a (b);\nCREATE TABLE d (a TEXT NOT NULL REFERENCES a (id));",
        "CREATE INDEX import_by_a ON import (a);\nUPDATE import SET a = 0;",
        "-- contracts: 0038\nALTER TABLE import DROP COLUMN a;",
    ] {
        assert_eq!(objection(40, sql), None, "{sql}");
    }
    for sql in [
        "DROP TABLE import;",
        "DROP INDEX import_by_a;",
        "ALTER TABLE import DROP COLUMN a;",
        "CREATE TABLE a (id TEXT);\nALTER TABLE import RENAME COLUMN a TO b;",
        "ALTER TABLE import RENAME TO imports;",
        "ALTER TABLE import ALTER COLUMN a TYPE TEXT;",
        "ALTER TABLE import ALTER COLUMN a SET NOT NULL;",
        "ALTER TABLE import ADD COLUMN a TEXT NOT NULL;",
        "ALTER TABLE import ADD COLUMN a TEXT UNIQUE;",
        "ALTER TABLE import ADD COLUMN a TEXT REFERENCES b (id);",
        "CREATE TABLE a (id TEXT REFERENCES account (id));",
        "create unique index import_by_a on import (a);",
        "DELETE FROM import;",
        "\n-- contracts: 0038\nDROP TABLE import;",
        "-- contracts: 0040\nDROP TABLE import;",
        "-- contracts: soon\nDROP TABLE import;",
    ] {
        assert!(objection(40, sql).is_some(), "{sql}");
    }
}
