//! What the terminal does with keys that nobody reads: while a statement runs, they are not shown, for they would tear what is written.

use std::io::{self, IsTerminal as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal's way with keys, as it was. Dropping it brings it back.
pub struct Keys {
    before: Option<Termios>,
}

impl Keys {
    /// Remembers how it is; changes nothing.
    #[must_use]
    pub fn remember() -> Self {
        let stdin = io::stdin();
        let before = stdin
            .is_terminal()
            .then(|| tcgetattr(&stdin).ok())
            .flatten();
        Self { before }
    }

    /// Shows no keys from here on, `^C` among them. What is typed is there for who reads next.
    #[must_use]
    pub fn hush() -> Self {
        let keys = Self::remember();
        if let Some(before) = &keys.before {
            let mut modes = before.clone();
            modes.local_modes.remove(LocalModes::ECHO);
            set(&modes);
        }
        keys
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            set(before);
        }
    }
}

fn set(modes: &Termios) {
    // A terminal that is gone has no ways any more; one that refuses goes on as it is.
    let _unset = tcsetattr(io::stdin(), OptionalActions::Now, modes);
}
