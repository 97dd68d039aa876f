//! What a connection's open transaction has defined, asked of the connection itself: nobody else sees it.
//!
//! **Invariant:** it is asked in a transaction block that reads what is committed at the moment of each statement. In others a question sees
//! less than the server does when it resolves a name.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::broker::place::View;
use crate::gateway::relay::verdict::{LOOK, Stop};
use crate::gateway::relay::{End, Relay};
use crate::gateway::session;
use crate::gateway::session::state::Definitions;
use crate::gateway::session::verdict::{Ask, Transaction};
use crate::sql::catalog::{Catalog, Version};
use crate::upstream::catalog;
use crate::wire::row::DataRow;
use crate::work;

/// What the connection sees.
#[derive(Debug)]
pub(super) struct Own {
    view: View,
    /// What everybody saw when it was asked: when that changes, so may what the connection sees.
    others: Version,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Relay<C> {
    /// What the connection sees, if it was asked and nothing has changed since; else what everybody sees.
    pub(super) fn seen(&mut self, others: View) -> View {
        if self.session.state().definitions() != Definitions::Own {
            return others;
        }
        match &self.own {
            Some(own)
                if own.others == others.catalog.version
                    && Arc::ptr_eq(&own.view.policy, &others.policy) =>
            {
                own.view.clone()
            }
            _ => {
                self.session.state_mut().untold();
                others
            }
        }
    }

    /// Whether the open transaction has defined something, so that names may stand for what only this connection can tell.
    pub(super) fn defines(&self) -> bool {
        match self.session.state().definitions() {
            Definitions::Uncommitted | Definitions::Own => true,
            Definitions::Known | Definitions::Outdated | Definitions::Doubted => false,
        }
    }

    /// Whether the connection can be asked for it once it owes nothing.
    pub(super) fn can_tell(&self, ask: &Ask) -> bool {
        ask.transaction == Transaction::Open && !self.session.is_in_pipeline()
    }

    /// Asks the connection. `None`: in such a transaction it can't tell.
    pub(super) async fn ask_for_definitions(&mut self) -> Result<Option<View>, Stop> {
        let place = Arc::clone(self.attachment.session.place());
        let Some(others) = place.view() else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        let questions = catalog::questions();
        let questions: Vec<&str> = questions.iter().map(String::as_str).collect();
        let asked = self.ask_upstream(&questions, |row| rows.push(texts(row)));
        match tokio::time::timeout(LOOK, asked).await {
            Ok(told) => told?,
            Err(_) => return Err(End::UpstreamGone.into()),
        }
        let found = work::aside(usize::MAX, || read(&rows, &others.catalog));
        let Some(catalog) = found.ok_or_else(unclear)? else {
            return Ok(None);
        };
        let view = place.own_view(&others, catalog);
        self.own = Some(Own {
            view: view.clone(),
            others: others.catalog.version,
        });
        self.session.state_mut().told();
        Ok(Some(view))
    }
}

/// The values of a row; what is NULL or no text is empty, which nothing that is asked for can be.
fn texts(row: &DataRow<'_>) -> Vec<String> {
    let text = |value: Option<&[u8]>| {
        let text = value.and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.unwrap_or_default().to_owned()
    };
    row.values().map(text).collect()
}

/// The catalog from the answers; `Some(None)` when the transaction can't tell.
fn read(rows: &[Vec<String>], known: &Catalog) -> Option<Option<Catalog>> {
    let [settings, answer] = rows else {
        return None;
    };
    let answer: Vec<&str> = answer.iter().map(String::as_str).collect();
    if settings.last()? != catalog::COMMITTED {
        return Some(None);
    }
    catalog::own(known, &answer).map(Some)
}

fn unclear() -> Stop {
    End::from(session::Error::Upstream(
        "something else than its definitions",
    ))
    .into()
}
