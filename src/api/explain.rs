//! What would happen to a statement.

use std::sync::Arc;

use axum::Json;
use axum::extract;
use axum::extract::rejection::JsonRejection;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::State;
use crate::api::authn::Caller;
use crate::api::error::Error;
use crate::api::types;
use crate::broker;
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::policy::explain::{Explanation, explain};
use crate::policy::open::{Ask, Opening, open};
use crate::policy::{Question, Session, Shown};
use crate::sql::{self, Scope};

/// What would happen to each statement.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explained)]
pub(super) struct Answer {
    statements: Vec<Explanation>,
}

/// `POST /v1/explain`: for those only who may open the database, because names of tables come out by it.
pub(super) async fn show(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    body: Result<Json<types::ExplainAsk>, JsonRejection>,
) -> Result<Json<Answer>, Error> {
    let Json(body) = body.map_err(|error| Error::unreadable(&error.body_text()))?;
    let database: DatabaseName = (body.database.parse())
        .map_err(|error: crate::model::name::Error| Error::bad_request(error.to_string()))?;
    let access: Access = (body.access.parse())
        .map_err(|error: crate::model::access::Error| Error::bad_request(error.to_string()))?;
    let broker = &state.broker;
    let policy = broker.policy();
    let now = broker.clock().now();
    let reason = Some("explain");
    let ask = Ask {
        subject: &caller.subject,
        database: &database,
        access,
        duration: None,
        reason,
        approved: true,
        now,
    };
    match open(&policy, &ask) {
        Opening::Granted(_) | Opening::Review(_) => {}
        Opening::Refused(denial) => return Err(Error::from(*denial)),
    }
    let place = broker.target(&database).ok_or_else(|| {
        Error::not_found(format!("there is no database `{database}`")).hint("run `dbgate ls`")
    })?;
    let view = place
        .refresh()
        .await
        .map_err(|source| unreachable(&database, &source))?;
    let scope = Scope {
        trusted: policy.trusted(&database).collect(),
        ..Scope::new("dbgate")
    };
    let text = Arc::from(body.sql);
    let all = sql::analyze(&text, &[], &view.catalog, &scope)
        .map_err(|error| Error::from(broker::Error::Syntax(Arc::new(error))))?;
    let shown = Shown::new();
    let question = Question {
        policy: &view.policy,
        protection: &view.protection,
        catalog: &view.catalog,
        subject: &caller.subject,
        database: &database,
        session: Session {
            access,
            reason,
            approved: true,
            shown: &shown,
        },
        parameters: &[],
        approved: None,
        wanted: false,
        now,
    };
    let statements = all.iter().map(|one| explain(&question, one)).collect();
    Ok(Json(Answer { statements }))
}

fn unreachable(database: &DatabaseName, source: &crate::upstream::Error) -> Error {
    tracing::warn!(%database, error = %source, "a catalog cannot be read");
    Error::unavailable(
        "database_unavailable",
        format!("`{database}` cannot be reached"),
    )
}
