//! Messages that end or suspend the rest: data of `COPY … FROM STDIN`, which passes to the upstream or is swallowed when the statement was
//! refused, what is skipped, and the good-bye.

use crate::gateway::reply;
use crate::gateway::session::run;
use crate::gateway::session::{Mode, Outbox, Session, Via, send};
use crate::wire::frame::Frame;
use crate::wire::frontend::{Message, kind};

impl Session {
    /// The client says good-bye.
    pub(super) fn leave(&mut self, out: &mut Outbox) {
        let within = matches!(self.mode, Mode::CopyIn(..) | Mode::Swallowing(..));
        if self.ledger.is_empty() || within {
            self.mode = Mode::Closed;
            return;
        }
        if self.ledger.needs_flush() {
            send(&Message::Flush, out);
        }
        self.mode = Mode::Leaving;
    }

    /// Whether the client has said good-bye while something was under way.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        matches!(self.mode, Mode::Leaving)
    }

    /// What the client sends up to `Sync` means nothing.
    pub(super) fn skip(&mut self) {
        match &self.mode {
            Mode::Leaving | Mode::Closed => {}
            // That is the one; it waits for the end of a statement.
            Mode::Delayed(frame) if frame.kind() == kind::SYNC => {}
            Mode::Ready
            | Mode::Skipping
            | Mode::Waiting(_)
            | Mode::Delayed(_)
            | Mode::Refusing(_)
            | Mode::Opening(_)
            | Mode::CopyIn(..)
            | Mode::Swallowing(..) => self.mode = Mode::Skipping,
        }
    }

    /// A message of the client while the upstream takes data.
    pub(super) fn copy_in(&mut self, run: run::Id, via: Via, frame: &Frame, out: &mut Outbox) {
        match frame.kind() {
            kind::COPY_DATA => out.upstream.push(frame.bytes().clone()),
            // The upstream ignores them now; they must not reach it after it has failed.
            kind::FLUSH | kind::SYNC => {}
            kind::COPY_DONE | kind::COPY_FAIL => {
                self.mode = after_copy(via);
                out.upstream.push(frame.bytes().clone());
            }
            other => {
                let fields = reply::unexpected_in_copy(other);
                if let Some(run) = self.runs.get_mut(run) {
                    run.stop(fields);
                }
                self.mode = after_copy(via);
                let reason = "unexpected message";
                send(&Message::CopyFail { reason }, out);
            }
        }
    }

    /// A message of the client while its data is thrown away.
    pub(super) fn swallow(&mut self, via: Via, frame: &Frame, out: &mut Outbox) {
        match frame.kind() {
            kind::COPY_DATA | kind::FLUSH | kind::SYNC => return,
            // The end of the data, or a message that has no place here: PostgreSQL drops that one, too.
            _ => {}
        }
        let Mode::Swallowing(fields, _) = std::mem::replace(&mut self.mode, Mode::Ready) else {
            return;
        };
        match via {
            Via::Query => self.refuse_query(*fields, out),
            Via::Pipeline => self.refuse_pipeline(*fields, out),
        }
    }
}

/// The client's part is done: in a query string the upstream has the next word, in a pipeline the client may go on.
const fn after_copy(via: Via) -> Mode {
    match via {
        Via::Query => Mode::Opening(Via::Query),
        Via::Pipeline => Mode::Ready,
    }
}
