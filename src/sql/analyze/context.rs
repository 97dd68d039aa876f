//! What is carried through the analysis of one statement: what was found so far, and the limits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use crate::model::name::{ColumnId, ObjectName};
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::catalog::{Catalog, FIRST_NORMAL, RelationKind};
use crate::sql::error::Error;
use crate::sql::footprint::{
    Assignment, CopyFormat, Failure, Footprint, Hazard, Kind, Opaque, Source, Written,
};
use crate::sql::lineage::{Flow, How, Origin, Sink, Usage};
use crate::sql::scope::Scope;

/// How deep a statement may nest; a level takes less than 4 KiB of stack.
const MAX_DEPTH: u32 = 300;
/// How many nodes are visited at most, those of views counted each time they are read.
const MAX_STEPS: u32 = 2_000_000;

/// The analysis of one statement.
pub(in crate::sql) struct Analyzer<'a> {
    pub(in crate::sql) catalog: &'a Catalog,
    pub(in crate::sql) scope: &'a Scope,
    /// The statement's own text, where it is at hand.
    pub(in crate::sql) text: &'a str,
    /// Declared types of the parameters.
    pub(in crate::sql) parameters: &'a [u32],
    /// The schemas that unqualified names are looked up in.
    pub(in crate::sql) path: Vec<String>,
    /// What was found.
    pub(in crate::sql) found: Found,
    /// In what is being read.
    pub(in crate::sql) place: Place,
    /// Above 0, usages and reads are not noted: what a view computes counts where it is used.
    pub(in crate::sql) quiet: u32,
    /// With how many values a use is made.
    times: u32,
    /// What would have been noted.
    pub(in crate::sql) overheard: BTreeSet<(ColumnId, How)>,
    /// Columns of relations that were looked at.
    pub(in crate::sql) relations: HashMap<u32, Rc<Vec<Field>>>,
    /// Views and functions whose definition is being read, against cycles.
    pub(in crate::sql) open: Vec<u32>,
    /// What SQL functions turned out to read.
    pub(in crate::sql) bodies: HashMap<u32, Rc<Value>>,
    /// Aggregates so far for which the server sorts: `count(DISTINCT x)`, `array_agg(x ORDER BY y)`.
    pub(in crate::sql) sorting: u32,
    depth: u32,
    steps: u32,
}

/// Whose text is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Place {
    /// The client's.
    Statement,
    /// The definition of a view, materialized view or generated column.
    Definition,
    /// The body of a function.
    Body,
}

/// What was found so far.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "findings that have nothing to do with each other"
)]
pub(in crate::sql) struct Found {
    pub(in crate::sql) footprint: Footprint,
    pub(in crate::sql) usages: BTreeSet<Usage>,
    pub(in crate::sql) flows: Vec<Flow>,
    pub(in crate::sql) hazards: BTreeSet<Hazard>,
    pub(in crate::sql) parts: BTreeSet<Kind>,
    pub(in crate::sql) writers: u32,
    pub(in crate::sql) assigned: Vec<Assignment>,
    pub(in crate::sql) opaque: Option<Opaque>,
    pub(in crate::sql) settings: bool,
    pub(in crate::sql) copy: Option<CopyFormat>,
    pub(in crate::sql) source: Option<Source>,
    pub(in crate::sql) named: bool,
    pub(in crate::sql) own_code: bool,
    pub(in crate::sql) literals: Vec<Written>,
    /// Columns of rows that are changed.
    pub(in crate::sql) updated: BTreeSet<ColumnId>,
    /// Columns of new rows, with how many rows are written out at most.
    pub(in crate::sql) inserted: BTreeMap<ColumnId, u32>,
}

impl Found {
    /// A statement that writes rows begins.
    pub(in crate::sql) fn writes(&mut self, kind: Kind) {
        self.parts.insert(kind);
        self.writers = self.writers.saturating_add(1);
    }
}

impl<'a> Analyzer<'a> {
    pub(in crate::sql) fn new(
        catalog: &'a Catalog,
        scope: &'a Scope,
        parameters: &'a [u32],
    ) -> Self {
        Self {
            catalog,
            scope,
            text: "",
            parameters,
            path: effective_path(scope),
            found: Found::default(),
            place: Place::Statement,
            quiet: 0,
            times: 1,
            overheard: BTreeSet::new(),
            relations: HashMap::new(),
            open: Vec::new(),
            bodies: HashMap::new(),
            sorting: 0,
            depth: 0,
            steps: 0,
        }
    }

    /// An analysis of something that this one stumbled over, with findings of its own.
    pub(in crate::sql) fn nested(&self, place: Place) -> Self {
        Self {
            path: self.path.clone(),
            place,
            open: self.open.clone(),
            depth: self.depth,
            steps: self.steps,
            ..Self::new(self.catalog, self.scope, &[])
        }
    }

    /// Goes on with the budget that a nested analysis has left.
    pub(in crate::sql) const fn rejoin(&mut self, nested: &Analyzer<'_>) {
        self.steps = nested.steps;
    }

    /// One level deeper; every recursion goes through here.
    pub(in crate::sql) fn deeper<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.steps = self.steps.saturating_add(1);
        if self.steps > MAX_STEPS {
            return Err(Error::too_large("too many parts"));
        }
        if self.depth >= MAX_DEPTH {
            return Err(Error::too_deep());
        }
        self.depth = self.depth.saturating_add(1);
        let result = work(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// Does something without noting usages and reads.
    pub(in crate::sql) fn quietly<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.quiet = self.quiet.saturating_add(1);
        let result = work(self);
        self.quiet = self.quiet.saturating_sub(1);
        result
    }

    /// A byte position from the parser's; none inside definitions, which have another text.
    pub(in crate::sql) fn position(&self, location: i32) -> Option<usize> {
        match self.place {
            Place::Statement => usize::try_from(location).ok(),
            Place::Definition | Place::Body => None,
        }
    }

    /// Notes that stored columns are used.
    pub(in crate::sql) fn usage(&mut self, origin: &Origin, how: How, location: i32) {
        if self.scope.steered && matches!(how, How::NullTest | How::Grouping | How::Join) {
            self.usages(origin, How::Ordering, location, 1);
        }
        self.usages(origin, how, location, self.times);
    }

    /// Notes uses as made with that many values.
    pub(in crate::sql) fn times(&mut self, times: u32, work: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.times, times);
        work(self);
        self.times = before;
    }

    /// Notes that stored columns are used with that many values.
    pub(in crate::sql) fn usages(&mut self, origin: &Origin, how: How, location: i32, values: u32) {
        if self.quiet > 0 {
            let columns = origin.columns().map(|column| (column, how));
            self.overheard.extend(columns);
            return;
        }
        let position = self.position(location);
        for column in origin.columns() {
            self.found.usages.insert(Usage {
                column,
                how,
                position,
                values,
            });
        }
    }

    /// Notes what it takes to know a value that a definition computes: it counts where the value is used.
    pub(in crate::sql) fn take(&mut self, value: &Value) {
        for (column, how) in value.uses.iter().flat_map(|uses| uses.iter()) {
            self.usage(&Origin::plain(*column), *how, -1);
        }
        for field in value.row.iter().flat_map(|fields| fields.iter()) {
            self.take(&field.value);
        }
    }

    /// Notes that a value is computed with.
    pub(in crate::sql) fn consume(&mut self, value: &Value, location: i32) {
        self.usage(&value.origin, How::Computation, location);
    }

    /// Notes that stored columns are read. What is not known may be any of them, also where it is not given out.
    pub(in crate::sql) fn read(&mut self, origin: &Origin) {
        if self.quiet == 0 {
            if *origin == Origin::Unknown {
                self.opaque("what a column used here may hold", -1);
            }
            self.found.footprint.reads.extend(origin.columns());
        }
    }

    /// Notes that a relation is read.
    pub(in crate::sql) fn read_relation(&mut self, oid: u32) {
        self.found.footprint.relations_read.insert(oid);
    }

    /// Notes a path into a place that is stored or sent elsewhere.
    pub(in crate::sql) fn flow(&mut self, from: &Origin, to: Sink, location: i32) {
        if *from != Origin::Clean {
            let position = self.position(location);
            self.found.flows.push(Flow {
                from: from.clone(),
                to,
                position,
            });
        }
    }

    pub(in crate::sql) fn hazard(&mut self, hazard: Hazard) {
        self.found.hazards.insert(hazard);
    }

    /// Notes that something is created, altered or dropped.
    pub(in crate::sql) fn define(&mut self, what: &str, name: ObjectName) {
        // Of what is temporary only relations are followed.
        let followed = matches!(what, "table" | "view" | "sequence" | "relation" | "index");
        if name.schema.starts_with("pg_temp") && !followed {
            self.opaque(format!("a temporary {what}"), -1);
        }
        self.found.footprint.defines.insert((what.to_owned(), name));
    }

    /// Notes what is not understood; the first such thing stays.
    pub(in crate::sql) fn opaque(&mut self, what: impl Into<String>, location: i32) {
        if self.found.opaque.is_none() {
            let position = self.position(location);
            self.found.opaque = Some(Opaque {
                what: what.into(),
                position,
                failure: None,
            });
        }
    }

    /// Notes that a name does not resolve, with what the server would answer. It takes the place of anything
    /// else that is not understood: the server would fail before it runs.
    pub(in crate::sql) fn failure(
        &mut self,
        sqlstate: &'static str,
        message: impl Into<String>,
        location: i32,
    ) {
        let earlier = self.found.opaque.as_ref();
        if earlier.is_some_and(|opaque| opaque.failure.is_some()) {
            return;
        }
        let message = message.into();
        let position = self.position(location);
        self.found.opaque = Some(Opaque {
            what: format!("a name: {message}"),
            position,
            failure: Some(Failure { sqlstate, message }),
        });
    }

    /// Notes that a stored column is written; of a view's column also what is behind it.
    pub(in crate::sql) fn write(&mut self, column: ColumnId) {
        let footprint = &mut self.found.footprint;
        footprint.writes.insert(column);
        footprint.relations_written.insert(column.relation);
        for behind in self.behind(column) {
            let footprint = &mut self.found.footprint;
            footprint.writes.insert(behind);
            footprint.relations_written.insert(behind.relation);
        }
    }

    /// The columns behind a view's column, besides itself.
    pub(in crate::sql) fn behind(&self, column: ColumnId) -> Vec<ColumnId> {
        let Some(relation) = self.catalog.relations.get(&column.relation) else {
            return Vec::new();
        };
        if relation.kind != RelationKind::View {
            return Vec::new();
        }
        let place = relation
            .columns
            .iter()
            .position(|known| known.number == column.number);
        let fields = self.relations.get(&column.relation);
        let field = place.and_then(|place| fields?.get(place));
        field
            .iter()
            .flat_map(|field| field.value.origin.columns())
            .filter(|behind| *behind != column)
            .collect()
    }

    /// Whether the rows of a relation may be what this session put there.
    pub(in crate::sql) fn is_supplied(&self, relation: u32) -> bool {
        let Some(known) = self.catalog.relations.get(&relation) else {
            return true;
        };
        // Names of objects, comments and settings are in system relations; sequences and foreign tables hold
        // what one puts there without a trace.
        if relation < FIRST_NORMAL
            || matches!(known.kind, RelationKind::Sequence | RelationKind::Foreign)
        {
            return true;
        }
        if self.scope.written.is_empty() {
            return false;
        }
        self.family_written(relation, 0)
    }

    /// Whether rows of a relation, of what it is a part of, or of its parts were written.
    fn family_written(&self, relation: u32, depth: u8) -> bool {
        let written = &self.scope.written;
        if written.contains(&relation) || depth > 16 {
            return true;
        }
        let Some(known) = self.catalog.relations.get(&relation) else {
            return true;
        };
        let up = |parent: &u32| self.ancestor_written(*parent, depth.saturating_add(1));
        known.parents.iter().any(up) || self.part_written(relation, depth)
    }

    fn ancestor_written(&self, relation: u32, depth: u8) -> bool {
        if self.scope.written.contains(&relation) || depth > 16 {
            return true;
        }
        let known = self.catalog.relations.get(&relation);
        known.is_none_or(|known| {
            let parents = &known.parents;
            parents
                .iter()
                .any(|parent| self.ancestor_written(*parent, depth.saturating_add(1)))
        })
    }

    fn part_written(&self, relation: u32, depth: u8) -> bool {
        if depth > 16 {
            return true;
        }
        let known = self.catalog.relations.get(&relation);
        known.is_none_or(|known| {
            known.children.iter().any(|child| {
                self.scope.written.contains(child)
                    || self.part_written(*child, depth.saturating_add(1))
            })
        })
    }
}

/// The schemas that PostgreSQL searches, temporary relations apart.
pub(in crate::sql) fn effective_path(scope: &Scope) -> Vec<String> {
    let mut path: Vec<String> = Vec::with_capacity(scope.search_path.len().saturating_add(1));
    if !scope
        .search_path
        .iter()
        .any(|schema| schema == "pg_catalog")
    {
        path.push("pg_catalog".to_owned());
    }
    for schema in &scope.search_path {
        match schema.as_str() {
            "$user" => path.push(scope.user.clone()),
            "pg_temp" => {}
            other => path.push(other.to_owned()),
        }
    }
    path
}
