//! Trigger expressions: the conditions of a trigger beyond the event's name.
//!
//! Inngest uses CEL. This is its comparing subset: `==` and `!=` between a path (`event.data.event.name`,
//! `event["data"]`) and a string, a number, `true`, `false` or `null`, joined by `&&` and `||`, with
//! parentheses, which `!` may negate. A path without a value is null; values of different types are never
//! equal.

use serde_json::Value;

/// Deeper parentheses are refused, because parsing is recursive and the stack is limited.
const MAX_DEPTH: usize = 32;

/// An expression that can be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    /// The value at `path` in the event equals `literal`, or, if negated, differs from it.
    Comparison {
        path: Vec<String>,
        is_equal: bool,
        literal: Value,
    },
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// The unsupported part, as a text that follows "it has".
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text, depth: 0 };
        let expression = parser.any()?;
        if parser.next_is_none() { Ok(expression) } else { Err(parser.surprise()) }
    }

    /// Whether the expression is true for `event`, in the form that functions receive.
    #[must_use]
    pub fn holds(&self, event: &Value) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(event)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(event)),
            Self::Not(part) => !part.holds(event),
            Self::Comparison { path, is_equal, literal } => {
                let found = path.iter().try_fold(event, |value, key| value.get(key)).unwrap_or(&Value::Null);
                is_same(found, literal) == *is_equal
            }
        }
    }
}

/// Numbers are compared by value: 1 equals 1.0.
fn is_same(found: &Value, literal: &Value) -> bool {
    match (found, literal) {
        (Value::Number(found), Value::Number(literal)) => found.as_f64() == literal.as_f64(),
        _ => found == literal,
    }
}

/// One side of a comparison.
enum Operand {
    Path(Vec<String>),
    Literal(Value),
}

/// Parses from the left; `rest` is the unread text.
struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts) })
    }

    fn all(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.part()?];
        while self.take("&&") {
            parts.push(self.part()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts) })
    }

    /// A comparison or an expression in parentheses, either with an optional `!`.
    fn part(&mut self) -> Result<Expression, String> {
        let is_negated = self.take("!");
        if self.take("(") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(format!("more than {MAX_DEPTH} parentheses within each other"));
            }
            let inner = self.any()?;
            if !self.take(")") {
                return Err(self.surprise());
            }
            self.depth -= 1;
            return Ok(if is_negated { Expression::Not(Box::new(inner)) } else { inner });
        }
        if is_negated {
            // `!` binds closer than `==`, so `!a == b` does not mean what it seems to.
            return Err("a ! in front of something but parentheses".into());
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expression, String> {
        let left = self.operand()?;
        let is_equal = self.take("==");
        if !is_equal && !self.take("!=") {
            return Err(self.surprise());
        }
        match (left, self.operand()?) {
            (Operand::Path(path), Operand::Literal(literal))
            | (Operand::Literal(literal), Operand::Path(path)) => {
                Ok(Expression::Comparison { path, is_equal, literal })
            }
            _ => Err("a comparison that is not between a path and a literal".into()),
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        match self.peek() {
            Some('\'' | '"') => Ok(Operand::Literal(Value::String(self.string()?))),
            Some(c) if c.is_ascii_digit() || c == '-' => Ok(Operand::Literal(self.number()?)),
            Some(c) if is_name_start(c) => match self.name() {
                "true" => Ok(Operand::Literal(Value::Bool(true))),
                "false" => Ok(Operand::Literal(Value::Bool(false))),
                "null" => Ok(Operand::Literal(Value::Null)),
                "event" => self.path().map(Operand::Path),
                other => Err(format!("`{other}`, where only event is known")),
            },
            _ => Err(self.surprise()),
        }
    }

    /// The rest of a path after `event`: any number of `.name` and `["name"]`.
    fn path(&mut self) -> Result<Vec<String>, String> {
        let mut path = Vec::new();
        loop {
            if self.take(".") {
                if !self.peek().is_some_and(is_name_start) {
                    return Err(self.surprise());
                }
                path.push(self.name().to_owned());
            } else if self.take("[") {
                if !matches!(self.peek(), Some('\'' | '"')) {
                    return Err(self.surprise());
                }
                path.push(self.string()?);
                if !self.take("]") {
                    return Err(self.surprise());
                }
            } else {
                return Ok(path);
            }
        }
    }

    /// Must be called where a name starts.
    fn name(&mut self) -> &str {
        let end = self.rest.find(|c: char| !is_name_start(c) && !c.is_ascii_digit());
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        name
    }

    fn number(&mut self) -> Result<Value, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '+'));
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number: serde_json::Number =
            serde_json::from_str(digits).map_err(|_| format!("the number `{digits}`"))?;
        self.rest = rest;
        Ok(Value::Number(number))
    }

    /// Must be called at an opening quote.
    fn string(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        let quote = chars.next();
        loop {
            match chars.next() {
                None => return Err("a string without an end".into()),
                Some('\\') => match chars.next() {
                    Some(c @ ('\\' | '\'' | '"')) => text.push(c),
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some(c) => return Err(format!("the escape \\{c}")),
                    None => return Err("a string without an end".into()),
                },
                c if c == quote => {
                    self.rest = chars.as_str();
                    return Ok(text);
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn next_is_none(&mut self) -> bool {
        self.peek().is_none()
    }

    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        // Not if it is the beginning of `!=`.
        if token == "!" && rest.starts_with('=') {
            return false;
        }
        self.rest = rest;
        true
    }

    /// Describes the text at which parsing cannot continue.
    fn surprise(&mut self) -> String {
        match self.peek() {
            None => "an unexpected end".into(),
            Some(_) => format!("`{}`", self.rest.chars().take(20).collect::<String>().trim_end()),
        }
    }
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(expression: &str) -> bool {
        let event = json!({
            "name": "inngest/function.finished", "ts": 1_795_466_576_208_i64,
            "data": {
                "function_id": "app-fn", "size": 1, "big": true, "note": null, "with space": "it's",
                "event": {"name": "imports/csv.uploaded"}
            }
        });
        Expression::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}")).holds(&event)
    }

    #[test]
    fn a_path_is_compared_with_a_literal() {
        for expression in [
            "event.data.function_id == 'app-fn'",
            r#"event.data.function_id == "app-fn""#,
            "'app-fn'==event.data.function_id",
            "event.data.event.name == 'imports/csv.uploaded'",
            r#"event["data"]['event'].name != "imports/other""#,
            r"event.data['with space'] == 'it\'s'",
            "event.name == 'inngest/function.finished'",
            "event.data.size == 1 && event.data.size == 1.0 && event.data.size != -1.5e3",
            "event.data.big == true && event.data.big != false",
            "event.ts == 1795466576208",
        ] {
            assert!(holds(expression), "{expression}");
        }
        for expression in [
            "event.data.function_id != 'app-fn'",
            "event.data.function_id == 'App-fn'",
            "event.data.size == '1'",
            "event.data.size == 2",
            "event.data.big == 'true'",
        ] {
            assert!(!holds(expression), "{expression}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_is_null() {
        assert!(holds("event.data.note == null && event.data.nothing == null && event.user.name == null"));
        assert!(holds("event.data.nothing != 'x'"));
        assert!(!holds("event.data.size.x == 1 || event.data.size == null"));
    }

    #[test]
    fn and_binds_closer_than_or_and_parentheses_closest() {
        let (yes, no) = ("event.data.size == 1", "event.data.size == 2");
        assert!(holds(&format!("{yes} || {no} && {no}")));
        assert!(!holds(&format!("({yes} || {no}) && {no}")));
        assert!(holds(&format!(" !( {no} ) && ( ( {yes} ) ) ")));
        assert!(!holds(&format!("!({yes} || {no})")));
    }

    #[test]
    fn everything_else_is_refused_by_what_it_is() {
        for (expression, found) in [
            ("", "an unexpected end"),
            ("event.data.a ==", "an unexpected end"),
            ("event.data.a == 1 &&& x", "`& x`"),
            ("event.data.a > 1", "`> 1`"),
            ("event.data.a", "an unexpected end"),
            ("event.data.a == 1 event.data.b == 2", "`event.data.b == 2`"),
            ("(event.data.a == 1", "an unexpected end"),
            ("size(event.data.a) == 1", "`size`, where only event is known"),
            ("event.data.a.startsWith('x') == true", "`('x') == true`"),
            ("event.data.a == event.data.b", "a comparison that is not between a path and a literal"),
            ("event.data.a == async.data.a", "`async`, where only event is known"),
            ("event.data[0] == 1", "`0] == 1`"),
            ("event. == 1", "`== 1`"),
            ("event.data.a == 'x", "a string without an end"),
            ("event.data.a == '\\", "a string without an end"),
            (r"event.data.a == '\u0041'", r"the escape \u"),
            ("event.data.a == 0x1F", "the number `0x1F`"),
            ("event.data.a == 1u", "the number `1u`"),
            ("!event.data.a == 1", "a ! in front of something but parentheses"),
            ("event.data.a in ['x']", "`in ['x']`"),
            ("é == 1", "`é == 1`"),
        ] {
            assert_eq!(Expression::parse(expression), Err(found.to_owned()), "{expression}");
        }
        let deep = format!("{}event.a == 1{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(Expression::parse(&deep).unwrap_err().contains("more than 32 parentheses"));
    }
}
