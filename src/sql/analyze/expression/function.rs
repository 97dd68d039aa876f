//! What a function may do: by what is known of the server's own, and by reading the bodies of others.

use std::rc::Rc;
use std::sync::Arc;

use crate::sql::analyze::context::{Analyzer, Place, effective_path};
use crate::sql::analyze::expression::call::Call;
use crate::sql::analyze::expression::value::Value;
use crate::sql::analyze::query::names::Env;
use crate::sql::catalog::Function;
use crate::sql::error::Error;
use crate::sql::footprint::Hazard;
use crate::sql::known;
use crate::sql::known::function::Verdict;
use crate::sql::lineage::{How, Origin, Sink};
use crate::sql::parse::{self, ConstValue, Node, nodes};

impl Analyzer<'_> {
    /// Notes a function that is called, and what it may do. Gives what it reads beside its arguments.
    pub(in crate::sql) fn verify(
        &mut self,
        function: &Arc<Function>,
        at: i32,
    ) -> Result<Value, Error> {
        self.found.footprint.calls.insert(function.oid);
        match known::function::verdict(function) {
            Verdict::Harmless => Ok(Value::constant(0)),
            Verdict::Marked(hazards) => {
                self.found.hazards.extend(hazards);
                Ok(Value::constant(0))
            }
            Verdict::Touches(hazards) => {
                self.found.hazards.extend(hazards);
                self.opaque(
                    format!("what the function {} touches", function.name.name),
                    at,
                );
                Ok(Value::unknown())
            }
            Verdict::Unproven => {
                if self.scope.trusted.contains(&function.name) {
                    return Ok(Value::constant(0));
                }
                if function.language == "sql" && !function.has_settings {
                    return self.body(function, at);
                }
                self.unproven(function, at);
                Ok(Value::unknown())
            }
        }
    }

    fn unproven(&mut self, function: &Function, at: i32) {
        self.opaque(format!("what the function {} does", function.name), at);
    }

    /// Reads the body of an SQL function: what it returns is computed from everything it reads.
    fn body(&mut self, function: &Arc<Function>, at: i32) -> Result<Value, Error> {
        if let Some(known) = self.bodies.get(&function.oid).map(Rc::clone) {
            self.consume(&known, at);
            return Ok(known.as_ref().clone());
        }
        let parsed = function.body.as_ref().map(|text| parse::parse(text));
        let Some(Ok(parsed)) = parsed else {
            self.unproven(function, at);
            return Ok(Value::unknown());
        };
        if self.open.contains(&function.oid) {
            self.unproven(function, at);
            return Ok(Value::unknown());
        }
        let mut nested = self.nested(Place::Body);
        // Also below a view, whose own names are full, its names are looked up as the session has it.
        nested.path = effective_path(self.scope);
        nested.open.push(function.oid);
        let env = Env {
            variables: function.argument_names.clone(),
            ..Env::default()
        };
        for piece in parsed.pieces() {
            nested.body_statement(piece.node, &env)?;
        }
        nested.default_values(function)?;
        self.rejoin(&nested);
        let value = self.absorb_body(nested);
        self.bodies.insert(function.oid, Rc::new(value.clone()));
        self.consume(&value, at);
        Ok(value)
    }

    /// What the body is handed when arguments are left out.
    fn default_values(&mut self, function: &Function) -> Result<(), Error> {
        let Some(text) = &function.default_values else {
            return Ok(());
        };
        let Ok(parsed) = parse::parse(&format!("SELECT {text}")) else {
            self.opaque("the defaults of a function", -1);
            return Ok(());
        };
        let mut nested = self.definition();
        let mut origin = Origin::Clean;
        for piece in parsed.pieces() {
            for field in nested.query(piece.node, &Env::default())? {
                origin = origin.or(field.value.origin);
            }
        }
        self.rejoin(&nested);
        let value = self.absorb_body(nested);
        self.consume(&value, -1);
        self.read(&origin);
        Ok(())
    }

    /// One statement of a body. The definition of a function with a standard body holds it in the tree.
    fn body_statement(&mut self, node: Node<'_>, env: &Env<'_>) -> Result<(), Error> {
        match node {
            Node::CreateFunctionStmt(create) => {
                self.path = vec!["pg_catalog".to_owned()];
                self.place = Place::Definition;
                let body = create.sql_body();
                self.body_statement(body, env)
            }
            Node::ReturnStmt(result) => {
                let value = self.expression(result.returnval(), env)?;
                self.consume(&value, -1);
                Ok(())
            }
            Node::NodeList(list) => {
                for inner in list {
                    self.deeper(|this| this.body_statement(inner, env))?;
                }
                Ok(())
            }
            Node::SelectStmt(_)
            | Node::InsertStmt(_)
            | Node::UpdateStmt(_)
            | Node::DeleteStmt(_)
            | Node::MergeStmt(_) => {
                for field in self.query(node, env)? {
                    self.consume(&field.value, -1);
                    self.read(&field.value.origin);
                }
                Ok(())
            }
            _ => {
                self.opaque("this statement in the body of a function", -1);
                Ok(())
            }
        }
    }

    fn absorb_body(&mut self, nested: Self) -> Value {
        let found = nested.found;
        let mut origin = match found.opaque {
            Some(_) => Origin::Unknown,
            None => Origin::Clean,
        };
        self.absorb_opaque(found.opaque);
        let reads = &found.footprint.reads;
        if !reads.is_empty() {
            origin = origin.or(Origin::Computed(reads.clone()));
        }
        let footprint = &mut self.found.footprint;
        footprint.reads.extend(found.footprint.reads);
        footprint
            .relations_read
            .extend(found.footprint.relations_read);
        footprint.writes.extend(found.footprint.writes);
        footprint
            .relations_written
            .extend(found.footprint.relations_written);
        footprint.calls.extend(found.footprint.calls);
        if !footprint.relations_written.is_empty() {
            self.found.hazards.insert(Hazard::HiddenWrite);
        }
        self.found.usages.extend(found.usages);
        self.found.flows.extend(found.flows);
        self.found.hazards.extend(found.hazards);
        self.found.assigned.extend(found.assigned);
        self.found.updated.extend(found.updated);
        self.found.inserted.extend(found.inserted);
        self.found.parts.extend(found.parts);
        let mut value = Value::supplied(0);
        value.origin = origin;
        value
    }

    /// Looks at literal arguments of functions whose effect depends on them: settings, notifications.
    pub(in crate::sql) fn literals(&mut self, call: &nodes::FuncCall, spoken: &Call<'_>) {
        let built_in = spoken.schema.is_none_or(|schema| schema == "pg_catalog");
        if !built_in {
            return;
        }
        match spoken.name {
            "set_config" => {
                let texts: Vec<Option<String>> = call.args().iter().map(literal).collect();
                let name = texts.first().cloned().flatten();
                let value = texts.get(1).cloned().flatten();
                self.change_setting(name.as_deref(), value.as_deref(), spoken.location);
                self.flows_out(spoken);
            }
            "pg_notify"
            | "setval"
            | "setseed"
            | "lo_from_bytea"
            | "lo_put"
            | "lowrite"
            | "lo_create"
            | "pg_logical_emit_message"
            | "pg_sleep"
            | "pg_sleep_for"
            | "pg_sleep_until"
            | "pg_advisory_lock"
            | "pg_try_advisory_lock"
            | "pg_advisory_xact_lock"
            | "pg_try_advisory_xact_lock" => self.flows_out(spoken),
            _ => {}
        }
    }

    fn flows_out(&mut self, call: &Call<'_>) {
        for argument in call.arguments {
            self.usage(&argument.origin, How::Computation, call.location);
            self.flow(&argument.origin, Sink::Elsewhere, call.location);
        }
    }
}

/// The text of a literal, also under casts.
pub(in crate::sql) fn literal(node: Node<'_>) -> Option<String> {
    let mut node = node;
    for _ in 0..8 {
        match node {
            Node::TypeCast(cast) => node = cast.arg(),
            Node::NamedArgExpr(named) => node = named.arg(),
            Node::String(text) => return text.sval().map(str::to_owned),
            Node::Integer(number) => return Some(number.ival.to_string()),
            Node::Boolean(truth) => return Some(truth.boolval.to_string()),
            Node::Float(number) => return number.fval().map(str::to_owned),
            Node::A_Const(constant) => {
                return match constant.val()? {
                    ConstValue::String(text)
                    | ConstValue::Float(text)
                    | ConstValue::BitString(text) => Some(text.to_owned()),
                    ConstValue::Integer(number) => Some(number.to_string()),
                    ConstValue::Boolean(truth) => Some(truth.to_string()),
                    _ => None,
                };
            }
            _ => return None,
        }
    }
    None
}
