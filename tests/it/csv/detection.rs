//! How a file is read, determined from its front: every rule by example, each beside the files that it must
//! not break.

use runboard::csv::{
    Choices, Delimiter, Encoding, HeaderAt, How, Layout, LayoutError, Note, Part, Reading, detect,
};

const LIMIT: usize = 1 << 20;

fn read_with(file: &str, choices: &[(&str, &str)]) -> Result<(Layout, Reading), LayoutError> {
    let mut chosen = Choices::default();
    for (field, value) in choices {
        assert_eq!(chosen.set(field, value), Ok(true), "{field}");
    }
    detect(file.as_bytes(), true, Part::certain(Encoding::UTF_8), &chosen, LIMIT)
}

fn read(file: &str) -> (Layout, Reading) {
    read_with(file, &[]).unwrap_or_else(|error| panic!("{error}: {file:?}"))
}

fn line(reading: &Reading) -> u64 {
    match reading.header.value {
        HeaderAt::None => 0,
        HeaderAt::Line(line) => line.get(),
    }
}

#[test]
fn the_delimiter_splits_whole_records_evenly_and_stands_in_the_header_too() {
    for (file, delimiter, how, columns) in [
        ("a;b\n1,5;2\n3,5;4\n", ";", How::Certain, 2),
        ("a\tb\n1,5\t2\n", "\t", How::Certain, 2),
        ("a|b\n1|2\n", "|", How::Certain, 2),
        ("shift,days\n81,02/03;03/03\n82,04/03;05/03\n", ",", How::Certain, 2),
        ("at,what\n08:15:00,start\n09:30:00,stop\n", ",", How::Certain, 2),
        ("name;note\n\"Lund; Anna\";\"a, b\"\n\"Ek; Bo\";\"c, d\"\n", ";", How::Certain, 2),
        ("id, name\n1, \"Lund, Anna\"\n2, \"Ek, Bo\"\n", ", ", How::Certain, 2),
        ("id,name\n1, \"Lund, Anna\"\n2,Bo\n", ",", How::Certain, 2),
        ("id qty\n1 5\n2 7\n", " ", How::Guess, 2),
        ("town:people\nUlm:126000\nBonn:330000\n", ":", How::Guess, 2),
        ("a^b\n1^2\n", "^", How::Guess, 2),
        ("a\u{1}b\n1\u{1}2\n", "\u{1}", How::Guess, 2),
        ("a||b||c\n1||2||3\n", "||", How::Guess, 3),
        ("a::b\n1::2\n", "::", How::Guess, 2),
        ("a,,b\n1,,2\n", ",", How::Certain, 3),
        // One column.
        ("email\na@example.org\nb@example.org\n", ",", How::Certain, 1),
        ("name\n\"Lund, Anna\"\n\"Ek, Bo\"\n", ",", How::Guess, 1),
        ("price\n1,50\n2,75\n", Delimiter::NONE.as_str(), How::Guess, 1),
        ("when\n2024-01-01 08:15\n2024-01-02 09:30\n", ",", How::Certain, 1),
        ("08:15\n09:30\n10:45\n", ",", How::Certain, 1),
        // Rows that have fewer fields fail; they are not another table.
        ("a,b\n1\n2\n3\n", ",", How::Guess, 2),
        ("country,2001,2002\nDE\nFR\nIT\n", ",", How::Guess, 3),
        ("A1;B1;C1\nx\ny\n", ";", How::Guess, 3),
    ] {
        let (layout, reading) = read(file);
        assert_eq!(reading.delimiter.value.as_str(), delimiter, "{file:?}");
        assert_eq!((reading.delimiter.how, layout.header.len()), (how, columns), "{file:?}");
        assert_eq!(layout.dialect.delimiter, reading.delimiter.value);
    }
}

#[test]
fn a_first_line_can_say_the_separator() {
    for (file, delimiter) in [
        ("sep=;\na;b\n1,5;2\n", ";"),
        ("\"sep=,\"\r\na,b\r\n", ","),
        ("SEP=\t\na\tb\n", "\t"),
        ("sep=||\na||b\n", "||"),
    ] {
        let (layout, reading) = read(file);
        assert_eq!(
            (reading.delimiter.value.as_str(), reading.delimiter.how),
            (delimiter, How::Certain),
            "{file}"
        );
        assert_eq!((layout.header, line(&reading)), (vec!["a".to_owned(), "b".to_owned()], 2));
        assert!(reading.notes.of(Note::SeparatorLine).is_some());
    }
    assert_eq!(read("sep=,other\n1,2\n").0.header, ["sep=", "other"]);
}

#[test]
fn quotes_and_escapes_are_those_that_make_the_rows_even() {
    for (file, dialect) in [
        ("a,b\n\"1\",2\n", r#"{"delimiter":",","quote":"double","escape":"doubled"}"#),
        ("a,b\n1,'x, y'\n2,'z, y'\n", r#"{"delimiter":",","quote":"single","escape":"doubled"}"#),
        (
            "a,b,c\n1,'it\\'s, x',5\n2,'b\\'c, y',6\n3,'d, e',7\n",
            r#"{"delimiter":",","quote":"single","escape":"backslash"}"#,
        ),
        ("a,b\n1,'t Hooft\n2,O'Neil\n", r#"{"delimiter":",","quote":"double","escape":"doubled"}"#),
        ("a,b\nx\\,y,1\nz\\\\,2\n", r#"{"delimiter":",","quote":"none","escape":"backslash"}"#),
        ("a,b\nC:\\data\\,1\nD:\\,2\n", r#"{"delimiter":",","quote":"double","escape":"doubled"}"#),
        ("a,b\n\"say \\\"x, y\\\"\",1\n", r#"{"delimiter":",","quote":"double","escape":"backslash"}"#),
        ("a,b\n\"C:\\data\\\",5\n\"D:\\\",6\n", r#"{"delimiter":",","quote":"double","escape":"doubled"}"#),
        (
            "a,b\n \"x, y\" , 1\n \"z, y\" , 2\n",
            r#"{"delimiter":",","quote":"double","escape":"doubled","spaces_around_quotes":true}"#,
        ),
        (
            "\"a,b\"\n\"1,\"\"x, y\"\"\"\n",
            r#"{"delimiter":",","quote":"double","escape":"doubled","lines_are_quoted":true}"#,
        ),
        (
            "a,b\n\"a \"good, new\" one\",1\n\"x\",2\n",
            r#"{"delimiter":",","quote":"double","escape":"doubled","inner_quotes_are_text":true}"#,
        ),
        // Text behind a closing quote is the reader's business while the rows are even, as a stray quote is.
        ("a,b\n\"x\"y,1\nz,2\n", r#"{"delimiter":",","quote":"double","escape":"doubled"}"#),
        (
            "a,b\n\"x\"y,1\n\"z\"w,2\n\"p\"q,3\n\"r\"s,4\n",
            r#"{"delimiter":",","quote":"double","escape":"doubled"}"#,
        ),
        ("a,b\n1,\"x\n2,y\n3,z\n", r#"{"delimiter":",","quote":"double","escape":"doubled"}"#),
    ] {
        assert_eq!(serde_json::to_string(&read(file).0.dialect).unwrap(), dialect, "{file:?}");
    }
}

#[test]
fn the_header_is_where_names_stand_above_the_rows() {
    let table = "x,1,2024-01-01\ny,2,2024-01-02\nz,3,2024-01-03\n";
    for (front, at, rows, how) in [
        ("name,n,day\n", 1, 1, How::Certain),
        ("", 0, 0, How::Guess),
        ("# made by hand\nname,n,day\n", 2, 1, How::Certain),
        ("#name,n,day\n", 1, 1, How::Certain),
        ("Stock of 2024\n\nname,n,day\n", 3, 1, How::Guess),
        ("Stock list,,\n,,\nname,n,day\n", 3, 1, How::Guess),
        ("From:,1 May\nTo:,2 May\n\nname,n,day\n", 4, 1, How::Guess),
        ("name,size,day\n,cm,\n", 1, 2, How::Guess),
        (",first,,\nname,n,day\n", 2, 1, How::Guess),
    ] {
        let (_, reading) = read(&format!("{front}{table}"));
        assert_eq!((line(&reading), reading.header_rows.value), (at, rows), "{front:?}");
        assert_eq!(reading.header.how, how, "{front:?}");
    }
    // Where nothing tells, line 1 is the header.
    let (layout, reading) = read("Ann,Oslo\nBo,Ulm\n");
    assert_eq!((line(&reading), reading.header.how), (1, How::Guess));
    assert_eq!(layout.header, ["Ann", "Oslo"]);
    // Years and steps are names, and not values.
    assert_eq!(line(&read("land,2001,2002,2003\nA,5,6,8\nB,7,8,1\n").1), 1);
    assert_eq!(line(&read("name,400,410,420\na,5,6,8\nb,7,8,1\n").1), 1);
}

#[test]
fn a_log_is_read_with_the_columns_that_its_comment_names() {
    let iis = "#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Date: 2024-01-01 00:00:00\n\
         #Fields: date time cs-method cs(User-Agent) sc-status\n\
         2024-01-01 00:00:01 GET Mozilla/5.0+(X11) 200\n2024-01-01 00:00:02 GET - 404\n";
    // The names are separated by spaces, the rows by tabs.
    let cdn = "#Version: 1.0\n#Fields: date time c-ip sc-bytes x-edge\n\
         2024-01-01\t00:00:01\t10.1.1.1\t512\tFRA2\n2024-01-01\t00:00:02\t10.1.1.2\t83\tFRA 2\n";
    let zeek = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tproto\tduration\n#types\ttime\tstring\taddr\tenum\tinterval\n\
         1704067201.5\tCx1\t10.0.0.1\ttcp\t0.25\n1704067202.5\tCx2\t10.0.0.2\tudp\t-\n";
    for (file, delimiter, at, comments, last) in
        [(iis, " ", 4, 3, "sc-status"), (cdn, "\t", 2, 1, "x-edge"), (zeek, "\t", 3, 3, "duration")]
    {
        let (layout, reading) = read(file);
        assert_eq!((layout.header.len(), layout.header[4].as_str()), (5, last));
        assert_eq!(reading.delimiter.value.as_str(), delimiter);
        assert_eq!(
            (line(&reading), reading.header.how, reading.header_rows.value),
            (at, How::Certain, 1),
            "{file:?}"
        );
        assert_eq!(reading.notes.of(Note::CommentLines).map(|noted| noted.count), Some(comments));
        assert_eq!(layout.start.line, comments + 2);
        // The same line chosen, as when the file is read like the last one.
        let chosen = read_with(file, &[("header", &at.to_string())]).unwrap();
        assert_eq!((chosen.0.header, chosen.0.start), (layout.header, layout.start), "{file:?}");
        let (layout, _) = read_with(file, &[("header", "none")]).unwrap();
        assert_eq!(layout.header[4], "column 5");
    }
    // Addresses and names of browsers are full of other separators, and a program that begins again writes its
    // comments again.
    let head = "#Fields: date time uri\n";
    for rows in [
        "2024-01-01 10:00:01 /a\n".repeat(8) + "2024-01-01 10:00:02 /a b\n",
        "2024-01-01 10:00:01 Mozilla/5.0+(Windows+NT+10.0;+Win64;+x64)\n".repeat(5),
        "2024-01-01 10:00:01 10.0.0.1,10.0.0.9,1.1.1.1\n".repeat(5),
        "2024-01-01 10:00:01 \"Mozilla/5.0 (X11; Linux) r1\"\n".repeat(5),
        "2024-01-01 10:00:01 /a\n".repeat(3) + "#Version: 1.0\n" + head + "2024-01-02 10:00:01 /a\n",
        "2024-01-01 10:00:01 /a\n".to_owned(),
    ] {
        let (layout, reading) = read(&format!("{head}{rows}"));
        assert_eq!(
            (layout.header.join(" "), reading.delimiter.value.as_str()),
            ("date time uri".to_owned(), " ")
        );
        assert_eq!(layout.start.line, 2, "{rows}");
    }
    for (file, names) in [
        ("#Fields: see docs\nname,city\nAnn,Rome\nBob,Oslo\n", &["name", "city"][..]),
        ("#Fields:,count\na,1\nb,2\n", &["#Fields:", "count"]),
    ] {
        assert_eq!(read(file).0.header, names, "{file}");
    }
    for (file, names) in [
        // A comment that names other columns names none.
        ("#Fields: a b\nx,1,5\ny,2,6\n", ["column 1", "column 2", "column 3"]),
        ("#Fields: id, name, n\n1,Ann,5\n2,Bo,6\n", ["id", "name", "n"]),
        ("#Fields: see docs here\nid,name,n\n1,Ann,5\n2,Bo,6\n", ["id", "name", "n"]),
    ] {
        assert_eq!(read(file).0.header, names, "{file}");
    }
}

#[test]
fn the_ids_below_the_names_of_a_survey_are_no_record() {
    let ids = r#""{""ImportId"":""startDate"",""timeZone"":""UTC""}","{""ImportId"":""QID1""}""#;
    let rows = "2024-01-01 10:00:00,3\n2024-01-02 11:00:00,5\n";
    let (layout, reading) =
        read(&format!("StartDate,Q1\nStart Date,\"How are you,\ntoday?\"\n{ids}\n{rows}"));
    assert_eq!((line(&reading), reading.header_rows.value), (1, 3));
    assert_eq!(layout.header, ["StartDate Start Date", "Q1 How are you,\ntoday?"]);
    assert_eq!(layout.start.line, 5);
    let (layout, reading) = read(&format!("StartDate,Q1\n{ids}\n{rows}"));
    assert_eq!((line(&reading), reading.header_rows.value), (1, 2));
    assert_eq!(layout.header, ["StartDate", "Q1"]);
}

#[test]
fn unusual_quotes_are_no_part_of_the_separator() {
    for file in [
        "~0100~^~Dairy and Egg, Products~\n~0200~^~Spices, and Herbs~\n~0300~^~Baby, Foods~\n",
        "~01001~^~203~^0.85^16^~~\n~01001~^~204~^81.11^580^~~\n~01002~^~203~^0.28^3^~A~\n",
    ] {
        let (layout, reading) = read(file);
        assert_eq!((reading.delimiter.value.as_str(), reading.delimiter.how), ("^", How::Guess), "{file}");
        assert_eq!(reading.header.value, HeaderAt::None);
        assert_eq!(layout.header.len(), file.lines().next().unwrap().matches('^').count() + 1);
    }
}

#[test]
fn names_are_cleaned_completed_and_joined() {
    for (file, header, left_out_at_end) in [
        ("\u{200b}a,\u{a0} b\u{a0} ,c\u{feff}\n1,2,3\n", vec!["a", "b", "c"], 0),
        ("a,b\n1,2,x\n3,4,y\n", vec!["a", "b", "column 3"], 0),
        // R names its rows, and writes no name for that.
        ("\"a\" \"b\"\n\"x y\" 2 3\n\"z\" 4 5\n", vec!["column 1", "a", "b"], 0),
        ("\"a\",\"b\"\n\"1\",2,3\n\"2\",4,5\n", vec!["column 1", "a", "b"], 0),
        ("\"a\",\"b\"\n\"x\",2,3\n\"y\",4,5\n", vec!["a", "b", "column 3"], 0),
        ("\"a\",\"b\"\n\"1\",\"2\",\"3\"\n\"2\",\"4\",\"5\"\n", vec!["a", "b", "column 3"], 0),
        // A line below the names is drawn, and no row.
        ("a,b\n-,----\n1,x\n", vec!["a", "b"], 0),
        ("a;b\n1;2;\n3;4;\n", vec!["a", "b"], 1),
        ("a,b,\n1,2\n3,4\n", vec!["a", "b"], 0),
        ("a,b,,,\n1,2,,,\n3,4,,,\n", vec!["a", "b"], 3),
        ("a,,b\n1,2,3\n", vec!["a", "", "b"], 0),
        ("a,a\n1,2\n", vec!["a", "a"], 0),
        ("1,2\n3,4\n", vec!["column 1", "column 2"], 0),
        ("name,size,size\n,cm,in\nbox,10,3.9\nbag,20,7.9\n", vec!["name", "size cm", "size in"], 0),
        (
            "id,2019,,2020,\n,a,b,a,b\n1,2,3,4,5\n2,4,5,6,7\n",
            vec!["id", "2019 a", "2019 b", "2020 a", "2020 b"],
            0,
        ),
    ] {
        let (layout, _) = read(file);
        assert_eq!(
            (layout.header, layout.left_out_at_end),
            (header.iter().map(ToString::to_string).collect(), left_out_at_end),
            "{file:?}"
        );
    }
}

#[test]
fn what_a_person_chose_is_obeyed_and_the_rest_is_detected() {
    let file = "Report\na;b\n1,5;'x'\n2,5;'y'\n";
    let (layout, reading) = read_with(file, &[("delimiter", ","), ("header", "2")]).unwrap();
    assert_eq!(
        (layout.header.len(), reading.delimiter.how, reading.header.how),
        (2, How::Chosen, How::Chosen)
    );
    assert_eq!(layout.header, ["a;b", "column 2"]);
    let (layout, reading) = read_with(file, &[("header", "none")]).unwrap();
    assert_eq!(
        (layout.header, reading.header.value),
        (vec!["column 1".to_owned(), "column 2".to_owned()], HeaderAt::None)
    );
    let (layout, _) = read_with(file, &[("header", "2"), ("header_rows", "2"), ("quote", "none")]).unwrap();
    assert_eq!(layout.header, ["a 1,5", "b 'x'"]);
    let (layout, _) =
        read_with("Dear all,\n\nit comes tomorrow, I hope.\n", &[("delimiter", "none")]).unwrap();
    assert_eq!(layout.header, ["Dear all,"]);
    assert_eq!(read_with("a,b\n1,2\n", &[("header", "9")]).unwrap_err(), LayoutError::NoSuchLine { line: 9 });
}

#[test]
fn a_choice_changes_only_its_part_and_what_follows_from_it() {
    let count = |reading: &Reading, note| reading.notes.of(note).map_or(0, |noted| noted.count);
    // Comments are left out whichever header is chosen, unless a comment is chosen.
    let file = "# made by hand\n# on Monday\nname,n\na,1\nb,2\n";
    for (header, comments, names) in [
        ("none", 2, "column 1"),
        ("3", 2, "name"),
        ("4", 2, "a"),
        ("2", 1, "# on Monday"),
        ("1", 0, "# made by hand"),
    ] {
        let (layout, reading) = read_with(file, &[("header", header)]).unwrap();
        assert_eq!((count(&reading, Note::CommentLines), &*layout.header[0]), (comments, names), "{header}");
        let above = u64::from(header == "4");
        assert_eq!(count(&reading, Note::LinesAboveHeader), above, "{header}");
    }
    let (layout, reading) = read_with("#,name\n1,a\n2,b\n", &[("header", "none")]).unwrap();
    assert_eq!((layout.start.line, count(&reading, Note::CommentLines)), (1, 0), "a row that begins with #");
    // Wrong quotes and escapes do not move the header, and the separator stays.
    let file = "id,folder,n\n1,\"C:\\data\\\",5\n2,\"C:\\temp\\\",6\n";
    for choice in [("escape", "backslash"), ("quote", "single"), ("quote", "none")] {
        let (layout, reading) = read_with(file, &[choice]).unwrap();
        assert_eq!(
            (line(&reading), reading.header_rows.value, reading.header.how),
            (1, 1, How::Certain),
            "{choice:?}"
        );
        assert_eq!(
            (layout.header, reading.delimiter),
            (read(file).0.header, read(file).1.delimiter),
            "{choice:?}"
        );
    }
    // What follows from the quotes follows.
    let file = "a,b\n1,'x; y, z'\n2,'z; y, z'\n";
    assert_eq!(read_with(file, &[("quote", "single")]).unwrap().0.header, ["a", "b"]);
}

#[test]
fn text_without_a_table_is_refused() {
    for text in [
        "Dear all,\n\nthe list, as promised, comes tomorrow.\nIt has names, towns, and phones.\n\nYours, A.\n",
        "It was late. Nobody had come.\n\nThen the door opened, slowly, and a voice said hello.\n",
        "fn main() {\n    println!(\"hello\");\n}\n",
    ] {
        assert_eq!(read_with(text, &[]).unwrap_err(), LayoutError::NoTable, "{text}");
    }
    for table in ["note\nAll is well.\nIt rains.\n", "id,note\n1,\"Well, it rains today, I think.\"\n"] {
        assert!(read_with(table, &[]).is_ok(), "{table}");
    }
}

#[test]
fn a_failed_csv_of_ours_is_recognised_in_any_separator() {
    for delimiter in [",", ";", "\t"] {
        let file = "_line,_column,_reason,id,name,_extra\n3,,\"1 field\",7\n".replace(',', delimiter);
        let (layout, reading) = read(&file);
        assert_eq!(
            (layout.header.as_slice(), layout.is_failed_csv),
            (&["id".to_owned(), "name".to_owned()][..], true)
        );
        assert_eq!((reading.delimiter.value.as_str(), reading.delimiter.how), (delimiter, How::Certain));
    }
}

#[test]
fn rows_that_follow_the_pattern_change_nothing() {
    for (front, row) in [
        ("a;b\n1,5;2\n", "3,5;4\n"),
        ("1,2\n", "3,4\n"),
        ("Stock list,,\n,,\nitem,n,place\nbolt,3,A\n", "nut,4,B\n"),
        ("a,b\n1,2,\n", "3,4,\n"),
        ("price\n1,50\n", "2,75\n"),
        ("a,b\n1,'x, y'\n", "2,'z, y'\n"),
    ] {
        let reading = |rows: usize| {
            let (layout, reading) = read(&format!("{front}{}", row.repeat(rows)));
            (layout, reading.delimiter, reading.header, reading.header_rows)
        };
        let first = reading(4);
        for rows in [5, 20, 300, 40_000] {
            assert_eq!(reading(rows), first, "{front:?} {rows}");
        }
    }
}

#[test]
fn no_front_takes_long_or_is_read_in_two_ways() {
    let pieces = ["\"", "'", ",", ";", "\t", "|", "\\", "\n", "\r", " ", "a", "1", ":", "^", "#", "\0"];
    let mut state = 7_u32;
    let mut next = |most: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % most
    };
    let mut text = |weight: &str, length: usize| {
        let mut text = String::new();
        while text.len() < length {
            text.push_str(if next(3) == 0 { weight } else { pieces[next(pieces.len())] });
        }
        text
    };
    for weight in pieces {
        // More than every dialect is tried on.
        let long = text(weight, 48 << 10);
        let begun = std::time::Instant::now();
        let _ = read_with(&long, &[]);
        // Generous: a debug build on a busy machine. An attacker's quadratic text takes minutes.
        assert!(begun.elapsed().as_secs() < 10, "{weight:?}");
        let short = text(weight, 4 << 10);
        assert_eq!(read_with(&short, &[]), read_with(&short, &[]));
    }
}

#[test]
fn a_file_of_white_space_has_no_text() {
    for file in ["", "\n\n  \n", " \t\r\n\t", "\u{feff}\u{a0}\n\u{3000}\n", "  "] {
        assert_eq!(read(file).0.header, [""; 0], "{file:?}");
        assert_eq!(read_with(file, &[("header", "none")]).unwrap().0.header, [""; 0], "{file:?}");
    }
    assert_eq!(read("\n  \na,b\n1,2\n").0.header, ["a", "b"]);
}
