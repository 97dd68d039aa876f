//! `COPY … FROM STDIN`: data passes to the upstream, or is swallowed when the statement was refused.

use crate::gateway::reply;
use crate::gateway::session::run::RunId;
use crate::gateway::session::{Mode, Outbox, Session, Via, send};
use crate::wire::frame::Frame;
use crate::wire::frontend::{Message, kind};

impl Session {
    /// A message of the client while the upstream takes data.
    pub(super) fn copy_in(&mut self, run: RunId, via: Via, frame: &Frame, out: &mut Outbox) {
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
