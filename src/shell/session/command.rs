//! What backslash commands do.

use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::api::types;
use crate::audit::scrub;
use crate::model::escape;
use crate::policy::explain::Explanation;
use crate::shell::describe::{self, Copy, Listing};
use crate::shell::drive::Ends;
use crate::shell::meta::{self, Command, Switch};
use crate::shell::render::Form;
use crate::shell::report::{self, Place};
use crate::shell::session::{DEEPEST, Ending, Refusal, Session, Settings};

impl Session {
    /// Runs a command; says whether it went well.
    pub(super) async fn command(&mut self, line: &str, place: &Place) -> io::Result<bool> {
        match meta::parse(line) {
            Err(why) => self.wrong(&why),
            Ok(Command::Nothing) => Ok(true),
            Ok(Command::Quit) => {
                self.end = Some(Ending::Left);
                Ok(true)
            }
            Ok(Command::Help) => self.print(meta::HELP),
            Ok(Command::Why) => self.why().await,
            Ok(Command::ConnectionInfo) => self.info(),
            Ok(Command::Expanded(switch)) => self.expanded(switch),
            Ok(Command::Timing(switch)) => {
                self.timing = match switch {
                    Switch::On => true,
                    Switch::Off => false,
                    Switch::Auto | Switch::Toggle => !self.timing,
                };
                let text = if self.timing {
                    "Timing is on."
                } else {
                    "Timing is off."
                };
                self.say(text)
            }
            Ok(Command::Include(file)) => self.include(&file).await,
            Ok(Command::Copy(copy)) => self.copy(copy, place).await,
            Ok(Command::List(listing)) => self.list(&listing, place).await,
            Ok(Command::Describe(name, more)) => self.describe(&name, more, place).await,
        }
    }

    fn wrong(&mut self, why: &str) -> io::Result<bool> {
        self.book.out().tell("1;31", "error: ", why)?;
        Ok(false)
    }

    fn say(&mut self, text: &str) -> io::Result<bool> {
        self.book.out().say(text)?;
        Ok(true)
    }

    /// Writes text of ours or the catalog's where rows go.
    fn print(&mut self, text: &str) -> io::Result<bool> {
        writeln!(self.book.out(), "{}", escape::block(text))?;
        self.book.out().flush()?;
        Ok(true)
    }

    fn expanded(&mut self, switch: Switch) -> io::Result<bool> {
        self.form = match (switch, self.form) {
            (Switch::On, _) => Form::Expanded,
            (Switch::Off, _) => Form::Table,
            (Switch::Auto, _) => Form::Fitting,
            (Switch::Toggle, Form::Expanded) => Form::Table,
            (Switch::Toggle, _) => Form::Expanded,
        };
        self.say(match self.form {
            Form::Expanded => "Columns are shown one below the other.",
            Form::Fitting => "Columns are shown side by side where they fit.",
            _ => "Columns are shown side by side.",
        })
    }

    fn info(&mut self) -> io::Result<bool> {
        let Settings {
            database,
            subject,
            session,
            access,
            ends,
            ..
        } = &self.settings;
        let text = format!(
            "You are {subject}, connected to `{database}` to {access}, in session {session}, until {ends} ({} left).",
            self.left()
        );
        let version = self
            .connection
            .parameter("server_version")
            .map(ToOwned::to_owned);
        self.say(&text)?;
        match version {
            Some(version) => self.say(&format!("The database is PostgreSQL {version}.")),
            None => Ok(true),
        }
    }

    async fn why(&mut self) -> io::Result<bool> {
        let Some(refusal) = &self.refusal else {
            return self.say("Nothing was refused in this sitting.");
        };
        let Refusal { fields, sql } = refusal;
        let fields = report::without_secrets(fields, sql);
        let mut text = format!(
            "The statement\n\n  {}\n\nwas refused: {}.\n",
            scrub::statement(sql).replace('\n', "\n  "),
            fields.message
        );
        if let Some(detail) = &fields.detail {
            text.push_str(&format!("\nBecause: {detail}"));
        }
        if let Some(hint) = &fields.hint {
            text.push_str(&format!("\nWhat would help: {hint}"));
        }
        let ask = types::ExplainAsk {
            database: self.settings.database.to_string(),
            sql: sql.clone(),
            access: self.settings.access.to_string(),
        };
        match self.settings.broker.explain(&ask).await {
            Ok(answer) => text.push_str(&explained(answer)),
            Err(error) => text.push_str(&format!("\nThe broker does not say more: {error}")),
        }
        self.print(&text)
    }

    async fn include(&mut self, file: &str) -> io::Result<bool> {
        if self.depth >= DEEPEST {
            return self.wrong(&format!(
                "`{file}`: files that run files go {DEEPEST} deep at most"
            ));
        }
        let script = match std::fs::read_to_string(home(file)) {
            Ok(script) => script,
            Err(error) => return self.wrong(&format!("read `{file}`: {error}")),
        };
        self.depth += 1;
        let fine = self.run(&script, Some(file), true).await;
        self.depth -= 1;
        fine
    }

    async fn copy(&mut self, copy: Copy, place: &Place) -> io::Result<bool> {
        let Copy { sql, file, reads } = copy;
        let mut ends = Ends::default();
        let path = home(&file);
        if matches!(
            file.to_ascii_lowercase().as_str(),
            "stdin" | "stdout" | "pstdin" | "pstdout"
        ) {
            if reads {
                return self.wrong("rows typed at the prompt are not read; put them into a file");
            }
        } else if reads {
            match tokio::fs::File::open(path).await {
                Ok(source) => ends.source = Some(Box::new(source)),
                Err(error) => return self.wrong(&format!("read `{file}`: {error}")),
            }
        } else {
            match std::fs::File::create(path) {
                Ok(sink) => ends.sink = Some(Box::new(io::BufWriter::new(sink))),
                Err(error) => return self.wrong(&format!("write `{file}`: {error}")),
            }
        }
        self.statement(&sql, place, self.form, ends).await
    }

    async fn list(&mut self, listing: &Listing, place: &Place) -> io::Result<bool> {
        self.print(listing.title)?;
        self.statement(&listing.sql, place, Form::Fitting, Ends::default())
            .await
    }

    async fn describe(&mut self, name: &str, more: bool, place: &Place) -> io::Result<bool> {
        let Some(found) = self.quietly(&describe::find(name)).await else {
            // Once more where everybody can see why it fails.
            return self
                .statement(&describe::find(name), place, Form::Fitting, Ends::default())
                .await;
        };
        if found.is_empty() {
            return self.wrong(&format!(
                "there is no relation `{name}` that this session may see"
            ));
        }
        for relation in found {
            let mut values = relation.into_iter().map(Option::unwrap_or_default);
            let (Some(oid), Some(schema), Some(name), Some(kind)) =
                (values.next(), values.next(), values.next(), values.next())
            else {
                continue;
            };
            let Ok(oid) = oid.parse::<u32>() else {
                continue;
            };
            self.print(&format!(
                "{} \"{schema}.{name}\"",
                describe::kind_name(&kind)
            ))?;
            let ends = Ends {
                hush: true,
                ..Ends::default()
            };
            let timing = std::mem::replace(&mut self.timing, false);
            let fine = self
                .statement(&describe::columns(oid, more), place, Form::Table, ends)
                .await;
            self.timing = timing;
            if !fine? {
                return Ok(false);
            }
            for (heading, sql) in describe::footers(oid, &kind) {
                self.footer(heading, &sql).await?;
            }
        }
        Ok(true)
    }

    async fn footer(&mut self, heading: &str, sql: &str) -> io::Result<()> {
        let lines: Vec<_> = self
            .quietly(sql)
            .await
            .unwrap_or_default()
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = heading.to_owned();
        for line in lines {
            text.push_str(&format!("\n    {}", line.replace('\n', "\n    ")));
        }
        self.print(&text).map(drop)
    }
}

/// What a statement touches and which rules decide, as `dbgate explain` shows it.
fn explained(mut answer: serde_json::Value) -> String {
    let statements = answer
        .get_mut("statements")
        .map(serde_json::Value::take)
        .unwrap_or_default();
    let statements: Vec<Explanation> = serde_json::from_value(statements).unwrap_or_default();
    let mut text = String::from("\n");
    for explanation in &statements {
        text.push_str(&format!("\n{explanation}"));
    }
    text
}

/// `~/…` as the shell of the operating system has it.
fn home(file: &str) -> PathBuf {
    match (file.strip_prefix("~/"), directories::BaseDirs::new()) {
        (Some(rest), Some(dirs)) => dirs.home_dir().join(rest),
        _ => PathBuf::from(file),
    }
}
