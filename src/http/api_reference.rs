//! The description of the API for people: the content of the page `/api`, in plain text.

/// Everything that the page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiReference {
    /// What holds for all routes, a paragraph each.
    pub introduction: Vec<String>,
    pub groups: Vec<RouteGroup>,
    pub schemas: Vec<SchemaText>,
}

/// Routes about one subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteGroup {
    pub name: String,
    pub routes: Vec<RouteText>,
}

/// A method of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteText {
    /// Names its place on the page.
    pub id: String,
    pub method: String,
    pub path: String,
    pub summary: String,
    pub description: String,
    /// `read`. None: any token, or nothing.
    pub scope: Option<String>,
    pub parameters: Vec<FieldText>,
    pub bodies: Vec<ExampleText>,
    pub answers: Vec<AnswerText>,
}

/// A parameter, or a member of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldText {
    pub name: String,
    /// `string`, `list of Run`.
    pub kind: String,
    pub is_required: bool,
    pub description: String,
}

/// A body of a request or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExampleText {
    pub media_type: String,
    /// What it is: the name of a schema, or `a file`.
    pub kind: String,
    pub example: Option<String>,
}

/// A status that a route answers with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerText {
    pub status: String,
    pub description: String,
    pub body: Option<ExampleText>,
}

/// An object that is sent or received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaText {
    pub name: String,
    pub description: String,
    pub fields: Vec<FieldText>,
    /// The words that it can be, if it is a word.
    pub words: Vec<String>,
}

/// A problem by the name that programs know it by, which is the fragment of its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemKind {
    pub name: &'static str,
    pub status: u16,
    /// When it happens.
    pub when: &'static str,
}

/// Every problem that the API answers with. A test compares them with the errors in this room.
pub const PROBLEMS: [ProblemKind; 30] = [
    problem("malformed", 400, "The query, the body, a cursor or the Idempotency-Key cannot be read."),
    problem("no-credentials", 401, "The request has neither a token nor a session."),
    problem("bad-token", 401, "The token was copied incompletely, has expired, or was ended."),
    problem("missing-scope", 403, "The token does not have the scope that the route needs."),
    problem("cross-site", 403, "A session's cookie was sent without this server's address as Origin."),
    problem("not-found", 404, "The path, import or token does not exist, or belongs to another account."),
    problem("nothing-written", 404, "The import wrote no rows to download."),
    problem("wrong-method", 405, "The path does not have this method; the header Allow says which it has."),
    problem("too-slow", 408, "The body did not arrive in time."),
    problem("still-running", 409, "The import must be over first. Wait for it, or cancel it."),
    problem(
        "still-cancelling",
        409,
        "The engine has not ruled out a late run yet. Try again in half a minute.",
    ),
    problem("not-started", 409, "The import waits to be started."),
    problem("nothing-failed", 409, "No row of the import failed."),
    problem("key-used", 409, "The Idempotency-Key was sent with another request."),
    problem("too-many-tokens", 409, "The account has as many tokens as it can have."),
    problem("file-missing", 410, "The stored file of the import is gone."),
    problem("too-large", 413, "The body is larger than the limit."),
    problem("over-quota", 413, "The account's imports take all the space that they may take."),
    problem("wrong-content-type", 415, "The route does not take a body of this type."),
    problem("not-accepted", 422, "The request can be read, but a value in it is not allowed."),
    problem("empty-file", 422, "The file has 0 bytes."),
    problem("not-a-csv", 422, "The file is a picture, a program or another binary."),
    problem("read-as-before", 422, "Failed rows are read as their import has read them."),
    problem("too-many-requests", 429, "The limit of requests is used up; Retry-After says when to go on."),
    problem("internal", 500, "The error is in the server's log."),
    problem("busy", 503, "Too much of this is being done right now."),
    problem("database-away", 503, "The database does not answer."),
    problem("storage-away", 503, "The storage of the files does not answer."),
    problem("stopping", 503, "The server is stopping."),
    problem("disk-full", 507, "There is not enough free disk space."),
];

const fn problem(name: &'static str, status: u16, when: &'static str) -> ProblemKind {
    ProblemKind { name, status, when }
}
