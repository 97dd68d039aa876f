//! Settings and transactions.

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::function::literal;
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::analyze::statement::Outcome;
use crate::sql::footprint::{Effect, Hazard, Kind};
use crate::sql::known;
use crate::sql::parse::nodes::{TransactionStmtKind, VariableSetKind};
use crate::sql::parse::{List, Node, nodes};

impl Analyzer<'_> {
    /// Notes what changing a setting amounts to; unknown names and values count as the worst.
    pub(in crate::sql) fn change_setting(
        &mut self,
        name: Option<&str>,
        value: Option<&str>,
        location: i32,
    ) {
        self.found.settings = true;
        let Some(name) = name else {
            self.hazard(Hazard::PinnedSetting);
            self.opaque("a setting whose name is computed", location);
            return;
        };
        // A value that is not written out may be any.
        if let Some(hazard) = known::setting::hazard(name, Some(value.unwrap_or("?"))) {
            self.hazard(hazard);
        }
        if known::setting::changes_reading(name) && value.is_none() {
            self.opaque("a search_path that is computed", location);
        }
    }

    pub(in crate::sql) fn set(&mut self, set: &nodes::VariableSetStmt) -> Outcome {
        let name = set.name().unwrap_or_default();
        match set.kind {
            VariableSetKind::VAR_SET_VALUE => self.set_value(set, name),
            VariableSetKind::VAR_SET_MULTI => {
                self.transaction_modes(set.args());
                if name.eq_ignore_ascii_case("TRANSACTION SNAPSHOT") {
                    self.opaque("SET TRANSACTION SNAPSHOT", set.location);
                }
                Outcome::new(Kind::Set, Effect::None)
            }
            VariableSetKind::VAR_RESET_ALL => Outcome::new(Kind::Set, Effect::Settings),
            _ => {
                // Back to what the session began with; but a transaction's mode goes back to the server's.
                if name.eq_ignore_ascii_case("transaction_read_only") {
                    self.hazard(Hazard::ReadWrite);
                }
                if known::setting::hazard(name, None) == Some(Hazard::SetRole) {
                    self.hazard(Hazard::SetRole);
                }
                let effect = if known::setting::changes_reading(name) {
                    Effect::Settings
                } else {
                    Effect::None
                };
                Outcome::new(Kind::Set, effect)
            }
        }
    }

    fn set_value(&mut self, set: &nodes::VariableSetStmt, name: &str) -> Outcome {
        let values: Vec<Option<String>> = set.args().iter().map(literal).collect();
        let value: Option<Vec<String>> = values.into_iter().collect();
        let joined = value.as_ref().map(|parts| parts.join(", "));
        self.change_setting(Some(name), joined.as_deref(), set.location);
        self.found.settings = false;
        let effect = match value {
            Some(path) if known::setting::changes_reading(name) => Effect::SearchPath {
                path,
                local: set.is_local,
            },
            _ if known::setting::steers(name) => Effect::Planner,
            _ if known::setting::is_time_limit(name) => Effect::TimeLimit {
                name: name.to_ascii_lowercase(),
                value: joined,
            },
            _ => Effect::None,
        };
        Outcome::new(Kind::Set, effect)
    }

    fn transaction_modes(&mut self, options: &List) {
        for option in options {
            let Node::DefElem(option) = option else {
                continue;
            };
            if option.defname() == Some("transaction_read_only")
                && literal(option.arg()).as_deref() != Some("1")
            {
                self.hazard(Hazard::ReadWrite);
            }
        }
    }

    pub(in crate::sql) fn show(show: &nodes::VariableShowStmt) -> Outcome {
        let name = show.name().unwrap_or_default();
        // The server says these three in its own spelling.
        let name = match name {
            "timezone" => "TimeZone",
            "datestyle" => "DateStyle",
            "intervalstyle" => "IntervalStyle",
            other => other,
        };
        let names: Vec<&str> = if name == "all" {
            vec!["name", "setting", "description"]
        } else {
            vec![name]
        };
        let field = |name: &&str| Field::new(*name, Value::supplied(25));
        Outcome::rows(Kind::Show, names.iter().map(field).collect())
    }

    pub(in crate::sql) fn transaction(&mut self, transaction: &nodes::TransactionStmt) -> Outcome {
        let effect = match transaction.kind {
            TransactionStmtKind::TRANS_STMT_BEGIN | TransactionStmtKind::TRANS_STMT_START => {
                self.transaction_modes(transaction.options());
                Effect::Begin
            }
            TransactionStmtKind::TRANS_STMT_COMMIT => Effect::Commit,
            TransactionStmtKind::TRANS_STMT_ROLLBACK => Effect::Rollback,
            TransactionStmtKind::TRANS_STMT_SAVEPOINT => Effect::Savepoint(name(transaction)),
            TransactionStmtKind::TRANS_STMT_RELEASE => Effect::Release(name(transaction)),
            TransactionStmtKind::TRANS_STMT_ROLLBACK_TO => Effect::RollbackTo(name(transaction)),
            _ => {
                self.hazard(Hazard::PreparedTransaction);
                Effect::Commit
            }
        };
        Outcome::new(Kind::Transaction, effect)
    }
}

/// The savepoint's.
fn name(transaction: &nodes::TransactionStmt) -> String {
    transaction.savepoint_name().unwrap_or_default().to_owned()
}
