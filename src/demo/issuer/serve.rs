//! The issuer's HTTP: discovery, keys, `/authorize`, `/token`, `/userinfo`, `/revoke`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use crate::demo::issuer::grants::{self, Asked, Fresh, Grants};
use crate::demo::issuer::sign::{Bound, Signer};
use crate::demo::issuer::{CLIENT, page, people, sign};
use crate::model::time::Clock;

/// How long an ID token of a sign-in is good.
const ID_TOKEN: Duration = Duration::from_secs(3600);

/// What the handlers share.
#[derive(Debug)]
pub struct State {
    /// The issuer's URL.
    pub url: String,
    /// The `Host` requests must name.
    pub host: String,
    /// The key.
    pub signer: Signer,
    /// What was handed out.
    pub grants: Grants,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Serves until it is aborted.
pub async fn run(listener: TcpListener, state: Arc<State>) {
    let routes = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(keys))
        .route("/authorize", get(authorize).post(choose))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo).post(userinfo))
        .route("/revoke", post(revoke))
        .layer(DefaultBodyLimit::max(64 * 1024))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard))
        .with_state(state);
    // It only returns when it is told to, and nobody tells it.
    let _ended = axum::serve(listener, routes).await;
}

/// Requests that name another host come from a page that had its name resolved to loopback.
async fn guard(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let mut response = if host.is_some_and(|host| host.as_bytes() == state.host.as_bytes()) {
        next.run(request).await
    } else {
        StatusCode::MISDIRECTED_REQUEST.into_response()
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
             form-action 'self' http://127.0.0.1:* http://[::1]:*",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn discovery(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let url = &state.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "revocation_endpoint": format!("{url}/revoke"),
        "jwks_uri": format!("{url}/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "email", "groups", "offline_access"],
        "claims_supported": ["sub", "name", "email", "groups", "kind"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn keys(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(state.signer.key_set())
}

/// The page with the buttons. What is wrong with the client or where to go back to is told here, never sent there.
async fn authorize(Shared(state): Shared<Arc<State>>, uri: Uri) -> Response {
    let refused = |why| (StatusCode::BAD_REQUEST, Html(page::refused(why))).into_response();
    let Some(form) = form(uri.query().unwrap_or_default().as_bytes()) else {
        return refused("A parameter is there twice.");
    };
    let given = |name: &str| form.get(name).map(String::as_str);
    if given("client_id") != Some(CLIENT) {
        return refused("The client is unknown.");
    }
    let Some(redirect) = given("redirect_uri").filter(|uri| is_redirect(uri)) else {
        return refused("The answer may only go to /callback on a loopback address.");
    };
    let scopes = given("scope").unwrap_or_default();
    if given("response_type") != Some("code") || !scopes.split(' ').any(|scope| scope == "openid") {
        return refused("Only response_type=code with the scope openid is known here.");
    }
    let challenge = given("code_challenge").filter(|text| text.len() == 43);
    let (Some(challenge), Some("S256")) = (challenge, given("code_challenge_method")) else {
        return refused("PKCE with S256 is required.");
    };
    let asked = Asked {
        redirect: redirect.to_owned(),
        state: given("state").unwrap_or_default().to_owned(),
        nonce: given("nonce").map(str::to_owned),
        challenge: challenge.to_owned(),
    };
    match state.grants.page(asked, state.clock.now()) {
        Some(ticket) => Html(page::choose(&ticket)).into_response(),
        None => refused("Too many sign-ins wait."),
    }
}

/// A button was pressed.
async fn choose(Shared(state): Shared<Arc<State>>, body: String) -> Response {
    let refused = |why| (StatusCode::BAD_REQUEST, Html(page::refused(why))).into_response();
    let form = form(body.as_bytes()).unwrap_or_default();
    let account = form
        .get("sub")
        .and_then(|sub| people::find(sub))
        .filter(|account| account.kind == "person");
    let (Some(ticket), Some(account)) = (form.get("ticket"), account) else {
        return refused("Nobody was chosen.");
    };
    let Some((asked, code)) = state.grants.code(ticket, account, state.clock.now()) else {
        return refused("This sign-in is over. Start again from the terminal.");
    };
    let Ok(mut back) = Url::parse(&asked.redirect) else {
        return refused("The answer has nowhere to go.");
    };
    back.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", &asked.state)
        .append_pair("iss", &state.url);
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, String::from(back))],
    )
        .into_response()
}

async fn token(Shared(state): Shared<Arc<State>>, body: String) -> Response {
    let now = state.clock.now();
    let Some(form) = form(body.as_bytes()) else {
        return oauth_error("invalid_request");
    };
    let given = |name: &str| form.get(name).map_or("", String::as_str);
    if given("client_id") != CLIENT {
        return oauth_error("invalid_client");
    }
    let fresh = match given("grant_type") {
        "authorization_code" => {
            let verifier = given("code_verifier");
            state
                .grants
                .exchange(given("code"), given("redirect_uri"), verifier, now)
        }
        "refresh_token" => state.grants.refresh(given("refresh_token"), now),
        _ => return oauth_error("unsupported_grant_type"),
    };
    let Some(Fresh {
        account,
        access,
        refresh,
        nonce,
    }) = fresh
    else {
        return oauth_error("invalid_grant");
    };
    let bound = Bound {
        nonce: nonce.as_deref(),
        access_token: Some(&access),
    };
    let id_token = state.signer.id_token(account, now, ID_TOKEN, &bound);
    Json(json!({
        "token_type": "Bearer",
        "access_token": access,
        "expires_in": grants::ACCESS.as_secs(),
        "refresh_token": refresh,
        "id_token": id_token.expose(),
    }))
    .into_response()
}

async fn userinfo(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let account = token.and_then(|token| state.grants.access(token, state.clock.now()));
    match account {
        Some(account) => Json(sign::claims(account)).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// RFC 7009: a token nobody knows is as good as revoked.
async fn revoke(Shared(state): Shared<Arc<State>>, body: String) -> Response {
    let form = form(body.as_bytes()).unwrap_or_default();
    if form.get("client_id").map(String::as_str) != Some(CLIENT) {
        return oauth_error("invalid_client");
    }
    if let Some(token) = form.get("token") {
        state.grants.revoke(token, state.clock.now());
    }
    StatusCode::OK.into_response()
}

fn oauth_error(error: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

/// Parameters, unless one is there twice.
fn form(bytes: &[u8]) -> Option<HashMap<String, String>> {
    let mut form = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(bytes) {
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(form)
}

/// RFC 8252: a loopback literal, any port, the one path.
fn is_redirect(uri: &str) -> bool {
    let port = uri
        .strip_prefix("http://127.0.0.1:")
        .or_else(|| uri.strip_prefix("http://[::1]:"))
        .and_then(|rest| rest.strip_suffix("/callback"));
    port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}
