//! What could come next: keywords, tables, columns and functions, by where the cursor stands. Pure.

use crate::model::escape;
use crate::shell::text::{self, Kind, Piece};

/// The commands that `\?` explains.
pub const COMMANDS: [&str; 25] = [
    "\\?",
    "\\conninfo",
    "\\copy",
    "\\d",
    "\\d+",
    "\\df",
    "\\di",
    "\\dm",
    "\\dn",
    "\\dp",
    "\\ds",
    "\\dT",
    "\\dt",
    "\\du",
    "\\dv",
    "\\dx",
    "\\g",
    "\\gx",
    "\\i",
    "\\l",
    "\\q",
    "\\timing",
    "\\why",
    "\\x",
    "\\z",
];

/// Words worth completing; PostgreSQL has hundreds more.
const KEYWORDS: [&str; 112] = [
    "add",
    "all",
    "alter",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "begin",
    "between",
    "by",
    "cascade",
    "case",
    "cast",
    "check",
    "coalesce",
    "column",
    "commit",
    "concurrently",
    "conflict",
    "constraint",
    "copy",
    "create",
    "cross",
    "csv",
    "current_date",
    "current_timestamp",
    "cursor",
    "database",
    "declare",
    "default",
    "delete",
    "desc",
    "distinct",
    "do",
    "drop",
    "else",
    "end",
    "except",
    "execute",
    "exists",
    "explain",
    "extension",
    "false",
    "fetch",
    "filter",
    "first",
    "for",
    "foreign",
    "from",
    "full",
    "function",
    "grant",
    "group",
    "having",
    "header",
    "if",
    "ilike",
    "in",
    "index",
    "inner",
    "insert",
    "intersect",
    "interval",
    "into",
    "is",
    "join",
    "key",
    "last",
    "lateral",
    "left",
    "like",
    "limit",
    "materialized",
    "natural",
    "not",
    "nothing",
    "null",
    "nulls",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "prepare",
    "primary",
    "references",
    "returning",
    "revoke",
    "right",
    "rollback",
    "savepoint",
    "schema",
    "select",
    "set",
    "show",
    "table",
    "then",
    "true",
    "truncate",
    "union",
    "unique",
    "update",
    "using",
    "values",
    "view",
    "when",
    "where",
    "with",
];

/// What the catalog calls things, as far as the session may see them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Tables, views and the like.
    pub relations: Vec<Relation>,
    /// Functions.
    pub functions: Vec<String>,
}

/// A relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether the name alone finds it.
    pub visible: bool,
    /// Its columns.
    pub columns: Vec<String>,
}

/// Where the word under the cursor begins, and what it could become.
#[must_use]
pub fn complete(line: &str, cursor: usize, names: &Names) -> (usize, Vec<String>) {
    let before = line.get(..cursor).unwrap_or(line);
    let trimmed = before.trim_start();
    if trimmed.starts_with('\\') {
        return command(before, names);
    }
    let pieces = text::pieces(before);
    let (start, prefix) = word(before, &pieces);
    let ahead: Vec<_> = pieces
        .iter()
        .filter(|piece| {
            piece.range.end <= start && !matches!(piece.kind, Kind::Space | Kind::Comment)
        })
        .collect();
    if pieces
        .last()
        .is_some_and(|last| within_text(before, last) && last.range.end == cursor)
    {
        return (cursor, Vec::new());
    }
    let candidates = match ahead.as_slice() {
        [.., qualifier, dot] if dot.kind == Kind::Dot => {
            let qualifier = name_at(before, qualifier);
            members(&qualifier, line, names)
        }
        [.., last] if takes_relation(before, last) => relations(names),
        _ => anything(line, &prefix, names),
    };
    (
        start,
        pick(candidates, &prefix, before.get(start..).unwrap_or_default()),
    )
}

/// The word that ends at the cursor: where it begins, and its text without quotes, in lower case.
fn word(before: &str, pieces: &[Piece]) -> (usize, String) {
    match pieces.last() {
        Some(last)
            if matches!(
                last.kind,
                Kind::Keyword | Kind::Name | Kind::Quoted | Kind::Unfinished
            ) =>
        {
            let text = before.get(last.range.clone()).unwrap_or_default();
            (last.range.start, text.trim_matches('"').to_lowercase())
        }
        _ => (before.len(), String::new()),
    }
}

/// Whether the cursor is in a string or comment, where nothing can be known.
fn within_text(before: &str, last: &Piece) -> bool {
    let text = before.get(last.range.clone()).unwrap_or_default();
    match last.kind {
        Kind::Unfinished => !text.starts_with('"'),
        Kind::Comment => text.starts_with("--") && !text.ends_with('\n'),
        _ => false,
    }
}

fn command(before: &str, names: &Names) -> (usize, Vec<String>) {
    let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let word = before.get(start..).unwrap_or_default();
    if word.starts_with('\\') {
        let found = COMMANDS.iter().filter(|command| command.starts_with(word));
        return (start, found.map(|command| (*command).to_owned()).collect());
    }
    (start, pick(relations(names), &word.to_lowercase(), word))
}

/// Whether a table's name comes after this word.
fn takes_relation(text: &str, piece: &Piece) -> bool {
    let word = text
        .get(piece.range.clone())
        .unwrap_or_default()
        .to_ascii_lowercase();
    piece.kind == Kind::Keyword
        && matches!(
            word.as_str(),
            "from" | "join" | "into" | "update" | "table" | "copy" | "truncate" | "only"
        )
}

fn name_at(text: &str, piece: &Piece) -> String {
    let word = text.get(piece.range.clone()).unwrap_or_default();
    if piece.kind == Kind::Quoted {
        word.trim_matches('"').replace("\"\"", "\"")
    } else {
        word.to_lowercase()
    }
}

/// Schemas, and relations by their shortest name.
fn relations(names: &Names) -> Vec<String> {
    let mut all: Vec<_> = names
        .relations
        .iter()
        .map(|relation| {
            let name = quote(&relation.name);
            if relation.visible {
                name
            } else {
                format!("{}.{name}", quote(&relation.schema))
            }
        })
        .collect();
    all.sort();
    all
}

/// What may stand behind `qualifier.`: relations of a schema, columns of a table or alias.
fn members(qualifier: &str, line: &str, names: &Names) -> Vec<String> {
    let in_schema = names
        .relations
        .iter()
        .filter(|relation| relation.schema == qualifier);
    let mut all: Vec<_> = in_schema.map(|relation| quote(&relation.name)).collect();
    let meant = used(line)
        .into_iter()
        .filter(|used| used.alias == qualifier || used.name == qualifier);
    for used in meant {
        all.extend(columns(&used, names));
    }
    all
}

fn columns(used: &Used, names: &Names) -> Vec<String> {
    names
        .relations
        .iter()
        .filter(|relation| relation.name == used.name)
        .filter(|relation| {
            used.schema
                .as_ref()
                .map_or(relation.visible, |schema| *schema == relation.schema)
        })
        .flat_map(|relation| relation.columns.iter().map(|column| quote(column)))
        .collect()
}

/// Columns of the tables in the statement, or of all while it names none; then functions, keywords and tables.
fn anything(line: &str, prefix: &str, names: &Names) -> Vec<String> {
    let used = used(line);
    let mut all: Vec<_> = used.iter().flat_map(|used| columns(used, names)).collect();
    if prefix.is_empty() {
        return all;
    }
    if used.is_empty() {
        let visible = names.relations.iter().filter(|relation| relation.visible);
        all.extend(visible.flat_map(|relation| relation.columns.iter().map(|name| quote(name))));
    }
    all.extend(KEYWORDS.iter().map(|word| (*word).to_owned()));
    all.extend(
        names
            .functions
            .iter()
            .map(|function| format!("{}(", quote(function))),
    );
    all.extend(relations(names));
    all
}

/// A relation that a statement names.
struct Used {
    schema: Option<String>,
    name: String,
    alias: String,
}

/// The relations after `from`, `join`, `into`, `update` and commas between them, with their aliases.
fn used(line: &str) -> Vec<Used> {
    let pieces: Vec<_> = text::pieces(line)
        .into_iter()
        .filter(|piece| !matches!(piece.kind, Kind::Space | Kind::Comment))
        .collect();
    let mut all = Vec::new();
    let mut rest = pieces.as_slice();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if !takes_relation(line, first) {
            continue;
        }
        while let Some((used, after)) = relation(line, rest) {
            all.push(used);
            rest = after;
            match rest.split_first() {
                Some((comma, after)) if line.get(comma.range.clone()) == Some(",") => rest = after,
                _ => break,
            }
        }
    }
    all
}

/// `[schema.]name [[as] alias]` at the beginning of `pieces`.
fn relation<'a>(line: &str, pieces: &'a [Piece]) -> Option<(Used, &'a [Piece])> {
    let is_name = |piece: &Piece| matches!(piece.kind, Kind::Name | Kind::Quoted | Kind::Keyword);
    let (first, mut rest) = pieces.split_first().filter(|(first, _)| is_name(first))?;
    let mut name = name_at(line, first);
    let mut schema = None;
    if let [dot, second, after @ ..] = rest
        && dot.kind == Kind::Dot
        && is_name(second)
    {
        schema = Some(std::mem::replace(&mut name, name_at(line, second)));
        rest = after;
    }
    let alias = match rest {
        [word, alias, after @ ..] if name_at(line, word) == "as" && is_name(alias) => {
            rest = after;
            name_at(line, alias)
        }
        [alias, after @ ..] if matches!(alias.kind, Kind::Name | Kind::Quoted) => {
            rest = after;
            name_at(line, alias)
        }
        _ => name.clone(),
    };
    Some((
        Used {
            schema,
            name,
            alias,
        },
        rest,
    ))
}

/// Those that begin with `prefix`, each once, in the case the word was begun in.
fn pick(candidates: Vec<String>, prefix: &str, typed: &str) -> Vec<String> {
    let upper = typed.len() > 1
        && typed.chars().all(|c| !c.is_lowercase())
        && typed.chars().any(char::is_uppercase);
    let mut found: Vec<String> = Vec::new();
    for candidate in candidates {
        // Candidates are written to the terminal as they are.
        if candidate.contains(escape::is_unsafe) {
            continue;
        }
        if !candidate
            .trim_start_matches('"')
            .to_lowercase()
            .starts_with(prefix)
        {
            continue;
        }
        let candidate = if upper && KEYWORDS.contains(&candidate.as_str()) {
            candidate.to_uppercase()
        } else {
            candidate
        };
        if !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    found
}

/// A name as SQL has it: in quotes where it must be.
fn quote(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
