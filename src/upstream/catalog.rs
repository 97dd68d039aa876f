//! Reads the catalog of a target database, in one snapshot.
//!
//! All names in the queries are qualified and `search_path` is `pg_catalog` while they run, so that objects
//! of the target can't stand in for the catalog's own and definitions come out with full names.

use tokio_postgres::{Client, Row};

use crate::model::name::ObjectName;
use crate::sql::catalog::{
    Catalog, Column, Constraint, ConstraintKind, Function, Operator, Parts, Relation, RelationKind,
    Trigger, Type,
};
use crate::upstream::Error;

/// Reads everything that name resolution needs, system relations included.
///
/// Opens and ends a transaction of its own: the connection must not be in one.
///
/// # Errors
///
/// When a query fails; the transaction is rolled back then.
pub async fn read(client: &Client) -> Result<Catalog, Error> {
    client
        .batch_execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog",
        )
        .await
        .map_err(failed)?;
    let parts = parts(client).await.map_err(failed);
    let end = if parts.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await.map_err(failed)?;
    Ok(Catalog::new(parts?))
}

/// A number that differs when the catalog may have changed: cheap enough to be asked every second.
///
/// It only counts the rows of the catalogs that [`read`] reads and adds up the transactions that wrote them.
///
/// # Errors
///
/// When the query fails.
pub async fn probe(client: &Client) -> Result<String, Error> {
    let row = client.query_one(PROBE, &[]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

fn failed(source: tokio_postgres::Error) -> Error {
    Error::Admin {
        doing: "read the catalog",
        source,
    }
}

async fn parts(client: &Client) -> Result<Parts, tokio_postgres::Error> {
    let version: i32 = client
        .query_one(
            "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4",
            &[],
        )
        .await?
        .try_get(0)?;
    let mut parts = Parts {
        server_version: u32::try_from(version).unwrap_or(0),
        ..Parts::default()
    };
    for row in client.query(SCHEMAS, &[]).await? {
        parts.schemas.push(row.try_get(0)?);
    }
    for row in client.query(RELATIONS, &[]).await? {
        parts.relations.push(relation(&row)?);
    }
    attach_columns(client, &mut parts.relations).await?;
    attach_triggers(client, &mut parts.relations).await?;
    attach_constraints(client, &mut parts.relations).await?;
    attach_calls(client, &mut parts.relations).await?;
    for row in client.query(FUNCTIONS, &[]).await? {
        parts.functions.push(function(&row)?);
    }
    for row in client.query(TYPES, &[]).await? {
        parts.types.push(r#type(&row)?);
    }
    for row in client.query(OPERATORS, &[]).await? {
        parts.operators.push((row.try_get(0)?, operator(&row)?));
    }
    for row in client.query(CASTS, &[]).await? {
        parts
            .casts
            .push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    }
    Ok(parts)
}

async fn attach_columns(
    client: &Client,
    relations: &mut [Relation],
) -> Result<(), tokio_postgres::Error> {
    relations.sort_by_key(|relation| relation.oid);
    for row in client.query(COLUMNS, &[]).await? {
        let column = Column {
            number: row.try_get(1)?,
            name: row.try_get(2)?,
            type_oid: row.try_get(3)?,
            generated: row.try_get(4)?,
            not_null: row.try_get(5)?,
            comment: row.try_get(6)?,
        };
        if let Some(relation) = of_row(&row, relations)? {
            relation.columns.push(column);
        }
    }
    Ok(())
}

/// The relation whose number is first in a row. They are sorted by it.
fn of_row<'r>(
    row: &Row,
    relations: &'r mut [Relation],
) -> Result<Option<&'r mut Relation>, tokio_postgres::Error> {
    let owner: u32 = row.try_get(0)?;
    let found = relations.binary_search_by_key(&owner, |relation| relation.oid);
    Ok(found.ok().and_then(|index| relations.get_mut(index)))
}

async fn attach_triggers(
    client: &Client,
    relations: &mut [Relation],
) -> Result<(), tokio_postgres::Error> {
    for row in client.query(TRIGGERS, &[]).await? {
        let arguments: &[u8] = row.try_get(2)?;
        // Each ends with a zero byte.
        let arguments = arguments.split(|byte| *byte == 0);
        let mut arguments: Vec<String> = arguments
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect();
        arguments.pop();
        let trigger = Trigger {
            function: row.try_get(1)?,
            arguments,
            events: row.try_get(3)?,
        };
        if let Some(relation) = of_row(&row, relations)? {
            relation.triggers.push(trigger);
        }
    }
    Ok(())
}

async fn attach_constraints(
    client: &Client,
    relations: &mut [Relation],
) -> Result<(), tokio_postgres::Error> {
    for row in client.query(CONSTRAINTS, &[]).await? {
        let kind = match letter(row.try_get(1)?) {
            'c' => ConstraintKind::Check,
            'x' => ConstraintKind::Exclusion,
            'p' => ConstraintKind::Primary,
            'f' => ConstraintKind::Foreign {
                relation: row.try_get(3)?,
                columns: row.try_get::<_, Option<_>>(4)?.unwrap_or_default(),
                by_delete: row.try_get(5)?,
                by_update: row.try_get(6)?,
            },
            _ => ConstraintKind::Unique,
        };
        let columns = row.try_get::<_, Option<_>>(2)?.unwrap_or_default();
        if let Some(relation) = of_row(&row, relations)? {
            relation.constraints.push(Constraint { kind, columns });
        }
    }
    Ok(())
}

async fn attach_calls(
    client: &Client,
    relations: &mut [Relation],
) -> Result<(), tokio_postgres::Error> {
    for row in client.query(CALLS, &[]).await? {
        let function = row.try_get(1)?;
        if let Some(relation) = of_row(&row, relations)? {
            relation.calls.push(function);
        }
    }
    Ok(())
}

fn relation(row: &Row) -> Result<Relation, tokio_postgres::Error> {
    let kind: i8 = row.try_get(3)?;
    Ok(Relation {
        oid: row.try_get(0)?,
        name: name(row, 1)?,
        kind: match letter(kind) {
            'r' => RelationKind::Table,
            'p' => RelationKind::Partitioned,
            'v' => RelationKind::View,
            'm' => RelationKind::Materialized,
            'f' => RelationKind::Foreign,
            'S' => RelationKind::Sequence,
            'c' => RelationKind::Composite,
            _ => RelationKind::Other,
        },
        columns: Vec::new(),
        definition: row.try_get(4)?,
        parents: row.try_get(5)?,
        row_security: row.try_get(6)?,
        has_rules: row.try_get(7)?,
        children: row.try_get(8)?,
        triggers: Vec::new(),
        constraints: Vec::new(),
        calls: Vec::new(),
        hooks: row.try_get(9)?,
    })
}

fn function(row: &Row) -> Result<Function, tokio_postgres::Error> {
    let variadic: u32 = row.try_get(14)?;
    let defaults: i16 = row.try_get(13)?;
    let names: Vec<String> = row.try_get::<_, Option<_>>(16)?.unwrap_or_default();
    let modes: Vec<i8> = row.try_get::<_, Option<_>>(17)?.unwrap_or_default();
    let all: Vec<u32> = row.try_get::<_, Option<_>>(18)?.unwrap_or_default();
    let mode = |index: usize| modes.get(index).copied().map_or('i', letter);
    let columns = all
        .iter()
        .enumerate()
        .filter(|(index, _)| matches!(mode(*index), 'o' | 'b' | 't'))
        .map(|(index, r#type)| (names.get(index).cloned().unwrap_or_default(), *r#type))
        .collect();
    let argument_names = names
        .iter()
        .enumerate()
        .filter(|(index, _)| matches!(mode(*index), 'i' | 'b' | 'v'))
        .map(|(_, name)| name.clone())
        .collect();
    Ok(Function {
        oid: row.try_get(0)?,
        name: name(row, 1)?,
        arguments: row.try_get(3)?,
        returns: row.try_get(4)?,
        returns_set: row.try_get(5)?,
        volatility: letter(row.try_get(6)?),
        leakproof: row.try_get(7)?,
        security_definer: row.try_get(8)?,
        language: row.try_get(9)?,
        kind: letter(row.try_get(10)?),
        origin: row.try_get(11)?,
        body: row.try_get(12)?,
        defaults: u16::try_from(defaults).unwrap_or(0),
        variadic: variadic != 0,
        has_settings: row.try_get(15)?,
        default_values: row.try_get(19)?,
        argument_names,
        columns,
    })
}

fn r#type(row: &Row) -> Result<Type, tokio_postgres::Error> {
    Ok(Type {
        oid: row.try_get(0)?,
        name: name(row, 1)?,
        kind: letter(row.try_get(3)?),
        base: row.try_get(4)?,
        element: row.try_get(5)?,
        relation: row.try_get(6)?,
    })
}

fn operator(row: &Row) -> Result<Operator, tokio_postgres::Error> {
    Ok(Operator {
        schema: row.try_get(1)?,
        left: row.try_get(2)?,
        right: row.try_get(3)?,
        function: row.try_get(4)?,
    })
}

/// Two neighboring columns, schema and name.
fn name(row: &Row, first: usize) -> Result<ObjectName, tokio_postgres::Error> {
    let schema: String = row.try_get(first)?;
    let name: String = row.try_get(first.saturating_add(1))?;
    Ok(ObjectName::new(schema, name))
}

/// PostgreSQL's `"char"` is one byte, ASCII in all catalogs.
fn letter(byte: i8) -> char {
    u8::try_from(byte).map_or('?', char::from)
}

const SCHEMAS: &str = "SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace n
 WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'";

// Indexes and TOAST tables are left out: no statement can name the former in a query, and the latter are
// refused by their schema.
const RELATIONS: &str = "SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind,
 CASE WHEN c.relkind IN ('v', 'm') AND c.oid >= 16384 THEN pg_catalog.pg_get_viewdef(c.oid) END,
 ARRAY(SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno),
 c.relrowsecurity,
 EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
 ARRAY(SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid ORDER BY i.inhrelid),
 (SELECT pg_catalog.md5(pg_catalog.string_agg(h.hook, '/' ORDER BY h.hook)) FROM (
  SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_get_triggerdef(t.oid), t.tgenabled, p.prosrc)
   FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
  UNION ALL SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_get_ruledef(r.oid), r.ev_enabled)
   FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') h (hook))
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp_|toast_temp_)'";

const COLUMNS: &str = "SELECT a.attrelid, a.attnum, a.attname::pg_catalog.text, a.atttypid,
 CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
 a.attnotnull, CASE WHEN c.oid >= 16384 THEN pg_catalog.col_description(a.attrelid, a.attnum) END
 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attnum > 0 AND NOT a.attisdropped
 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp_|toast_temp_)'
 ORDER BY a.attrelid, a.attnum";

const TRIGGERS: &str = "SELECT t.tgrelid, t.tgfoid, t.tgargs, t.tgtype FROM pg_catalog.pg_trigger t
 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY t.tgrelid, t.tgname";

// Unique are indexes, with or without a constraint; columns of their expressions are known by what they depend on.
const CONSTRAINTS: &str = "SELECT k.conrelid, k.contype, k.conkey, k.confrelid, k.confkey,
 k.confdeltype IN ('c', 'n', 'd'), k.confupdtype IN ('c', 'n', 'd')
 FROM pg_catalog.pg_constraint k WHERE k.conrelid <> 0 AND k.contype IN ('c', 'x', 'f')
 UNION ALL SELECT i.indrelid,
  CASE WHEN i.indisprimary AND i.indimmediate THEN 'p' ELSE 'u' END::\"char\", ARRAY(SELECT a.attnum FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum > 0
  AND (a.attnum = ANY (i.indkey::pg_catalog.int2[]) OR EXISTS (SELECT FROM pg_catalog.pg_depend d
   WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))),
 0, NULL, false, false FROM pg_catalog.pg_index i WHERE i.indisunique AND i.indrelid >= 16384";

// What expressions depend on that the server keeps and computes by itself; views and triggers are read as a whole.
const CALLS: &str = "SELECT DISTINCT coalesce(f.adrelid, k.conrelid, i.indrelid, s.stxrelid, d.objid), coalesce(o.oprcode::pg_catalog.oid, d.refobjid)
 FROM pg_catalog.pg_depend d
 LEFT JOIN pg_catalog.pg_attrdef f ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND f.oid = d.objid
 LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
 LEFT JOIN pg_catalog.pg_index i ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.indexrelid = d.objid
 LEFT JOIN pg_catalog.pg_statistic_ext s ON d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND s.oid = d.objid
 LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
 WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass) AND d.refobjid >= 16384
 AND d.classid IN ('pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass,
  'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass) ORDER BY 1, 2";

// Built in is what initdb made: its numbers are below 16384.
const FUNCTIONS: &str = "SELECT p.oid, n.nspname::pg_catalog.text, p.proname::pg_catalog.text,
 p.proargtypes::pg_catalog.oid[], p.prorettype, p.proretset, p.provolatile, p.proleakproof, p.prosecdef,
 l.lanname::pg_catalog.text, p.prokind,
 CASE WHEN p.oid < 16384 THEN 'pg_catalog' ELSE (SELECT e.extname::pg_catalog.text
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
  AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass LIMIT 1) END,
 CASE WHEN p.oid < 16384 OR l.lanname IN ('internal', 'c') THEN NULL
  WHEN p.prosqlbody IS NOT NULL THEN pg_catalog.pg_get_functiondef(p.oid) ELSE p.prosrc END,
 p.pronargdefaults, p.provariadic, p.proconfig IS NOT NULL, p.proargnames, p.proargmodes, p.proallargtypes,
 CASE WHEN p.oid >= 16384 THEN pg_catalog.pg_get_expr(p.proargdefaults, 0) END
 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 JOIN pg_catalog.pg_language l ON l.oid = p.prolang";

const TYPES: &str = "SELECT t.oid, n.nspname::pg_catalog.text, t.typname::pg_catalog.text, t.typtype, t.typbasetype,
 CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0::pg_catalog.oid END, t.typrelid
 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp_|toast_temp_)'";

const OPERATORS: &str = "SELECT o.oprname::pg_catalog.text, n.nspname::pg_catalog.text, o.oprleft, o.oprright, o.oprcode::pg_catalog.oid
 FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace";

const CASTS: &str = "SELECT c.castsource, c.casttarget, c.castfunc FROM pg_catalog.pg_cast c WHERE c.castmethod = 'f'";

// Each change of a catalog row makes a new row version with another `xmin`, so the sum moves. `VACUUM` and
// `ANALYZE` update in place and don't count.
const PROBE: &str = "SELECT pg_catalog.concat_ws('/',
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(c.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_class c),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(a.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_attribute a),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(d.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_attrdef d),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(p.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_proc p),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(t.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_type t),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(r.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_rewrite r),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(i.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_inherits i),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(n.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_namespace n),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(g.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_trigger g),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(o.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_operator o),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(k.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_cast k),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(q.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_constraint q),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(x.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_index x),
 (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum(e.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_description e))";
