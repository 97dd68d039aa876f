//! Becomes another program that ends when its parent does, even when the parent is killed.
//!
//! The hidden subcommand `dbgate internal-guardian` gives up root where asked, asks the kernel for a signal on the
//! parent's death, and executes the program. The signal must be asked for after the change of user, which
//! would clear it, and it follows the parent's thread: whoever starts a guardian must live as long as it should.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid};

/// What to become.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// The parent's process id: when it is already another, the parent has died.
    pub parent: i32,
    /// Whom to become first.
    pub account: Option<Account>,
    /// Whether the program gets this process's environment; otherwise it gets a bare one.
    pub keeps_environment: bool,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Guarded {
    /// Replaces this process; returns only when that failed.
    ///
    /// # Errors
    /// When the user can't be changed, the parent is gone, or the program can't be executed.
    pub fn execute(self) -> io::Error {
        if let Err(error) = self.prepare() {
            return error;
        }
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if !self.keeps_environment {
            command.env_clear().env("LC_ALL", "C");
        }
        command.exec()
    }

    fn prepare(&self) -> io::Result<()> {
        if let Some(account) = self.account {
            let gid = Gid::from_raw(account.gid);
            set_thread_groups(&[])?;
            set_thread_gid(gid)?;
            set_thread_uid(Uid::from_raw(account.uid))?;
        }
        // SIGINT is PostgreSQL's fast shutdown, and the end of any other command.
        set_parent_process_death_signal(Some(Signal::INT))?;
        if getppid().map(Pid::as_raw_nonzero).map(i32::from) == Some(self.parent) {
            Ok(())
        } else {
            Err(io::Error::other("the parent has ended"))
        }
    }
}
