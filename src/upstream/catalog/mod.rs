//! Reads the catalog of a target database, in one snapshot.
//!
//! Reading order: `question` (what is asked) → `rows` (what is answered).

mod question;
mod rows;

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Client;

use crate::sql::catalog::{Catalog, FIRST_NORMAL, Parts};
use crate::upstream::Error;
use crate::upstream::catalog::question::question;

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
    let parts = parts(client).await;
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

async fn parts(client: &Client) -> Result<Parts, Error> {
    let row = client.query_one(&question(0), &[]).await.map_err(failed)?;
    let texts = (0..row.len()).map(|index| row.try_get::<_, &str>(index));
    let texts: Vec<&str> = texts.collect::<Result<_, _>>().map_err(failed)?;
    rows::parts(&texts).ok_or_else(|| Error::Answer {
        doing: "read the catalog",
        what: "not the parts of a catalog".to_owned(),
    })
}

/// The isolation in which a question sees what the server sees when it resolves a name: all that is committed.
pub const COMMITTED: &str = "read committed";

/// What asks a connection that is in a transaction block for what people have made, as that transaction sees it. The last value of the
/// first row is the isolation, which must be [`COMMITTED`]; the second row is for [`own`]. Nothing of it stays behind: neither the
/// settings nor the savepoint.
#[must_use]
pub fn questions() -> [String; 5] {
    [
        "SAVEPOINT \"dbgate: catalog\"".to_owned(),
        "SELECT pg_catalog.set_config('search_path', 'pg_catalog', true), pg_catalog.set_config('statement_timeout', '0', true), \
         pg_catalog.current_setting('transaction_isolation')"
            .to_owned(),
        question(FIRST_NORMAL),
        "ROLLBACK TO SAVEPOINT \"dbgate: catalog\"".to_owned(),
        "RELEASE SAVEPOINT \"dbgate: catalog\"".to_owned(),
    ]
}

/// The catalog as a connection sees it that has answered [`questions`] with this row; what comes with the server is as it is in `known`.
#[must_use]
pub fn own(known: &Catalog, texts: &[&str]) -> Option<Catalog> {
    let mut parts = rows::parts(texts)?;
    parts.relations.extend(built_in(&known.relations));
    parts.functions.extend(built_in(&known.functions));
    parts.types.extend(built_in(&known.types));
    Some(Catalog::new(parts))
}

/// Those that came with the server.
fn built_in<T: Clone>(all: &HashMap<u32, Arc<T>>) -> impl Iterator<Item = T> {
    all.iter()
        .filter(|(oid, _)| **oid < FIRST_NORMAL)
        .map(|(_, one)| (**one).clone())
}

fn failed(source: tokio_postgres::Error) -> Error {
    Error::Admin {
        doing: "read the catalog",
        source,
    }
}

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
