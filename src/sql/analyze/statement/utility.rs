//! All other statements: roles, servers, locks, notifications, upkeep.

use std::sync::Arc;

use crate::model::name::ObjectName;
use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::call::{Call, function_name};
use crate::sql::analyze::expression::value::Field;
use crate::sql::analyze::hook::Evaluated;
use crate::sql::analyze::query::names::Env;
use crate::sql::analyze::statement::Outcome;
use crate::sql::error::Error;
use crate::sql::footprint::{Effect, Hazard, Kind};
use crate::sql::parse::nodes::{DiscardMode, ObjectType};
use crate::sql::parse::{Node, nodes};
use crate::sql::scope::Temporaries;

impl Analyzer<'_> {
    pub(in crate::sql) fn utility(&mut self, node: Node<'_>) -> Result<Outcome, Error> {
        if let Some(outcome) = self.object(node)? {
            return Ok(outcome);
        }
        if let Some(outcome) = self.role(node) {
            return Ok(outcome);
        }
        if let Some(outcome) = self.server(node) {
            return Ok(outcome);
        }
        let kind = match node {
            Node::TruncateStmt(truncate) => {
                for range in truncate.relations() {
                    if let Node::RangeVar(range) = range
                        && let Some(relation) = self.resolve(range)
                    {
                        self.found.footprint.relations_written.insert(relation.oid);
                    }
                }
                Kind::Truncate
            }
            Node::DoStmt(_) => {
                self.opaque("what a DO block does", -1);
                Kind::Do
            }
            Node::ListenStmt(_) | Node::UnlistenStmt(_) => {
                self.hazard(Hazard::Notification);
                Kind::Listen
            }
            Node::NotifyStmt(_) => {
                self.hazard(Hazard::Notification);
                Kind::Notify
            }
            Node::LockStmt(lock) => {
                // Up to ROW EXCLUSIVE is what ordinary statements take.
                if lock.mode > 3 {
                    self.hazard(Hazard::Lock);
                }
                for range in lock.relations() {
                    if let Node::RangeVar(range) = range
                        && let Some(relation) = self.resolve(range)
                    {
                        self.read_relation(relation.oid);
                    }
                }
                Kind::Lock
            }
            Node::VacuumStmt(_)
            | Node::ClusterStmt(_)
            | Node::ReindexStmt(_)
            | Node::CheckPointStmt(_)
            | Node::RefreshMatViewStmt(_) => self.maintain(node),
            Node::CommentStmt(comment) => {
                self.commented(comment.objtype, comment.object());
                return Ok(Outcome::new(Kind::Comment, Effect::Catalog));
            }
            Node::SecLabelStmt(label) => {
                self.commented(label.objtype, label.object());
                return Ok(Outcome::new(Kind::Comment, Effect::Catalog));
            }
            Node::ConstraintsSetStmt(_) => Kind::Set,
            Node::DiscardStmt(discard) => return Ok(discarded(discard)),
            Node::ReturnStmt(_) | Node::PLAssignStmt(_) => {
                self.opaque("this statement", -1);
                Kind::Other
            }
            _ => {
                self.opaque("this statement", -1);
                Kind::Other
            }
        };
        Ok(Outcome::new(kind, Effect::None))
    }

    fn maintain(&mut self, node: Node<'_>) -> Kind {
        let mut ranges: Vec<&nodes::RangeVar> = Vec::new();
        match node {
            Node::VacuumStmt(vacuum) => {
                let named = vacuum.rels().iter();
                ranges.extend(named.filter_map(nodes::VacuumRelation::relation));
            }
            Node::ClusterStmt(cluster) => ranges.extend(cluster.relation()),
            Node::RefreshMatViewStmt(refresh) => ranges.extend(refresh.relation()),
            Node::CheckPointStmt(_) => self.hazard(Hazard::SystemChange),
            _ => {}
        }
        for range in ranges {
            if let Some(relation) = self.resolve(range) {
                self.read_relation(relation.oid);
                self.stored_code(&relation, Evaluated::Always);
                // Rows lie, and come, in the order of the index from then on.
                if matches!(node, Node::ClusterStmt(_)) {
                    self.all_indirect(&relation, range.location);
                }
            }
        }
        Kind::Maintain
    }

    /// Comments of columns may be tags that protect them.
    fn commented(&mut self, kind: ObjectType::Type, object: Node<'_>) {
        let Some(list) = object.as_node_list() else {
            return;
        };
        let parts: Vec<&str> = list.iter().filter_map(Node::as_str).collect();
        let table = match (kind, parts.as_slice()) {
            (ObjectType::OBJECT_COLUMN, [.., schema, table, _]) => Some((Some(*schema), *table)),
            (ObjectType::OBJECT_COLUMN, [table, _]) => Some((None, *table)),
            (_, [schema, table]) => Some((Some(*schema), *table)),
            (_, [table]) => Some((None, *table)),
            _ => None,
        };
        let Some((schema, name)) = table else { return };
        if let Some(relation) = self.look_up(schema, name, -1) {
            self.define("comment", relation.name.clone());
            if kind == ObjectType::OBJECT_COLUMN {
                self.all_indirect(&relation, -1);
            }
        }
    }

    fn role(&mut self, node: Node<'_>) -> Option<Outcome> {
        let kind = match node {
            Node::GrantStmt(_) | Node::AlterDefaultPrivilegesStmt(_) => Kind::Grant,
            Node::CreateRoleStmt(create) => {
                let name = create.role().unwrap_or_default();
                self.define("role", ObjectName::new("", name));
                self.hazard(Hazard::RoleChange);
                Kind::Role
            }
            Node::AlterRoleStmt(_)
            | Node::AlterRoleSetStmt(_)
            | Node::DropRoleStmt(_)
            | Node::GrantRoleStmt(_)
            | Node::ReassignOwnedStmt(_)
            | Node::DropOwnedStmt(_) => {
                self.hazard(Hazard::RoleChange);
                Kind::Role
            }
            _ => return None,
        };
        Some(Outcome::new(kind, Effect::None))
    }

    /// Statements about the server, other servers, and code.
    fn server(&mut self, node: Node<'_>) -> Option<Outcome> {
        let (kind, hazard) = match node {
            Node::AlterSystemStmt(_)
            | Node::AlterDatabaseSetStmt(_)
            | Node::AlterDatabaseStmt(_)
            | Node::AlterDatabaseRefreshCollStmt(_) => (Kind::Alter, Hazard::SystemChange),
            Node::CreatedbStmt(_) => (Kind::Create, Hazard::SystemChange),
            Node::DropdbStmt(_) => (Kind::Drop, Hazard::SystemChange),
            Node::CreateTableSpaceStmt(_) => (Kind::Create, Hazard::ServerFile),
            Node::DropTableSpaceStmt(_) => (Kind::Drop, Hazard::SystemChange),
            Node::AlterTableSpaceOptionsStmt(_) | Node::AlterTableMoveAllStmt(_) => {
                (Kind::Alter, Hazard::SystemChange)
            }
            Node::LoadStmt(_) => (Kind::Other, Hazard::LoadsCode),
            Node::CreateExtensionStmt(_) | Node::CreatePLangStmt(_) => {
                (Kind::Create, Hazard::LoadsCode)
            }
            Node::AlterExtensionStmt(_) | Node::AlterExtensionContentsStmt(_) => {
                (Kind::Alter, Hazard::LoadsCode)
            }
            Node::CreateFdwStmt(_)
            | Node::CreateForeignServerStmt(_)
            | Node::CreateUserMappingStmt(_)
            | Node::ImportForeignSchemaStmt(_)
            | Node::CreateSubscriptionStmt(_)
            | Node::CreatePublicationStmt(_) => (Kind::Create, Hazard::Network),
            Node::AlterFdwStmt(_)
            | Node::AlterForeignServerStmt(_)
            | Node::AlterUserMappingStmt(_)
            | Node::AlterSubscriptionStmt(_)
            | Node::AlterPublicationStmt(_) => (Kind::Alter, Hazard::Network),
            Node::DropUserMappingStmt(_) | Node::DropSubscriptionStmt(_) => {
                (Kind::Drop, Hazard::Network)
            }
            _ => return None,
        };
        self.hazard(hazard);
        // Another server, or code, may hand out anything afterwards.
        if kind != Kind::Drop && matches!(hazard, Hazard::Network | Hazard::LoadsCode) {
            self.opaque("what this definition would reach", -1);
        }
        Some(Outcome::new(kind, Effect::Catalog))
    }

    pub(in crate::sql) fn call_procedure(
        &mut self,
        call: &nodes::CallStmt,
    ) -> Result<Outcome, Error> {
        let Some(function) = call.funccall() else {
            self.opaque("this call", -1);
            return Ok(Outcome::new(Kind::Call, Effect::None));
        };
        let mut arguments = Vec::new();
        for node in function.args() {
            arguments.push(self.expression(node, &Env::default())?);
        }
        let (schema, name) = function_name(function.funcname());
        let value = self.invoke(&Call {
            schema,
            name,
            arguments: &arguments,
            spread: function.func_variadic,
            location: function.location,
        })?;
        let outputs = match &value.row {
            Some(fields) => fields.as_ref().clone(),
            None => self.single_output(schema, name, &value),
        };
        Ok(Outcome::rows(Kind::Call, outputs))
    }

    fn single_output(
        &self,
        schema: Option<&str>,
        name: &str,
        value: &crate::sql::analyze::expression::value::Value,
    ) -> Vec<Field> {
        let found = self.path.iter().find_map(|path| {
            let name = ObjectName::new(schema.unwrap_or(path), name);
            let numbers = self.catalog.function_names.get(&name)?;
            self.catalog.functions.get(numbers.first()?).map(Arc::clone)
        });
        found
            .iter()
            .flat_map(|function| &function.columns)
            .map(|(name, _)| Field::new(name.clone(), value.clone()))
            .collect()
    }
}

fn discarded(discard: &nodes::DiscardStmt) -> Outcome {
    let effect = match discard.target {
        DiscardMode::DISCARD_ALL => Effect::Discard,
        DiscardMode::DISCARD_TEMP => Effect::Temporary(Temporaries::default()),
        _ => Effect::None,
    };
    Outcome::new(Kind::Discard, effect)
}
