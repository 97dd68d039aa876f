//! The whole flow without sockets: policy, analysis, log and session machine, driven by lines of text.
//!
//! A message is written as its letter and its content: `Q select 1`, `P name sql`, `B portal statement`, `DS name`, `DP portal`,
//! `E portal limit`, `CS name`, `CP portal`, `S`, `H`, `d data`, `c`, `f reason`, `X` for a client; `1 2 3 t n s I`, `T column…`,
//! `D value`, `C tag`, `E code message`, `N message`, `G`, `O` (CopyOutResponse), `d`, `c`, `Z I` for a server. `-` is the empty name.

use std::sync::Arc;

use crate::audit::event::Action;
use crate::audit::event::private::Private;
use crate::audit::log::{Log, Options, SEGMENT};
use crate::audit::recording::{self, Limit};
use crate::audit::storage::files::Files;
use crate::config::problem::Source;
use crate::gateway::intent::Intent;
use crate::gateway::judge::{self, Asker, Finding, Leave, Moment};
use crate::gateway::session::run::{Decided, Lens, Outcome, Run};
use crate::gateway::session::verdict::{Purpose, Verdict};
use crate::gateway::session::{Act, Next, Outbox, Session};
use crate::gateway::startup::Tells;
use crate::mask::Keys;
use crate::model::access::Access;
use crate::model::name::{DatabaseName, ObjectName};
use crate::model::secret::Secret;
use crate::model::subject::{self, Subject};
use crate::model::time::Timestamp;
use crate::net::clock;
use crate::net::entropy;
use crate::policy::{Approval, Consent, Held, Permit, Protection, Shown};
use crate::sql::catalog::{Catalog, Column, Parts, Relation, RelationKind};
use crate::wire::backend::{self, CopyFormat, TransactionStatus};
use crate::wire::error::{Fields, Severity, SqlState};
use crate::wire::frame::{Deframer, Frame};
use crate::wire::frontend::{self, Target};
use crate::wire::row::{DataRow, Field, Format, RowDescription};

pub(super) const POLICY: &str = r#"
[[allow]]
name = "all"
everyone = true
databases = ["prod"]
do = ["read", "write", "define", "call"]
roles = ["r"]

[[protect]]
name = "email"
columns = ["public.customers.email"]
mask = "redact"

[[rule]]
name = "no-drop"
effect = "deny"
databases = ["prod"]
statements = ["drop"]

[[rule]]
name = "no-copy-in"
effect = "deny"
databases = ["prod"]
statements = ["copy-in"]
tables = ["public.items"]

[limits]
rows = 3
"#;

pub(super) struct World {
    pub(super) session: Session,
    moment: Moment,
    subject: Subject,
    database: DatabaseName,
    log: Log,
    _directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pub(super) finished: Vec<String>,
    /// The most rows that are agreed to.
    pub(super) most: Option<u64>,
    /// What was refused before anybody was asked.
    pub(super) refused: Vec<String>,
    /// What the clients saw of what is finished, without the times.
    pub(super) transcripts: Vec<String>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(POLICY)
    }

    pub(super) fn with(policy: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            storage: Arc::new(Files::open(directory.path()).unwrap()),
            clock: Arc::new(clock::System::new()),
            entropy: Arc::new(entropy::System),
            segment: SEGMENT,
        };
        let (log, _) = Log::open(options).unwrap();
        let policy = crate::policy::compile(&[Source::new("policy.toml", policy)])
            .unwrap_or_else(|problems| panic!("{problems}"));
        let database: DatabaseName = "prod".parse().unwrap();
        let catalog = Arc::new(catalog());
        let protection = Protection::resolve(&policy, &database, &catalog);
        Self {
            session: session(Tells::Nothing),
            moment: Moment {
                policy: Arc::new(policy),
                protection: Arc::new(protection),
                catalog,
                now: Timestamp::EPOCH,
            },
            subject: Subject {
                id: subject::Id {
                    issuer: "https://issuer".to_owned(),
                    sub: "1".to_owned(),
                },
                kind: subject::Kind::Person,
                display: "somebody".to_owned(),
                groups: Default::default(),
                claims: Default::default(),
                behalf: None,
            },
            database,
            log,
            _directory: directory,
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
            finished: Vec::new(),
            refused: Vec::new(),
            transcripts: Vec::new(),
            most: None,
        }
    }

    /// With a client that wants to be told more.
    pub(super) fn telling(mut self, tells: Tells) -> Self {
        self.session = session(tells);
        self
    }

    /// Plays a script. Lines begin with `>` (the client sends), `<` (the upstream sends), `up` (the upstream must have got), `down`
    /// (the client must have got). What is not mentioned must not have happened.
    pub(super) fn play(&mut self, script: &str) {
        let mut out = Outbox::default();
        let mut queue: std::collections::VecDeque<Frame> = std::collections::VecDeque::new();
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let (who, what) = line.split_once(' ').unwrap_or((line, ""));
            match who {
                ">" => queue.push_back(client(what)),
                "<" => self.session.upstream(&server(what), &mut out).unwrap(),
                "up" => expect(line, &mut up, what),
                "down" => expect(line, &mut down, what),
                other => panic!("{other}"),
            }
            self.run(&mut queue, &mut out);
            up.extend(out.upstream.drain(..).flat_map(|bytes| show_client(&bytes)));
            down.extend(show_server(&std::mem::take(&mut out.client)));
            for act in out.acts.drain(..) {
                match act {
                    Act::CancelUpstream => up.push("cancel".to_owned()),
                    Act::Shown(_) => {}
                    Act::Refused(refused) => {
                        let code = &refused.fields.code;
                        self.refused.push(format!("{} {code}", refused.text));
                    }
                    Act::Finished(report) => {
                        let seen = report.transcript.as_ref().and_then(Private::text);
                        self.transcripts.push(timeless(seen.unwrap_or_default()));
                        self.finished.push(match report.outcome {
                            Outcome::Done(tag) => tag,
                            Outcome::Failed(fields) => format!("failed {}", fields.code),
                            Outcome::Stopped(fields) => format!("stopped {}", fields.code),
                            Outcome::Skipped => "skipped".to_owned(),
                            Outcome::Unknown => "unknown".to_owned(),
                        });
                    }
                }
            }
            if matches!(who, ">" | "<") {
                continue;
            }
        }
        assert!(up.is_empty(), "the upstream got, too: {up:#?}");
        assert!(down.is_empty(), "the client got, too: {down:#?}");
        assert!(queue.is_empty(), "the client waits with {queue:?}");
    }

    fn run(&mut self, queue: &mut std::collections::VecDeque<Frame>, out: &mut Outbox) {
        loop {
            match self.session.next() {
                Next::Client => match queue.pop_front() {
                    Some(frame) => self.session.client(&frame, out).unwrap(),
                    None => return,
                },
                Next::Verdict => {
                    let verdict = self.verdict();
                    self.session.decided(verdict, out).unwrap();
                }
                Next::Upstream | Next::Close => return,
            }
        }
    }

    pub(super) fn verdict(&mut self) -> Verdict {
        let ask = self.session.asking().unwrap();
        if let Purpose::Again(run) = ask.purpose {
            assert!(self.session.run(run).is_some());
            return Verdict::Stands;
        }
        let catalog = &Arc::clone(&self.moment.catalog);
        // As if the upstream had been asked.
        self.session.state_mut().renew(
            "lease".to_owned(),
            vec!["public".to_owned()],
            Default::default(),
            false,
        );
        self.session.state_mut().refreshed();
        let analyzed = match judge::analyze(&ask.purpose, self.session.state(), catalog) {
            Ok(analyzed) => analyzed,
            Err(fields) => return Verdict::Refused(fields.into()),
        };
        if judge::must_settle(&ask, &analyzed) {
            return Verdict::Settle;
        }
        let asker = Asker {
            subject: &self.subject,
            database: &self.database,
            access: Access::Write,
            reason: None,
            approved: false,
            shown: &Shown::new(),
            leave: Leave::Nobodys,
        };
        let (state, again) = (self.session.state(), analyzed.clone());
        let mut found = judge::judge(&ask, analyzed, state, &self.moment, &asker);
        if let Finding::Review(held) = &found {
            let approval = self.agreed(held);
            let asker = Asker {
                leave: Leave::Given(&approval),
                ..asker
            };
            found = judge::judge(&ask, again, state, &self.moment, &asker);
        }
        self.begin(&ask.purpose, &found);
        match found {
            Finding::Allowed(permits) => {
                let runs = permits.into_iter().map(|permit| {
                    let purpose = ask.purpose.clone();
                    let intent = Intent::new(permit, Arc::default(), catalog, purpose);
                    let recorded = self.runtime.block_on(self.log.record(intent)).unwrap();
                    let lens = Lens {
                        protection: Arc::clone(&self.moment.protection),
                        catalog: Arc::clone(&self.moment.catalog),
                        subject: Arc::new(self.subject.clone()),
                        keys: Arc::new(Keys::new(
                            &Secret::new([7; 32]),
                            self.database.clone(),
                            "s000000000000".parse().unwrap(),
                        )),
                        kept: Limit::default(),
                    };
                    let decided = Decided {
                        at: std::time::Duration::ZERO,
                        generation: 0,
                    };
                    Run::new(recorded, lens, decided)
                });
                Verdict::Permitted(runs.collect())
            }
            Finding::Preparable(facts) => Verdict::Prepared(facts),
            Finding::Denied(denied) => Verdict::Refused(denied.refusal),
            Finding::Unreadable(fields) => Verdict::Refused(fields.into()),
            Finding::Review(held) => panic!("{held:?}"),
        }
    }

    /// As if `BEGIN` had been sent for a query.
    fn begin(&mut self, purpose: &Purpose, found: &Finding) {
        let bound = |permit: &Permit| permit.ceiling().is_some() || permit.approval().is_some();
        let bound = matches!(found, Finding::Allowed(all) if all.iter().any(bound));
        if bound && matches!(purpose, Purpose::Query { .. }) && self.session.is_alone() {
            self.session.begin_trial();
        }
    }

    /// Somebody agrees to it, for the maximum of rows that there is.
    fn agreed(&self, held: &Held) -> Approval {
        let consent = Consent {
            by: Subject {
                groups: ["reviewers".to_owned()].into(),
                ..self.subject.clone()
            },
            at: Timestamp::EPOCH,
            max_rows: self.most,
        };
        Approval {
            request: "r0123456789ab".parse().unwrap(),
            binding: held.binding().clone(),
            max_rows: self.most,
            given: vec![consent],
        }
    }

    /// How many intents are on record.
    pub(super) fn intents(&self) -> usize {
        let records = self.log.read(0).unwrap().next_many(100_000).unwrap();
        records
            .iter()
            .filter(|record| matches!(record.event.action, Action::StatementIntended { .. }))
            .count()
    }
}

fn timeless(transcript: &str) -> String {
    let steps = recording::parse(transcript);
    let steps = steps
        .iter()
        .map(|step| serde_json::to_string(&step.what).unwrap());
    steps.collect::<Vec<_>>().join(" ")
}

fn expect(line: &str, came: &mut Vec<String>, what: &str) {
    assert!(!came.is_empty(), "nothing came for: {line}");
    let first = came.remove(0);
    assert_eq!(first, what, "at: {line}; after it came {came:#?}");
}

fn catalog() -> Catalog {
    let column = |number: i16, name: &str, type_oid: u32| Column {
        number,
        name: name.to_owned(),
        type_oid,
        generated: None,
        not_null: false,
        comment: None,
    };
    let table = |oid: u32, name: &str, columns: Vec<Column>| Relation {
        oid,
        name: ObjectName::new("public", name),
        kind: RelationKind::Table,
        columns,
        definition: None,
        parents: Vec::new(),
        row_security: false,
        has_rules: false,
        triggers: Vec::new(),
        constraints: Vec::new(),
        hooks: None,
        children: Default::default(),
        calls: Default::default(),
    };
    Catalog::new(Parts {
        server_version: 150_018,
        relations: vec![
            table(
                20_001,
                "items",
                vec![column(1, "id", 23), column(2, "name", 25)],
            ),
            table(
                20_002,
                "customers",
                vec![column(1, "id", 23), column(2, "email", 25)],
            ),
            table(
                20_003,
                "notes",
                vec![column(1, "id", 23), column(2, "text", 25)],
            ),
        ],
        schemas: vec!["pg_catalog".to_owned(), "public".to_owned()],
        ..Parts::default()
    })
}

fn name(text: &str) -> &str {
    if text == "-" { "" } else { text }
}

fn frame(encode: impl FnOnce(&mut Vec<u8>)) -> Frame {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    Frame::new(bytes[0], &bytes[5..]).unwrap()
}

/// A client's message.
pub(super) fn client(text: &str) -> Frame {
    use frontend::Message;
    let (letter, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    let message = match letter {
        "Q" => Message::Query { sql: rest },
        "P" => Message::Parse {
            name: name(first),
            sql: second,
            types: Vec::new(),
        },
        "B" => Message::Bind {
            portal: name(first),
            statement: name(second),
            formats: Vec::new(),
            parameters: Vec::new(),
            results: Vec::new(),
        },
        "DS" => Message::Describe(Target::Statement(name(first))),
        "DP" => Message::Describe(Target::Portal(name(first))),
        "E" => Message::Execute {
            portal: name(first),
            limit: second.parse().unwrap_or(0),
        },
        "CS" => Message::Close(Target::Statement(name(first))),
        "CP" => Message::Close(Target::Portal(name(first))),
        "S" => Message::Sync,
        "H" => Message::Flush,
        "d" => Message::CopyData(rest.as_bytes()),
        "c" => Message::CopyDone,
        "f" => Message::CopyFail { reason: rest },
        "F" => Message::FunctionCall(&[]),
        "X" => Message::Terminate,
        other => panic!("{other}"),
    };
    frame(|out| message.encode(out).unwrap())
}

/// A server's message.
pub(super) fn server(text: &str) -> Frame {
    use backend::Message;
    let (letter, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    let copy = || CopyFormat {
        overall: Format::Text,
        columns: vec![Format::Text; 2],
    };
    let mut row = Vec::new();
    let copied;
    let message = match letter {
        "1" => Message::ParseComplete,
        "2" => Message::BindComplete,
        "3" => Message::CloseComplete,
        "t" => Message::ParameterDescription { types: Vec::new() },
        "n" => Message::NoData,
        "s" => Message::PortalSuspended,
        "I" => Message::EmptyQueryResponse,
        "T" => Message::RowDescription(RowDescription {
            fields: rest.split(' ').map(field).collect(),
        }),
        "D" => {
            row.extend(1_u16.to_be_bytes());
            row.extend(u32::try_from(rest.len()).unwrap().to_be_bytes());
            row.extend(rest.as_bytes());
            Message::DataRow(DataRow::decode(&row).unwrap())
        }
        "C" => Message::CommandComplete { tag: rest },
        "E" => {
            let code = SqlState::parse(first).unwrap();
            Message::ErrorResponse(Fields::new(Severity::Error, code, second))
        }
        "N" => Message::NoticeResponse(Fields::new(Severity::Notice, SqlState::WARNING, rest)),
        "G" => Message::CopyInResponse(copy()),
        "O" => Message::CopyOutResponse(copy()),
        "d" => {
            copied = rest.replace("\\t", "\t").replace("\\n", "\n");
            Message::CopyData(copied.as_bytes())
        }
        "c" => Message::CopyDone,
        "V" => Message::FunctionCallResponse(None),
        "Set" => Message::ParameterStatus {
            name: first,
            value: second,
        },
        "Z" => Message::ReadyForQuery(match rest {
            "I" => TransactionStatus::Idle,
            "T" => TransactionStatus::Open,
            _ => TransactionStatus::Failed,
        }),
        other => panic!("{other}"),
    };
    frame(|out| message.encode(out).unwrap())
}

/// `name` or `name:table:column`.
fn field(text: &str) -> Field {
    let mut parts = text.split(':');
    Field {
        name: parts.next().unwrap().to_owned(),
        table: parts.next().map_or(0, |n| n.parse().unwrap()),
        column: parts.next().map_or(0, |n| n.parse().unwrap()),
        type_oid: 25,
        size: -1,
        modifier: -1,
        format: Format::Text,
    }
}

fn frames(mut deframer: Deframer, bytes: &[u8]) -> Vec<Frame> {
    deframer.authenticated();
    deframer.feed(bytes);
    let mut all = Vec::new();
    while let Some(frame) = deframer.next_frame().unwrap() {
        all.push(frame);
    }
    assert_eq!(deframer.buffered(), 0);
    all
}

fn show_client(bytes: &[u8]) -> Vec<String> {
    use frontend::Message;
    let dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    // Past the startup packet.
    let mut deframer = Deframer::frontend();
    let mut startup = Vec::new();
    let packet = crate::wire::startup::Startup {
        version: crate::wire::startup::Version::V3_0,
        parameters: vec![("user".to_owned(), "u".to_owned())],
    };
    crate::wire::startup::Initial::Startup(packet)
        .encode(&mut startup)
        .unwrap();
    deframer.feed(&startup);
    deframer.next_initial().unwrap();
    frames(deframer, bytes)
        .iter()
        .map(|frame| match Message::decode(frame).unwrap() {
            Message::Query { sql } => format!("Q {sql}"),
            Message::Parse { name, sql, .. } => format!("P {} {sql}", dash(name)),
            Message::Bind {
                portal, statement, ..
            } => format!("B {} {}", dash(portal), dash(statement)),
            Message::Describe(Target::Statement(name)) => format!("DS {}", dash(name)),
            Message::Describe(Target::Portal(name)) => format!("DP {}", dash(name)),
            Message::Execute { portal, limit } => format!("E {} {limit}", dash(portal)),
            Message::Close(Target::Statement(name)) => format!("CS {}", dash(name)),
            Message::Close(Target::Portal(name)) => format!("CP {}", dash(name)),
            Message::Sync => "S".to_owned(),
            Message::Flush => "H".to_owned(),
            Message::CopyData(data) => format!("d {}", String::from_utf8_lossy(data)),
            Message::CopyDone => "c".to_owned(),
            Message::CopyFail { reason } => format!("f {reason}"),
            other => format!("{other:?}"),
        })
        .collect()
}

fn session(tells: Tells) -> Session {
    let mut session = Session::new("lease", tells);
    let (user, path) = ("lease".to_owned(), vec!["public".to_owned()]);
    let state = session.state_mut();
    state.renew(user, path, Default::default(), false);
    session
}

fn show_server(bytes: &[u8]) -> Vec<String> {
    use backend::Message;
    frames(Deframer::backend(), bytes)
        .iter()
        .map(|frame| match Message::decode(frame).unwrap() {
            Message::ParseComplete => "1".to_owned(),
            Message::BindComplete => "2".to_owned(),
            Message::CloseComplete => "3".to_owned(),
            Message::ParameterDescription { .. } => "t".to_owned(),
            Message::NoData => "n".to_owned(),
            Message::PortalSuspended => "s".to_owned(),
            Message::EmptyQueryResponse => "I".to_owned(),
            Message::RowDescription(rows) => {
                let names: Vec<_> = rows.fields.iter().map(|f| f.name.as_str()).collect();
                format!("T {}", names.join(" "))
            }
            Message::DataRow(row) => {
                let values: Vec<_> = row
                    .values()
                    .map(|value| String::from_utf8_lossy(value.unwrap_or(b"NULL")).into_owned())
                    .collect();
                format!("D {}", values.join(" "))
            }
            Message::CommandComplete { tag } => format!("C {tag}"),
            Message::ErrorResponse(fields) => format!("E {} {}", fields.code, fields.message),
            Message::NoticeResponse(fields) => format!("N {}", fields.message),
            Message::CopyInResponse(format) => format!("G {}", format.columns.len()),
            Message::CopyOutResponse(_) => "O".to_owned(),
            Message::CopyData(data) => {
                let text = String::from_utf8_lossy(data);
                format!("d {}", text.replace('\t', "\\t").replace('\n', "\\n"))
            }
            Message::CopyDone => "c".to_owned(),
            Message::ReadyForQuery(status) => {
                format!("Z {}", char::from(status.code()))
            }
            Message::ParameterStatus { name, value } => format!("Set {name} {value}"),
            other => format!("{other:?}"),
        })
        .collect()
}
