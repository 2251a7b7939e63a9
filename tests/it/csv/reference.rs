//! A second implementation of the rules, as simple as possible: byte by byte, over a whole file.

/// A record according to the rules.
pub struct Record {
    /// The line on which it starts.
    pub line: u64,
    /// Its bytes, including the line end.
    pub bytes: Vec<u8>,
    /// Unquoted; empty if the record is too long.
    pub fields: Vec<Vec<u8>>,
    pub too_long: bool,
    pub open_quotes: bool,
}

impl Record {
    pub fn fails(&self, columns: usize) -> bool {
        self.too_long
            || self.open_quotes
            || self.bytes.contains(&0)
            || std::str::from_utf8(&self.bytes).is_err()
            || self.fields.len() != columns
    }
}

/// All records from byte `at` of the file on, including the header if `at` is 0, and the line at its end.
pub fn records(file: &[u8], mut at: usize, mut line: u64, limit: usize) -> (Vec<Record>, u64) {
    let mut records = Vec::new();
    loop {
        while line_end(file, at) > 0 {
            at += line_end(file, at);
            line += 1;
        }
        if at == file.len() {
            return (records, line);
        }
        let start = at;
        let mut fields = Vec::new();
        let open_quotes = loop {
            let (field, end, open_quotes) = field(file, at);
            fields.push(field);
            at = end;
            if file.get(at) != Some(&b',') {
                break open_quotes;
            }
            at += 1;
        };
        let too_long = at - start > limit;
        if too_long {
            fields.clear();
            at = start + limit;
            if file[..=at].ends_with(b"\r\n") {
                at -= 1;
            }
            while at < file.len() && line_end(file, at) == 0 {
                at += 1;
            }
        }
        at += line_end(file, at);
        let bytes = file[start..at].to_vec();
        let lines = lines_in(&bytes);
        records.push(Record { line, bytes, fields, too_long, open_quotes: open_quotes && !too_long });
        line += lines;
    }
}

/// The field at `at`, its end, and whether the file ends inside its quotes.
fn field(file: &[u8], mut at: usize) -> (Vec<u8>, usize, bool) {
    let mut text = Vec::new();
    if file.get(at) == Some(&b'"') {
        at += 1;
        loop {
            match (file.get(at), file.get(at + 1)) {
                (None, _) => return (text, at, true),
                (Some(b'"'), Some(b'"')) => {
                    text.push(b'"');
                    at += 2;
                }
                (Some(b'"'), _) => {
                    at += 1;
                    break;
                }
                (Some(&byte), _) => {
                    text.push(byte);
                    at += 1;
                }
            }
        }
    }
    while at < file.len() && file[at] != b',' && line_end(file, at) == 0 {
        text.push(file[at]);
        at += 1;
    }
    (text, at, false)
}

fn line_end(file: &[u8], at: usize) -> usize {
    match (file.get(at), file.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => 2,
        (Some(b'\r' | b'\n'), _) => 1,
        _ => 0,
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    let (mut at, mut lines) = (0, 0);
    while at < bytes.len() {
        let length = line_end(bytes, at);
        lines += u64::from(length > 0);
        at += length.max(1);
    }
    lines
}

/// A record in the format of `processed.csv`.
pub fn encoded(fields: &[Vec<u8>]) -> Vec<u8> {
    let quoted = |field: &Vec<u8>| {
        let text = String::from_utf8(field.clone()).expect("a processed field is text");
        let needs_quotes = text.contains([',', '"', '\r', '\n']) || fields.len() == 1 && text.is_empty();
        if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    let line: Vec<String> = fields.iter().map(quoted).collect();
    format!("{}\r\n", line.join(",")).into_bytes()
}
