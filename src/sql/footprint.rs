//! What a statement touches: a set of facts, without any judgement.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::model::name::{ColumnId, ObjectName};
use crate::sql::catalog::Catalog;
use crate::sql::lineage::{Flow, Output, Usage};
use crate::sql::scope::Temporaries;
use crate::sql::statement::Statement;

/// A statement of which we know everything it touches, or know that we do not (`opaque`).
///
/// **Invariant:** only `sql::analyze` makes one.
///
/// ```compile_fail
/// fn harmless(statement: dbgate::sql::statement::Statement) -> dbgate::sql::footprint::Analyzed {
///     dbgate::sql::footprint::Analyzed { statement, facts: Default::default() }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Analyzed {
    pub(super) statement: Statement,
    pub(super) facts: Arc<Facts>,
}

impl Analyzed {
    /// The statement this was found out about.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// What was found out.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The facts, shared.
    #[must_use]
    pub const fn shared_facts(&self) -> &Arc<Facts> {
        &self.facts
    }
}

/// Everything the analysis found out about one statement. Cached by text and settings.
#[derive(Debug, Clone, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that have nothing to do with each other"
)]
pub struct Facts {
    /// What kind of statement it is.
    pub kind: Kind,
    /// Relations, columns and functions it touches.
    pub footprint: Footprint,
    /// One entry for each result column, in order; empty when it returns no rows.
    pub outputs: Vec<Output>,
    /// Every place where a stored column is used other than by being output as it is.
    pub usages: Vec<Usage>,
    /// Every path from a stored column into a place that is stored or sent elsewhere.
    pub flows: Vec<Flow>,
    /// What makes it dangerous.
    pub hazards: BTreeSet<Hazard>,
    /// The kinds of the statements that write inside of it, or that it explains: those of CTEs, of functions whose body is known.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub parts: BTreeSet<Kind>,
    /// How many statements in it write rows, itself included: the server tells the rows of one only.
    #[serde(skip)]
    pub writers: u32,
    /// What it puts into stored columns as it is written, in the order of the statement.
    pub assigned: Vec<Assignment>,
    /// All literals and parameters in it: what it computes is made of these.
    #[serde(skip)]
    pub literals: Vec<Written>,
    /// How the rows of a `COPY` look on the wire.
    pub copy: Option<CopyFormat>,
    /// What a prepared statement was prepared by: what its names mean may have changed when it is executed.
    pub source: Option<Source>,
    /// Whether it was read by what names of prepared statements or cursors mean on its connection (`EXECUTE`, `FETCH`).
    #[serde(skip)]
    pub named: bool,
    /// Whether code runs with it that the database has of its own: triggers, policies of row security.
    #[serde(skip)]
    pub own_code: bool,
    /// The part that was not understood, if any.
    pub opaque: Option<Opaque>,
    /// What it does to the state of its connection.
    pub effect: Effect,
}

/// The text of a prepared statement, to be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The whole `PREPARE`.
    Prepare(Arc<str>),
    /// The statement alone, as the extended protocol sends it, with its declared parameter types.
    Parse(Arc<str>, Arc<[u32]>),
}

/// What kind of statement it is; serialized in kebab-case, which is how policy rules name it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `SELECT`, `VALUES`, `TABLE`
    Select,
    /// `INSERT`
    Insert,
    /// `UPDATE`
    Update,
    /// `DELETE`
    Delete,
    /// `MERGE`
    Merge,
    /// `COPY … FROM`
    CopyIn,
    /// `COPY … TO`
    CopyOut,
    /// `EXPLAIN`
    Explain,
    /// `PREPARE`
    Prepare,
    /// `EXECUTE`
    Execute,
    /// `DEALLOCATE`
    Deallocate,
    /// `DECLARE … CURSOR`
    Declare,
    /// `FETCH`, `MOVE`
    Fetch,
    /// `CLOSE`
    Close,
    /// `SET`, `RESET`
    Set,
    /// `SHOW`
    Show,
    /// `BEGIN`, `COMMIT`, `ROLLBACK`, savepoints
    Transaction,
    /// `CREATE …`, `SELECT … INTO`
    Create,
    /// `ALTER …`
    Alter,
    /// `DROP …`
    Drop,
    /// `TRUNCATE`
    Truncate,
    /// `GRANT`, `REVOKE`
    Grant,
    /// `CREATE ROLE`, `ALTER ROLE`, `DROP ROLE`, `SET ROLE`, `REASSIGN OWNED`, …
    Role,
    /// `DO`
    Do,
    /// `CALL`
    Call,
    /// `LISTEN`, `UNLISTEN`
    Listen,
    /// `NOTIFY`
    Notify,
    /// `LOCK`
    Lock,
    /// `VACUUM`, `ANALYZE`, `REINDEX`, `CLUSTER`, `CHECKPOINT`, `REFRESH MATERIALIZED VIEW`
    Maintain,
    /// `COMMENT`, `SECURITY LABEL`
    Comment,
    /// `DISCARD`
    Discard,
    /// An empty query string.
    Empty,
    /// Anything else.
    Other,
}

impl Kind {
    /// Whether it is about the connection alone: it looks up no object of the database, and shows nothing.
    #[must_use]
    pub const fn is_of_connection(self) -> bool {
        match self {
            Self::Deallocate
            | Self::Set
            | Self::Transaction
            | Self::Listen
            | Self::Discard
            | Self::Empty => true,
            Self::Select
            | Self::Insert
            | Self::Update
            | Self::Delete
            | Self::Merge
            | Self::CopyIn
            | Self::CopyOut
            | Self::Explain
            | Self::Prepare
            | Self::Execute
            | Self::Declare
            | Self::Fetch
            | Self::Close
            | Self::Show
            | Self::Create
            | Self::Alter
            | Self::Drop
            | Self::Truncate
            | Self::Grant
            | Self::Role
            | Self::Do
            | Self::Call
            | Self::Notify
            | Self::Lock
            | Self::Maintain
            | Self::Comment
            | Self::Other => false,
        }
    }

    /// Whether it writes rows, and its tag tells how many.
    #[must_use]
    pub const fn writes_rows(self) -> bool {
        match self {
            Self::Insert | Self::Update | Self::Delete | Self::Merge | Self::CopyIn => true,
            Self::Select
            | Self::CopyOut
            | Self::Explain
            | Self::Prepare
            | Self::Execute
            | Self::Deallocate
            | Self::Declare
            | Self::Fetch
            | Self::Close
            | Self::Set
            | Self::Show
            | Self::Transaction
            | Self::Create
            | Self::Alter
            | Self::Drop
            | Self::Truncate
            | Self::Grant
            | Self::Role
            | Self::Do
            | Self::Call
            | Self::Listen
            | Self::Notify
            | Self::Lock
            | Self::Maintain
            | Self::Comment
            | Self::Discard
            | Self::Empty
            | Self::Other => false,
        }
    }
}

/// Relations, columns and functions a statement touches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Footprint {
    /// Columns read, for any purpose. A whole-row reference reads all columns.
    pub reads: BTreeSet<ColumnId>,
    /// Relations read (also when no column is, as in `count(*)`).
    pub relations_read: BTreeSet<u32>,
    /// Columns written by `INSERT`, `UPDATE`, `COPY … FROM`, `MERGE`.
    pub writes: BTreeSet<ColumnId>,
    /// Relations whose rows are written, deleted or truncated.
    pub relations_written: BTreeSet<u32>,
    /// Functions called, by `pg_proc.oid` (every overload that could be meant).
    pub calls: BTreeSet<u32>,
    /// Names created, altered or dropped, with what they are (`table`, `view`, `role`, …).
    pub defines: BTreeSet<(String, ObjectName)>,
}

/// What makes a statement dangerous, beyond its kind; serialized in kebab-case, which is how rules name it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Hazard {
    /// `UPDATE` or `DELETE` without a `WHERE` that restricts (`WHERE true`, `WHERE 1 = 1`, `id = id` do not).
    NoWhere,
    /// `ALTER … DROP`.
    AlterDrop,
    /// `COPY … PROGRAM`.
    CopyProgram,
    /// Reads, writes or lists files on the server (`COPY` with a file name, `pg_read_file`, `lo_import`, …).
    ServerFile,
    /// Creates, alters or drops roles, or changes what owns objects.
    RoleChange,
    /// `SET ROLE`, `SET SESSION AUTHORIZATION`, also through `set_config`.
    SetRole,
    /// Changes settings of the server, a database or a role (`ALTER SYSTEM`, `ALTER DATABASE … SET`, `pg_reload_conf`).
    SystemChange,
    /// Changes a setting that the gateway pins or that a session may not change.
    PinnedSetting,
    /// Would make a read-only transaction writable.
    ReadWrite,
    /// Runs SQL or names tables given as text (`query_to_xml`, `dblink`, …).
    SqlAsText,
    /// Shows other sessions' statements, statistics of columns, or secrets of the catalog (`pg_stats`, `pg_authid`, …).
    CatalogSecret,
    /// Ends or cancels other backends, or signals the server.
    Signal,
    /// Takes advisory or explicit locks.
    Lock,
    /// Sends or listens to notifications.
    Notification,
    /// Large objects.
    LargeObject,
    /// `PREPARE TRANSACTION` and its relatives: outlives the session.
    PreparedTransaction,
    /// Loads code (`LOAD`, `CREATE EXTENSION`, `CREATE LANGUAGE`, C functions).
    LoadsCode,
    /// Reaches another server (`dblink`, foreign data wrappers, subscriptions).
    Network,
    /// Waits on purpose (`pg_sleep`).
    Sleep,
    /// Writes in a way a read-only session must not (`nextval`, `setval`, `SELECT … FOR UPDATE`, …).
    HiddenWrite,
}

/// How the rows of a `COPY` look on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyFormat {
    /// Which of the three formats.
    pub layout: CopyLayout,
    /// What stands between two values: a tab in text, a comma in CSV, unless the statement says so.
    pub delimiter: char,
    /// What stands for NULL: `\N` in text, nothing in CSV.
    pub null: String,
    /// CSV: what values are quoted with.
    pub quote: char,
    /// CSV: what stands before a quote inside a quoted value.
    pub escape: char,
    /// The first line holds the names of the columns.
    pub header: bool,
}

/// The formats of `COPY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyLayout {
    /// `text`
    Text,
    /// `csv`
    Csv,
    /// `binary`
    Binary,
}

/// A value that `INSERT`, `UPDATE` or `MERGE` puts into a stored column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assignment {
    /// The column that is written.
    pub column: ColumnId,
    /// The value.
    pub value: Written,
}

/// What is written into a column, as far as the text says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Written {
    /// A literal (also under a cast), as text without its quotes.
    Text(String),
    /// The parameter of that number.
    Parameter(u32),
    /// `NULL`.
    Null,
    /// `DEFAULT`, or the column is not named.
    Default,
    /// Anything computed or read.
    Other,
}

/// The part of a statement that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opaque {
    /// What it is, as the end of "dbgate does not understand …".
    pub what: String,
    /// Where, in bytes from the start of the query string.
    pub position: Option<usize>,
    /// Set when a name could not be resolved: what the server would most likely answer. A catalog that is
    /// older than the database gives the same, so look again before refusing with it.
    pub failure: Option<Failure>,
}

/// The error that the server would give for a name that does not resolve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// SQLSTATE, such as `42P01`.
    pub sqlstate: &'static str,
    /// The server's wording: `relation "x" does not exist`.
    pub message: String,
}

/// What a statement does to the state of its connection once it has succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing that matters to later statements.
    #[default]
    None,
    /// Opens a transaction block.
    Begin,
    /// `COMMIT` / `END`.
    Commit,
    /// `ROLLBACK`.
    Rollback,
    /// `SAVEPOINT name`.
    Savepoint(String),
    /// `RELEASE name`.
    Release(String),
    /// `ROLLBACK TO name`.
    RollbackTo(String),
    /// `PREPARE name`: statements that `EXECUTE` it have the inner facts.
    Prepare {
        /// The prepared name.
        name: String,
        /// What was prepared.
        inner: Arc<Facts>,
    },
    /// `DEALLOCATE name`; `None` = all.
    Deallocate(Option<String>),
    /// `DECLARE name CURSOR`.
    Declare {
        /// The cursor.
        name: String,
        /// Its query.
        inner: Arc<Facts>,
        /// `WITH HOLD`: it outlives its transaction.
        hold: bool,
    },
    /// `CLOSE name`; `None` = all.
    Close(Option<String>),
    /// Settings that change how later statements are read may differ now (`SET search_path`, `set_config`, `RESET ALL`).
    Settings,
    /// The planner is told which ways to take (`SET enable_hashagg`, `SET work_mem`); undone by a rollback.
    Planner,
    /// `search_path` is this from now on, as a constant list; undone by a rollback.
    SearchPath {
        /// The schemas as written, `$user` included.
        path: Vec<String>,
        /// `SET LOCAL`: until the transaction ends.
        local: bool,
    },
    /// How long things may take is limited otherwise from now on (`SET statement_timeout`); undone by a rollback.
    TimeLimit {
        /// The setting.
        name: String,
        /// Its value, when it is written out.
        value: Option<String>,
    },
    /// The connection's temporary relations are these from now on; undone by a rollback.
    Temporary(Temporaries),
    /// Tables, views, functions, types may differ now.
    Catalog,
    /// `DISCARD ALL`.
    Discard,
}

impl Facts {
    /// Whether the names in a text stood for the same things when it was read for these and for the other facts.
    #[must_use]
    pub fn means_as(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.footprint == other.footprint
            && self.outputs == other.outputs
            && self.hazards == other.hazards
            && self.opaque.as_ref().map(|opaque| &opaque.what)
                == other.opaque.as_ref().map(|opaque| &opaque.what)
            && self.copy == other.copy
            && self.effect.means_as(&other.effect)
    }

    /// Whether the server tells how many rows the statement touches, so that a maximum can be kept.
    #[must_use]
    pub fn is_countable(&self, catalog: &Catalog) -> bool {
        let writers = match self.kind {
            Kind::Select | Kind::CopyOut | Kind::CopyIn => 0,
            Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge => 1,
            _ => return false,
        };
        self.writers == writers && self.opaque.is_none() && !self.calls_what_may_write(catalog)
    }

    /// Whether it calls a function of somebody's own that may write what the statement does not say.
    #[must_use]
    pub fn calls_what_may_write(&self, catalog: &Catalog) -> bool {
        self.footprint.calls.iter().any(|oid| {
            let function = catalog.functions.get(oid);
            function.is_none_or(|function| function.origin.is_none() && function.volatility == 'v')
        })
    }

    /// Whether a portal keeps to what the names in its statement meant when it was bound; otherwise the server resolves them as it
    /// executes it.
    #[must_use]
    pub const fn is_fixed_when_bound(&self) -> bool {
        !self.named
            && matches!(
                self.kind,
                Kind::Select
                    | Kind::Insert
                    | Kind::Update
                    | Kind::Delete
                    | Kind::Merge
                    | Kind::Explain
                    | Kind::Declare
            )
    }
}

impl Effect {
    fn means_as(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Prepare { name, inner },
                Self::Prepare {
                    name: of,
                    inner: with,
                },
            ) => name == of && inner.means_as(with),
            (
                Self::Declare { name, inner, hold },
                Self::Declare {
                    name: of,
                    inner: with,
                    hold: held,
                },
            ) => name == of && hold == held && inner.means_as(with),
            _ => self == other,
        }
    }
}

impl PartialEq for Facts {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Facts {}
