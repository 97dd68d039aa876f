//! A permit with its circumstances: what the log says before a statement runs.

use std::borrow::Cow;
use std::sync::Arc;

use crate::audit::Auditable;
use crate::audit::event::footprint::Footprint;
use crate::audit::event::private::Private;
use crate::audit::event::{self, Action, Context, Event, Outcome};
use crate::audit::scrub;
use crate::gateway::session::verdict::{Parameters, Purpose};
use crate::model::session::RequestId;
use crate::policy::obligation::Mask;
use crate::policy::{Denial, Permit};
use crate::sql;
use crate::sql::catalog::Catalog;
use crate::wire::error::Fields;
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

    /// Who agreed to it, if it had to be agreed to.
    #[must_use]
    pub fn approvals(&self) -> Vec<event::Consent> {
        let given = self.permit.approval().map(|approval| &approval.given);
        given
            .into_iter()
            .flatten()
            .map(|consent| event::Consent {
                by: (&consent.by).into(),
                at: consent.at,
                max_rows: consent.max_rows,
            })
            .collect()
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
        let approval = permit.approval();
        let action = Action::StatementIntended {
            statement,
            masked: self.masked.clone(),
            request: approval.map(|approval| approval.request.clone()),
            approvals: self.approvals(),
            max_rows: approval.and_then(|approval| approval.max_rows),
        };
        Event::new((*self.context).clone(), action)
    }
}

/// A statement that was refused, and what is known of it.
#[derive(Debug)]
pub struct Refused<'a> {
    /// Its text, or that of the whole query string if it could not be taken apart.
    pub text: &'a str,
    /// What was asked.
    pub purpose: Option<&'a Purpose>,
    /// What it touches, if that is known.
    pub footprint: Option<Footprint>,
    /// What the policy said, if it was asked.
    pub decision: Option<event::Decision>,
    /// The review it waited for.
    pub request: Option<RequestId>,
    /// What the client is told.
    pub fields: &'a Fields,
}

impl Refused<'_> {
    /// What the log says of it.
    #[must_use]
    pub fn to_action(&self) -> Action {
        let text = readable(self.text);
        let statement = event::Statement {
            statement: private(&text),
            parameters: self.purpose.and_then(parameters),
            footprint: self.footprint.clone(),
            decision: self.decision.clone(),
        };
        Action::StatementRefused {
            statement,
            request: self.request.clone(),
            sqlstate: self.fields.code.to_string(),
            error: scrub::quoting(&self.fields.message, &text)
                .into_owned()
                .into(),
        }
    }
}

/// A denial as a decision.
pub fn denial(denial: &Denial, policy: &str) -> event::Decision {
    let reason = &denial.reason;
    let rule = reason.rule().unwrap_or_else(|| reason.name().to_owned());
    event::Decision {
        outcome: Outcome::Deny,
        rule: Some(rule),
        policy: policy.to_owned(),
    }
}

/// The text that a question is about.
pub fn text_of(purpose: &Purpose) -> &str {
    match purpose {
        Purpose::Query { text } | Purpose::Prepare { text, .. } | Purpose::Bind { text, .. } => {
            text
        }
        Purpose::Again(_) => "",
    }
}

/// A statement's text; the log takes its passwords out before it keeps it.
pub fn private(text: &str) -> Private {
    text.into()
}

/// What of a text is worth a record: nothing longer than this is ever run.
fn readable(text: &str) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(sql::MAX_TEXT)) {
        Some(kept) if kept.len() < text.len() => format!("{kept}… ({} bytes)", text.len()).into(),
        _ => text.into(),
    }
}

/// The parameters as JSON: text as text, binary values in hex.
pub fn parameters(purpose: &Purpose) -> Option<Private> {
    let values = values(purpose)?;
    if values.is_empty() {
        return None;
    }
    Some(serde_json::Value::Array(values).to_string().into())
}

fn values(purpose: &Purpose) -> Option<Vec<serde_json::Value>> {
    let Parameters { formats, values } = purpose.parameters()?;
    let total: usize = values.iter().flatten().map(|value| value.len()).sum();
    let shown = values.iter().enumerate().map(|(index, value)| {
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
