//! The session machine between a client and an upstream that say anything in any order.
//!
//! Whatever comes, it ends in an error or goes on: nothing panics, nothing that was refused reaches the upstream, no protected value
//! reaches the client, every statement that was sent has an intent on record, and what is remembered does not grow without end.

use proptest::prelude::*;

use crate::gateway::session::{Act, Next, Outbox};
use crate::gateway::tests::world::{World, client, server};
use crate::wire::frame::Frame;

/// A value that nobody may see.
const SECRET: &str = "ann@secret.example";

/// What a client may say; protected, refused, prepared, in the wrong place.
const CLIENT: [&str; 30] = [
    "Q select 1",
    "Q select email from customers",
    "Q drop table items",
    "Q begin",
    "Q commit",
    "Q rollback",
    "Q copy notes from stdin",
    "Q copy items from stdin",
    "Q select id from items; select email from customers; select 1",
    "Q",
    "P - select email from customers",
    "P a select id from items",
    "P b drop table items",
    "P - copy items from stdin",
    "B - -",
    "B p a",
    "B - b",
    "DS -",
    "DP p",
    "E - 0",
    "E p 1",
    "CS a",
    "CP p",
    "S",
    "H",
    "d 1",
    "c",
    "f reason",
    "Q prepare c as select email from customers",
    "Q execute c",
];

/// What a server may say, in answer to nothing, too.
const SERVER: [&str; 24] = [
    "1",
    "2",
    "3",
    "t",
    "n",
    "s",
    "I",
    "T id",
    "T email",
    "T email id",
    "D 7",
    "D ann@secret.example",
    "C SELECT 1",
    "C BEGIN",
    "C COPY 1",
    "C DROP TABLE",
    "E 22P02 ann@secret.example is no number",
    "E 42601 syntax error",
    "N ann@secret.example exists",
    "G",
    "O",
    "d ann@secret.example",
    "c",
    "Z I",
];

const STATES: [&str; 2] = ["Z T", "Z E"];

#[derive(Debug, Clone, Copy)]
enum Move {
    Client(usize),
    Server(usize),
    State(usize),
    /// The server says what would be right most of the time.
    Honest,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (0..CLIENT.len()).prop_map(Move::Client),
        3 => (0..SERVER.len()).prop_map(Move::Server),
        1 => (0..STATES.len()).prop_map(Move::State),
        6 => Just(Move::Honest),
    ];
    proptest::collection::vec(one, 1..60)
}

/// What goes on outside the machine.
struct Stage {
    world: World,
    out: Outbox,
    queue: std::collections::VecDeque<Frame>,
    /// Statements on their way, as text.
    sent: Vec<String>,
    down: Vec<u8>,
}

impl Stage {
    fn new() -> Self {
        Self {
            world: World::new(),
            out: Outbox::default(),
            queue: std::collections::VecDeque::new(),
            sent: Vec::new(),
            down: Vec::new(),
        }
    }

    /// Makes a move; `false`: the connection has ended.
    fn make(&mut self, step: Move, owed: &mut Vec<&'static str>) -> bool {
        let alive = match step {
            Move::Client(which) => {
                self.queue.push_back(client(CLIENT[which]));
                true
            }
            Move::Server(which) => self.upstream(SERVER[which]),
            Move::State(which) => self.upstream(STATES[which]),
            Move::Honest => match owed.pop() {
                Some(answer) => self.upstream(answer),
                None => self.upstream("Z I"),
            },
        };
        alive && self.settle()
    }

    fn upstream(&mut self, said: &str) -> bool {
        self.world
            .session
            .upstream(&server(said), &mut self.out)
            .is_ok()
    }

    /// Feeds what waits, and takes what comes out.
    fn settle(&mut self) -> bool {
        loop {
            self.take();
            let fed = match self.world.session.next() {
                Next::Client => match self.queue.pop_front() {
                    Some(frame) => self.world.session.client(&frame, &mut self.out),
                    None => return true,
                },
                Next::Verdict => {
                    let verdict = self.world.verdict();
                    self.world.session.decided(verdict, &mut self.out)
                }
                Next::Upstream => return true,
                Next::Close => return false,
            };
            if fed.is_err() {
                self.take();
                return false;
            }
        }
    }

    fn take(&mut self) {
        for bytes in self.out.upstream.drain(..) {
            self.sent.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        self.down.append(&mut self.out.client);
        for act in self.out.acts.drain(..) {
            if let Act::Finished(report) = act {
                let seen = report
                    .transcript
                    .and_then(|text| text.text().map(str::to_owned));
                // A notice of what touches nothing protected goes to the client as it is, and into the transcript.
                let shown = String::from_utf8_lossy(&self.down).contains(SECRET);
                assert!(
                    shown || !seen.unwrap_or_default().contains(SECRET),
                    "the transcript has what nobody was shown"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]
    #[test]
    fn whatever_comes_nothing_leaks_and_nothing_refused_is_sent(moves in moves()) {
        let mut stage = Stage::new();
        let mut owed = vec!["Z I", "C SELECT 1", "T id", "2", "1"];
        for step in moves {
            if !stage.make(step, &mut owed) {
                break;
            }
            if owed.is_empty() {
                owed = vec!["Z I", "C SELECT 1", "D 7", "T id"];
            }
        }
        stage.world.session.end(&mut stage.out);
        stage.take();
        let refused = stage.sent.iter().any(|text| text.contains("drop table") || text.contains("copy items"));
        prop_assert!(!refused, "{:?}", stage.sent);
        // Where nothing but the protected column was asked for, no row has its value, whatever the upstream calls it.
        let other = stage.sent.iter().any(|text| text.starts_with(['Q', 'P', 'B', 'E']) && !text.contains("customers"));
        prop_assert!(other || !rows(&stage.down).contains(SECRET));
        let queries = stage.sent.iter().filter(|text| text.starts_with('Q') && !text.contains("dbgate refused")).count();
        prop_assert!(stage.world.intents() >= queries, "{queries} sent, {} on record", stage.world.intents());
    }
}

/// The rows and the data among messages.
fn rows(mut bytes: &[u8]) -> String {
    let mut rows = Vec::new();
    while let [kind, a, b, c, d, ..] = *bytes {
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
        let (message, rest) = bytes.split_at(length + 1);
        if b"Dd".contains(&kind) {
            rows.extend_from_slice(message);
        }
        bytes = rest;
    }
    String::from_utf8_lossy(&rows).into_owned()
}

/// The short form; the long one tries forty times as many.
fn cases() -> u32 {
    let long = std::env::var_os("DBGATE_TEST_LONG").is_some_and(|value| value == "1");
    if long { 8_000 } else { 200 }
}

#[test]
fn a_client_that_is_never_answered_is_not_listened_to_for_ever() {
    let mut stage = Stage::new();
    let mut taken = 0;
    for _ in 0..100_000 {
        if stage.world.session.next() != Next::Client {
            break;
        }
        let sync = client("S");
        stage.world.session.client(&sync, &mut stage.out).unwrap();
        taken += 1;
    }
    assert_eq!(taken, 8 * 1024);
    // One answer makes room for one more.
    stage.upstream("Z I");
    assert_eq!(stage.world.session.next(), Next::Client);
    // Messages whose answers a server holds back are pressed for.
    let mut stage = Stage::new();
    while stage.world.session.next() == Next::Client {
        let close = client("CS a");
        stage.world.session.client(&close, &mut stage.out).unwrap();
    }
    stage.take();
    assert_eq!(stage.sent.last().map(String::as_str), Some("H\0\0\0\u{4}"));
}
