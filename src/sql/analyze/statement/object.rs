//! Other objects made and changed: indexes, functions, triggers, servers, names, owners.

use std::rc::Rc;

use crate::model::name::ObjectName;
use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::function::literal;
use crate::sql::analyze::query::names::{Env, column_id};
use crate::sql::analyze::statement::Outcome;
use crate::sql::analyze::statement::ddl::object_kind;
use crate::sql::analyze::statement::temporary::is_temporary;
use crate::sql::catalog::RelationKind;
use crate::sql::error::Error;
use crate::sql::footprint::{Effect, Hazard, Kind};
use crate::sql::known::function::{Verdict, verdict};
use crate::sql::lineage::{How, Origin};
use crate::sql::parse::{List, Node, nodes};

impl Analyzer<'_> {
    /// `CREATE` and `ALTER` of everything that is no table or view; `None` when it is none of them.
    pub(in crate::sql) fn object(&mut self, node: Node<'_>) -> Result<Option<Outcome>, Error> {
        let create = Outcome::new(Kind::Create, Effect::Catalog);
        let alter = Outcome::new(Kind::Alter, Effect::Catalog);
        match node {
            Node::IndexStmt(index) => self.create_index(index)?,
            Node::CreateStatsStmt(statistics) => {
                self.create_statistics(statistics)?;
            }
            Node::CreateFunctionStmt(function) => self.create_function(function)?,
            Node::CreateSeqStmt(sequence) => return Ok(Some(self.create_sequence(sequence))),
            Node::CreateSchemaStmt(schema) => return self.create_schema(schema).map(Some),
            Node::CreateDomainStmt(domain) => {
                for constraint in domain.constraints() {
                    self.of_values(constraint.raw_expr())?;
                }
                let name = self.listed_name(domain.domainname().iter().map(Node::String));
                self.define("domain", name);
            }
            Node::CreateEnumStmt(r#type) => {
                let name = self.listed_name(r#type.type_name().iter().map(Node::String));
                self.define("type", name);
            }
            Node::CreateRangeStmt(r#type) => {
                let name = self.listed_name(r#type.type_name().iter().map(Node::String));
                self.define("type", name);
            }
            Node::CompositeTypeStmt(r#type) => {
                if let Some(range) = r#type.typevar() {
                    let name = self.object_name(range);
                    self.define("type", name);
                }
            }
            Node::DefineStmt(define) => {
                let name = self.listed_name(define.defnames().iter().map(Node::String));
                self.define(object_kind(define.kind), name);
            }
            Node::AlterSeqStmt(sequence) => {
                if let Some(range) = sequence.sequence() {
                    self.changed_relation(range);
                }
                return Ok(Some(alter));
            }
            Node::AlterFunctionStmt(function) => {
                let changed = |option: &&nodes::DefElem| option.defname() == Some("security");
                if function.actions().iter().any(|option| changed(&option)) {
                    self.hazard(Hazard::RoleChange);
                }
                if let Some(object) = function.func() {
                    self.changed_functions(Node::ObjectWithArgs(object), ObjectName::clone);
                }
                return Ok(Some(alter));
            }
            Node::AlterEnumStmt(_)
            | Node::AlterTypeStmt(_)
            | Node::AlterStatsStmt(_)
            | Node::AlterCollationStmt(_)
            | Node::AlterTSDictionaryStmt(_)
            | Node::AlterTSConfigurationStmt(_)
            | Node::AlterOperatorStmt(_)
            | Node::AlterOpFamilyStmt(_)
            | Node::AlterObjectDependsStmt(_) => return Ok(Some(alter)),
            _ => return self.hung_on(node),
        }
        Ok(Some(create))
    }

    /// What hangs onto a table and runs when it is used: triggers, rules, policies.
    fn hung_on(&mut self, node: Node<'_>) -> Result<Option<Outcome>, Error> {
        let (range, what) = match node {
            Node::CreateTrigStmt(trigger) => (trigger.relation(), "what a new trigger would do"),
            Node::RuleStmt(rule) => (rule.relation(), "what a new rule would do"),
            Node::CreatePolicyStmt(policy) => (policy.table(), "what a new policy would do"),
            Node::AlterPolicyStmt(policy) => (policy.table(), "what a changed policy would do"),
            Node::CreateEventTrigStmt(_) | Node::AlterEventTrigStmt(_) => {
                (None, "what an event trigger would do")
            }
            Node::CreateCastStmt(_) => (None, "what a new cast would do"),
            Node::CreateConversionStmt(_)
            | Node::CreateTransformStmt(_)
            | Node::CreateOpClassStmt(_)
            | Node::CreateOpFamilyStmt(_)
            | Node::CreateAmStmt(_) => (None, "what this definition would do"),
            _ => return self.renamed(node),
        };
        if let Some(range) = range {
            self.changed_relation(range);
        }
        self.opaque(what, -1);
        Ok(Some(Outcome::new(Kind::Create, Effect::Catalog)))
    }

    fn renamed(&mut self, node: Node<'_>) -> Result<Option<Outcome>, Error> {
        match node {
            Node::RenameStmt(rename) => {
                if rename.rename_type == nodes::ObjectType::OBJECT_ROLE {
                    self.hazard(Hazard::RoleChange);
                    return Ok(Some(Outcome::new(Kind::Role, Effect::None)));
                }
                if rename.rename_type == nodes::ObjectType::OBJECT_SCHEMA {
                    self.renamed_schema(rename.subname().unwrap_or_default());
                }
                let new = rename.newname().unwrap_or_default();
                self.changed_functions(rename.object(), |old| ObjectName::new(&*old.schema, new));
                if let Some(range) = rename.relation()
                    && let Some(relation) = self.changed_relation(range)
                    && relation.name.schema == "pg_temp"
                {
                    self.opaque("names of temporary tables that change", range.location);
                }
            }
            Node::AlterObjectSchemaStmt(alter) => {
                let new = alter.newschema().unwrap_or_default();
                self.changed_functions(alter.object(), |old| ObjectName::new(new, &*old.name));
                if let Some(range) = alter.relation() {
                    self.changed_relation(range);
                }
            }
            Node::AlterOwnerStmt(alter) => {
                self.hazard(Hazard::RoleChange);
                if let Some(range) = alter.relation() {
                    self.changed_relation(range);
                }
            }
            Node::AlterDomainStmt(alter) => {
                let stored = match alter.def() {
                    Node::Constraint(constraint) => constraint.raw_expr(),
                    default => default,
                };
                self.of_values(stored)?;
                let name = self.listed_name(alter.type_name());
                self.of_domain(alter.type_name());
                self.define("domain", name);
            }
            _ => return Ok(None),
        }
        Ok(Some(Outcome::new(Kind::Alter, Effect::Catalog)))
    }

    /// A condition or default of a domain. It is computed wherever a value becomes one of the domain's, so what it calls must stay
    /// what it is.
    fn of_values(&mut self, node: Node<'_>) -> Result<(), Error> {
        self.stored_expression(node, &domain_env())?;
        let catalog = self.catalog;
        let mut called = self.found.footprint.calls.iter();
        let own = called.any(|oid| {
            let function = catalog.functions.get(oid);
            function.is_none_or(|function| {
                verdict(function) != Verdict::Harmless
                    && !self.scope.trusted.contains(&function.name)
            })
        });
        if own {
            self.opaque("a domain that calls functions of this database", -1);
        }
        Ok(())
    }

    /// Functions of the server, of extensions and of the policy's trust are taken for what their names say.
    fn changed_function(&mut self, name: &ObjectName, new: &ObjectName) {
        let catalog = self.catalog;
        let mut known = catalog.function_names.get(name).into_iter().flatten();
        if known.any(|oid| {
            let function = catalog.functions.get(oid);
            function.is_some_and(|function| function.origin.is_some())
        }) {
            self.hazard(Hazard::SystemChange);
        }
        if self.scope.trusted.contains(name) || self.scope.trusted.contains(new) {
            self.opaque("changes of a function that the policy trusts", -1);
        }
    }

    /// The name of a function that is changed: unqualified it may be any in the path.
    fn changed_functions(&mut self, object: Node<'_>, new: impl Fn(&ObjectName) -> ObjectName) {
        let Node::ObjectWithArgs(object) = object else {
            return;
        };
        let parts: Vec<&str> = object.objname().iter().filter_map(Node::as_str).collect();
        let names: Vec<ObjectName> = match parts.as_slice() {
            [.., schema, name] => vec![ObjectName::new(*schema, *name)],
            [name] => {
                let path = self.path.iter();
                path.map(|schema| ObjectName::new(schema, *name)).collect()
            }
            [] => Vec::new(),
        };
        for name in names {
            if self.catalog.function_names.contains_key(&name) {
                self.changed_function(&name, &new(&name));
            }
        }
    }

    /// Each column of a domain is looked at when the domain gets another condition.
    fn of_domain(&mut self, name: &List) {
        let parts: Vec<&str> = name.iter().filter_map(Node::as_str).collect();
        let found = match parts.as_slice() {
            [.., schema, name] => self.named_type(Some(schema), name),
            [name] => self.named_type(None, name),
            [] => None,
        };
        let Some(domain) = found else {
            self.opaque("which domain this changes", -1);
            return;
        };
        let catalog = self.catalog;
        for relation in catalog.relations.values() {
            for column in &relation.columns {
                if self.is_made_of(column.type_oid, domain, 0) {
                    let id = column_id(relation.oid, column.number);
                    self.usage(&Origin::plain(id), How::Indirect, -1);
                }
            }
        }
    }

    /// Whether values of a type are, or hold, values of the other.
    fn is_made_of(&self, type_oid: u32, part: u32, depth: u8) -> bool {
        if type_oid == part || depth > 8 {
            return true;
        }
        let Some(found) = self.catalog.types.get(&type_oid) else {
            return false;
        };
        let deeper = |inner: u32| self.is_made_of(inner, part, depth.saturating_add(1));
        (found.base != 0 && deeper(found.base))
            || (found.element != 0 && deeper(found.element))
            || self
                .catalog
                .relations
                .get(&found.relation)
                .is_some_and(|row| row.columns.iter().any(|column| deeper(column.type_oid)))
    }

    /// Everything in a schema has another name afterwards.
    fn renamed_schema(&mut self, name: &str) {
        self.define("schema", ObjectName::new(name, name));
        let catalog = self.catalog;
        for relation in catalog.relations.values() {
            if relation.name.schema == name {
                self.all_indirect(relation, -1);
            }
        }
    }

    fn create_index(&mut self, index: &nodes::IndexStmt) -> Result<(), Error> {
        let Some(range) = index.relation() else {
            return Ok(());
        };
        let Some(relation) = self.changed_relation(range) else {
            return Ok(());
        };
        let mut env = Env::default();
        env.items.push(Rc::new(self.stored_item(&relation)?));
        for element in index.index_params() {
            self.consume_expression(element.expr(), &env)?;
        }
        self.predicate(index.where_clause(), &env)?;
        let name = index.idxname().unwrap_or_default();
        self.define("index", ObjectName::new(relation.name.schema.clone(), name));
        Ok(())
    }

    fn create_statistics(&mut self, statistics: &nodes::CreateStatsStmt) -> Result<(), Error> {
        let mut env = Env::default();
        for range in statistics.relations() {
            if let Some(relation) = self.changed_relation(range) {
                env.items.push(Rc::new(self.stored_item(&relation)?));
            }
        }
        for element in statistics.exprs() {
            if let Node::StatsElem(element) = element {
                self.consume_expression(element.expr(), &env)?;
            }
        }
        Ok(())
    }

    fn create_function(&mut self, function: &nodes::CreateFunctionStmt) -> Result<(), Error> {
        // A default is computed at each call that leaves the argument out, and handed to the body.
        for parameter in function.parameters() {
            self.stored_expression(parameter.defexpr(), &Env::default())?;
        }
        for option in function.options() {
            if option.defname() == Some("language") {
                let language = literal(option.arg())
                    .or_else(|| option.arg().as_str().map(str::to_owned))
                    .unwrap_or_default();
                if matches!(language.to_ascii_lowercase().as_str(), "c" | "internal")
                    || language.ends_with('u')
                {
                    self.hazard(Hazard::LoadsCode);
                }
            }
        }
        let name = self.listed_name(function.funcname());
        if name.schema == "pg_temp" {
            self.opaque("functions of the temporary schema", -1);
        }
        if function.replace {
            self.changed_function(&name, &name);
        } else if self.scope.trusted.contains(&name) {
            self.opaque("a function of a name that the policy trusts", -1);
        }
        self.define("function", name);
        Ok(())
    }

    fn create_sequence(&mut self, sequence: &nodes::CreateSeqStmt) -> Outcome {
        let Some(range) = sequence.sequence() else {
            return Outcome::new(Kind::Create, Effect::Catalog);
        };
        let effect = if is_temporary(range) {
            self.with_temporary(range, RelationKind::Sequence, Vec::new())
        } else {
            Effect::Catalog
        };
        let name = self.object_name(range);
        self.define("sequence", name);
        Outcome::new(Kind::Create, effect)
    }

    fn create_schema(&mut self, schema: &nodes::CreateSchemaStmt) -> Result<Outcome, Error> {
        let name = schema.schemaname().unwrap_or_default();
        self.define("schema", ObjectName::new(name, name));
        if schema.authrole().is_some() {
            self.hazard(Hazard::RoleChange);
        }
        for element in schema.schema_elts() {
            self.deeper(|this| this.statement(element))?;
        }
        Ok(Outcome::new(Kind::Create, Effect::Catalog))
    }
}

/// `VALUE` in the checks of a domain.
fn domain_env() -> Env<'static> {
    Env {
        variables: vec!["value".to_owned()],
        ..Env::default()
    }
}
