//! Statements: which kind each one is, and what it does beside reading.

mod copy;
mod ddl;
pub(in crate::sql) mod dml;
mod object;
mod prepared;
mod restrict;
mod setting;
mod temporary;
mod utility;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::value::Field;
use crate::sql::analyze::query::names::Env;
use crate::sql::error::Error;
use crate::sql::footprint::{Effect, Kind};
use crate::sql::parse::{Node, nodes};

/// What a statement is and gives, beside what was found on the way.
pub(in crate::sql) struct Outcome {
    pub(in crate::sql) kind: Kind,
    pub(in crate::sql) outputs: Vec<Field>,
    pub(in crate::sql) effect: Effect,
}

impl Outcome {
    pub(in crate::sql) const fn new(kind: Kind, effect: Effect) -> Self {
        Self {
            kind,
            outputs: Vec::new(),
            effect,
        }
    }

    const fn rows(kind: Kind, outputs: Vec<Field>) -> Self {
        Self {
            kind,
            outputs,
            effect: Effect::None,
        }
    }
}

impl Analyzer<'_> {
    /// Finds out about one statement.
    pub(in crate::sql) fn statement(&mut self, node: Node<'_>) -> Result<Outcome, Error> {
        let env = Env::default();
        match node {
            Node::SelectStmt(select) => self.select_statement(select),
            Node::InsertStmt(_) => Ok(Outcome::rows(Kind::Insert, self.query(node, &env)?)),
            Node::UpdateStmt(_) => Ok(Outcome::rows(Kind::Update, self.query(node, &env)?)),
            Node::DeleteStmt(_) => Ok(Outcome::rows(Kind::Delete, self.query(node, &env)?)),
            Node::MergeStmt(_) => Ok(Outcome::rows(Kind::Merge, self.query(node, &env)?)),
            Node::CopyStmt(copy) => self.copy(copy),
            Node::ExplainStmt(explain) => self.explain(explain),
            Node::PrepareStmt(prepare) => self.prepare(prepare),
            Node::ExecuteStmt(execute) => self.execute(execute),
            Node::DeallocateStmt(deallocate) => Ok(Outcome::new(
                Kind::Deallocate,
                Effect::Deallocate(deallocate.name().map(str::to_owned)),
            )),
            Node::DeclareCursorStmt(declare) => self.declare(declare),
            Node::FetchStmt(fetch) => Ok(self.fetch(fetch)),
            Node::ClosePortalStmt(close) => Ok(Outcome::new(
                Kind::Close,
                Effect::Close(close.portalname().map(str::to_owned)),
            )),
            Node::VariableSetStmt(set) => Ok(self.set(set)),
            Node::VariableShowStmt(show) => Ok(Self::show(show)),
            Node::TransactionStmt(transaction) => Ok(self.transaction(transaction)),
            Node::CreateTableAsStmt(create) => self.create_table_as(create),
            Node::CreateStmt(create) => self.create_table(create),
            Node::AlterTableStmt(alter) => self.alter_table(alter),
            Node::DropStmt(drop) => Ok(self.drop_objects(drop)),
            Node::ViewStmt(view) => self.create_view(view),
            Node::CallStmt(call) => self.call_procedure(call),
            _ => self.utility(node),
        }
    }

    fn select_statement(&mut self, select: &nodes::SelectStmt) -> Result<Outcome, Error> {
        let fields = self.select(select, &Env::default())?;
        match into(select) {
            Some(into) => self.new_table(into, fields),
            None => Ok(Outcome::rows(Kind::Select, fields)),
        }
    }
}

/// The `INTO` of a `SELECT`: of a set operation the leftmost one may have it.
fn into(mut select: &nodes::SelectStmt) -> Option<&nodes::IntoClause> {
    loop {
        if let Some(into) = select.into_clause() {
            return Some(into);
        }
        select = select.larg()?;
    }
}
