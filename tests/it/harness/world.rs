//! A broker on a database of its own: store and log in a directory, a policy, a clock that can be moved.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbgate::audit::event::{Action, Client};
use dbgate::audit::log::{Log, Options, SEGMENT};
use dbgate::audit::storage::files::Files;
use dbgate::broker::lease::Entered;
use dbgate::broker::open::Outcome;
use dbgate::broker::session::{Attachment, Session};
use dbgate::broker::{Ask, Broker, Error, Parts};
use dbgate::config::problem::Source;
use dbgate::model::access::Access;
use dbgate::model::subject::{self, Subject};
use dbgate::model::time::{Clock, Timestamp};
use dbgate::net::clock;
use dbgate::net::entropy;
use dbgate::policy::{self, Policy};
use dbgate::store::sqlite::Sqlite;
use dbgate::store::token::{Digest, Token};

use crate::harness::postgres::{Offer, Server};

/// The login of everybody in a world.
const LOGIN: &str = "login";

/// The machine's clock, moved.
#[derive(Debug)]
pub(crate) struct ManualClock {
    real: clock::System,
    /// Both sides, in microseconds.
    wall: AtomicI64,
    monotonic: Mutex<Duration>,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self {
            real: clock::System::new(),
            wall: AtomicI64::new(0),
            monotonic: Mutex::new(Duration::ZERO),
        }
    }

    /// Time passes.
    pub(crate) fn pass(&self, span: Duration) {
        self.jump(i64::try_from(span.as_micros()).unwrap());
        *self.monotonic.lock().unwrap() += span;
    }

    /// The wall clock is set, no time passes.
    pub(crate) fn jump(&self, micros: i64) {
        self.wall.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let real = self.real.now().micros();
        Timestamp::from_micros(real + self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic() + *self.monotonic.lock().unwrap()
    }
}

/// A broker and its surroundings.
pub(crate) struct World {
    pub(crate) server: Arc<Server>,
    pub(crate) offer: Offer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) directory: Arc<tempfile::TempDir>,
}

impl World {
    /// A broker for a new database.
    pub(crate) async fn new() -> Self {
        let server = Server::shared();
        let offer = server.offer().await;
        Self::on(server, offer).await
    }

    /// A broker for that database.
    pub(crate) async fn on(server: Arc<Server>, offer: Offer) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let clock = Arc::new(ManualClock::new());
        let broker = start(&server, &offer, &clock, directory.path()).await;
        Self {
            server,
            offer,
            clock,
            broker,
            directory,
        }
    }

    /// What `who` asks for.
    pub(crate) fn ask(&self, access: Access, seconds: u64) -> Ask {
        Ask {
            database: self.offer.name.parse().unwrap(),
            reason: Some("a test".to_owned()),
            duration: Some(Duration::from_secs(seconds)),
            access,
            request: None,
            family: Some(LOGIN.to_owned()),
        }
    }

    /// Opens a session for somebody.
    pub(crate) async fn open(&self, who: &Subject, access: Access, seconds: u64) -> Arc<Session> {
        match self
            .broker
            .open_session(who, self.ask(access, seconds), None)
            .await
        {
            Ok(Outcome::Granted { session, .. }) => session,
            other => panic!("not granted: {other:?}"),
        }
    }

    /// Attaches a client to a session.
    pub(crate) fn attach(&self, session: &Session) -> Attachment {
        self.broker
            .attach(session.id.as_str(), &self.offer.name, Client::default())
            .expect("the session can be used")
    }

    /// Connects a client.
    pub(crate) async fn enter(&self, attachment: &Attachment) -> Result<Entered, Error> {
        self.broker.connect(attachment, &[]).await
    }

    /// How many roles of leases there are in this database's server for that session.
    pub(crate) async fn roles(&self, session: &Session) -> Vec<String> {
        let client = self.server.superuser(&self.offer.name).await;
        let like = format!("dbgate%{}%", session.id);
        let rows = client
            .query(
                "SELECT rolname::text FROM pg_roles WHERE rolname LIKE $1",
                &[&like],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The names of all events so far.
    pub(crate) async fn events(&self) -> Vec<Action> {
        self.broker.log().flush().await.unwrap();
        let mut cursor = self.broker.log().read(0).unwrap();
        let mut actions = Vec::new();
        while let Some(record) = cursor.advance().unwrap() {
            actions.push(record.event.action);
        }
        actions
    }
}

/// Starts a broker on what is in a directory.
pub(crate) async fn start(
    server: &Server,
    offer: &Offer,
    clock: &Arc<ManualClock>,
    directory: &Path,
) -> Arc<Broker> {
    let entropy = Arc::new(entropy::System);
    let storage = Files::open(&directory.join("audit")).unwrap();
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    let (log, _) = Log::open(Options {
        storage: Arc::new(storage),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy) as _,
        segment: SEGMENT,
    })
    .unwrap();
    let parts = Parts {
        store: Arc::new(Sqlite::open(directory).unwrap()),
        log,
        clock,
        entropy,
        policy: policy(offer, ""),
        targets: vec![server.target(offer)],
        webhook: None,
        remember: Duration::from_secs(90 * 86400),
    };
    let broker = Broker::start(parts).await.expect("the broker starts");
    // Everybody is signed in; on a directory of an earlier run they are already.
    let _there_already = broker.store().add_token(&signed_in()).await;
    broker
}

/// The token of the login that sessions of a world are asked for with.
fn signed_in() -> Token {
    Token {
        digest: Digest::of(LOGIN.as_bytes()),
        subject: person("ann", &["engineers"]),
        family: LOGIN.to_owned(),
        issued: Timestamp::EPOCH,
        expires: Timestamp::from_seconds(10_000_000_000),
    }
}

/// Engineers read and write, guests read after a review; `more` is appended.
pub(crate) fn policy(offer: &Offer, more: &str) -> Arc<Policy> {
    compile(&policy_text(offer, more))
}

/// The text of [`policy`].
pub(crate) fn policy_text(offer: &Offer, more: &str) -> String {
    let name = &offer.name;
    format!(
        r#"
[[allow]]
name = "engineers"
groups = ["engineers"]
databases = ["{name}"]
do = ["read", "write", "define"]
roles = ["{name}_writer"]
owner = "{name}_owner"
max_duration = "8h"

[[allow]]
name = "engineers-read"
groups = ["engineers"]
databases = ["{name}"]
do = ["read"]
roles = ["{name}_reader"]
max_duration = "8h"

[[allow]]
name = "guests"
groups = ["guests"]
databases = ["{name}"]
do = ["read"]
roles = ["{name}_reader"]
max_duration = "1h"
approvers = ["reviewers"]

[[allow]]
name = "operators"
groups = ["operators"]
do = ["sessions"]
{more}
"#
    )
}

/// A policy from text.
pub(crate) fn compile(text: &str) -> Arc<Policy> {
    let source = Source::new("policy.toml", text);
    Arc::new(policy::compile(&[source]).unwrap_or_else(|problems| panic!("{problems:?}")))
}

/// Somebody in these groups.
pub(crate) fn person(name: &str, groups: &[&str]) -> Subject {
    Subject {
        id: subject::Id {
            issuer: "https://issuer.example".to_owned(),
            sub: format!("sub-{name}"),
        },
        kind: subject::Kind::Person,
        display: format!("{name}@example.com"),
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        claims: Default::default(),
        behalf: None,
    }
}
