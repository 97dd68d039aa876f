//! `install.sh`: every option, for real, with the program that is built already.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Programs that the script may use; `cc` and package managers are not among them.
const TOOLS: &[&str] = &[
    "sh", "env", "dirname", "basename", "sed", "tr", "cat", "id", "mkdir", "cp", "chmod", "mv",
    "rm", "rmdir",
];

/// A checkout to install from, with a `cargo` that hands out the program that is being tested.
struct Checkout {
    folder: tempfile::TempDir,
}

impl Checkout {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("di")
            .tempdir_in("/tmp")
            .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let checkout = Self { folder };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let to = checkout.path("check out");
        fs::create_dir_all(to.join("man")).unwrap();
        for part in ["man", "completions"] {
            fs::create_dir_all(to.join(part)).unwrap();
            for entry in fs::read_dir(root.join(part)).unwrap().flatten() {
                fs::copy(entry.path(), to.join(part).join(entry.file_name())).unwrap();
            }
        }
        fs::copy(root.join("install.sh"), to.join("install.sh")).unwrap();
        fs::create_dir_all(checkout.path("tools")).unwrap();
        for tool in TOOLS {
            symlink(which(tool), checkout.path("tools").join(tool)).unwrap();
        }
        checkout.tool("cc", "exit 0");
        let built = env!("CARGO_BIN_EXE_dbgate");
        // What a build would leave where the script asks for it.
        checkout.tool(
            "cargo",
            &format!(
                "echo \"$*\" >> '{log}'\nfor last; do :; done\nmkdir -p \"$last/release\"\ncp '{built}' \"$last/release/dbgate\"",
                log = checkout.path("cargo.log").display()
            ),
        );
        checkout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tool(&self, name: &str, script: &str) {
        let path = self.path("tools").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn without(&self, name: &str) {
        fs::remove_file(self.path("tools").join(name)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("check out/install.sh"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", self.path("tools"))
            .env("LIBCLANG_PATH", "/usr/lib")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it, and returns what it said.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }
}

fn which(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|folder| folder.join(tool));
    found.into_iter().find(|path| path.is_file()).expect(tool)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file below a folder, sorted; nothing when it is not there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

#[test]
fn it_installs_below_a_prefix_and_uninstalls_without_a_trace() {
    let checkout = Checkout::new();
    for prefix in ["plain", "with a space and a 'quote'"] {
        let at = checkout.path(prefix);
        // Twice: the second time over the first.
        checkout.succeed(&["--prefix", prefix]);
        let told = checkout.succeed(&[&format!("--prefix={prefix}")]);
        let version = Command::new(at.join("bin/dbgate"))
            .arg("--version")
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&version.stdout).starts_with("dbgate "));
        let names: Vec<_> = files(&at)
            .iter()
            .map(|path| path.strip_prefix(&at).unwrap().display().to_string())
            .collect();
        for file in [
            "bin/dbgate",
            "share/bash-completion/completions/dbgate",
            "share/fish/vendor_completions.d/dbgate.fish",
            "share/man/man1/dbgate.1",
            "share/man/man1/dbgate-demo.1",
            "share/powershell/completions/_dbgate.ps1",
            "share/zsh/site-functions/_dbgate",
        ] {
            assert!(
                names.iter().any(|name| name == file),
                "{file} is not in {names:?}"
            );
        }
        assert!(
            told.contains(&format!("installed {} files", names.len())),
            "{told}"
        );
        assert!(
            told.contains(&format!("export PATH=\"{}/bin:$PATH\"", at.display())),
            "{told}"
        );
        let told = checkout.succeed(&["--uninstall", "--prefix", prefix]);
        assert!(
            told.contains(&format!("removed {} files", names.len())),
            "{told}"
        );
        assert!(!at.exists(), "{:?} is left", files(&at));
        let told = checkout.succeed(&["--uninstall", "--prefix", prefix]);
        assert!(told.contains("nothing of dbgate is there"), "{told}");
    }
    let log = fs::read_to_string(checkout.path("cargo.log")).unwrap();
    assert!(
        log.lines()
            .all(|line| line.starts_with("build --release --locked ")),
        "{log}"
    );
}

#[test]
fn it_goes_below_home_and_leaves_what_others_put_there() {
    let checkout = Checkout::new();
    let others = checkout.path("home/.local/share/man/man1");
    fs::create_dir_all(&others).unwrap();
    fs::write(others.join("other.1"), "").unwrap();
    let mut command = checkout.command(&[]);
    let bin = checkout.path("home/.local/bin");
    let path = std::env::join_paths([checkout.path("tools"), bin.clone()]).unwrap();
    let output = command.env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(bin.join("dbgate").is_file());
    assert!(
        !said(&output).contains("export PATH"),
        "it is in PATH already: {}",
        said(&output)
    );
    checkout.succeed(&["--uninstall"]);
    assert_eq!(files(&checkout.path("home")), [others.join("other.1")]);
    assert!(!bin.exists());
}

#[test]
fn a_dry_run_says_the_same_and_does_nothing() {
    let checkout = Checkout::new();
    let before = files(checkout.folder.path());
    let told = checkout.succeed(&["--dry-run", "--prefix", "x y"]);
    let at = checkout.path("x y");
    assert!(told.contains("cargo build --release --locked"), "{told}");
    assert!(
        told.contains(&format!("  {}/bin/dbgate\n", at.display())),
        "{told}"
    );
    assert!(told.contains("nothing was done"), "{told}");
    assert_eq!(files(checkout.folder.path()), before);
    let wet = checkout.succeed(&["--prefix", "x y"]);
    let shown = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("  "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&told), shown(&wet));
    let before = files(&at);
    let told = checkout.succeed(&["--dry-run", "--uninstall", "--prefix", "x y"]);
    assert!(
        told.contains(&format!("rm -f '{}/bin/dbgate'", at.display())),
        "{told}"
    );
    assert!(told.contains("nothing was done"), "{told}");
    assert_eq!(files(&at), before);
}

#[test]
fn it_says_how_a_shell_finds_completions_that_it_would_not_look_for() {
    let checkout = Checkout::new();
    let told = checkout.succeed(&["--prefix", "x y"]);
    let at = checkout.path("x y");
    for line in [
        format!(
            "for bash completions: . '{}/share/bash-completion/completions/dbgate'",
            at.display()
        ),
        format!(
            "for fish completions: set -a fish_complete_path '{}/share/fish/vendor_completions.d'",
            at.display()
        ),
    ] {
        assert!(told.contains(&line), "{line} is not in {told}");
    }
    // What is told for bash works there.
    let (_, line) = told.split_once("for bash completions: ").unwrap();
    let script = format!("{}\ncomplete -p dbgate", line.lines().next().unwrap());
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("-F _dbgate dbgate"), "{}", said(&output));
    // Below a home, fish looks by itself.
    assert!(!checkout.succeed(&[]).contains("for fish completions"));
}

#[test]
fn what_is_wrong_is_told_with_the_next_step() {
    let checkout = Checkout::new();
    for (arguments, expected) in [
        (&["--nonsense"][..], "there is no option `--nonsense`"),
        (&["--prefix"], "error: --prefix needs a folder"),
        (&["--prefix", ""], "error: --prefix needs a folder"),
        (&["--prefix="], "error: --prefix needs a folder"),
        (&["--demo", "--uninstall"], "exclude each other"),
    ] {
        let output = checkout.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
    let homeless = checkout.command(&[]).env_remove("HOME").output().unwrap();
    assert_eq!(homeless.status.code(), Some(2));
    assert!(said(&homeless).contains("--prefix"), "{}", said(&homeless));
    let mut prefixed = checkout.command(&["--dry-run", "--prefix", "p"]);
    assert!(
        prefixed
            .env_remove("HOME")
            .output()
            .unwrap()
            .status
            .success()
    );
    // Before the build, not after it.
    let output = checkout.run(&["--prefix", "/dev/null/nowhere"]);
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    let told = said(&output);
    assert!(
        told.contains("nothing can be written below /dev/null/nowhere")
            && told.contains("hint: give another folder with --prefix"),
        "{told}"
    );
    assert!(!checkout.path("cargo.log").exists());
    checkout.without("cargo");
    let output = checkout.run(&["--prefix", "p"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(
        said(&output).contains("cargo is not installed") && said(&output).contains("rustup"),
        "{}",
        said(&output)
    );
    assert!(!checkout.path("p").exists());
    let help = checkout.run(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--dry-run"));
}

/// A package manager that writes down what it was asked for.
fn manager(checkout: &Checkout) -> PathBuf {
    let log = checkout.path("apt.log");
    checkout.without("cc");
    checkout.tool("sudo", "exec \"$@\"");
    checkout.tool("apt-get", &format!("echo \"$*\" >> '{}'", log.display()));
    log
}

#[test]
fn packages_are_installed_only_when_somebody_agrees() {
    let checkout = Checkout::new();
    let log = manager(&checkout);
    let command = "apt-get install -y --no-install-recommends gcc libc6-dev make";
    let output = checkout.run(&["--prefix", "p"]);
    assert_eq!(output.status.code(), Some(7));
    let told = said(&output);
    assert!(
        told.contains(command) && told.contains("no terminal to ask at") && told.contains("--yes"),
        "{told}"
    );
    assert!(!log.exists() && !checkout.path("p").exists());
    let told = checkout.succeed(&["--prefix", "p", "--dry-run"]);
    assert!(told.contains(command), "{told}");
    assert!(!log.exists());
    checkout.succeed(&["--prefix", "p", "--yes"]);
    let asked = fs::read_to_string(&log).unwrap();
    assert_eq!(
        asked,
        "update\ninstall -y --no-install-recommends gcc libc6-dev make\n"
    );
    assert!(checkout.path("p/bin/dbgate").exists());
}

#[test]
fn on_a_terminal_it_asks() {
    let checkout = Checkout::new();
    let log = manager(&checkout);
    for (turn, (answer, code)) in [("n", "7"), ("", "7"), ("y", "0")].into_iter().enumerate() {
        let ended = checkout.path("ended");
        let _absent = fs::remove_file(&ended);
        let script = format!(
            "HOME='{home}' PATH='{tools}' LIBCLANG_PATH=/usr/lib '{install}' --prefix '{prefix}'; echo $? > '{ended}.new'; mv '{ended}.new' '{ended}'",
            home = checkout.path("home").display(),
            tools = checkout.path("tools").display(),
            install = checkout.path("check out/install.sh").display(),
            prefix = checkout.path("p").display(),
            ended = ended.display(),
        );
        // One of its own: the server of the turn before may be about to end.
        let socket = checkout.path(&format!("tmux{turn}"));
        let tmux = |arguments: &[&str]| {
            let mut command = Command::new("tmux");
            command.arg("-S").arg(&socket).args(["-f", "/dev/null"]);
            command.args(arguments).output().unwrap()
        };
        let started = tmux(&[
            "new-session",
            "-d",
            "-x",
            "200",
            "-y",
            "50",
            "sh",
            "-c",
            &script,
        ]);
        assert!(started.status.success(), "{}", said(&started));
        let since = Instant::now();
        let screen = || String::from_utf8_lossy(&tmux(&["capture-pane", "-p"]).stdout).into_owned();
        while !screen().contains("install them now? [y/N]") {
            assert!(since.elapsed() < Duration::from_secs(20), "{}", screen());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(!log.exists(), "nothing before the answer");
        tmux(&["send-keys", answer, "Enter"]);
        while !ended.exists() {
            assert!(since.elapsed() < Duration::from_secs(40), "{}", screen());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(
            fs::read_to_string(&ended).unwrap().trim(),
            code,
            "{answer:?}"
        );
        assert_eq!(log.exists(), code == "0", "{answer:?}");
        assert_eq!(checkout.path("p/bin/dbgate").exists(), code == "0");
    }
}

/// `--demo` becomes the demo: a signal to the script is a signal to it.
#[test]
fn it_runs_the_demo_in_its_own_place() {
    use std::io::{BufRead as _, BufReader};
    let checkout = Checkout::new();
    let temporary = checkout.path("tmp");
    fs::create_dir(&temporary).unwrap();
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755)).unwrap();
    let programs = crate::harness::postgres::programs();
    let path = std::env::join_paths([checkout.path("tools"), programs]).unwrap();
    let mut child = checkout
        .command(&["--demo", "--prefix", "p"])
        .env("PATH", path)
        .env("TMPDIR", &temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("Ctrl-C ends the demo") {
        assert!(stdout.read_line(&mut text).unwrap() > 0, "{text}");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(files(&temporary), Vec::<PathBuf>::new());
}
