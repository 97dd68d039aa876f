//! Each kind of message in each state of a connection, through the gateway and directly: what PostgreSQL answers, or an end (row A4).

use crate::harness::long;
use crate::harness::peer::{self, Message, Peer, frame, text};
use crate::protocol::{Stage, Way, words};

const STATES: [&str; 11] = [
    "before the password",
    "within SASL",
    "idle",
    "in a transaction",
    "in a failed transaction",
    "copying in",
    "copying in, extended",
    "copying out",
    "in a failed pipeline",
    "with a suspended portal",
    "after the good-bye",
];

/// Bodies that make sense, by kind.
fn messages() -> Vec<(u8, Vec<u8>)> {
    let empty = || text("");
    vec![
        (b'Q', text("SELECT 7")),
        (b'P', [empty(), text("SELECT 8"), vec![0, 0]].concat()),
        (b'B', [empty(), empty(), vec![0; 6]].concat()),
        (b'D', [b"P".to_vec(), empty()].concat()),
        (b'D', [b"S".to_vec(), text("nothing")].concat()),
        (b'E', [empty(), vec![0; 4]].concat()),
        (b'C', [b"S".to_vec(), empty()].concat()),
        (b'H', Vec::new()),
        (b'S', Vec::new()),
        (b'd', b"1\tname\tmail\n".to_vec()),
        (b'c', Vec::new()),
        (b'f', text("reason")),
        // version(), by its OID.
        (b'F', [&89_u32.to_be_bytes()[..], &[0; 6]].concat()),
        (b'p', text("password")),
        (b'X', Vec::new()),
    ]
}

/// Bytes of a message, whole or spoiled, and what they are.
fn cells() -> Vec<(String, Vec<u8>)> {
    let mut cells = Vec::new();
    for (kind, body) in messages() {
        let name = char::from(kind);
        cells.push((format!("{name}"), frame(kind, &body)));
        if !body.is_empty() {
            cells.push((format!("{name} without its body"), frame(kind, &[])));
        }
        if long() || body.is_empty() {
            cells.push((
                format!("{name} and more"),
                frame(kind, &[&body[..], b"more"].concat()),
            ));
        }
        if long() {
            let huge = [&[kind][..], &0x7fff_fff0_u32.to_be_bytes(), &body].concat();
            cells.push((format!("{name} of 2 GiB"), huge));
            cells.push((format!("{name} of 3 bytes"), vec![kind, 0, 0, 0, 3]));
        }
    }
    for kind in *b"RZTKvz\x001n" {
        cells.push((format!("{:?}", char::from(kind)), frame(kind, &[0; 4])));
    }
    cells
}

/// Brings a new connection into a state.
fn bring(stage: &Stage, way: Way, state: &str) -> Peer {
    let (user, password) = stage.credential(way);
    let mut peer = stage.dial(way);
    let copy = "COPY customers (id, name, email) FROM STDIN";
    let bind = [text(""), text(""), vec![0; 6]].concat();
    let extended = |peer: &mut Peer, sql: &str, rows: u32| {
        peer.say(b'P', &[text(""), text(sql), vec![0, 0]].concat());
        peer.say(b'B', &bind);
        peer.say(b'E', &[&text("")[..], &rows.to_be_bytes()].concat());
        peer.say(b'H', &[]);
    };
    match state {
        "before the password" => {
            peer.hello(&[("user", user), ("database", &stage.offer.name)]);
            return peer;
        }
        "within SASL" => {
            peer.hello(&[("user", user), ("database", &stage.offer.name)]);
            let first = "n,,n=,r=abcdefghijklmnopqrstuvwx";
            let length = u32::try_from(first.len()).unwrap().to_be_bytes();
            peer.say(
                b'p',
                &[&text("SCRAM-SHA-256")[..], &length, first.as_bytes()].concat(),
            );
            assert_eq!(peer.message().unwrap().0, b'R');
            return peer;
        }
        _ => peer.login(user, password, &stage.offer.name),
    }
    match state {
        "in a transaction" => drop(peer.query("BEGIN")),
        "in a failed transaction" => {
            peer.query("BEGIN");
            peer.query("SELECT 1/0");
        }
        "copying in" => {
            peer.say(b'Q', &text(copy));
            peer.until(b'G');
        }
        "copying in, extended" => {
            extended(&mut peer, copy, 0);
            peer.until(b'G');
        }
        "copying out" => {
            let sql = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 300)) TO STDOUT";
            peer.say(b'Q', &text(sql));
            peer.until(b'H');
        }
        "in a failed pipeline" => {
            peer.say(b'P', &[text(""), text("SELECT 1 +"), vec![0, 0]].concat());
            peer.say(b'H', &[]);
            peer.until(b'E');
        }
        "with a suspended portal" => {
            extended(&mut peer, "SELECT generate_series(1, 3)", 1);
            peer.until(b's');
        }
        "after the good-bye" => peer.say(b'X', &[]),
        _ => {}
    }
    peer
}

/// What a message leads to, and what can still be done after it.
fn lead(stage: &Stage, way: Way, state: &str, bytes: &[u8]) -> Vec<String> {
    let mut peer = bring(stage, way, state);
    let rest = [
        frame(b'c', &[]),
        frame(b'S', &[]),
        frame(b'Q', &text("SELECT 42")),
        frame(b'X', &[]),
    ];
    peer.send(&[bytes, &rest.concat()].concat()).ok();
    let messages: Vec<Message> = peer.until(0);
    words(&messages)
}

/// How an answer compares to PostgreSQL's.
#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    Same,
    /// The connection ends at this message; before it, all is the same.
    Ends,
    /// A message in the middle of data is an error for both, after which PostgreSQL loses its place and ends the connection.
    Survives,
    /// A function call is refused, as is documented.
    Refused,
}

fn compare(cell: &str, ours: &[String], theirs: &[String]) -> Option<Likeness> {
    if ours == theirs {
        return Some(Likeness::Same);
    }
    if cell.starts_with('F') && ours.iter().any(|word| word == "E(ERROR 0A000)") {
        // In a transaction, what follows it fails.
        let before = ours.iter().position(|word| word == "E(ERROR 0A000)")?;
        let same = ours[..before] == theirs[..before];
        return (same && matches!(theirs[before].as_str(), "V" | "E(ERROR 08P01)"))
            .then_some(Likeness::Refused);
    }
    let lost = ["E(ERROR 08P01)", "E(FATAL 08P01)"];
    if theirs.ends_with(&lost.map(str::to_owned)) && ours.starts_with(&theirs[..theirs.len() - 1]) {
        return Some(Likeness::Survives);
    }
    let told = ours.last().is_some_and(|word| word == "E(FATAL 08P01)");
    let before = &ours[..ours.len() - usize::from(told)];
    theirs.starts_with(before).then_some(Likeness::Ends)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_in_each_state_is_answered_as_by_postgresql_or_ends_the_connection() {
    let stage = Stage::new().await;
    let cells = cells();
    let (mut same, mut ends, mut refused, mut survives) = (0, Vec::new(), 0, 0);
    let mut wrong = Vec::new();
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = STATES
            .iter()
            .map(|state| {
                let (stage, cells) = (&stage, &cells);
                scope.spawn(move || {
                    let lead = |way, bytes: &[u8]| lead(stage, way, state, bytes);
                    let both = cells.iter().map(|(name, bytes)| {
                        (name, lead(Way::Gateway, bytes), lead(Way::Direct, bytes))
                    });
                    (state, both.collect::<Vec<_>>())
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect::<Vec<_>>()
    });
    for (state, both) in results {
        for (name, ours, theirs) in both {
            match compare(name, &ours, &theirs) {
                Some(Likeness::Same) => same += 1,
                Some(Likeness::Ends) => ends.push((state, name)),
                Some(Likeness::Refused) => refused += 1,
                Some(Likeness::Survives) => survives += 1,
                None => wrong.push(format!(
                    "{state}, {name}: {ours:?} where PostgreSQL says {theirs:?}"
                )),
            }
        }
    }
    let count = STATES.len() * cells.len();
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 400, "{count}");
    // A whole message of a kind that clients send is answered alike, or it is one that ends the connection at PostgreSQL, too.
    for (state, name) in &ends {
        let whole = name.len() == 1 && !matches!(name.as_str(), "p" | "X");
        let early = matches!(**state, "before the password" | "within SASL");
        assert!(!whole || early, "{state}: {name} ends the connection");
    }
    // Nothing of all that has harmed anybody else.
    let mut peer = stage.enter(Way::Gateway);
    assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ");
    println!(
        "{count} cells: {same} the same, {} end with a reason, {survives} go on where PostgreSQL ends, {refused} function calls refused",
        ends.len()
    );
}
