//! What runs is another than what was approved (row E2): the approval is void, and the client is told why.

use std::time::Duration;

use dbgate::api::types::{Ask, Opened};
use tokio_postgres::types::ToSql;

use super::Stage;
use crate::harness::site::connect;

/// Where the change is made.
#[derive(Clone, Copy)]
enum Change {
    /// The session sends another text.
    Text(&'static str),
    /// Before the text, the session runs this.
    Before(&'static str),
    /// Somebody changes the database beside dbgate: this, and what undoes it.
    Beside(&'static str, &'static str),
    /// The session is opened with another reason.
    Reason(&'static str),
    /// The session is opened for reading.
    Reading,
}

/// What was approved, unless a case says otherwise.
const APPROVED: &str = "UPDATE held SET note = 'void' WHERE id <= 4";
/// With a view between, and a function, for what is changed behind them.
const BY_VIEW: &str = "UPDATE shown SET note = 'void'";
const BY_FUNCTION: &str = "UPDATE held SET note = low('VOID') WHERE id <= 4";

/// Name, what was approved, what changes, and a word of the reason.
const CASES: &[(&str, &str, Change, &str)] = &[
    (
        "another value",
        APPROVED,
        Change::Text("UPDATE held SET note = 'VOID' WHERE id <= 4"),
        "another text",
    ),
    (
        "another bound",
        APPROVED,
        Change::Text("UPDATE held SET note = 'void' WHERE id <= 5"),
        "another text",
    ),
    (
        "no bound",
        APPROVED,
        Change::Text("UPDATE held SET note = 'void'"),
        "another text",
    ),
    (
        "another column",
        APPROVED,
        Change::Text("UPDATE held SET id = 4 WHERE id <= 4"),
        "another text",
    ),
    (
        "another verb",
        APPROVED,
        Change::Text("DELETE FROM held WHERE id <= 4"),
        "another text",
    ),
    (
        "another table",
        APPROVED,
        Change::Text("UPDATE two SET note = 'void' WHERE id <= 4"),
        "another text",
    ),
    (
        "more behind it",
        APPROVED,
        Change::Text("UPDATE held SET note = 'void' WHERE id <= 4 OR id = 9"),
        "another text",
    ),
    (
        "what comes back",
        APPROVED,
        Change::Text("UPDATE held SET note = 'void' WHERE id <= 4 RETURNING *"),
        "another text",
    ),
    (
        "a table beside it",
        APPROVED,
        Change::Text("UPDATE held SET note = 'void' FROM customers c WHERE held.id <= 4"),
        "another text",
    ),
    (
        "a comment",
        APPROVED,
        Change::Text("UPDATE held /* all */ SET note = 'void' WHERE id <= 4"),
        "another text",
    ),
    (
        "a blank",
        APPROVED,
        Change::Text("UPDATE held SET note = 'void' WHERE id <=  4"),
        "another text",
    ),
    (
        "other letters",
        APPROVED,
        Change::Text("update held SET note = 'void' WHERE id <= 4"),
        "another text",
    ),
    (
        "an alias",
        APPROVED,
        Change::Text("UPDATE held h SET note = 'void' WHERE id <= 4"),
        "another text",
    ),
    (
        "the schema by name",
        APPROVED,
        Change::Text("UPDATE public.held SET note = 'void' WHERE id <= 4"),
        "another text",
    ),
    (
        "a look-alike letter",
        APPROVED,
        Change::Text("UPDATE held SET note = 'v\u{43e}id' WHERE id <= 4"),
        "another text",
    ),
    (
        "another search path",
        APPROVED,
        Change::Before("SET search_path = other, public"),
        "something else by now",
    ),
    (
        "another search path for the transaction",
        APPROVED,
        Change::Before("SELECT set_config('search_path', 'other', false)"),
        "something else by now",
    ),
    (
        "another search path by RESET",
        APPROVED,
        Change::Before("SET search_path = other; RESET search_path; SET search_path TO other"),
        "something else by now",
    ),
    (
        "another reason",
        APPROVED,
        Change::Reason("another matter"),
        "another reason",
    ),
    ("no reason", APPROVED, Change::Reason(""), "another reason"),
    ("a session that reads", APPROVED, Change::Reading, ""),
    (
        "a column more",
        APPROVED,
        Change::Beside(
            "ALTER TABLE held ADD extra int",
            "ALTER TABLE held DROP extra",
        ),
        "by now",
    ),
    (
        "a column of another type",
        APPROVED,
        Change::Beside(
            "ALTER TABLE held ALTER id TYPE bigint",
            "ALTER TABLE held ALTER id TYPE int",
        ),
        "by now",
    ),
    (
        "a column of another name",
        APPROVED,
        Change::Beside(
            "ALTER TABLE held RENAME note TO note2; ALTER TABLE held ADD note text DEFAULT ''",
            "ALTER TABLE held DROP note; ALTER TABLE held RENAME note2 TO note",
        ),
        "by now",
    ),
    (
        "a rule",
        APPROVED,
        Change::Beside(
            "CREATE RULE r AS ON UPDATE TO held DO ALSO DELETE FROM two",
            "DROP RULE r ON held",
        ),
        "what the rules of public.held do",
    ),
    (
        "a trigger",
        APPROVED,
        Change::Beside(
            "CREATE TRIGGER t BEFORE UPDATE ON held FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "DROP TRIGGER t ON held",
        ),
        "by now",
    ),
    (
        "row security",
        APPROVED,
        Change::Beside(
            "ALTER TABLE held ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE held DISABLE ROW LEVEL SECURITY",
        ),
        "by now",
    ),
    (
        "a generated column",
        APPROVED,
        Change::Beside(
            "ALTER TABLE held ADD twice int GENERATED ALWAYS AS (id * 2) STORED",
            "ALTER TABLE held DROP twice",
        ),
        "by now",
    ),
    (
        "a child",
        APPROVED,
        Change::Beside(
            "CREATE TABLE child () INHERITS (held); GRANT ALL ON child TO public",
            "DROP TABLE child",
        ),
        "by now",
    ),
    (
        "not null",
        APPROVED,
        Change::Beside(
            "ALTER TABLE held ALTER note SET NOT NULL",
            "ALTER TABLE held ALTER note DROP NOT NULL",
        ),
        "by now",
    ),
    (
        "another table by the same name",
        APPROVED,
        Change::Beside(
            "ALTER TABLE held RENAME TO kept; CREATE TABLE held (id int, note text DEFAULT ''); INSERT INTO held SELECT generate_series(1, 10); GRANT ALL ON held TO public",
            "DROP TABLE held; ALTER TABLE kept RENAME TO held",
        ),
        "by now",
    ),
    (
        "two tables change places",
        APPROVED,
        Change::Beside(
            "ALTER TABLE held RENAME TO kept; ALTER TABLE two RENAME TO held; ALTER TABLE kept RENAME TO two",
            "ALTER TABLE held RENAME TO kept; ALTER TABLE two RENAME TO held; ALTER TABLE kept RENAME TO two",
        ),
        "by now",
    ),
    (
        "a view that shows more",
        BY_VIEW,
        Change::Beside(
            "CREATE OR REPLACE VIEW shown AS SELECT id, note FROM inside",
            "CREATE OR REPLACE VIEW shown AS SELECT id, note FROM inside WHERE id <= 4",
        ),
        "by now",
    ),
    (
        "a view that shows others",
        BY_VIEW,
        Change::Beside(
            "CREATE OR REPLACE VIEW shown AS SELECT id, note FROM inside WHERE id > 4",
            "CREATE OR REPLACE VIEW shown AS SELECT id, note FROM inside WHERE id <= 4",
        ),
        "by now",
    ),
    (
        "a view of another table",
        BY_VIEW,
        Change::Beside(
            "CREATE OR REPLACE VIEW shown AS SELECT id, note FROM two",
            "CREATE OR REPLACE VIEW shown AS SELECT id, note FROM inside WHERE id <= 4",
        ),
        "by now",
    ),
    (
        "a function that does something else",
        BY_FUNCTION,
        Change::Beside(
            "CREATE OR REPLACE FUNCTION low(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''void''::text'",
            "CREATE OR REPLACE FUNCTION low(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)'",
        ),
        "by now",
    ),
    (
        "a function that is not the same each time",
        BY_FUNCTION,
        Change::Beside(
            "ALTER FUNCTION low(text) VOLATILE",
            "ALTER FUNCTION low(text) IMMUTABLE",
        ),
        "by now",
    ),
];

/// How many cases there are besides [`CASES`]: those of parameters, of data and of other people.
const MORE: usize = 8;

async fn stage() -> Stage {
    let stage = Stage::new().await;
    let writer = stage.offer.role("writer");
    let sql = format!(
        "CREATE SCHEMA other; CREATE TABLE other.held (id int, note text DEFAULT '');
         INSERT INTO other.held SELECT generate_series(1, 10);
         CREATE TRIGGER first BEFORE UPDATE ON held FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
         CREATE VIEW shown AS SELECT id, note FROM inside WHERE id <= 4;
         CREATE FUNCTION low(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
         GRANT USAGE ON SCHEMA other TO {writer};
         GRANT SELECT, INSERT, UPDATE, DELETE ON other.held, shown TO {writer}"
    );
    stage.watcher.batch_execute(&sql).await.unwrap();
    fresh().await;
    stage
}

/// The catalog is looked at once a second.
async fn fresh() {
    tokio::time::sleep(Duration::from_millis(1300)).await;
}

/// A connection of a session that brings a request along.
async fn with_request(
    stage: &Stage,
    id: &str,
    reason: &str,
    access: &str,
) -> tokio_postgres::Client {
    let ask = Ask {
        database: stage.offer.name.clone(),
        reason: Some(reason.to_owned()),
        duration_s: Some(600),
        access: access.to_owned(),
        request: Some(id.to_owned()),
    };
    let Opened::Granted(granted) = stage.engineer.remote.open_session(&ask).await.unwrap() else {
        panic!("it is not granted");
    };
    connect(&granted, &stage.offer.name).await.unwrap().0
}

async fn touched(stage: &Stage) -> i64 {
    let mut touched = 0;
    for table in ["held", "two", "inside", "other.held"] {
        let sql = format!(
            "SELECT count(*) FILTER (WHERE note <> '') + (10 - count(*)) FROM ONLY {table}"
        );
        touched += stage.number(&sql).await;
    }
    touched
}

fn said(error: &tokio_postgres::Error) -> String {
    let error = error.as_db_error().expect("an answer");
    format!(
        "{}: {} / {}",
        error.code().code(),
        error.message(),
        error.detail().unwrap_or_default()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_void_for_anything_but_what_was_approved() {
    let stage = stage().await;
    for (name, approved, change, word) in CASES {
        if matches!(change, Change::Beside(..)) {
            fresh().await;
        }
        let request = stage.ahead(approved).await;
        stage.approve(&request.id, None).await.unwrap();
        let (mut reason, mut access, mut sql, mut undo) = ("a test", "write", *approved, None);
        match change {
            Change::Text(text) => sql = text,
            Change::Reason(other) => reason = other,
            Change::Reading => access = "read",
            Change::Before(_) => {}
            Change::Beside(done, undone) => {
                stage.watcher.batch_execute(done).await.unwrap();
                fresh().await;
                undo = Some(undone);
            }
        }
        let client = with_request(&stage, &request.id, reason, access).await;
        if let Change::Before(before) = change {
            for one in before.split("; ") {
                client.batch_execute(one).await.unwrap();
            }
        }
        let error = client.batch_execute(sql).await.expect_err(name);
        let told = said(&error);
        assert!(
            told.starts_with("42501: ") || told.starts_with("25006: "),
            "{name}: {told}"
        );
        assert!(told.contains(word), "{name}: {told}");
        assert_eq!(stage.state(&request.id).await, "approved", "{name}");
        if let Some(undo) = undo {
            stage.watcher.batch_execute(undo).await.unwrap();
        }
        assert_eq!(touched(&stage).await, 0, "{name}");
        stage.engineer.remote.withdraw(&request.id).await.unwrap();
    }
    // It is not that nothing would do.
    fresh().await;
    let request = stage.ahead(APPROVED).await;
    stage.approve(&request.id, None).await.unwrap();
    let client = with_request(&stage, &request.id, "a test", "write").await;
    client.batch_execute(APPROVED).await.unwrap();
    assert_eq!(stage.noted("held", "void").await, 4);
    println!("{} cases of {}", CASES.len(), CASES.len() + MORE);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_part_of_what_was_approved() {
    let stage = stage().await;
    let sql = "UPDATE held SET note = $1::text WHERE id <= $2::int";
    // Held with these parameters, approved, and the definition changes before it can run: others than those that were held can't come in.
    let entered = stage.enter().await;
    let statement = entered.client.prepare(sql).await.unwrap();
    for (number, value) in ["void", "other", "third"].into_iter().enumerate() {
        let bound = i32::try_from(number).unwrap() + 2;
        let parameters: [&(dyn ToSql + Sync); 2] = [&value, &bound];
        let (ran, ()) = tokio::join!(entered.client.execute(&statement, &parameters), async {
            let request = stage.waiting().await;
            stage.approve(&request.id, None).await.unwrap();
        });
        assert_eq!(ran.unwrap(), u64::try_from(bound).unwrap());
        // The next execution, with other parameters, waits for an approval of its own.
    }
    let all = stage.reviewer.requests(true).await.unwrap();
    assert_eq!(all.len(), 3, "one approval for each set of parameters");
    // An approval of the text alone is none for parameters.
    let request = stage
        .ahead("UPDATE held SET note = 'x' WHERE id <= 1")
        .await;
    stage.approve(&request.id, None).await.unwrap();
    let client = with_request(&stage, &request.id, "a test", "write").await;
    let error = client.execute(sql, &[&"void", &4]).await.unwrap_err();
    assert!(said(&error).contains("another text"), "{}", said(&error));
    let text = "UPDATE held SET note = 'x' WHERE id <= 1";
    client.execute(text, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_it_is_held_voids_the_approval() {
    let stage = stage().await;
    let entered = stage.enter().await;
    for change in [
        "ALTER TABLE held ADD more int",
        "CREATE OR REPLACE VIEW shown AS SELECT id, note FROM inside",
    ] {
        let sql = if change.contains("VIEW") {
            BY_VIEW
        } else {
            APPROVED
        };
        let (failed, ()) = tokio::join!(entered.client.batch_execute(sql), async {
            let id = stage.waiting().await.id;
            stage.watcher.batch_execute(change).await.unwrap();
            fresh().await;
            stage.approve(&id, None).await.unwrap();
        });
        let told = said(&failed.expect_err(change));
        assert!(
            told.contains("is something else by now"),
            "{change}: {told}"
        );
        assert_eq!(stage.noted("held", "void").await, 0, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_has_changed_since_is_kept_to_the_maximum() {
    let stage = stage().await;
    let request = stage
        .ahead("UPDATE held SET note = 'void' WHERE note = ''")
        .await;
    let approved = stage.approve(&request.id, Some(10)).await.unwrap();
    assert_eq!(approved.state, "approved");
    stage
        .watcher
        .batch_execute("INSERT INTO held VALUES (11)")
        .await
        .unwrap();
    let client = with_request(&stage, &request.id, "a test", "write").await;
    let sql = "UPDATE held SET note = 'void' WHERE note = ''";
    let told = said(&client.batch_execute(sql).await.unwrap_err());
    assert!(told.contains("at most 10 rows"), "{told}");
    assert_eq!(stage.noted("held", "void").await, 0);
    // It is used up.
    assert_eq!(stage.state(&request.id).await, "used");
}
