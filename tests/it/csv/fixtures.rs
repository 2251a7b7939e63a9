//! Real and hand-made files, with the results that `tests/fixtures/README.md` documents.

use std::{fs, path::Path};

use super::read;

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_fixture_has_the_counts_that_its_table_says() {
    let table = String::from_utf8(fixture("README.md")).expect("text");
    let mut listed = Vec::new();
    for row in table.lines().filter(|row| row.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`');
        let counts = read(&fixture(name)).1.counts;
        let [processed, failed] = [cells[2], cells[3]].map(|cell| cell.replace(',', "").parse::<u64>());
        assert_eq!((Ok(counts.processed), Ok(counts.failed)), (processed, failed), "{name}");
        listed.push(name.to_owned());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<String> = fs::read_dir(folder)
        .expect("the folder of fixtures")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("a name in UTF-8"))
        .filter(|name| name.ends_with(".csv"))
        .collect();
    files.sort();
    listed.sort();
    assert_eq!(listed, files, "the table lists every file");
}

#[test]
fn airports_are_3376_records() {
    let (layout, output, cursor) = read(&fixture("airports.csv"));
    assert_eq!(layout.header, ["iata", "name", "city", "state", "country", "latitude", "longitude"]);
    assert_eq!((output.counts.processed, output.counts.failed), (3376, 0));
    assert_eq!((cursor.record, cursor.line), (3376, 3378));
}

#[test]
fn ragged_rows_are_told_one_by_one() {
    let (layout, output, _) = read(&fixture("ragged.csv"));
    let expected = "\
        _line,_column,_reason,article,size,price,_extra\r\n\
        3,,\"2 fields, expected 3\",\"6\"\" pipe\",'=B2*2\r\n\
        5,,\"5 fields, expected 3\",Hose,\"1/2\"\"\",9.95,\"\"\"yellow, green\"\",-10%\"\r\n\
        7,,\"1 field, expected 3\",\"'@note: see\nthe next page\"\r\n\
        10,,\"4 fields, expected 3\",'+gasket,2,-0.5,\"\"\"\"\"\"\r\n\
        12,size,closing quote missing,Valve,\"3/4\n\"\r\n";
    assert_eq!(String::from_utf8([layout.failed_header(), output.failed].concat()).expect("text"), expected);
}
