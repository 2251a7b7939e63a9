//! The OpenAPI document as text for the page `/api`.

use serde_json::Value;

use crate::http::api_reference::{
    AnswerText, ApiReference, ExampleText, FieldText, RouteGroup, RouteText, SchemaText,
};

/// In the order in which a document lists them.
const METHODS: [&str; 3] = ["get", "post", "delete"];

/// The text of an OpenAPI document.
#[must_use]
pub fn reference(document: &Value) -> ApiReference {
    let introduction = text(&document["info"]["description"]);
    let paragraphs = introduction.split("\n\n").filter(|text| !text.is_empty()).map(str::to_owned);
    let mut groups: Vec<RouteGroup> = Vec::new();
    for tag in list(&document["tags"]) {
        groups.push(RouteGroup { name: text(&tag["description"]), routes: routes(document, &tag["name"]) });
    }
    let schemas = entries(&document["components"]["schemas"]).map(|(name, schema)| schema_text(name, schema));
    ApiReference { introduction: paragraphs.collect(), groups, schemas: schemas.collect() }
}

fn routes(document: &Value, tag: &Value) -> Vec<RouteText> {
    let mut routes = Vec::new();
    for (path, item) in entries(&document["paths"]) {
        for method in METHODS {
            let operation = &item[method];
            if operation["tags"][0] == *tag {
                routes.push(route(document, method, path, operation));
            }
        }
    }
    routes
}

fn route(document: &Value, method: &str, path: &str, operation: &Value) -> RouteText {
    let security = list(&operation["security"]).iter().find_map(|way| way.get("token"));
    let scope = security.and_then(|scopes| scopes[0].as_str()).map(str::to_owned);
    let parameter = |parameter: &Value| FieldText {
        name: text(&parameter["name"]),
        kind: kind(&parameter["schema"]),
        is_required: parameter["required"] == true,
        description: text(&parameter["description"]),
    };
    let answer = |(status, answer): (&str, &Value)| {
        let answer = resolved(document, answer);
        let body = bodies(document, &answer["content"]).into_iter().next();
        AnswerText { status: status.to_owned(), description: text(&answer["description"]), body }
    };
    RouteText {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        description: text(&operation["description"]),
        scope,
        parameters: list(&operation["parameters"]).iter().map(parameter).collect(),
        bodies: bodies(document, &operation["requestBody"]["content"]),
        answers: entries(&operation["responses"]).map(answer).collect(),
    }
}

fn bodies(document: &Value, content: &Value) -> Vec<ExampleText> {
    let body = |(media_type, body): (&str, &Value)| {
        let schema = &body["schema"];
        let own = Some(&body["example"]).filter(|example| !example.is_null());
        let of_schema = Some(&resolved(document, schema)["example"]).filter(|example| !example.is_null());
        let example = own.or(of_schema).map(|example| match example.as_str() {
            Some(text) => text.to_owned(),
            None => format!("{example:#}"),
        });
        ExampleText { media_type: media_type.to_owned(), kind: kind(schema), example }
    };
    entries(content).map(body).collect()
}

fn schema_text(name: &str, schema: &Value) -> SchemaText {
    let required: Vec<&str> = list(&schema["required"]).iter().filter_map(Value::as_str).collect();
    let field = |(name, field): (&str, &Value)| FieldText {
        name: name.to_owned(),
        kind: kind(field),
        is_required: required.contains(&name),
        description: text(&field["description"]),
    };
    SchemaText {
        name: name.to_owned(),
        description: text(&schema["description"]),
        fields: entries(&schema["properties"]).map(field).collect(),
        words: list(&schema["enum"]).iter().map(text).collect(),
    }
}

/// A type in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let alternatives = ["oneOf", "anyOf", "allOf"].iter().flat_map(|key| list(&schema[*key]));
    let alternatives: Vec<String> =
        alternatives.map(kind).filter(|kind| kind != "null" && !kind.is_empty()).collect();
    if !alternatives.is_empty() {
        return alternatives.join(" or ");
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match types.into_iter().find(|kind| *kind != "null") {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some("string") if schema["format"] == "date-time" => "time".to_owned(),
        Some("string") if schema["format"] == "binary" => "file".to_owned(),
        Some(kind) => kind.to_owned(),
        None => "any JSON".to_owned(),
    }
}

/// What a reference leads to.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
