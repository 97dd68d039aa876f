//! Conversations through the gateway and directly, compared byte by byte: pipelines with errors, portals with row limits, `COPY` both ways,
//! notices, notifications, settings.

use crate::harness::peer::{self, Message, Peer, frame, text};
use crate::protocol::{Stage, Way, words};

/// What a client says.
enum Step {
    /// Bytes.
    Say(Vec<u8>),
    /// Nothing until this kind of message has come so often.
    Await(u8, usize),
}
use Step::{Await, Say};

fn query(sql: &str) -> Step {
    Say(frame(b'Q', &text(sql)))
}

fn parse(name: &str, sql: &str) -> Step {
    Say(frame(b'P', &[text(name), text(sql), vec![0, 0]].concat()))
}

/// With parameters in text form; results in text (0) or binary (1) form.
fn bind(portal: &str, statement: &str, parameters: &[&str], form: u8) -> Step {
    let mut body = [text(portal), text(statement), vec![0, 0]].concat();
    body.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
    for parameter in parameters {
        body.extend(u32::try_from(parameter.len()).unwrap().to_be_bytes());
        body.extend(parameter.as_bytes());
    }
    body.extend([0, 1, 0, form]);
    Say(frame(b'B', &body))
}

fn describe(kind: u8, name: &str) -> Step {
    Say(frame(b'D', &[&[kind][..], &text(name)].concat()))
}

fn execute(portal: &str, rows: u32) -> Step {
    Say(frame(
        b'E',
        &[&text(portal)[..], &rows.to_be_bytes()].concat(),
    ))
}

fn close(kind: u8, name: &str) -> Step {
    Say(frame(b'C', &[&[kind][..], &text(name)].concat()))
}

fn sync() -> Step {
    Say(frame(b'S', &[]))
}

fn flush() -> Step {
    Say(frame(b'H', &[]))
}

fn data(text: &str) -> Step {
    Say(frame(b'd', text.as_bytes()))
}

fn done() -> Step {
    Say(frame(b'c', &[]))
}

fn fail() -> Step {
    Say(frame(b'f', &text("no more")))
}

/// A statement in three messages, its own portal.
fn run(sql: &str) -> Vec<Step> {
    vec![parse("", sql), bind("", "", &[], 0), execute("", 0)]
}

fn runs(statements: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = statements.iter().flat_map(|sql| run(sql)).collect();
    steps.push(sync());
    steps.push(Await(b'Z', 1));
    steps
}

fn queries(statements: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = statements.iter().map(|sql| query(sql)).collect();
    steps.push(Await(b'Z', statements.len()));
    steps
}

const INSERT: &str = "INSERT INTO customers (id) VALUES (900)";
const COUNT: &str = "SELECT count(*) FROM customers WHERE id >= 900";
const FORGET: &str = "DELETE FROM customers WHERE id >= 900";

fn scripts() -> Vec<(&'static str, Vec<Step>)> {
    let copy_in = "COPY customers (id, name) FROM STDIN";
    let copy_out = "COPY (SELECT id, name FROM customers WHERE id < 5 ORDER BY id) TO STDOUT";
    vec![
        (
            "queries",
            queries(&[
                "SELECT 1, 'a', NULL",
                "",
                ";",
                "SELECT 1; SELECT 2",
                "SELECT",
            ]),
        ),
        (
            "errors in queries",
            queries(&[
                "SELECT 1/0",
                "SELECT nothing",
                "SELECT 1; SELECT 1/0; SELECT 2",
                "selct",
                INSERT,
                INSERT,
                FORGET,
            ]),
        ),
        (
            "transactions",
            queries(&[
                "BEGIN",
                INSERT,
                "SAVEPOINT a",
                INSERT,
                "SELECT 1",
                "ROLLBACK TO a",
                COUNT,
                "RELEASE a",
                "ROLLBACK",
                COUNT,
            ]),
        ),
        (
            "warnings and notices",
            queries(&[
                "COMMIT",
                "BEGIN",
                "BEGIN",
                "ROLLBACK",
                "DO $$BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'careful'; END$$",
            ]),
        ),
        (
            "reported settings",
            queries(&[
                "SET application_name = 'x'",
                "SET TimeZone = 'UTC'",
                "SET DateStyle = 'German'",
                "RESET DateStyle",
                "SHOW TimeZone",
            ]),
        ),
        (
            "notifications",
            queries(&[
                "LISTEN a",
                "NOTIFY a",
                "NOTIFY a, 'payload'",
                "BEGIN",
                "NOTIFY a, 'later'",
                "SELECT 1",
                "COMMIT",
                "UNLISTEN a",
                "NOTIFY a",
            ]),
        ),
        (
            "a pipeline",
            runs(&["SELECT 1", "SELECT 'two'", "VALUES (1, 2), (3, 4)", ""]),
        ),
        (
            "an error in the middle of a pipeline",
            runs(&[INSERT, "SELECT 1", "SELECT 1/0", "SELECT 2", FORGET]),
        ),
        ("what was before it is undone", runs(&[COUNT])),
        (
            "a syntax error in the middle of a pipeline",
            runs(&["SELECT 1", "selct", "SELECT 2"]),
        ),
        (
            "an error at its end",
            runs(&["SELECT 1", "SELECT 2", INSERT, INSERT]),
        ),
        (
            "pipelines one behind the other",
            [
                run("SELECT 1/0"),
                run("SELECT 1"),
                vec![sync()],
                run("SELECT 2"),
                vec![sync(), sync()],
                run("SELECT nothing"),
                vec![sync()],
                run("SELECT 3"),
                vec![sync(), Await(b'Z', 5)],
            ]
            .into_iter()
            .flatten()
            .collect(),
        ),
        (
            "a query within a pipeline",
            [
                run("SELECT 1"),
                vec![query("SELECT 2"), Await(b'Z', 1), sync(), Await(b'Z', 2)],
            ]
            .into_iter()
            .flatten()
            .collect(),
        ),
        (
            "a named statement in text and binary",
            vec![
                parse("s", "SELECT id, name FROM customers WHERE id = $1::int"),
                describe(b'S', "s"),
                sync(),
                bind("", "s", &["7"], 0),
                describe(b'P', ""),
                execute("", 0),
                sync(),
                bind("", "s", &["8"], 1),
                describe(b'P', ""),
                execute("", 0),
                sync(),
                bind("", "s", &["none"], 1),
                execute("", 0),
                sync(),
                parse("s", "SELECT 1"),
                sync(),
                close(b'S', "s"),
                bind("", "s", &["7"], 0),
                sync(),
                close(b'S', "s"),
                sync(),
                Await(b'Z', 7),
            ],
        ),
        (
            "portals with row limits",
            vec![
                parse("", "SELECT generate_series(1, 7)"),
                bind("p", "", &[], 0),
                execute("p", 3),
                flush(),
                Await(b's', 1),
                execute("p", 3),
                execute("p", 3),
                execute("p", 3),
                close(b'P', "p"),
                execute("p", 1),
                sync(),
                Await(b'Z', 1),
            ],
        ),
        (
            "two portals by turns in a transaction",
            vec![
                query("BEGIN"),
                parse("", "SELECT generate_series(1, 5)"),
                bind("a", "", &[], 0),
                bind("b", "", &[], 1),
                execute("a", 2),
                execute("b", 1),
                execute("a", 2),
                sync(),
                execute("b", 9),
                execute("a", 9),
                execute("a", 9),
                sync(),
                query("COMMIT"),
                execute("a", 1),
                sync(),
                Await(b'Z', 5),
            ],
        ),
        (
            "rows of a change with a limit",
            vec![
                parse(
                    "",
                    "INSERT INTO customers (id) VALUES (901), (902), (903) RETURNING id",
                ),
                bind("", "", &[], 0),
                execute("", 1),
                execute("", 5),
                sync(),
                query(COUNT),
                query(FORGET),
                Await(b'Z', 3),
            ],
        ),
        (
            "copy out",
            queries(&[
                copy_out,
                "COPY (SELECT 1 WHERE false) TO STDOUT",
                "COPY (SELECT 1/0) TO STDOUT",
                "SELECT 1",
            ]),
        ),
        (
            "copy out in binary",
            queries(&[
                "COPY (SELECT id, name FROM customers WHERE id < 3) TO STDOUT (FORMAT binary)",
            ]),
        ),
        (
            "copy out in a pipeline",
            runs(&["SELECT 1", copy_out, "SELECT 2"]),
        ),
        (
            "copy in",
            vec![
                query(copy_in),
                Await(b'G', 1),
                data("900\tnine\n901"),
                data("\thundred\n"),
                done(),
                Await(b'Z', 1),
                query(COUNT),
                query(FORGET),
                Await(b'Z', 3),
            ],
        ),
        (
            "copy in that the client fails",
            vec![
                query(copy_in),
                Await(b'G', 1),
                data("900\tx\n"),
                fail(),
                Await(b'Z', 1),
                query(COUNT),
                Await(b'Z', 2),
            ],
        ),
        (
            "copy in with bad data",
            vec![
                query(copy_in),
                Await(b'G', 1),
                data("nine\tx\n"),
                data("900\ty\n"),
                done(),
                Await(b'Z', 1),
                query(COUNT),
                Await(b'Z', 2),
            ],
        ),
        (
            "copy in between others in one query",
            vec![
                query(&format!(
                    "SELECT 1; {copy_in}; {COUNT}; {copy_in}; {FORGET}"
                )),
                Await(b'G', 1),
                data("900\tx\n"),
                done(),
                Await(b'G', 2),
                data("901\tx\n"),
                done(),
                Await(b'Z', 1),
            ],
        ),
        (
            "copy in in a pipeline",
            [
                run("SELECT 1"),
                run(copy_in),
                vec![flush(), Await(b'G', 1), data("900\tx\n"), done()],
                run(COUNT),
                vec![sync(), Await(b'Z', 1), query(FORGET), Await(b'Z', 2)],
            ]
            .into_iter()
            .flatten()
            .collect(),
        ),
        (
            "copy in in a pipeline with bad data",
            [
                run(copy_in),
                vec![
                    flush(),
                    Await(b'G', 1),
                    data("nine\tx\n"),
                    data("900\tx\n"),
                    done(),
                ],
                run("SELECT 1"),
                vec![sync(), Await(b'Z', 1)],
            ]
            .into_iter()
            .flatten()
            .collect(),
        ),
        (
            "copy in within a transaction that is undone",
            vec![
                query("BEGIN"),
                query(copy_in),
                Await(b'G', 1),
                data("900\tx\n"),
                done(),
                query("ROLLBACK"),
                query(COUNT),
                Await(b'Z', 4),
            ],
        ),
        (
            "cursors",
            queries(&[
                "BEGIN",
                "DECLARE c CURSOR FOR SELECT generate_series(1, 5)",
                "FETCH 2 FROM c",
                "FETCH ALL FROM c",
                "CLOSE c",
                "FETCH c",
                "ROLLBACK",
            ]),
        ),
        (
            "sql prepared statements",
            queries(&[
                "PREPARE q (int) AS SELECT $1 + 1",
                "EXECUTE q (1)",
                "EXECUTE q (2, 3)",
                "DEALLOCATE q",
                "EXECUTE q (1)",
                "DEALLOCATE ALL",
                "DISCARD ALL",
            ]),
        ),
        (
            "a large row",
            queries(&[
                "SELECT repeat('x', 300000), 1",
                "SELECT repeat('y', 70000) FROM generate_series(1, 3)",
            ]),
        ),
    ]
}

/// Runs a script; what is answered, as far as it is the same for everybody.
fn play(stage: &Stage, way: Way, steps: &[Step]) -> Vec<String> {
    let mut peer = stage.enter(way);
    let pid = peer.key[..4].to_vec();
    let mut messages: Vec<Message> = Vec::new();
    for step in steps {
        match step {
            Say(bytes) => peer.send(bytes).unwrap(),
            Await(kind, count) => {
                while messages.iter().filter(|(of, _)| of == kind).count() < *count {
                    match peer.message() {
                        Some(message) => messages.push(message),
                        None => panic!("{way:?} closes after {:?}", words(&messages)),
                    }
                }
            }
        }
    }
    // A notification may come behind the end of the last answer.
    messages.extend(peer.query("SELECT 'over'"));
    messages.iter().map(|message| tell(message, &pid)).collect()
}

fn tell((kind, body): &Message, pid: &[u8]) -> String {
    match kind {
        b'E' | b'N' => {
            let fields = b"VCMDHP".map(|field| peer::field(body, field));
            format!("{} {}", char::from(*kind), fields.join("|"))
        }
        b'A' => format!(
            "A {} {:?}",
            body.starts_with(pid),
            String::from_utf8_lossy(&body[4..])
        ),
        kind if body.len() > 200 => {
            let sum: u64 = body.iter().fold(0, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
            });
            format!("{} {} bytes, {sum}", char::from(*kind), body.len())
        }
        kind => format!("{} {:?}", char::from(*kind), String::from_utf8_lossy(body)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_the_same_through_the_gateway() {
    let stage = Stage::new().await;
    let mut wrong = Vec::new();
    let mut answers = 0;
    for (name, steps) in scripts() {
        let theirs = play(&stage, Way::Direct, &steps);
        let ours = play(&stage, Way::Gateway, &steps);
        answers += ours.len();
        if ours != theirs {
            let at = ours
                .iter()
                .zip(&theirs)
                .position(|(a, b)| a != b)
                .unwrap_or(ours.len().min(theirs.len()));
            let show = |all: &[String]| {
                all.iter()
                    .skip(at.saturating_sub(1))
                    .take(4)
                    .cloned()
                    .collect::<Vec<_>>()
            };
            wrong.push(format!(
                "{name}, answer {at}: {:?} where PostgreSQL says {:?}",
                show(&ours),
                show(&theirs)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!(
        "{} conversations, {answers} answers, byte by byte",
        scripts().len()
    );
}

/// A refusal of dbgate's at each place of a pipeline stands where an error of PostgreSQL's would.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_the_middle_of_a_pipeline_is_like_an_error_there() {
    let stage = Stage::new().await;
    let length = 10;
    for transaction in [false, true] {
        for place in 0..length {
            let play = |way: Way, bad: &str| {
                let mut peer: Peer = stage.enter(way);
                if transaction {
                    peer.query("BEGIN");
                }
                let mut bytes = Vec::new();
                for number in 0..length {
                    let sql = if number == place {
                        bad.to_owned()
                    } else {
                        format!("SELECT {number}")
                    };
                    for step in run(&sql) {
                        if let Say(step) = step {
                            bytes.extend(step);
                        }
                    }
                }
                bytes.extend(frame(b'S', &[]));
                peer.send(&bytes).unwrap();
                let mut all = words(&peer.until(b'Z'));
                all.extend(words(&peer.query("SELECT 1")));
                // The cause is another, the course is the same.
                all.iter()
                    .map(|word| {
                        if word.starts_with("E(ERROR") && !word.contains("25P02") {
                            "E".to_owned()
                        } else {
                            word.clone()
                        }
                    })
                    .collect::<Vec<_>>()
            };
            // The server finds its error as it parses, too.
            let ours = play(Way::Gateway, "DROP TABLE customers");
            let theirs = play(Way::Direct, "SELECT nothing");
            assert_eq!(ours, theirs, "place {place}, transaction {transaction}");
        }
    }
    println!("a refusal at {length} places, with and without a transaction");
}
