//! What is asked of the catalogs: all of it, or what people have made, as one row of JSON texts.
//!
//! All names are qualified, and `search_path` has to be `pg_catalog` while it runs, so that objects of the database can't stand in for
//! the catalog's own and definitions come out with full names.

/// The question for everything with a number from `first` on. Schemas, operators and casts are told whole.
#[must_use]
pub(super) fn question(first: u32) -> String {
    let mut question = "SELECT pg_catalog.current_setting('server_version_num')".to_owned();
    for part in [
        SCHEMAS,
        RELATIONS,
        COLUMNS,
        TRIGGERS,
        CONSTRAINTS,
        CALLS,
        FUNCTIONS,
        TYPES,
        OPERATORS,
        CASTS,
    ] {
        let part = part.replace("{first}", &first.to_string());
        question.push_str(",\n COALESCE((SELECT pg_catalog.json_agg(part) FROM (");
        question.push_str(&part);
        question.push_str(") part), '[]'::pg_catalog.json)::pg_catalog.text");
    }
    question
}

const SCHEMAS: &str = "SELECT n.nspname AS name FROM pg_catalog.pg_namespace n
 WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'";

// Indexes and TOAST tables are left out: no statement can name the former in a query, and the latter are
// refused by their schema.
const RELATIONS: &str = "SELECT c.oid::pg_catalog.int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
 CASE WHEN c.relkind IN ('v', 'm') AND c.oid >= 16384 THEN pg_catalog.pg_get_viewdef(c.oid) END AS definition,
 ARRAY(SELECT i.inhparent::pg_catalog.int8 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parents,
 c.relrowsecurity AS row_security,
 EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') AS has_rules,
 ARRAY(SELECT i.inhrelid::pg_catalog.int8 FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid ORDER BY i.inhrelid) AS children,
 (SELECT pg_catalog.md5(pg_catalog.string_agg(h.hook, '/' ORDER BY h.hook)) FROM (
  SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_get_triggerdef(t.oid), t.tgenabled, p.prosrc)
   FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
  UNION ALL SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_get_ruledef(r.oid), r.ev_enabled)
   FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') h (hook)) AS hooks
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= {first}
 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp_|toast_temp_)'";

const COLUMNS: &str = "SELECT a.attrelid::pg_catalog.int8 AS relation, a.attnum AS number, a.attname AS name,
 a.atttypid::pg_catalog.int8 AS type_oid,
 CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS generated,
 a.attnotnull AS not_null, CASE WHEN c.oid >= 16384 THEN pg_catalog.col_description(a.attrelid, a.attnum) END AS comment
 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.oid >= {first}
 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp_|toast_temp_)'
 ORDER BY a.attrelid, a.attnum";

const TRIGGERS: &str = "SELECT t.tgrelid::pg_catalog.int8 AS relation, t.tgfoid::pg_catalog.int8 AS function,
 pg_catalog.encode(t.tgargs, 'hex') AS arguments, t.tgtype AS events FROM pg_catalog.pg_trigger t
 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgrelid >= {first} ORDER BY t.tgrelid, t.tgname";

// Unique are indexes, with or without a constraint; columns of their expressions are known by what they depend on.
const CONSTRAINTS: &str = "SELECT k.conrelid::pg_catalog.int8 AS relation, k.contype AS kind, k.conkey AS columns,
 k.confrelid::pg_catalog.int8 AS other, k.confkey AS others,
 k.confdeltype IN ('c', 'n', 'd') AS by_delete, k.confupdtype IN ('c', 'n', 'd') AS by_update
 FROM pg_catalog.pg_constraint k WHERE k.conrelid <> 0 AND k.contype IN ('c', 'x', 'f') AND k.conrelid >= {first}
 UNION ALL SELECT i.indrelid::pg_catalog.int8,
  CASE WHEN i.indisprimary AND i.indimmediate THEN 'p' ELSE 'u' END::pg_catalog.\"char\", ARRAY(SELECT a.attnum FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum > 0
  AND (a.attnum = ANY (i.indkey::pg_catalog.int2[]) OR EXISTS (SELECT FROM pg_catalog.pg_depend d
   WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))),
 0, NULL, false, false FROM pg_catalog.pg_index i WHERE i.indisunique AND i.indrelid >= 16384";

// What expressions depend on that the server keeps and computes by itself; views and triggers are read as a whole.
const CALLS: &str = "SELECT DISTINCT COALESCE(f.adrelid, k.conrelid, i.indrelid, s.stxrelid, d.objid)::pg_catalog.int8 AS relation,
 COALESCE(o.oprcode::pg_catalog.oid, d.refobjid)::pg_catalog.int8 AS function
 FROM pg_catalog.pg_depend d
 LEFT JOIN pg_catalog.pg_attrdef f ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND f.oid = d.objid
 LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
 LEFT JOIN pg_catalog.pg_index i ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.indexrelid = d.objid
 LEFT JOIN pg_catalog.pg_statistic_ext s ON d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND s.oid = d.objid
 LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
 WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass) AND d.refobjid >= 16384
 AND d.classid IN ('pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass,
  'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass) ORDER BY 1, 2";

// Built in is what initdb made.
const FUNCTIONS: &str = "SELECT p.oid::pg_catalog.int8 AS oid, n.nspname AS schema, p.proname AS name,
 p.proargtypes::pg_catalog.oid[]::pg_catalog.int8[] AS arguments, p.prorettype::pg_catalog.int8 AS returns,
 p.proretset AS returns_set, p.provolatile AS volatility, p.proleakproof AS leakproof, p.prosecdef AS security_definer,
 l.lanname AS language, p.prokind AS kind,
 CASE WHEN p.oid < 16384 THEN 'pg_catalog' ELSE (SELECT e.extname
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
  AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass LIMIT 1) END AS origin,
 CASE WHEN p.oid < 16384 OR l.lanname IN ('internal', 'c') THEN NULL
  WHEN p.prosqlbody IS NOT NULL THEN pg_catalog.pg_get_functiondef(p.oid) ELSE p.prosrc END AS body,
 p.pronargdefaults AS defaults, p.provariadic <> 0 AS variadic, p.proconfig IS NOT NULL AS has_settings,
 p.proargnames AS names, p.proargmodes AS modes, p.proallargtypes::pg_catalog.int8[] AS all_types,
 CASE WHEN p.oid >= 16384 THEN pg_catalog.pg_get_expr(p.proargdefaults, 0) END AS default_values
 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid >= {first}";

const TYPES: &str = "SELECT t.oid::pg_catalog.int8 AS oid, n.nspname AS schema, t.typname AS name, t.typtype AS kind,
 t.typbasetype::pg_catalog.int8 AS base,
 CASE WHEN t.typcategory = 'A' THEN t.typelem::pg_catalog.int8 ELSE 0 END AS element, t.typrelid::pg_catalog.int8 AS relation
 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 WHERE t.oid >= {first} AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp_|toast_temp_)'";

const OPERATORS: &str =
    "SELECT o.oprname AS name, n.nspname AS schema, o.oprleft::pg_catalog.int8 AS left,
 o.oprright::pg_catalog.int8 AS right, o.oprcode::pg_catalog.oid::pg_catalog.int8 AS function
 FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace";

const CASTS: &str =
    "SELECT c.castsource::pg_catalog.int8 AS source, c.casttarget::pg_catalog.int8 AS target,
 c.castfunc::pg_catalog.int8 AS function FROM pg_catalog.pg_cast c WHERE c.castmethod = 'f'";
