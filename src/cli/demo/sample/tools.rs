//! The tools of the sample server: `echo`, `add`, `whoami`. All only read and never leave the process.

use http::HeaderMap;
use serde_json::{Map, Number, Value, json};

use super::fault::Fault;

/// What a client may tell its model about this server.
pub(super) const INSTRUCTIONS: &str = "A sample server to try a gateway with. `whoami` names the HTTP headers that \
     reached it, never their values: the client's access token is not among them.";

/// Who this server is.
pub(super) fn server_info() -> Value {
    json!({"name": "sallyport-sample", "title": "Sallyport sample server", "version": env!("CARGO_PKG_VERSION")})
}

/// The tools, all on one page; so no cursor was ever handed out.
pub(super) fn list(params: &Map<String, Value>) -> Result<Value, Fault> {
    if params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
        return Err(Fault::InvalidParams("cursor"));
    }
    Ok(json!({"tools": [
        tool(
            "echo", "Echo", "Returns the text that it was given.",
            &json!({"text": {"type": "string", "description": "What to say."}}),
            &json!({"text": {"type": "string"}}),
        ),
        tool(
            "add", "Add", "Adds two numbers.",
            &json!({"a": {"type": "number"}, "b": {"type": "number"}}),
            &json!({"sum": {"type": "number"}}),
        ),
        tool(
            "whoami", "Who am I",
            "Names the HTTP headers that reached this server, never their values.",
            &json!({}),
            &json!({
                "headers": {"type": "array", "items": {"type": "string"}},
                "authorization": {"type": "boolean", "description": "Whether an Authorization header arrived."},
            }),
        ),
    ]}))
}

/// Calls a tool. Wrong arguments are the tool's own error, which a model can read and correct.
pub(super) fn call(params: &Map<String, Value>, headers: &HeaderMap) -> Result<Value, Fault> {
    let name = params.get("name").and_then(Value::as_str).ok_or(Fault::InvalidParams("name"))?;
    let none = Map::new();
    let arguments = match params.get("arguments") {
        None => &none,
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(Fault::InvalidParams("arguments")),
    };
    let outcome = match name {
        "echo" => echo(arguments),
        "add" => add(arguments),
        "whoami" => Ok(whoami(headers)),
        _ => return Err(Fault::UnknownTool),
    };
    Ok(match outcome {
        Ok(structured) => json!({
            "content": [{"type": "text", "text": structured.to_string()}],
            "structuredContent": structured,
            "isError": false,
        }),
        Err(complaint) => json!({"content": [{"type": "text", "text": complaint}], "isError": true}),
    })
}

fn echo(arguments: &Map<String, Value>) -> Result<Value, &'static str> {
    let text = arguments.get("text").and_then(Value::as_str).ok_or("`text` must be a string.")?;
    Ok(json!({"text": text}))
}

/// Whole numbers stay whole as long as they fit.
fn add(arguments: &Map<String, Value>) -> Result<Value, &'static str> {
    let (Some(Value::Number(a)), Some(Value::Number(b))) = (arguments.get("a"), arguments.get("b")) else {
        return Err("`a` and `b` must be numbers.");
    };
    let whole = a.as_i64().zip(b.as_i64()).and_then(|(a, b)| a.checked_add(b)).map(Number::from);
    let sum = whole.or_else(|| a.as_f64().zip(b.as_f64()).and_then(|(a, b)| Number::from_f64(a + b)));
    Ok(json!({"sum": sum.ok_or("The sum is too large.")?}))
}

fn whoami(headers: &HeaderMap) -> Value {
    let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    json!({"headers": names, "authorization": headers.contains_key(http::header::AUTHORIZATION)})
}

/// One definition; every property is required and nothing else is expected.
fn tool(name: &str, title: &str, description: &str, input: &Value, output: &Value) -> Value {
    json!({
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": object(input),
        "outputSchema": object(output),
        "annotations": {
            "title": title,
            "readOnlyHint": true,
            "destructiveHint": false,
            "idempotentHint": true,
            "openWorldHint": false,
        },
    })
}

fn object(properties: &Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}
