//! Everybody wants something of one request, in every order there is (row E1).
//!
//! The desk is one task: those who race for a request are served in the order of its mail, so the orders of the mail are all
//! interleavings there are. Each is compared with a model that is nothing but the rules.

#![expect(clippy::print_stdout, reason = "a suite tells its size")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::audit::event::{self, Action, Context, Event};
use crate::audit::log::{Log, Options};
use crate::audit::storage::files::Files;
use crate::broker::request::What;
use crate::broker::request::desk::{Command, Desk, Outcome, Verdict};
use crate::broker::{Core, Error};
use crate::model::session::RequestId;
use crate::model::subject::{self, Subject};
use crate::model::time::Clock as _;
use crate::net::entropy;
use crate::oidc::tests::fake::StillClock;
use crate::store::request::{self, Request};
use crate::store::sqlite::Sqlite;

/// The short form takes one order of so many.
const SLICE: usize = 28;
const HOUR: Duration = Duration::from_secs(3600);

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// One approver agrees.
    Approve,
    /// Another one does.
    ApproveToo,
    /// Somebody says no.
    Deny,
    /// Who asked takes it back.
    Withdraw,
    /// The client that waits is gone.
    Leave,
    /// Time passes.
    Expire,
    /// The client stops waiting, the request does not.
    Keep,
    /// Who asked uses the approval in another session.
    Use,
}

/// A statement that waits in its connection: one approval is enough.
const HELD: [Wish; 7] = [
    Wish::Approve,
    Wish::Deny,
    Wish::Withdraw,
    Wish::Leave,
    Wish::Expire,
    Wish::Keep,
    Wish::Use,
];
/// A statement that is asked about ahead: two have to agree.
const AHEAD: [Wish; 7] = [
    Wish::Approve,
    Wish::ApproveToo,
    Wish::Deny,
    Wish::Withdraw,
    Wish::Expire,
    Wish::Use,
    Wish::Use,
];

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Model {
    state: request::State,
    approvals: u32,
    needed: u32,
    /// Whether a client waits, and what it was told.
    client: Client,
    /// How often the statement runs.
    runs: u32,
}

/// The client whose statement waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    None,
    Waits,
    Gone,
    Told(&'static str),
}

impl Model {
    /// What comes of a wish; says whether it was granted.
    fn wish(&mut self, wish: Wish) -> bool {
        let pending = self.state == request::State::Pending;
        let open = pending || self.state == request::State::Approved;
        match wish {
            Wish::Approve | Wish::ApproveToo if pending => self.agree(),
            Wish::Deny if pending => self.end(request::State::Denied, "denied"),
            Wish::Withdraw if open => self.end(request::State::Withdrawn, "withdrawn"),
            Wish::Expire if open => self.end(request::State::Expired, "expired"),
            Wish::Leave if self.client == Client::Waits => {
                self.client = Client::Gone;
                self.state = request::State::Withdrawn;
            }
            Wish::Keep if self.client == Client::Waits => self.client = Client::Told("kept"),
            Wish::Use if self.state == request::State::Approved => {
                self.state = request::State::Used;
                self.runs += 1;
            }
            _ => return false,
        }
        true
    }

    fn agree(&mut self) {
        self.approvals += 1;
        if self.approvals < self.needed {
            return;
        }
        self.state = request::State::Approved;
        if self.client == Client::Waits {
            self.state = request::State::Used;
            self.client = Client::Told("approved");
            self.runs += 1;
        }
    }

    fn end(&mut self, state: request::State, told: &'static str) {
        self.state = state;
        if self.client == Client::Waits {
            self.client = Client::Told(told);
        }
    }
}

fn person(name: &str) -> Subject {
    Subject {
        id: subject::Id {
            issuer: "https://id.example".to_owned(),
            sub: name.to_owned(),
        },
        kind: subject::Kind::Person,
        display: name.to_owned(),
        groups: ["dba".to_owned()].into(),
        claims: [].into(),
        behalf: None,
    }
}

/// A desk with a store and a log of its own.
struct World {
    core: Arc<Core>,
    desk: Desk,
    clock: Arc<StillClock>,
}

impl World {
    fn new(directory: &Path) -> Self {
        let clock = StillClock::new();
        let options = Options {
            storage: Arc::new(Files::open(&directory.join("audit")).unwrap()),
            clock: Arc::<StillClock>::clone(&clock),
            entropy: Arc::new(entropy::System),
            segment: 64 * 1024 * 1024,
        };
        let core = Arc::new(Core {
            store: Arc::new(Sqlite::open(&directory.join("state")).unwrap()),
            log: Log::open(options).unwrap().0,
            clock: Arc::<StillClock>::clone(&clock),
            entropy: Arc::new(entropy::System),
            tasks: Mutex::new(JoinSet::new()),
            stuck: AtomicUsize::new(0),
            refusals: Mutex::default(),
        });
        let desk = Desk::start(&core, None);
        Self { core, desk, clock }
    }

    /// A new request, and where its client hears what comes of it, if one waits.
    async fn ask(
        &self,
        needed: u32,
        held: bool,
    ) -> (RequestId, Option<oneshot::Receiver<Outcome>>) {
        let now = self.clock.now();
        let what = What {
            held,
            patience: HOUR.as_secs() / 2,
            ..What::default()
        };
        let request = Request {
            id: RequestId::random(&entropy::System),
            kind: request::Kind::Statement,
            subject: person("ann"),
            database: "prod".parse().unwrap(),
            session: None,
            reason: "ticket 7".to_owned(),
            what: serde_json::to_string(&what).unwrap(),
            binding: "ab".repeat(32),
            state: request::State::Pending,
            needed,
            approvers: vec!["dba".to_owned()],
            approvals: Vec::new(),
            denial: None,
            created: now,
            expires: now.after(HOUR / 2),
        };
        let id = request.id.clone();
        let event = Event::new(
            Context::default(),
            Action::StatementHeld {
                statement: event::Statement {
                    statement: "update payments set state = 'paid'".into(),
                    parameters: None,
                    footprint: None,
                    decision: None,
                },
                request: id.clone(),
                needed,
                approvers: request.approvers.clone(),
                binding: request.binding.clone(),
            },
        );
        let (waiter, outcome) = oneshot::channel();
        let waiter = held.then_some(waiter);
        self.desk.open(request, event, waiter).await.unwrap();
        (id, held.then_some(outcome))
    }

    /// Asks the desk; says whether it was granted.
    async fn wish(&self, id: &RequestId, wish: Wish) -> bool {
        let approve = || Verdict::Approve {
            reason: None,
            max_rows: None,
        };
        let deny = || Verdict::Deny {
            reason: "not now".to_owned(),
        };
        let decide = |who, verdict| self.desk.decide(id.clone(), person(who), verdict);
        let (id, ann) = (id.clone(), person("ann").id);
        match wish {
            Wish::Approve => granted(decide("bob", approve()).await),
            Wish::ApproveToo => granted(decide("eve", approve()).await),
            Wish::Deny => granted(decide("carl", deny()).await),
            Wish::Withdraw => granted(self.desk.withdraw(id, ann).await),
            Wish::Keep => granted(self.desk.keep(id, ann).await),
            Wish::Use => {
                let used = self.desk.spend(id, ann, "ab".repeat(32)).await;
                used.unwrap().is_some()
            }
            Wish::Leave => self.tell(Command::Abandoned(id)).await,
            Wish::Expire => {
                self.clock.advance(HOUR);
                self.tell(Command::Overdue(id)).await
            }
        }
    }

    /// Sends what has no answer, and waits until the desk has seen it.
    async fn tell(&self, command: Command) -> bool {
        self.desk.mailbox().send(command).await.unwrap();
        let other = RequestId::random(&entropy::System);
        let none = self.desk.withdraw(other, person("ann").id).await;
        assert!(matches!(none, Err(Error::NoRequest(_))), "{none:?}");
        true
    }
}

fn granted(answer: Result<Request, Error>) -> bool {
    match answer {
        Ok(_) => true,
        Err(Error::Settled(_)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

fn orders(wishes: &[Wish]) -> Vec<Vec<Wish>> {
    let Some((&first, rest)) = wishes.split_first() else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut longer = order.clone();
            longer.insert(at, first);
            all.push(longer);
        }
    }
    all
}

async fn check(world: &World, order: &[Wish], needed: u32, held: bool) -> Model {
    let (id, mut outcome) = world.ask(needed, held).await;
    let mut model = Model {
        state: request::State::Pending,
        approvals: 0,
        needed,
        client: if held { Client::Waits } else { Client::None },
        runs: 0,
    };
    for &wish in order {
        let expected = model.wish(wish);
        let mut told = None;
        if wish == Wish::Leave && expected {
            // A client that is gone hears nothing more.
            drop(outcome.take());
        }
        let got = world.wish(&id, wish).await;
        if !matches!(wish, Wish::Leave | Wish::Expire) {
            assert_eq!(got, expected, "{wish:?} in {order:?}");
        }
        if let Some(waiting) = &mut outcome {
            told = waiting.try_recv().ok();
        }
        if let Some(told) = told {
            outcome = None;
            assert_eq!(
                model.client,
                Client::Told(word(&told)),
                "{wish:?} in {order:?}"
            );
        }
        let kept = world.core.store.request(&id).await.unwrap().unwrap();
        assert_eq!(kept.state, model.state, "after {wish:?} in {order:?}");
    }
    assert_eq!(
        model.client == Client::Waits,
        outcome.is_some(),
        "{order:?}"
    );
    assert!(model.runs <= 1, "{order:?}");
    model
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Approved(_) => "approved",
        Outcome::Denied { .. } => "denied",
        Outcome::Expired => "expired",
        Outcome::Kept => "kept",
        Outcome::Withdrawn => "withdrawn",
    }
}

#[tokio::test]
async fn e1_in_every_order_there_is_one_outcome_and_one_use_at_most() {
    let long = std::env::var_os("DBGATE_TEST_LONG").is_some_and(|value| value == "1");
    let step = if long { 1 } else { SLICE };
    let directory = tempfile::tempdir().unwrap();
    let world = World::new(directory.path());
    let (mut cases, mut ran, mut ends) = (0, 0, BTreeSet::new());
    for (wishes, needed, held) in [(HELD, 1, true), (AHEAD, 2, false)] {
        for order in orders(&wishes).iter().step_by(step) {
            let end = check(&world, order, needed, held).await;
            cases += 1;
            ran += end.runs;
            ends.insert(end.state.as_str());
        }
    }
    assert_eq!(
        ends,
        ["denied", "expired", "used", "withdrawn"].into(),
        "every end is reached"
    );
    println!("{cases} orders of 10080, the statement ran in {ran} of them, never twice");
}
