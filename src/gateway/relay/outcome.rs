//! What came of statements, for the log.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::audit::event::footprint::Footprint;
use crate::audit::event::{Action, Ran};
use crate::audit::scrub;
use crate::gateway::intent::Refused;
use crate::gateway::relay::Relay;
use crate::gateway::session;
use crate::gateway::session::run::{Outcome, Report};
use crate::gateway::session::verdict::Unasked;
use crate::sql::footprint::Kind;
use crate::wire;
use crate::wire::error::Fields;

impl<C: AsyncRead + AsyncWrite + Unpin> Relay<C> {
    /// Records what came of a statement whose intent is on record.
    pub(super) fn report(&mut self, report: Report) {
        self.statements = self.statements.saturating_add(1);
        self.gateway.metrics.finished(&report.outcome, report.sent);
        let ran = Ran {
            intent: report.intent,
            rows: rows(&report),
            bytes: report.sent.bytes,
            micros: u64::try_from(report.took.as_micros()).unwrap_or(u64::MAX),
            request: report.request,
            approvals: report.approvals,
            masked: report.masked,
            transcript: report.transcript,
        };
        let action = match report.outcome {
            Outcome::Done(tag) => Action::StatementFinished { ran, tag },
            Outcome::Failed(fields) | Outcome::Stopped(fields) => Action::StatementFailed {
                ran,
                sqlstate: fields.code.to_string(),
                error: scrub::quoting(&said(&fields), &report.text)
                    .into_owned()
                    .into(),
            },
            Outcome::Skipped => Action::StatementFailed {
                ran,
                sqlstate: "00000".to_owned(),
                error: "it was not executed".into(),
            },
            Outcome::Unknown => Action::StatementUnknown {
                ran,
                error: "the connection was lost before the answer came".into(),
            },
        };
        self.record(action);
    }

    /// Records what was refused before anybody could be asked about it.
    pub(super) fn unasked(&self, unasked: &Unasked) {
        self.gateway.metrics.refused();
        let footprint = unasked.function.map(|oid| {
            let view = self.attachment.session.place().view();
            let name = view.and_then(|view| {
                let function = view.catalog.functions.get(&oid)?;
                Some(function.name.to_string())
            });
            let mut footprint = Footprint::of_kind(Kind::Call);
            footprint.functions = vec![name.unwrap_or_else(|| format!("function {oid}"))];
            footprint
        });
        let refused = Refused {
            text: &unasked.text,
            purpose: None,
            footprint,
            decision: None,
            request: None,
            fields: &unasked.fields,
        };
        self.record(refused.to_action());
    }

    /// Records that the client sent what is no message, or is longer than any may be.
    pub(super) fn unreadable(&self, error: wire::error::Error) -> session::Error {
        self.unasked(&Unasked::unframed(&error));
        session::Error::Client(error)
    }
}

/// The rows the client received, or that were written: a tag ends with their number.
fn rows(report: &Report) -> u64 {
    match &report.outcome {
        // Messages of a `COPY` are not only rows: there are headers, too.
        Outcome::Done(tag) if report.sent.rows == 0 || tag.starts_with("COPY ") => tag
            .rsplit(' ')
            .next()
            .and_then(|count| count.parse().ok())
            .unwrap_or(0),
        _ => report.sent.rows,
    }
}

fn said(fields: &Fields) -> String {
    match &fields.detail {
        Some(detail) => format!("{}: {detail}", fields.message),
        None => fields.message.clone(),
    }
}
