//! What the OpenAPI document says of one route: what it takes, what it answers, how it refuses.

use std::collections::{BTreeMap, BTreeSet};

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Ref, RefOr, Required};
use utoipa::{IntoParams, ToSchema};

/// The name of the scheme by which callers say who they are.
pub(super) const TOKEN: &str = "token";
/// The schema of refusals.
pub(super) const PROBLEM: &str = "Problem";

/// What is said of one route. Unless it is open, it takes a token.
pub(crate) struct About {
    id: &'static str,
    summary: &'static str,
    open: bool,
    body: Option<String>,
    query: Vec<Parameter>,
    answers: BTreeMap<u16, Body>,
    problems: BTreeSet<u16>,
    schemas: BTreeMap<String, RefOr<Schema>>,
}

/// The body of an answer: its media type, and what it looks like.
struct Body {
    media: &'static str,
    schema: RefOr<Schema>,
}

impl About {
    /// A route that answers callers with a token.
    pub(crate) fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            open: false,
            body: None,
            query: Vec::new(),
            answers: BTreeMap::new(),
            // The state or the log can't be written; something else broke.
            problems: BTreeSet::from([500, 503]),
            schemas: BTreeMap::new(),
        }
    }

    /// It answers everybody.
    pub(crate) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// It tells everybody, in plain text, how the process is.
    pub(crate) fn alive(mut self) -> Self {
        self.problems.clear();
        self.open().text("text/plain")
    }

    /// It takes a body.
    pub(crate) fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some(self.know::<T>());
        self.problems.insert(400);
        self
    }

    /// It takes parameters behind `?`.
    pub(crate) fn asks<T: IntoParams>(mut self) -> Self {
        self.query = T::into_params(|| Some(ParameterIn::Query));
        self.problems.insert(400);
        self
    }

    /// It answers with one of these.
    pub(crate) fn gives<T: ToSchema>(mut self) -> Self {
        let name = self.know::<T>();
        self.answer(200, "application/json", Ref::from_schema_name(name).into())
    }

    /// It answers with a list of these.
    pub(crate) fn lists<T: ToSchema>(mut self) -> Self {
        let name = self.know::<T>();
        let list = ArrayBuilder::new().items(Ref::from_schema_name(name));
        self.answer(200, "application/json", Schema::from(list).into())
    }

    /// It answers with text of that media type.
    pub(crate) fn text(self, media: &'static str) -> Self {
        let kind = match media {
            "application/json" => Type::Object,
            _ => Type::String,
        };
        let schema = ObjectBuilder::new().schema_type(kind);
        self.answer(200, media, Schema::from(schema).into())
    }

    /// It answers so, too, and says why in plain text.
    pub(crate) fn or_text(self, status: u16) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        self.answer(status, "text/plain", Schema::from(schema).into())
    }

    /// It refuses or fails with these, too.
    pub(crate) fn fails(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self
    }

    fn answer(mut self, status: u16, media: &'static str, schema: RefOr<Schema>) -> Self {
        self.problems.remove(&status);
        self.answers.insert(status, Body { media, schema });
        self
    }

    /// Remembers a schema with all it refers to; its name.
    fn know<T: ToSchema>(&mut self) -> String {
        let mut below = Vec::new();
        T::schemas(&mut below);
        self.schemas.extend(below);
        let name = T::name().into_owned();
        self.schemas.insert(name.clone(), T::schema());
        name
    }

    pub(super) fn schemas(&mut self) -> BTreeMap<String, RefOr<Schema>> {
        std::mem::take(&mut self.schemas)
    }

    /// The same in OpenAPI's words.
    pub(super) fn operation(mut self, path: &str) -> Operation {
        let names = path.split('/').filter_map(|part| {
            let name = part.strip_prefix('{')?;
            name.strip_suffix('}')
        });
        let mut parameters: Vec<Parameter> = names.map(in_path).collect();
        if !parameters.is_empty() {
            self.problems.insert(404);
        }
        parameters.append(&mut self.query);
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .summary(Some(self.summary));
        if !parameters.is_empty() {
            operation = operation.parameters(Some(parameters));
        }
        if let Some(name) = self.body {
            let body = RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content("application/json", content(Ref::from_schema_name(name)));
            operation = operation.request_body(Some(body.build()));
        }
        if !self.open {
            self.problems.insert(401);
            let none: [&str; 0] = [];
            operation = operation.security(SecurityRequirement::new(TOKEN, none));
        }
        for (status, answer) in self.answers {
            let response = ResponseBuilder::new()
                .description(said(status))
                .content(answer.media, content(answer.schema));
            operation = operation.response(status.to_string(), response.build());
        }
        for status in self.problems {
            operation = operation.response(status.to_string(), problem(status));
        }
        operation.build()
    }
}

fn in_path(name: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn problem(status: u16) -> Response {
    ResponseBuilder::new()
        .description(said(status))
        .content("application/json", content(Ref::from_schema_name(PROBLEM)))
        .build()
}

fn content(schema: impl Into<RefOr<Schema>>) -> Content {
    ContentBuilder::new().schema(Some(schema)).build()
}

/// What a status means here.
const fn said(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        400 => "The request makes no sense.",
        401 => "Nobody is signed in, or the token is not good, or no longer.",
        403 => "Not for this caller.",
        404 => "There is none, or none that the caller may know of.",
        409 => "It is decided already, or it is something else than what was agreed to.",
        410 => "The session is over.",
        422 => "The statement can't be read, or needs no approval.",
        500 => "The broker failed; its log says why.",
        502 => "The database can't be used.",
        503 => "Not now: the audit log or the state can't be written, or something else is away.",
        _ => "An error.",
    }
}
