//! A spinner on stderr: seen after 300 ms, never by a program, gone when it is dropped.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::model::escape;

/// What is done faster needs no spinner.
pub const DELAY: Duration = Duration::from_millis(300);

/// Says that something goes on, and for how long.
pub struct Spinner {
    bar: ProgressBar,
    waiter: Option<(mpsc::Sender<()>, thread::JoinHandle<()>)>,
}

impl Spinner {
    /// Starts one; `seen` is whether stderr is a person's.
    #[must_use]
    pub fn start(text: &str, seen: bool) -> Self {
        if !seen {
            let bar = ProgressBar::hidden();
            return Self { bar, waiter: None };
        }
        let bar = bar(text, Duration::ZERO);
        let (stop, stopped) = mpsc::channel();
        let shown = bar.clone();
        let waiter = thread::spawn(move || {
            if stopped.recv_timeout(DELAY) == Err(mpsc::RecvTimeoutError::Timeout) {
                show(&shown);
            }
        });
        Self {
            bar,
            waiter: Some((stop, waiter)),
        }
    }

    /// Shows one at once, for something that goes on since `elapsed`.
    #[must_use]
    pub fn shown(text: &str, elapsed: Duration) -> Self {
        let bar = bar(text, elapsed);
        show(&bar);
        Self { bar, waiter: None }
    }

    /// Says something else.
    pub fn say(&self, text: &str) {
        self.bar.set_message(escape::line(text).into_owned());
    }
}

fn bar(text: &str, elapsed: Duration) -> ProgressBar {
    let bar = ProgressBar::hidden().with_elapsed(elapsed);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(escape::line(text).into_owned());
    bar
}

fn show(bar: &ProgressBar) {
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(100));
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some((stop, waiter)) = self.waiter.take() {
            drop(stop);
            // A waiter that panicked has drawn nothing.
            let _joined = waiter.join();
        }
        self.bar.finish_and_clear();
    }
}
