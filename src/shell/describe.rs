//! The `\d` family: psql's own questions to the catalog, so that whatever lets psql pass lets the shell pass.

use crate::shell::text::{self, Kind};

/// A list to show: a title and the query that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// What stands above the table.
    pub title: &'static str,
    /// The query.
    pub sql: String,
}

/// The list a command such as `dt` asks for; `None` when it is no such command.
#[must_use]
pub fn listing(command: &str, pattern: Option<&str>) -> Option<Listing> {
    let word = command.trim_end_matches(['+', 'S']);
    let system = command.contains('S') || pattern.is_some();
    let pattern = pattern.map(Pattern::new);
    let pattern = pattern.as_ref();
    let (title, sql) = match word {
        "l" | "list" => ("List of databases", databases(pattern)),
        "dn" => ("List of schemas", schemas(pattern, system)),
        "df" => ("List of functions", functions(pattern, system)),
        "du" | "dg" => ("List of roles", roles(pattern, system)),
        "dx" => ("List of installed extensions", extensions(pattern)),
        "dT" => ("List of data types", types(pattern, system)),
        "dp" | "z" => ("Access privileges", privileges(pattern)),
        "d" => ("List of relations", relations("rpvmSf", pattern, system)),
        _ => (
            "List of relations",
            relations(&kinds(word)?, pattern, system),
        ),
    };
    Some(Listing { title, sql })
}

/// The letters of `pg_class.relkind` that `dt`, `dv`, `dtvm` … stand for.
fn kinds(word: &str) -> Option<String> {
    let letters = word
        .strip_prefix('d')
        .filter(|letters| !letters.is_empty())?;
    letters
        .chars()
        .map(|letter| {
            Some(match letter {
                't' => "rp",
                'v' => "v",
                'm' => "m",
                'i' => "iI",
                's' => "S",
                'E' => "f",
                _ => return None,
            })
        })
        .collect()
}

/// A pattern as psql reads it: `*` and `?`, a dot between schema and name, quotes keep case.
struct Pattern {
    schema: Option<String>,
    name: String,
}

impl Pattern {
    fn new(text: &str) -> Self {
        let mut parts = vec![String::new()];
        let mut quoted = false;
        for c in text.chars() {
            let Some(part) = parts.last_mut() else { break };
            match c {
                '"' => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                '*' if !quoted => part.push_str(".*"),
                '?' if !quoted => part.push('.'),
                _ if r"\.+*?()[]{}^$|".contains(c) => part.extend(['\\', c]),
                _ if quoted => part.push(c),
                _ => part.extend(c.to_lowercase()),
            }
        }
        let name = parts.pop().unwrap_or_default();
        Self {
            schema: parts.pop(),
            name,
        }
    }

    /// The conditions on a name and, where it has one, on its schema; without a schema, only what is visible.
    fn conditions(&self, name: &str, schema: Option<&str>, visible: Option<&str>) -> Vec<String> {
        let mut all = vec![matches(name, &self.name)];
        match (&self.schema, schema, visible) {
            (Some(pattern), Some(column), _) => all.push(matches(column, pattern)),
            (None, _, Some(visible)) => all.push(visible.to_owned()),
            _ => {}
        }
        all
    }
}

fn matches(column: &str, pattern: &str) -> String {
    let literal = literal(&format!("^({pattern})$"));
    format!("{column} OPERATOR(pg_catalog.~) {literal} COLLATE pg_catalog.default")
}

/// A string literal; `standard_conforming_strings` is on behind the gateway.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `WHERE` with all of them, or nothing.
fn condition(conditions: &[String]) -> String {
    if conditions.is_empty() {
        String::new()
    } else {
        format!("\nWHERE {}", conditions.join("\n  AND "))
    }
}

fn in_user_schemas() -> [String; 2] {
    [
        "n.nspname <> 'pg_catalog'".to_owned(),
        "n.nspname <> 'information_schema'".to_owned(),
    ]
}

fn relations(kinds: &str, pattern: Option<&Pattern>, system: bool) -> String {
    let list: Vec<_> = kinds.chars().map(|kind| format!("'{kind}'")).collect();
    let visible = "pg_catalog.pg_table_is_visible(c.oid)";
    let mut conditions = vec![format!("c.relkind IN ({},'')", list.join(","))];
    if !system {
        conditions.extend(in_user_schemas());
        conditions.push("n.nspname !~ '^pg_toast'".to_owned());
    }
    match pattern {
        Some(pattern) => {
            conditions.extend(pattern.conditions("c.relname", Some("n.nspname"), Some(visible)));
        }
        None => conditions.push(visible.to_owned()),
    }
    format!(
        r#"SELECT n.nspname as "Schema",
  c.relname as "Name",
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' WHEN 't' THEN 'TOAST table' WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' END as "Type",
  pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace{}
ORDER BY 1,2"#,
        condition(&conditions)
    )
}

fn databases(pattern: Option<&Pattern>) -> String {
    let conditions = pattern
        .map(|p| p.conditions("d.datname", None, None))
        .unwrap_or_default();
    format!(
        r#"SELECT d.datname as "Name",
       pg_catalog.pg_get_userbyid(d.datdba) as "Owner",
       pg_catalog.pg_encoding_to_char(d.encoding) as "Encoding",
       d.datcollate as "Collate",
       d.datctype as "Ctype"
FROM pg_catalog.pg_database d{}
ORDER BY 1"#,
        condition(&conditions)
    )
}

fn schemas(pattern: Option<&Pattern>, system: bool) -> String {
    let mut conditions = pattern
        .map(|p| p.conditions("n.nspname", None, None))
        .unwrap_or_default();
    if !system {
        conditions.push("n.nspname !~ '^pg_'".to_owned());
        conditions.push("n.nspname <> 'information_schema'".to_owned());
    }
    format!(
        r#"SELECT n.nspname AS "Name",
  pg_catalog.pg_get_userbyid(n.nspowner) AS "Owner"
FROM pg_catalog.pg_namespace n{}
ORDER BY 1"#,
        condition(&conditions)
    )
}

fn functions(pattern: Option<&Pattern>, system: bool) -> String {
    let visible = "pg_catalog.pg_function_is_visible(p.oid)";
    let mut conditions = match pattern {
        Some(pattern) => pattern.conditions("p.proname", Some("n.nspname"), Some(visible)),
        None => vec![visible.to_owned()],
    };
    if !system {
        conditions.extend(in_user_schemas());
    }
    format!(
        r#"SELECT n.nspname as "Schema",
  p.proname as "Name",
  pg_catalog.pg_get_function_result(p.oid) as "Result data type",
  pg_catalog.pg_get_function_arguments(p.oid) as "Argument data types",
 CASE p.prokind
  WHEN 'a' THEN 'agg'
  WHEN 'w' THEN 'window'
  WHEN 'p' THEN 'proc'
  ELSE 'func'
 END as "Type"
FROM pg_catalog.pg_proc p
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace{}
ORDER BY 1, 2, 4"#,
        condition(&conditions)
    )
}

fn roles(pattern: Option<&Pattern>, system: bool) -> String {
    let mut conditions = pattern
        .map(|p| p.conditions("r.rolname", None, None))
        .unwrap_or_default();
    if !system {
        conditions.push("r.rolname !~ '^pg_'".to_owned());
    }
    format!(
        r#"SELECT r.rolname AS "Role", r.rolsuper AS "Superuser", r.rolinherit AS "Inherits",
  r.rolcreaterole AS "Creates roles", r.rolcreatedb AS "Creates databases", r.rolcanlogin AS "Logs in",
  r.rolvaliduntil AS "Until",
  ARRAY(SELECT b.rolname
        FROM pg_catalog.pg_auth_members m
        JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid)
        WHERE m.member = r.oid) as "Member of"
FROM pg_catalog.pg_roles r{}
ORDER BY 1"#,
        condition(&conditions)
    )
}

fn extensions(pattern: Option<&Pattern>) -> String {
    let conditions = pattern
        .map(|p| p.conditions("e.extname", None, None))
        .unwrap_or_default();
    format!(
        r#"SELECT e.extname AS "Name", e.extversion AS "Version", n.nspname AS "Schema", c.description AS "Description"
FROM pg_catalog.pg_extension e LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace LEFT JOIN pg_catalog.pg_description c ON c.objoid = e.oid AND c.classoid = 'pg_catalog.pg_extension'::pg_catalog.regclass{}
ORDER BY 1"#,
        condition(&conditions)
    )
}

fn types(pattern: Option<&Pattern>, system: bool) -> String {
    let visible = "pg_catalog.pg_type_is_visible(t.oid)";
    let mut conditions = vec![
        "(t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid))".to_owned(),
        "NOT EXISTS(SELECT 1 FROM pg_catalog.pg_type el WHERE el.oid = t.typelem AND el.typarray = t.oid)".to_owned(),
    ];
    if !system {
        conditions.extend(in_user_schemas());
    }
    match pattern {
        Some(pattern) => {
            conditions.extend(pattern.conditions("t.typname", Some("n.nspname"), Some(visible)));
        }
        None => conditions.push(visible.to_owned()),
    }
    format!(
        r#"SELECT n.nspname as "Schema",
  pg_catalog.format_type(t.oid, NULL) AS "Name",
  pg_catalog.obj_description(t.oid, 'pg_type') as "Description"
FROM pg_catalog.pg_type t
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace{}
ORDER BY 1, 2"#,
        condition(&conditions)
    )
}

fn privileges(pattern: Option<&Pattern>) -> String {
    let visible = "pg_catalog.pg_table_is_visible(c.oid)";
    let mut conditions = vec!["c.relkind IN ('r','v','m','S','f','p')".to_owned()];
    match pattern {
        Some(pattern) => {
            conditions.extend(pattern.conditions("c.relname", Some("n.nspname"), Some(visible)));
        }
        None => conditions.extend(["n.nspname !~ '^pg_'".to_owned(), visible.to_owned()]),
    }
    format!(
        r#"SELECT n.nspname as "Schema",
  c.relname as "Name",
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' END as "Type",
  pg_catalog.array_to_string(c.relacl, E'\n') AS "Access privileges"
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace{}
ORDER BY 1, 2"#,
        condition(&conditions)
    )
}

/// Finds the relations that match: OID, schema, name, kind.
#[must_use]
pub fn find(pattern: &str) -> String {
    let visible = "pg_catalog.pg_table_is_visible(c.oid)";
    let conditions =
        Pattern::new(pattern).conditions("c.relname", Some("n.nspname"), Some(visible));
    format!(
        "SELECT c.oid,
  n.nspname,
  c.relname,
  c.relkind
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace{}
ORDER BY 2, 3",
        condition(&conditions)
    )
}

/// What stands before a relation's name.
#[must_use]
pub fn kind_name(relkind: &str) -> &'static str {
    match relkind {
        "r" => "Table",
        "p" => "Partitioned table",
        "v" => "View",
        "m" => "Materialized view",
        "f" => "Foreign table",
        "i" => "Index",
        "I" => "Partitioned index",
        "S" => "Sequence",
        "c" => "Composite type",
        _ => "Relation",
    }
}

/// The columns of a relation.
#[must_use]
pub fn columns(oid: u32, more: bool) -> String {
    let description = if more {
        ",\n  pg_catalog.col_description(a.attrelid, a.attnum) AS \"Description\""
    } else {
        ""
    };
    format!(
        r#"SELECT a.attname AS "Column",
  pg_catalog.format_type(a.atttypid, a.atttypmod) AS "Type",
  CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS "Nullable",
  CASE a.attidentity WHEN 'a' THEN 'generated always as identity' WHEN 'd' THEN 'generated by default as identity' ELSE
  coalesce((SELECT CASE a.attgenerated WHEN 's' THEN 'generated always as (' || pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) || ') stored' ELSE pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) END
   FROM pg_catalog.pg_attrdef d
   WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), '') END AS "Default"{description}
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = '{oid}' AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum"#
    )
}

/// What stands below the columns: headings, each with the query whose rows are its lines.
#[must_use]
pub fn footers(oid: u32, relkind: &str) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    if matches!(relkind, "v" | "m") {
        let sql = format!("SELECT pg_catalog.pg_get_viewdef('{oid}'::pg_catalog.oid, true)");
        all.push(("View definition:", sql));
    }
    if matches!(relkind, "r" | "p" | "m") {
        all.push(("Indexes:", indexes(oid)));
    }
    if matches!(relkind, "r" | "p" | "f") {
        all.push(("Check constraints:", constraints(oid, 'c')));
        all.push(("Foreign-key constraints:", constraints(oid, 'f')));
        all.push(("Referenced by:", references(oid)));
        all.push(("Triggers:", triggers(oid)));
        all.push(("Child tables:", children(oid)));
    }
    all
}

fn indexes(oid: u32) -> String {
    format!(
        r#"SELECT '"' || c2.relname || '" ' || CASE WHEN i.indisprimary THEN 'PRIMARY KEY, ' WHEN i.indisunique THEN 'UNIQUE, ' ELSE '' END
  || substring(pg_catalog.pg_get_indexdef(i.indexrelid, 0, true) from ' USING (.*)$')
FROM pg_catalog.pg_class c, pg_catalog.pg_class c2, pg_catalog.pg_index i
WHERE c.oid = '{oid}' AND c.oid = i.indrelid AND i.indexrelid = c2.oid
ORDER BY i.indisprimary DESC, c2.relname"#
    )
}

fn constraints(oid: u32, contype: char) -> String {
    format!(
        r#"SELECT '"' || r.conname || '" ' || pg_catalog.pg_get_constraintdef(r.oid, true)
FROM pg_catalog.pg_constraint r
WHERE r.conrelid = '{oid}' AND r.contype = '{contype}' AND r.conparentid = 0
ORDER BY r.conname"#
    )
}

fn references(oid: u32) -> String {
    format!(
        r#"SELECT 'TABLE ' || c.conrelid::pg_catalog.regclass || ' CONSTRAINT "' || c.conname || '" ' || pg_catalog.pg_get_constraintdef(c.oid, true)
FROM pg_catalog.pg_constraint c
WHERE c.confrelid = '{oid}' AND c.contype = 'f' AND c.conparentid = 0
ORDER BY c.conname"#
    )
}

fn triggers(oid: u32) -> String {
    format!(
        "SELECT pg_catalog.pg_get_triggerdef(t.oid, true)
FROM pg_catalog.pg_trigger t
WHERE t.tgrelid = '{oid}' AND NOT t.tgisinternal
ORDER BY t.tgname"
    )
}

fn children(oid: u32) -> String {
    format!(
        "SELECT c.oid::pg_catalog.regclass
FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i
WHERE c.oid = i.inhrelid AND i.inhparent = '{oid}'
ORDER BY c.relname"
    )
}

/// Every relation one may use, with its columns: schema, name, whether the name alone will do, column.
#[must_use]
pub const fn relation_names() -> &'static str {
    "SELECT n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid), a.attname
FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r','p','v','m','f') AND a.attnum > 0 AND NOT a.attisdropped
      AND n.nspname <> 'pg_catalog'
      AND n.nspname <> 'information_schema'
      AND n.nspname !~ '^pg_toast'
ORDER BY 1, 2, a.attnum
LIMIT 5000"
}

/// Functions that can be called by their name alone, without those that only the server itself calls: they take or give `internal` or
/// `cstring`.
#[must_use]
pub const fn function_names() -> &'static str {
    "SELECT DISTINCT p.proname
FROM pg_catalog.pg_proc p
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE pg_catalog.pg_function_is_visible(p.oid) AND p.prokind <> 'p' AND p.proname !~ '^_'
      AND p.prorettype NOT IN (2275, 2281) AND (p.pronargs = 0 OR p.proargtypes[0] NOT IN (2275, 2281))
ORDER BY 1
LIMIT 5000"
}

/// A `\copy`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The `COPY` to send.
    pub sql: String,
    /// The file on this machine.
    pub file: String,
    /// Whether the file is read, not written.
    pub reads: bool,
}

/// Reads what follows `\copy`: `table [(columns)] | (query)`, `from` or `to`, a file, options.
///
/// # Errors
/// When it is none; the text says why.
pub fn copy(arguments: &str) -> Result<Copy, &'static str> {
    const USAGE: &str = "write \\copy TABLE|(QUERY) FROM|TO 'FILE' [WITH (…)]";
    let pieces = text::pieces(arguments);
    let mut depth = 0_usize;
    let mut split = None;
    for piece in &pieces {
        let word = arguments.get(piece.range.clone()).unwrap_or_default();
        match piece.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            Kind::Keyword if depth == 0 && word.eq_ignore_ascii_case("from") => {
                split = Some((piece.range.clone(), true));
            }
            Kind::Keyword if depth == 0 && word.eq_ignore_ascii_case("to") => {
                split = Some((piece.range.clone(), false));
            }
            _ => {}
        }
        if split.is_some() {
            break;
        }
    }
    let (range, reads) = split.ok_or(USAGE)?;
    let what = arguments.get(..range.start).unwrap_or_default().trim();
    let rest = arguments.get(range.end..).unwrap_or_default().trim();
    let (file, options) = file_name(rest).ok_or(USAGE)?;
    if what.is_empty() {
        return Err(USAGE);
    }
    if file.eq_ignore_ascii_case("program") {
        return Err("programs are not run; write to a file, then run the program on it");
    }
    let direction = if reads { "FROM STDIN" } else { "TO STDOUT" };
    let options = options.trim().trim_end_matches(';');
    let sql = format!("COPY {what} {direction} {options}")
        .trim_end()
        .to_owned();
    Ok(Copy { sql, file, reads })
}

/// A file's name, quoted or up to a blank, and what follows it.
#[must_use]
pub fn file_name(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('\'') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let mut name = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            name.push('\'');
        } else {
            return Some((name, inner.get(at + 1..).unwrap_or_default()));
        }
    }
    None
}
