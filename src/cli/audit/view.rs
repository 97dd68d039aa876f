//! A record of the audit log as people read it.

use serde_json::Value;

use crate::cli::error::Error;
use crate::cli::ui::{self, Column, Ui};
use crate::model::escape;

/// The columns of a list of records.
pub(super) const COLUMNS: &[Column<'static, Value>] = &[
    ("TIME", |record| View(record).time()),
    ("WHO", |record| View(record).who()),
    ("DATABASE", |record| View(record).text("database")),
    ("SESSION", |record| View(record).text("session")),
    ("EVENT", |record| View(record).event()),
    ("WHAT", |record| View(record).summary()),
];

/// Characters of a statement that a summary shows.
const CLIP: usize = 160;

/// Shows one record on a line of its own, or as JSON.
pub(super) fn show(ui: &mut Ui, record: &Value) -> Result<(), Error> {
    if ui.is_json() {
        return ui.json("dbgate.audit.event/1", record);
    }
    ui.print(&View(record).line())
}

/// A record, read leniently: a later broker may say more than we know.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a>(pub(super) &'a Value);

impl<'a> View<'a> {
    /// A field that is text, or nothing.
    pub(super) fn text(self, name: &str) -> String {
        self.str(name).unwrap_or_default().to_owned()
    }

    /// A field that is text.
    pub(super) fn str(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    /// A field that is a number.
    pub(super) fn number(self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    /// When it was recorded, to the second.
    pub(super) fn time(self) -> String {
        self.str("time").map(ui::seconds).unwrap_or_default()
    }

    /// Who did it, and on whose behalf.
    pub(super) fn who(self) -> String {
        let at = |path: &str| self.0.pointer(path).and_then(Value::as_str);
        match (at("/subject/name"), at("/subject/behalf/sub")) {
            (Some(name), Some(person)) => format!("{name} for {person}"),
            (Some(name), None) => name.to_owned(),
            (None, _) => "dbgate".to_owned(),
        }
    }

    /// The event's name in words.
    pub(super) fn event(self) -> String {
        self.text("event").replace('_', " ")
    }

    /// One line with everything that matters.
    pub(super) fn line(self) -> String {
        let mut parts = vec![self.time(), self.who()];
        parts.extend(self.str("database").map(str::to_owned));
        parts.push(self.event());
        let summary = self.summary();
        if !summary.is_empty() {
            parts.push(summary);
        }
        escape::line(&parts.join("  ")).into_owned()
    }

    /// What the event is about.
    pub(super) fn summary(self) -> String {
        let mut parts: Vec<String> = Vec::new();
        if let Some(statement) = self.0.get("statement") {
            parts.push(match statement.as_str() {
                Some(text) => clip(&one_line(text)),
                None => "(erased)".to_owned(),
            });
        }
        parts.extend(self.refusals());
        parts.extend(self.outcome());
        parts.extend(self.decision());
        parts.extend(self.masked());
        parts.extend(self.approvals());
        for (name, word) in [
            ("error", ""),
            ("note", ""),
            ("request", "request "),
            ("access", ""),
            ("role", "role "),
            ("ends", "until "),
            ("what", ""),
            ("filter", ""),
            ("cause", ""),
            ("method", "by "),
            ("version", ""),
        ] {
            let text = self.str(name).map(|text| clip(&one_line(text)));
            parts.extend(text.map(|text| format!("{word}{text}")));
        }
        let why = self.0.pointer("/end/why").or_else(|| self.0.get("end"));
        parts.extend(why.and_then(Value::as_str).map(|why| why.replace('_', " ")));
        if let (Some(have), Some(needed)) = (self.number("have"), self.number("needed")) {
            parts.push(format!("{have} of {needed}"));
        }
        if let Some(reason) = self.str("reason") {
            parts.push(format!("because: {}", clip(&one_line(reason))));
        }
        parts.join(" · ")
    }

    /// How many more attempts to get in were refused, and from where.
    fn refusals(self) -> Option<String> {
        let what = match self.str("at")? {
            "login" => "sign-ins",
            _ => "connections",
        };
        let count = self.number("count")?;
        let from = self.0.pointer("/client/address").and_then(Value::as_str);
        let from = from.unwrap_or("elsewhere");
        Some(format!("{count} more refused {what} from {from}"))
    }

    /// What came of a statement: its tag or SQLSTATE, rows and time.
    fn outcome(self) -> Option<String> {
        let micros = self.number("micros")?;
        let said = self.str("tag").or_else(|| self.str("sqlstate"));
        let rows = self.number("rows").unwrap_or(0);
        let plural = if rows == 1 { "" } else { "s" };
        Some(format!(
            "{} ({rows} row{plural}, {}.{:03} ms, record {})",
            said.unwrap_or("outcome unknown"),
            micros / 1000,
            micros % 1000,
            self.number("intent").unwrap_or(0)
        ))
    }

    fn decision(self) -> Option<String> {
        let decision = self.0.get("decision")?;
        let outcome = decision.get("outcome")?.as_str()?;
        Some(match decision.get("rule").and_then(Value::as_str) {
            Some(rule) => format!("{outcome} by {rule}"),
            None => format!("{outcome}: no rule allows it"),
        })
    }

    /// Who agreed to it, when, and to how many rows.
    fn approvals(self) -> Option<String> {
        let given = self.0.get("approvals")?.as_array()?.iter();
        let given = given.map(|consent| {
            let text = |path: &str| consent.pointer(path).and_then(Value::as_str);
            let name = text("/by/name").or_else(|| text("/by/sub")).unwrap_or("?");
            let time = text("/at").map_or("?".to_owned(), ui::seconds);
            match consent.get("max_rows").and_then(Value::as_u64) {
                Some(1) => format!("{name} at {time} for at most 1 row"),
                Some(most) => format!("{name} at {time} for at most {most} rows"),
                None => format!("{name} at {time}"),
            }
        });
        let given: Vec<String> = given.collect();
        (!given.is_empty()).then(|| format!("approved by {}", given.join(", ")))
    }

    fn masked(self) -> Option<String> {
        let masked = self.0.get("masked")?.as_array()?;
        let names = masked.iter().map(|column| {
            let from = column.get("from").and_then(|from| from.get(0)?.as_str());
            let mask = column.get("mask").and_then(Value::as_str);
            format!("{} ({})", from.unwrap_or("?"), mask.unwrap_or("?"))
        });
        let names: Vec<String> = names.take(8).collect();
        (!names.is_empty()).then(|| format!("masked {}", names.join(", ")))
    }
}

/// Text with its lines joined.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(CLIP) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
