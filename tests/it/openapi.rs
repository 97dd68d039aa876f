//! The OpenAPI document tells the truth: what it lists is served, and what is served is as it says.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::harness::postgres::Server;
use crate::harness::site::{Broker, Site, Who, token_of};
use crate::harness::world::policy_text;

const RULES: &str = r#"
[[allow]]
name = "auditors"
groups = ["auditors"]
do = ["audit"]

[[rule]]
name = "held"
effect = "review"
writes = ["public.customers"]
approvers = ["reviewers"]

[[protect]]
name = "mail"
columns = ["public.customers.email"]
mask = "email"
"#;

/// A broker that is called, and its document.
struct Calls {
    site: Site,
    broker: Broker,
    document: Value,
    /// Operation and status of each call.
    seen: BTreeSet<(String, String)>,
    count: usize,
}

impl Calls {
    /// Calls, and holds the answer against the document; the answer.
    fn call(&mut self, who: Option<&str>, line: &str, body: Option<Value>) -> (u16, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let mut curl = std::process::Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--request",
            method,
        ])
        .args(["--write-out", "\n%{http_code} %{content_type}", "--cacert"])
        .arg(self.site.path("ca.pem"))
        .arg(format!("{}{path}", self.broker.url));
        if let Some(token) = who {
            curl.arg("--header")
                .arg(format!("Authorization: Bearer {token}"));
        }
        if let Some(body) = body {
            curl.args(["--header", "Content-Type: application/json", "--data"])
                .arg(body.to_string());
        }
        let output = curl.output().expect("curl is installed");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, told) = text.rsplit_once('\n').unwrap();
        let (status, media) = told.split_once(' ').unwrap();
        let json = media.starts_with("application/json");
        let value = if json {
            serde_json::from_str(body).unwrap()
        } else {
            Value::from(body)
        };
        self.holds(
            &format!("{} {}", method.to_lowercase(), path),
            status,
            media,
            &value,
        );
        self.count += 1;
        (status.parse().unwrap(), value)
    }

    fn holds(&mut self, line: &str, status: &str, media: &str, value: &Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let paths = self.document["paths"].as_object().unwrap();
        let matches = |template: &String| {
            let (parts, of) = (path.split('/'), template.split('/'));
            parts.clone().count() == of.clone().count()
                && parts
                    .zip(of)
                    .all(|(part, of)| part == of || of.starts_with('{'))
        };
        // The one with the fewest holes.
        let found = paths.keys().filter(|template| matches(template));
        let Some(template) = found.min_by_key(|template| template.matches('{').count()) else {
            assert_eq!(status, "404", "{line} is served, and not in the document");
            return self.fits(
                line,
                &json!({"$ref": "#/components/schemas/Problem"}),
                value,
            );
        };
        let operation = &paths[template][method];
        if operation.is_null() {
            assert_eq!(status, "405", "{line} is served, and not in the document");
            return self.fits(
                line,
                &json!({"$ref": "#/components/schemas/Problem"}),
                value,
            );
        }
        let response = &operation["responses"][status];
        assert!(
            response.is_object(),
            "{line}: status {status} is not in the document: {value}"
        );
        let media = media.split(';').next().unwrap();
        let schema = &response["content"][media]["schema"];
        assert!(
            schema.is_object(),
            "{line}: {status}: {media} is not in the document"
        );
        let schema = schema.clone();
        self.seen.insert((
            operation["operationId"].as_str().unwrap().to_owned(),
            status.to_owned(),
        ));
        self.fits(&format!("{line} {status}"), &schema, value);
    }

    /// Whether a value is as a schema says; a field that the schema does not know is wrong, too.
    fn fits(&self, place: &str, schema: &Value, value: &Value) {
        if let Err(wrong) = self.check(schema, value, "") {
            panic!("{place}: {wrong}: {value}");
        }
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            return self.check(&self.document["components"]["schemas"][name], value, at);
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[word].as_array() {
                let wrong: Vec<_> = choices
                    .iter()
                    .map(|choice| self.check(choice, value, at))
                    .collect();
                let fits = wrong.iter().any(Result::is_ok);
                return if fits {
                    Ok(())
                } else {
                    Err(format!("{at}: none of {wrong:?}"))
                };
            }
        }
        if schema["allOf"].is_array() {
            return self.check(&self.merged(schema), value, at);
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => return Ok(()),
        };
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !types.contains(&is) {
            return Err(format!("{at} is {is}, not {types:?}"));
        }
        if let Some(choices) = schema["enum"].as_array()
            && !choices.contains(value)
        {
            return Err(format!("{at} is none of {choices:?}"));
        }
        if let Value::Array(items) = value {
            for (index, item) in items.iter().enumerate() {
                self.check(&schema["items"], item, &format!("{at}[{index}]"))?;
            }
        }
        match (value, schema["properties"].as_object()) {
            (Value::Object(fields), Some(known)) => self.fields(schema, known, fields, at),
            _ => Ok(()),
        }
    }

    fn fields(
        &self,
        schema: &Value,
        known: &Map<String, Value>,
        fields: &Map<String, Value>,
        at: &str,
    ) -> Result<(), String> {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                return Err(format!("{at}.{name} is missing"));
            }
        }
        for (name, field) in fields {
            let at = format!("{at}.{name}");
            let schema = known
                .get(name)
                .ok_or_else(|| format!("{at} is not in the document"))?;
            self.check(schema, field, &at)?;
        }
        Ok(())
    }

    /// All parts of an `allOf` as one object.
    fn merged(&self, schema: &Value) -> Value {
        let (mut known, mut required) = (Map::new(), Vec::new());
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let mut part = part.clone();
            while let Some(name) = part["$ref"].as_str() {
                let name = name.rsplit('/').next().unwrap().to_owned();
                part = self.document["components"]["schemas"][&name].clone();
            }
            if part["allOf"].is_array() {
                part = self.merged(&part);
            }
            known.extend(part["properties"].as_object().cloned().unwrap_or_default());
            required.extend(part["required"].as_array().cloned().unwrap_or_default());
        }
        json!({"type": "object", "properties": known, "required": required})
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_document_lists_is_served_and_as_it_says() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.write("policy.toml", &policy_text(&offer, RULES));
    let broker = site.run();
    let (status, text) = broker.get(&site, "/v1/openapi.json");
    assert_eq!(status, 200);
    assert_eq!(
        text,
        dbgate::api::document(),
        "another document is served than is checked in"
    );
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut calls = Calls {
        site,
        broker,
        document,
        seen: BTreeSet::new(),
        count: 0,
    };
    let name = offer.name.clone();
    tokio::task::spawn_blocking(move || all(&mut calls, &name))
        .await
        .unwrap();
}

/// Calls everything, in ways that are answered and in ways that are refused.
fn all(calls: &mut Calls, name: &str) {
    let login = |calls: &mut Calls, who| {
        let body = json!({"id_token": token_of(who)});
        let (status, answer) = calls.call(None, "POST /v1/login", Some(body));
        assert_eq!(status, 200);
        answer["token"].as_str().unwrap().to_owned()
    };
    let (ada, rex, ann) = (
        login(calls, Who::Engineer),
        login(calls, Who::Reviewer),
        login(calls, Who::Auditor),
    );
    let (ada, rex, ann) = (Some(ada.as_str()), Some(rex.as_str()), Some(ann.as_str()));
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/v1/info",
        "/v1/openapi.json",
    ] {
        assert_eq!(
            calls.call(None, &format!("GET {path}"), None).0,
            200,
            "{path}"
        );
    }
    calls.call(None, "POST /v1/login", Some(json!({"id_token": "x.y.z"})));
    calls.call(None, "POST /v1/login", Some(json!({"nothing": 1})));
    // Every operation: without a token, with a bad one, and with nothing that makes sense.
    let operations: Vec<(String, bool)> = calls.document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| {
                let line = format!("{} {}", method.to_uppercase(), path.replace("{id}", "none"));
                (line, operation["security"].is_array())
            })
        })
        .collect();
    for (line, guarded) in &operations {
        let body = || line.starts_with("POST").then(|| json!({}));
        let (status, _) = calls.call(None, line, body());
        assert_eq!(status == 401, *guarded && status != 200, "{line}");
        if *guarded {
            assert_eq!(status, 401, "{line}");
            assert_eq!(calls.call(Some("nonsense"), line, body()).0, 401, "{line}");
            let tail = line.contains("/tail") || line.contains("logout");
            let (status, _) = if tail {
                (200, Value::Null)
            } else {
                calls.call(ann, line, body())
            };
            assert!(status < 500, "{line}: {status}");
        }
    }
    for line in [
        "GET /v1/nowhere",
        "PUT /v1/info",
        "DELETE /v1/sessions",
        "GET /v1/sessions?all=perhaps",
        "GET /v1/audit/events?what=this",
    ] {
        assert!(calls.call(ada, line, None).0 >= 400, "{line}");
    }
    for line in [
        "GET /v1/me",
        "GET /v1/databases",
        "GET /v1/sessions?all=true",
        "GET /v1/requests?all=true",
    ] {
        assert_eq!(calls.call(ada, line, None).0, 200, "{line}");
    }
    // A session, from its beginning to its end.
    let ask = json!({"database": name, "reason": "a test", "duration_s": 600, "access": "write"});
    let (status, opened) = calls.call(ada, "POST /v1/sessions", Some(ask.clone()));
    assert_eq!((status, &opened["outcome"]), (200, &json!("granted")));
    let id = opened["session"]["id"].as_str().unwrap().to_owned();
    let session = format!("/v1/sessions/{id}");
    assert_eq!(calls.call(ada, &format!("GET {session}"), None).0, 200);
    assert_eq!(calls.call(ada, "GET /v1/me", None).0, 200);
    assert_eq!(
        calls
            .call(
                ada,
                &format!("POST {session}/renew"),
                Some(json!({"duration_s": 900}))
            )
            .0,
        200
    );
    assert_eq!(calls.call(ada, &format!("DELETE {session}"), None).0, 200);
    assert!(
        calls
            .call(ada, &format!("POST {session}/renew"), Some(json!({})))
            .0
            >= 400
    );
    for wrong in [
        json!({"database": "nowhere", "access": "read"}),
        json!({"database": name, "access": "swim"}),
        json!({"database": name, "access": "read", "request": "r0123456789ab"}),
        json!({"access": "read"}),
    ] {
        assert!(calls.call(ada, "POST /v1/sessions", Some(wrong)).0 >= 400);
    }
    let (status, told) = calls.call(ada, "POST /v1/sessions", Some(json!({"access": "read"})));
    let message = told["message"].as_str().unwrap();
    assert_eq!(status, 400, "{told}");
    assert!(
        message.starts_with("the request can't be read: missing field `database`"),
        "{message}"
    );
    assert!(told["hint"].is_string(), "{told}");
    assert_eq!(
        calls.call(ann, "POST /v1/sessions", Some(ask.clone())).0,
        403
    );
    // Requests: approved, denied, withdrawn, of no use.
    let asked = |calls: &mut Calls, sql: &str| {
        let mut body = ask.clone();
        body["statement"] = json!(sql);
        calls.call(ada, "POST /v1/requests", Some(body))
    };
    let mut ids = Vec::new();
    for number in 0..3 {
        let (status, request) = asked(calls, &format!("DELETE FROM customers WHERE id = {number}"));
        assert_eq!(status, 200, "{request}");
        ids.push(format!("/v1/requests/{}", request["id"].as_str().unwrap()));
    }
    for sql in [
        "SELECT 1",
        "SELEC 1",
        "SELECT 1; SELECT 2",
        "DROP TABLE customers",
    ] {
        assert!(asked(calls, sql).0 >= 400, "{sql}");
    }
    for (who, line, body, wanted) in [
        (
            ada,
            format!("POST {}/approve", ids[0]),
            Some(json!({})),
            403,
        ),
        (
            rex,
            format!("POST {}/approve", ids[0]),
            Some(json!({"max_rows": 3, "reason": "fine"})),
            200,
        ),
        (
            rex,
            format!("POST {}/approve", ids[0]),
            Some(json!({})),
            409,
        ),
        (rex, format!("POST {}/deny", ids[1]), Some(json!({})), 400),
        (
            rex,
            format!("POST {}/deny", ids[1]),
            Some(json!({"reason": "no"})),
            200,
        ),
        (ada, format!("POST {}/keep", ids[2]), None, 409),
        (ada, format!("DELETE {}", ids[2]), None, 200),
        (ada, format!("DELETE {}", ids[2]), None, 409),
        (rex, format!("GET {}", ids[0]), None, 200),
        (ada, format!("GET {}", ids[1]), None, 200),
        (rex, "GET /v1/requests?all=true".to_owned(), None, 200),
    ] {
        let (status, answer) = calls.call(who, &line, body);
        assert_eq!(status, wanted, "{line}: {answer}");
    }
    for sql in [
        "SELECT email, 1 + id FROM customers c WHERE email = 'x'",
        "DELETE FROM customers",
        "DROP TABLE customers",
        "SELEC",
    ] {
        let body = json!({"database": name, "sql": sql, "access": "write"});
        let (status, answer) = calls.call(ada, "POST /v1/explain", Some(body));
        assert_eq!(status == 200, sql != "SELEC", "{sql}: {answer}");
    }
    for line in [
        "GET /v1/audit/events?newest=true&limit=20".to_owned(),
        "GET /v1/audit/events?decision=review&from=0".to_owned(),
        "GET /v1/audit/verify".to_owned(),
        format!("GET /v1/audit/sessions/{id}"),
        format!("GET /v1/audit/sessions/{id}/transcript"),
    ] {
        assert_eq!(calls.call(ann, &line, None).0, 200, "{line}");
        assert_eq!(calls.call(ada, &line, None).0, 403, "{line}");
    }
    assert_eq!(calls.call(ada, "POST /v1/logout", Some(json!({}))).0, 200);
    assert_eq!(calls.call(ada, "GET /v1/me", None).0, 401);
    // A tail has no end, so its answer is not awaited here; everything else was answered well at least once.
    let answered: BTreeSet<&str> = calls
        .seen
        .iter()
        .filter(|(_, status)| status == "200")
        .map(|(operation, _)| operation.as_str())
        .collect();
    let listed = calls.document["paths"].as_object().unwrap().values();
    let listed = listed.flat_map(|item| item.as_object().unwrap().values());
    let mut unseen: Vec<&str> = listed
        .map(|operation| operation["operationId"].as_str().unwrap())
        .filter(|operation| !answered.contains(operation))
        .collect();
    unseen.sort_unstable();
    assert_eq!(unseen, ["keepRequest", "tailEvents"]);
    println!(
        "{} operations, {} calls, {} pairs of operation and status held against the document",
        operations.len(),
        calls.count,
        calls.seen.len()
    );
}
