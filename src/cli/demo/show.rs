//! What a demo shows: one JSON object, the commands to try, or the play.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::cli::demo::{executable, failure};
use crate::cli::error::Error;
use crate::cli::ui::Ui;
use crate::demo::play::{Line, Stage};
use crate::demo::run::Demo;
use crate::demo::script;
use crate::model::escape;

/// How long one key takes.
const KEY: Duration = Duration::from_millis(18);

/// How long a line of output is looked at, and at most and at least all of it.
const LINE: Duration = Duration::from_millis(220);
const SHORTEST: Duration = Duration::from_millis(900);
const LONGEST: Duration = Duration::from_millis(3500);

/// For programs.
pub(super) fn json(ui: &mut Ui, demo: &Demo) -> Result<(), Error> {
    let text =
        serde_json::to_string(&demo.ready).map_err(|error| Error::failed(error.to_string()))?;
    ui.print(&text)
}

/// For people: five commands to try.
pub(super) fn text(ui: &mut Ui, demo: &Demo) -> Result<(), Error> {
    let ready = &demo.ready;
    let database = ready.database.as_str();
    ui.status(&format!("PostgreSQL: {}", demo.about()))?;
    let file = |name: &str| script::quoted(&demo.path(name).display().to_string());
    ui.print(&format!(
        "The demo is running. In another terminal, as Ada the engineer:\n\n  \
         . {ada}\n\n  \
         1  {look}\n  \
         2  {destroy}\n  \
         3  {change}\n  \
         4  {tunnel}    # then psql, with the URL that it prints\n\n\
         The third one waits for Rex the reviewer, in a terminal of his own:\n\n  \
         . {rex}\n  \
         {requests}    # and `dbgate approve ID`\n\n\
         And Ann the auditor reads who did what, why, and under whose approval:\n\n  \
         . {ann}\n\n  \
         5  {search}\n\n\
         `dbgate login {url}` signs in through the browser instead (`unset DBGATE_ID_TOKEN` first).\n\
         The policy is {policy}: edit it, it is read again. Ctrl-C ends the demo.",
        ada = file("ada.env"),
        rex = file("rex.env"),
        ann = file("ann.env"),
        look = script::look(database),
        destroy = script::destroy(database),
        change = script::change(database),
        tunnel = script::tunnel(database),
        requests = script::requests(),
        search = script::search(),
        url = ready.url,
        policy = ready.policy_file.display(),
    ))
}

/// Plays, and shows it: at a reader's pace on a terminal, at once elsewhere.
pub(super) async fn play(ui: &mut Ui, demo: &Demo) -> Result<(), Error> {
    let (lines, said) = mpsc::channel(1);
    let stage = Stage {
        demo,
        executable: executable()?,
        path: std::env::var_os("PATH"),
        lines,
    };
    let mut screen = Screen::new(ui);
    screen
        .remark(&format!("PostgreSQL: {}.", demo.about()))
        .await?;
    // The stage is dropped when the play is over; that ends the showing.
    let playing = async move { stage.play().await };
    let showing = async {
        // Dropped when nothing more can be shown; that ends the play.
        let mut said = said;
        while let Some(line) = said.recv().await {
            screen.show(line).await?;
        }
        Ok::<(), Error>(())
    };
    let (played, shown) = tokio::join!(playing, showing);
    shown?;
    played.map_err(|error| failure::play(&error))
}

/// Where a play is shown.
struct Screen<'a> {
    ui: &'a mut Ui,
    paced: bool,
    /// Lines that nobody had time to read yet.
    unread: u32,
}

impl<'a> Screen<'a> {
    fn new(ui: &'a mut Ui) -> Self {
        Self {
            paced: ui.is_terminal(),
            ui,
            unread: 0,
        }
    }

    async fn show(&mut self, line: Line) -> Result<(), Error> {
        match line {
            Line::Remark(text) => self.remark(&text).await,
            Line::Command { who, text } => self.command(who, &text).await,
            Line::Output(text) => {
                self.unread += 1;
                self.ui.print(&text)
            }
        }
    }

    async fn remark(&mut self, text: &str) -> Result<(), Error> {
        self.reading().await;
        self.ui.print(&format!("\n# {text}"))?;
        self.unread = 3;
        Ok(())
    }

    /// Typed, key by key.
    async fn command(&mut self, who: &str, text: &str) -> Result<(), Error> {
        self.reading().await;
        let text = escape::line(text).into_owned();
        let (bold, plain) = if self.ui.is_colored() {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        let out = self.ui.out();
        write!(out, "{who}$ {bold}")?;
        for key in text.chars() {
            write!(out, "{key}")?;
            if self.paced {
                out.flush()?;
                tokio::time::sleep(KEY).await;
            }
        }
        writeln!(out, "{plain}")?;
        out.flush()?;
        Ok(())
    }

    /// Time to read what was shown since the last pause.
    async fn reading(&mut self) {
        let lines = std::mem::take(&mut self.unread);
        if self.paced && lines > 0 {
            tokio::time::sleep((LINE * lines).clamp(SHORTEST, LONGEST)).await;
        }
    }
}
