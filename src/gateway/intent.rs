//! A permit with its circumstances: what the log says before a statement runs.

use std::sync::Arc;

use crate::audit::Auditable;
use crate::audit::event::footprint::Footprint;
use crate::audit::event::private::Private;
use crate::audit::event::{self, Action, Context, Event, Outcome};
use crate::audit::scrub;
use crate::gateway::session::verdict::Purpose;
use crate::policy::obligation::Mask;
use crate::policy::{Denial, Permit, Reason};
use crate::sql::catalog::Catalog;
use crate::sql::footprint::Facts;
use crate::wire::frame::Frame;
use crate::wire::frontend::Message;
use crate::wire::row::Format;

/// Parameters beyond this many bytes are recorded by their length only.
const MOST_BYTES: usize = 32 * 1024;

/// A statement that may run, and everything the log wants to know about it.
///
/// **Invariant:** it owns the permit, so that what is recorded is what runs.
#[derive(Debug)]
pub struct Intent {
    permit: Permit,
    context: Arc<Context>,
    footprint: Footprint,
    masked: Vec<event::Masked>,
    purpose: Purpose,
}

impl Intent {
    /// A permit, in its circumstances.
    #[must_use]
    pub fn new(permit: Permit, context: Arc<Context>, catalog: &Catalog, purpose: Purpose) -> Self {
        Self {
            footprint: Footprint::describe(permit.facts(), catalog),
            masked: masked(&permit, catalog),
            permit,
            context,
            purpose,
        }
    }

    /// What lets it run.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// What was asked when it was permitted.
    #[must_use]
    pub const fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// What will be masked.
    #[must_use]
    pub fn masked(&self) -> &[event::Masked] {
        &self.masked
    }
}

impl Auditable for Intent {
    fn to_event(&self) -> Event {
        let permit = &self.permit;
        let statement = event::Statement {
            statement: private(permit.statement().text()),
            parameters: parameters(&self.purpose),
            footprint: Some(self.footprint.clone()),
            decision: Some(event::Decision {
                outcome: Outcome::Allow,
                rule: Some(permit.rule().to_owned()),
                policy: permit.policy_hash().to_string(),
            }),
        };
        let action = Action::StatementIntended {
            statement,
            masked: self.masked.clone(),
            request: permit.approval().cloned(),
            max_rows: permit.limits().rows.filter(|_| permit.approval().is_some()),
        };
        Event::new((*self.context).clone(), action)
    }
}

/// What the log says of a statement that was refused.
pub fn refused(
    context: &Context,
    text: &str,
    purpose: &Purpose,
    denial: &Denial,
    about: Option<(&Facts, &Catalog)>,
    policy: &str,
) -> Event {
    let rule = match &denial.reason {
        Reason::Rule { name, place } => Some(format!("{name} ({place})")),
        other => Some(other.name().to_owned()),
    };
    let statement = event::Statement {
        statement: private(text),
        parameters: parameters(purpose),
        footprint: about.map(|(facts, catalog)| Footprint::describe(facts, catalog)),
        decision: Some(event::Decision {
            outcome: Outcome::Deny,
            rule,
            policy: policy.to_owned(),
        }),
    };
    let action = Action::StatementRefused {
        statement,
        sqlstate: denial.sqlstate.to_owned(),
        error: scrub::quoting(&denial.message, text).into_owned().into(),
    };
    Event::new(context.clone(), action)
}

/// A statement's text without its passwords.
pub fn private(text: &str) -> Private {
    scrub::statement(text).into_owned().into()
}

/// The parameters as JSON: text as text, binary values in hex.
pub fn parameters(purpose: &Purpose) -> Option<Private> {
    let Purpose::Bind { frame, .. } = purpose else {
        return None;
    };
    let values = values(frame)?;
    if values.is_empty() {
        return None;
    }
    Some(serde_json::Value::Array(values).to_string().into())
}

fn values(frame: &Frame) -> Option<Vec<serde_json::Value>> {
    let Ok(Message::Bind {
        formats,
        parameters,
        ..
    }) = Message::decode(frame)
    else {
        return None;
    };
    let total: usize = parameters.iter().flatten().map(|value| value.len()).sum();
    let shown = parameters.iter().enumerate().map(|(index, value)| {
        let Some(value) = value else {
            return serde_json::Value::Null;
        };
        if total > MOST_BYTES {
            return serde_json::json!({ "bytes": value.len() });
        }
        match (Format::of(&formats, index), std::str::from_utf8(value)) {
            (Some(Format::Text), Ok(text)) => text.into(),
            _ => serde_json::json!({ "hex": hex(value) }),
        }
    });
    Some(shown.collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn masked(permit: &Permit, catalog: &Catalog) -> Vec<event::Masked> {
    let outputs = &permit.facts().outputs;
    let masks = permit.masks().iter().zip(1_u32..).enumerate();
    masks
        .filter_map(|(index, (mask, column))| {
            let mask: &Mask = mask.as_ref()?;
            let from = outputs
                .get(index)
                .into_iter()
                .flat_map(|output| output.origin.columns())
                .filter_map(|id| column_name(id, catalog))
                .collect();
            Some(event::Masked {
                column,
                mask: mask.name().to_owned(),
                from,
                values: None,
            })
        })
        .collect()
}

fn column_name(id: crate::model::name::ColumnId, catalog: &Catalog) -> Option<String> {
    let relation = catalog.relations.get(&id.relation)?;
    let column = relation
        .columns
        .iter()
        .find(|column| column.number == id.number)?;
    Some(format!("{}.{}", relation.name, column.name))
}
