//! Connections of a tunnel wait while somebody has to sign in, or to agree.

use std::process::Command;
use std::time::Duration;

use crate::harness::demo::Demo;
use crate::local::{Running, open_sessions};
use crate::shell::policy;

/// psql, which asks for one thing and goes.
fn psql(url: &str) -> Running {
    let mut command = Command::new("psql");
    command.args(["-XAt", url, "-c", "select 'came through'"]);
    Running::start(command)
}

#[test]
fn connections_wait_for_a_login() {
    let demo = Demo::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = demo.command("engineer", &["tunnel", "prod", "--reason", "a test"]);
    command
        .env_remove("DBGATE_ID_TOKEN")
        .env("DBGATE_ID_TOKEN_FILE", file.path());
    let mut tunnel = Running::start(command);
    let url = tunnel.line();
    tunnel.says("run `dbgate login` in another terminal");
    let (mut first, mut second) = (psql(&url), psql(&url));
    // Both are told what they wait for, and neither goes away.
    first.says("connections wait");
    std::thread::sleep(Duration::from_secs(1));
    assert!(first.child.try_wait().unwrap().is_none());
    assert!(second.child.try_wait().unwrap().is_none());
    let token = demo.command("engineer", &[]);
    let (_, token) = token
        .get_envs()
        .find(|(name, _)| *name == "DBGATE_ID_TOKEN")
        .unwrap();
    std::fs::write(file.path(), token.unwrap().to_str().unwrap()).unwrap();
    for client in [&mut first, &mut second] {
        assert_eq!(client.line(), "came through");
        assert_eq!(client.ended(), 0);
    }
    tunnel.says("`prod` is open for");
    assert_eq!(open_sessions(&demo).len(), 1);
}

#[test]
fn connections_wait_for_a_review() {
    let review = (
        "owner = \"dbgate_owner\"",
        "owner = \"dbgate_owner\"\napprovers = [\"reviewers\"]",
    );
    let policy = policy(&[review]);
    let demo = Demo::with(&["--policy", policy.path().to_str().unwrap()]);
    let words = ["tunnel", "prod", "--access", "write", "--reason", "a test"];
    let mut tunnel = Running::start(demo.command("engineer", &words));
    let url = tunnel.line();
    let decide = |id: &str, arguments: &[&str]| {
        let all = [&[arguments[0], id], &arguments[1..]].concat();
        let output = demo.command("reviewer", &all).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
    };
    let mut client = psql(&url);
    client.says("waits for an approval by reviewers (request r");
    tunnel.says("waits for an approval by reviewers (request r");
    let id = id(&client.said);
    tunnel.says(&format!("they run `dbgate approve {id}`"));
    // It is not in yet; another one waits beside it.
    let mut other = psql(&url);
    other.says(&id);
    decide(&id, &["approve"]);
    tunnel.says(&format!("request {id} was approved by rex"));
    for client in [&mut client, &mut other] {
        assert_eq!(client.line(), "came through");
        assert_eq!(client.ended(), 0);
    }
    // One that is denied is told why.
    drop(tunnel);
    let mut tunnel = Running::start(demo.command("engineer", &words));
    let url = tunnel.line();
    let mut client = psql(&url);
    client.says("waits for an approval by reviewers (request r");
    let id = self::id(&client.said);
    decide(&id, &["deny", "--reason", "not today"]);
    client.says(&format!("({id}) was denied"));
    assert_eq!(client.ended(), 2);
    tunnel.says(&format!("({id}) was denied"));
}

fn id(said: &str) -> String {
    let (_, rest) = said.rsplit_once("(request ").unwrap();
    rest.split(')').next().unwrap().to_owned()
}
