//! What came of statements, for the log.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::audit::event::footprint::Footprint;
use crate::audit::event::{Action, Event, Ran};
use crate::audit::{log, scrub};
use crate::gateway::intent::Refused;
use crate::gateway::relay::{FAREWELL, Relay};
use crate::gateway::session;
use crate::gateway::session::run::{Outcome, Report};
use crate::gateway::session::verdict::Unasked;
use crate::sql::footprint::Kind;
use crate::wire;
use crate::wire::error::Fields;

/// Events that one connection may have in the log's queue without waiting for the disk: the queue is everybody's.
const WINDOW: usize = 64;

/// How long to wait when the log's queue is full.
const BREATH: Duration = Duration::from_millis(5);

/// What a connection has to record about things that are over.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// How many are in the log's queue, at most.
    queued: usize,
    /// Those that have to wait until the disk has caught up.
    waiting: VecDeque<Event>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Relay<C> {
    /// Notes something that has happened; it is durable with the next sync.
    pub(super) fn record(&mut self, action: Action) {
        let event = Event::new((*self.context).clone(), action);
        if self.notes.queued < WINDOW && self.notes.waiting.is_empty() {
            self.queue(event);
        } else {
            self.notes.waiting.push_back(event);
        }
    }

    /// Waits for the disk if there is more to record than may be queued. Whoever makes much to record is slowed down, and nobody else.
    pub(super) async fn catch_up(&mut self) {
        while !self.notes.waiting.is_empty() {
            match self.gateway.broker.log().flush().await {
                Ok(()) => {}
                // Others have much to record, too.
                Err(log::Error::Busy) => {
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
                // The log keeps what it is told about ended things, and records it once it can.
                Err(error) => tracing::error!(%error, "outcomes can't be recorded now"),
            }
            self.written();
            while self.notes.queued < WINDOW
                && let Some(event) = self.notes.waiting.pop_front()
            {
                self.queue(event);
            }
        }
    }

    /// The same at the end of the connection, which is not held up for long.
    pub(super) async fn note_all(&mut self) {
        tokio::time::timeout(FAREWELL, self.catch_up()).await.ok();
        while let Some(event) = self.notes.waiting.pop_front() {
            self.queue(event);
        }
    }

    /// Everything that was queued until now is on the disk.
    pub(super) const fn written(&mut self) {
        self.notes.queued = 0;
    }

    fn queue(&mut self, event: Event) {
        self.notes.queued = self.notes.queued.saturating_add(1);
        if let Err(error) = self.gateway.broker.log().enqueue(event) {
            tracing::error!(%error, "an outcome could not be recorded");
        }
    }

    /// Records what came of a statement whose intent is on record.
    pub(super) fn report(&mut self, report: Report) {
        self.statements = self.statements.saturating_add(1);
        let now = self.gateway.clock.monotonic();
        self.budget.ran(report.took, now);
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
    pub(super) fn unasked(&mut self, unasked: &Unasked) {
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
    pub(super) fn unreadable(&mut self, error: wire::error::Error) -> session::Error {
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
        Outcome::Done(_)
        | Outcome::Failed(_)
        | Outcome::Stopped(_)
        | Outcome::Skipped
        | Outcome::Unknown => report.sent.rows,
    }
}

fn said(fields: &Fields) -> String {
    match &fields.detail {
        Some(detail) => format!("{}: {detail}", fields.message),
        None => fields.message.clone(),
    }
}
