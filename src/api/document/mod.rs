//! The routes and what is said of them, in one table: there is no route that the OpenAPI document does not have.
//!
//! Reading order: `about` (what is said of one route) → here (the table).

pub(super) mod about;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodFilter, get, on};
use utoipa::PartialSchema as _;
use utoipa::openapi::info::{Info, License};
use utoipa::openapi::path::{HttpMethod, Paths};
use utoipa::openapi::schema::{Components, Schema};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};

use crate::api::State;
use crate::api::document::about::{About, PROBLEM, TOKEN};
use crate::api::types::Problem;

/// Where the document is served.
const PLACE: &str = "/v1/openapi.json";

/// Routes with what is said of them.
pub(super) struct Routes {
    router: Router<Arc<State>>,
    paths: Paths,
    schemas: BTreeMap<String, RefOr<Schema>>,
}

impl Routes {
    pub(super) fn new() -> Self {
        let schemas = BTreeMap::from([(PROBLEM.to_owned(), Problem::schema())]);
        Self {
            router: Router::new(),
            paths: Paths::new(),
            schemas,
        }
    }

    /// `GET path`
    pub(super) fn get<H: Handler<T, Arc<State>>, T: 'static>(
        self,
        path: &str,
        handler: H,
        about: About,
    ) -> Self {
        self.route((MethodFilter::GET, HttpMethod::Get), path, handler, about)
    }

    /// `POST path`
    pub(super) fn post<H: Handler<T, Arc<State>>, T: 'static>(
        self,
        path: &str,
        handler: H,
        about: About,
    ) -> Self {
        self.route((MethodFilter::POST, HttpMethod::Post), path, handler, about)
    }

    /// `DELETE path`
    pub(super) fn delete<H: Handler<T, Arc<State>>, T: 'static>(
        self,
        path: &str,
        handler: H,
        about: About,
    ) -> Self {
        let method = (MethodFilter::DELETE, HttpMethod::Delete);
        self.route(method, path, handler, about)
    }

    fn route<H: Handler<T, Arc<State>>, T: 'static>(
        mut self,
        (filter, method): (MethodFilter, HttpMethod),
        path: &str,
        handler: H,
        about: About,
    ) -> Self {
        self.router = self.router.route(path, on(filter, handler));
        self.told(method, path, about);
        self
    }

    fn told(&mut self, method: HttpMethod, path: &str, mut about: About) {
        self.schemas.append(&mut about.schemas());
        let operation = about.operation(path);
        self.paths.add_path_operation(path, vec![method], operation);
    }

    /// The router with the document, and the document.
    pub(super) fn finish(mut self) -> (Router<Arc<State>>, String) {
        let about = About::new("openapi", "This document").open();
        self.told(HttpMethod::Get, PLACE, about.text("application/json"));
        let text = text(self.paths, self.schemas);
        let served = text.clone();
        let show = move || async move { ([(CONTENT_TYPE, "application/json")], served) };
        (self.router.route(PLACE, get(show)), text)
    }
}

fn text(paths: Paths, schemas: BTreeMap<String, RefOr<Schema>>) -> String {
    // The interface's version, not the program's: it changes when clients have to.
    let mut info = Info::new("dbgate", "1");
    info.description = Some(
        "The broker's interface. Fields are added, never renamed or removed; a client ignores what it does not know. \
         Times are RFC 3339 in UTC, spans are whole seconds in fields that end in `_s`. Every refusal and failure is a \
         `Problem`. Where a token is needed, it is the one that `POST /v1/login` answers with."
            .to_owned(),
    );
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    info.license = Some(license);
    let mut document = OpenApi::new(info, paths);
    let mut components = Components::new();
    components.schemas.extend(schemas);
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme(TOKEN, bearer);
    document.components = Some(components);
    // Strings, numbers and maps with text keys: cannot fail.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
