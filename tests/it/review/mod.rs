//! Reviews on the built binary before a real PostgreSQL (rows E1 to E4): who agrees to what, and what comes of it.

mod hold;
mod killed;
mod own;
mod race;
mod rows;
mod void;
mod webhook;

use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbgate::api::types::{Decide, RequestAsk, RequestView};
use dbgate::remote;
use serde_json::Value;

use crate::harness::postgres::{Offer, Server};
use crate::harness::site::{Broker, Engineer, Entered, Site, Who};
use crate::harness::world::policy_text;

const RULES: &str = r#"
[[allow]]
name = "auditors"
groups = ["auditors"]
do = ["audit"]

[[rule]]
name = "held"
effect = "review"
writes = ["public.held", "other.held", "public.shown"]
approvers = ["reviewers"]
hold = "60s"

[[rule]]
name = "two"
effect = "review"
writes = ["public.two"]
approvers = ["reviewers"]
needed = 2
hold = "60s"

[[rule]]
name = "brief"
effect = "review"
writes = ["public.brief"]
approvers = ["reviewers"]
hold = "1s"

[[rule]]
name = "inside"
effect = "review"
writes = ["public.inside"]
approvers = ["reviewers"]
hold = "60s"
in_transaction = "60s"
"#;

/// Ten rows in each of the tables that need an approval to be written.
const TABLES: &[&str] = &["held", "two", "brief", "inside"];

/// A database, a broker before it, and those who ask and decide there.
struct Stage {
    /// Ends with the last stage.
    _server: Arc<Server>,
    offer: Offer,
    site: Site,
    broker: Broker,
    engineer: Engineer,
    reviewer: remote::broker::Broker,
    watcher: tokio_postgres::Client,
}

impl Stage {
    async fn new() -> Self {
        Self::with("", "").await
    }

    /// With more rules, and more of the broker's configuration.
    async fn with(rules: &str, config: &str) -> Self {
        let server = Server::shared();
        let offer = server.offer().await;
        let watcher = server.superuser(&offer.name).await;
        let writer = offer.role("writer");
        for table in TABLES {
            let sql = format!(
                "CREATE TABLE {table} (id int, note text DEFAULT '');
                 INSERT INTO {table} SELECT i FROM generate_series(1, 10) i; ANALYZE {table};
                 GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {writer}"
            );
            watcher.batch_execute(&sql).await.unwrap();
        }
        let site = Site::with(&server, &offer, config);
        let guests = format!(
            "[[allow]]\nname = \"auditors-read\"\ngroups = [\"auditors\"]\ndo = [\"read\"]\n\
             databases = [\"{}\"]\nroles = [\"{}\"]\nmax_duration = \"1h\"\napprovers = [\"reviewers\"]\n",
            offer.name,
            offer.role("reader")
        );
        let text = policy_text(&offer, &format!("{RULES}{guests}{rules}"));
        site.write(
            "policy.toml",
            &text.replace(r#""define"]"#, r#""define", "call"]"#),
        );
        let broker = site.run();
        Self {
            engineer: site.engineer(&broker).await,
            reviewer: site.reviewer(&broker).await,
            _server: server,
            offer,
            site,
            broker,
            watcher,
        }
    }

    async fn enter(&self) -> Entered {
        self.engineer.enter(3600).await
    }

    /// What a number at the database is.
    async fn number(&self, sql: &str) -> i64 {
        self.watcher.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// How many rows of a table bear that note.
    async fn noted(&self, table: &str, note: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table} WHERE note = '{note}'");
        self.number(&sql).await
    }

    /// The request that waits.
    async fn waiting(&self) -> RequestView {
        let since = Instant::now();
        loop {
            let mut all = self.reviewer.requests(false).await.unwrap();
            if let Some(request) = all.pop() {
                assert!(all.is_empty(), "more than one waits: {request:?} {all:?}");
                return request;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "nothing waits");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn approve(
        &self,
        id: &str,
        max_rows: Option<u64>,
    ) -> Result<RequestView, remote::broker::Error> {
        let decide = Decide {
            reason: None,
            max_rows,
        };
        self.reviewer.approve(id, &decide).await
    }

    /// Where a request is in its life.
    async fn state(&self, id: &str) -> String {
        self.reviewer.request_by_id(id).await.unwrap().state
    }

    /// Waits until a request is in that state.
    async fn until(&self, id: &str, state: &str) {
        let since = Instant::now();
        loop {
            let now = self.state(id).await;
            if now == state {
                return;
            }
            assert!(since.elapsed() < Duration::from_secs(10), "{id} is {now}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for the approval of a statement ahead of its use.
    async fn ahead(&self, statement: &str) -> RequestView {
        let ask = RequestAsk {
            session: dbgate::api::types::Ask {
                database: self.offer.name.clone(),
                reason: Some("a test".to_owned()),
                duration_s: None,
                access: "write".to_owned(),
                request: None,
            },
            statement: Some(statement.to_owned()),
        };
        self.engineer.remote.request(&ask).await.unwrap()
    }

    /// The engineer's `dbgate exec` on the database, to write.
    fn exec(&self, arguments: &[&str]) -> Output {
        self.exec_started(arguments).wait_with_output().unwrap()
    }

    fn exec_started(&self, arguments: &[&str]) -> Child {
        let fixed = [
            "exec",
            &self.offer.name,
            "--access",
            "write",
            "--reason",
            "a test",
        ];
        let all = [&fixed, arguments].concat();
        let mut command = self.site.start(&self.broker, Who::Engineer, &all);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What the log says about a request, by name.
    fn told(&self, id: &str) -> Vec<String> {
        let arguments = ["audit", "search", "--all", "--output", "ndjson"];
        let output = self.site.dbgate(&self.broker, Who::Auditor, &arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|record| record["request"] == id)
            .map(|record| record["event"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
