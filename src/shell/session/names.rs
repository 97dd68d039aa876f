//! Fetches names for completion over the same session, while nothing else runs.

use std::sync::PoisonError;
use std::time::Duration;

use crate::remote::pg::{Event, Row};
use crate::shell::complete::{Names, Relation};
use crate::shell::describe;
use crate::shell::drive;
use crate::shell::session::Session;
use crate::wire::error::Fields;

/// When somebody waits for the prompt's answer, names may not take longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

impl Session {
    /// Fetches the names and puts them where completion looks. A call that is dropped leaves an answer unread: see
    /// [`Self::finish_names`].
    pub(super) async fn fetch_names(&mut self) {
        let mut names = Names::default();
        if let Some(rows) = self.quietly(describe::relation_names()).await {
            for row in rows {
                add(&mut names, row);
            }
        }
        if let Some(rows) = self.quietly(describe::function_names()).await {
            names.functions = rows
                .into_iter()
                .filter_map(|row| row.into_iter().next().flatten())
                .collect();
        }
        if names != Names::default() {
            *self.names.write().unwrap_or_else(PoisonError::into_inner) = names;
        }
    }

    /// Reads what a dropped fetch left unread; one that takes long is canceled.
    pub(super) async fn finish_names(&mut self) {
        if !self.connection.is_busy() {
            return;
        }
        self.stale = true;
        if tokio::time::timeout(PATIENCE, self.drain()).await.is_err() {
            let canceller = self.connection.canceller();
            let _sent = canceller.send().await;
            self.drain().await;
        }
    }

    async fn drain(&mut self) {
        while self.connection.is_busy() {
            match self.connection.next().await {
                Ok(Event::Failed(fields)) => self.hear(fields),
                Ok(_) => {}
                // A connection that breaks here is found out by the statement that comes next.
                Err(_) => return,
            }
        }
    }

    /// A query that nobody waits for has failed. When that is the end of the session, it is told all the same.
    fn hear(&mut self, fields: Box<Fields>) {
        if drive::is_end(&fields) {
            self.last_words = Some(fields);
        }
    }

    /// The rows of a query that nobody waits for; nothing when it fails.
    pub(super) async fn quietly(&mut self, sql: &str) -> Option<Vec<Vec<Option<String>>>> {
        self.connection.query(sql).await.ok()?;
        let mut rows = Vec::new();
        let mut fine = true;
        loop {
            match self.connection.next().await.ok()? {
                Event::Row(row) => rows.push(texts(&row)),
                Event::Failed(fields) => {
                    fine = false;
                    self.hear(fields);
                }
                Event::Ready(_) => return fine.then_some(rows),
                Event::CopyIn => self.connection.copy_end(Some("no data")).await.ok()?,
                Event::Columns(_)
                | Event::Complete(_)
                | Event::Empty
                | Event::Notice(_)
                | Event::CopyOut
                | Event::CopyData(_)
                | Event::CopyDone
                | Event::Notification(..) => {}
            }
        }
    }
}

fn texts(row: &Row) -> Vec<Option<String>> {
    row.values()
        .map(|value| value.map(|value| String::from_utf8_lossy(value).into_owned()))
        .collect()
}

fn add(names: &mut Names, row: Vec<Option<String>>) {
    let mut values = row.into_iter().map(Option::unwrap_or_default);
    let (Some(schema), Some(name), Some(visible), Some(column)) =
        (values.next(), values.next(), values.next(), values.next())
    else {
        return;
    };
    match names.relations.last_mut() {
        Some(last) if last.schema == schema && last.name == name => last.columns.push(column),
        _ => names.relations.push(Relation {
            schema,
            name,
            visible: visible == "t",
            columns: vec![column],
        }),
    }
}
