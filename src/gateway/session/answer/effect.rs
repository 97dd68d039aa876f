//! What a statement that has succeeded did to the names of statements, portals and cursors.

use std::sync::Arc;

use crate::gateway::session::names::{Ended, Hold, Prepared};
use crate::gateway::session::{Outbox, Session};
use crate::sql::footprint::Effect;

impl Session {
    /// What a statement did to names.
    pub(super) fn take_effect(&mut self, effect: &Effect, tag: &str, out: &mut Outbox) {
        match effect {
            Effect::Prepare { name, inner } => {
                let quoted = name.replace('"', "\"\"");
                let prepared = Prepared {
                    text: format!("EXECUTE \"{quoted}\"").into(),
                    types: Vec::new().into(),
                    refused: None,
                    facts: None,
                };
                self.names.set_statement(name, Some(prepared));
                self.state.prepared(name, Some(Arc::clone(inner)));
                return;
            }
            Effect::Deallocate(Some(name)) => {
                self.set_statement(name, None);
                return;
            }
            Effect::Deallocate(None) => {
                self.names.drop_named();
                self.state.forget_prepared();
                return;
            }
            Effect::Declare { name, inner, hold } => {
                let hold = if *hold { Hold::Yes } else { Hold::No };
                self.names.declare(name, Arc::clone(inner), hold);
            }
            Effect::Close(Some(name)) => {
                self.close_portal(name);
            }
            Effect::Close(None) => self.names.drop_portals(),
            Effect::Discard => {
                self.names.drop_all();
                self.state.forget_prepared();
            }
            Effect::Savepoint(name) => self.names.savepoint(name),
            Effect::Release(name) => self.names.release(name),
            Effect::RollbackTo(name) => {
                self.names.rollback_to(name);
                self.ending = Ended::Committed;
            }
            // A `COMMIT` of a transaction that has failed says so in its tag.
            Effect::Commit if tag == "COMMIT" => self.end_transaction(Ended::Committed),
            Effect::Commit | Effect::Rollback => self.end_transaction(Ended::RolledBack),
            Effect::None
            | Effect::Begin
            | Effect::Settings
            | Effect::Planner
            | Effect::SearchPath { .. }
            | Effect::TimeLimit { .. }
            | Effect::Temporary(_)
            | Effect::Catalog => return,
        }
        self.sync_portals(out);
    }

    pub(super) fn end_transaction(&mut self, ended: Ended) {
        self.names.end(ended);
        self.ending = Ended::Committed;
    }
}
