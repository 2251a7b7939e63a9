//! Texts of programs that begin with words: SQL, mail and others.

use super::TextKind;

/// How many bytes are examined.
const EXAMINED: usize = 16 << 10;

/// The kind of a text that does not begin with a bracket.
pub(super) fn sniff(text: &[u8]) -> Option<TextKind> {
    let text = String::from_utf8_lossy(&text[..text.len().min(EXAMINED)]);
    let lines = || text.lines().map(str::trim_end);
    match lines().next()? {
        "BEGIN:VCALENDAR" => return Some(TextKind::Calendar),
        "BEGIN:VCARD" => return Some(TextKind::Contacts),
        "version https://git-lfs.github.com/spec/v1" => {
            let size = lines().find_map(|line| line.strip_prefix("size ")?.parse().ok())?;
            return Some(TextKind::GitLfsPointer { size });
        }
        _ => {}
    }
    if is_sql(&text) { Some(TextKind::Sql) } else { is_mail(lines()).then_some(TextKind::Mail) }
}

/// The words that begin a statement of a dump.
const STATEMENTS: [&[&str]; 18] = [
    &["create", "table"],
    &["create", "database"],
    &["create", "schema"],
    &["create", "view"],
    &["create", "temporary"],
    &["create", "unlogged"],
    &["insert", "into"],
    &["replace", "into"],
    &["drop", "table"],
    &["drop", "database"],
    &["alter", "table"],
    &["delete", "from"],
    &["lock", "tables"],
    &["begin", "transaction"],
    &["start", "transaction"],
    &["pragma"],
    &["set"],
    &["use"],
];

/// Whether the text is statements of SQL: the first one ends with a semicolon at a line's end, and has no
/// separator before its second word.
fn is_sql(text: &str) -> bool {
    let statement = without_comments(text);
    let lower = statement.get(..statement.len().min(64)).unwrap_or(statement).to_ascii_lowercase();
    let mut words = lower.split_ascii_whitespace();
    let begins = STATEMENTS.iter().any(|known| {
        let mut words = words.clone();
        known.iter().all(|word| words.next() == Some(word))
    });
    let first = words.next().unwrap_or_default();
    let target = words.nth(usize::from(!matches!(first, "pragma" | "set" | "use"))).unwrap_or_default();
    let is_statement = !target.is_empty() && !target.contains([',', ';', '\t', '|']) || first == "begin";
    let ends = |line: &str| line.trim_end().ends_with(';');
    begins && (is_statement || target.ends_with(';')) && statement.lines().any(ends)
}

/// The text behind comments and white space.
fn without_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let behind = if rest.starts_with("--") || rest.starts_with("/*!") {
            rest.split_once('\n')
        } else if rest.starts_with("/*") {
            rest.split_once("*/")
        } else {
            return rest;
        };
        rest = behind.map_or("", |(_, behind)| behind).trim_start();
    }
}

/// Fields that people's lines above a table do not have.
const MAIL_FIELDS: [&str; 6] =
    ["received:", "message-id:", "mime-version:", "return-path:", "delivered-to:", "content-type:"];

/// Fields that a mail has, and that may stand above a table too.
const COMMON_FIELDS: [&str; 5] = ["to:", "cc:", "reply-to:", "subject:", "date:"];

/// Whether the lines begin with the header of a mail: fields up to an empty line, some of them of mail only, or
/// an address as the sender and what else a mail has.
fn is_mail<'t>(lines: impl Iterator<Item = &'t str>) -> bool {
    let (mut fields, mut has_mail_field, mut has_sender, mut common) = (0, false, false, 0);
    for (at, line) in lines.enumerate() {
        if line.is_empty() {
            break;
        }
        if at == 0 && line.starts_with("From ") && line.split(' ').count() >= 6
            || line.starts_with([' ', '\t'])
        {
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { return false };
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name || !(value.is_empty() || value.starts_with(' ')) {
            return false;
        }
        let lower = line.to_ascii_lowercase();
        let is_one_of = |names: &[&str]| names.iter().any(|name| lower.starts_with(name));
        has_mail_field |= is_one_of(&MAIL_FIELDS);
        has_sender |= lower.starts_with("from:") && value.contains('@');
        common += usize::from(is_one_of(&COMMON_FIELDS));
        fields += 1;
    }
    has_mail_field && fields >= 2 || has_sender && common >= 2
}
