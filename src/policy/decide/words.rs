//! How refusals and explanations speak of statements and uses of columns.

use crate::policy::document::rule::Rule;
use crate::policy::{Denial, Reason};
use crate::sql::footprint::{Facts, Hazard, Kind, Opaque};
use crate::sql::lineage::{How, Sink};

/// The statement as SQL calls it, in backticks.
pub(in crate::policy) fn statement(facts: &Facts) -> &'static str {
    match facts.kind {
        Kind::Select => "`SELECT`",
        Kind::Insert => "`INSERT`",
        Kind::Update => "`UPDATE`",
        Kind::Delete => "`DELETE`",
        Kind::Merge => "`MERGE`",
        Kind::CopyIn => "`COPY … FROM`",
        Kind::CopyOut => "`COPY … TO`",
        Kind::Explain => "`EXPLAIN`",
        Kind::Prepare => "`PREPARE`",
        Kind::Execute => "`EXECUTE`",
        Kind::Deallocate => "`DEALLOCATE`",
        Kind::Declare => "`DECLARE`",
        Kind::Fetch => "`FETCH`",
        Kind::Close => "`CLOSE`",
        Kind::Set => "`SET`",
        Kind::Show => "`SHOW`",
        Kind::Transaction => "transaction control",
        Kind::Create => "`CREATE`",
        Kind::Alter => "`ALTER`",
        Kind::Drop => "`DROP`",
        Kind::Truncate => "`TRUNCATE`",
        Kind::Grant => "`GRANT` or `REVOKE`",
        Kind::Role => "changing roles",
        Kind::Do => "`DO`",
        Kind::Call => "`CALL`",
        Kind::Listen => "`LISTEN`",
        Kind::Notify => "`NOTIFY`",
        Kind::Lock => "`LOCK`",
        Kind::Maintain => "maintenance",
        Kind::Comment => "`COMMENT`",
        Kind::Discard => "`DISCARD`",
        Kind::Empty => "an empty statement",
        Kind::Other => "this statement",
    }
}

/// What the rule met, as the subject of a sentence.
pub(super) fn matched(rule: &Rule, facts: &Facts) -> String {
    let what = statement(facts);
    match rule.hazards.intersection(&facts.hazards).next() {
        Some(Hazard::NoWhere) => {
            if matches!(facts.kind, Kind::Update | Kind::Delete | Kind::Merge) {
                format!("{what} without a `WHERE` that restricts")
            } else {
                // What is inside of a `WITH` or `EXPLAIN`, or is done by a function.
                format!("changing all rows by {what}, without a `WHERE` that restricts,")
            }
        }
        Some(Hazard::AlterDrop) => "`ALTER … DROP`".to_owned(),
        Some(other) => of_hazard(*other).to_owned(),
        None => what.to_owned(),
    }
}

/// A hazard, as the subject of a sentence.
pub(in crate::policy) const fn of_hazard(hazard: Hazard) -> &'static str {
    match hazard {
        Hazard::NoWhere => "changing all rows",
        Hazard::AlterDrop => "`ALTER … DROP`",
        Hazard::CopyProgram => "`COPY … PROGRAM`",
        Hazard::ServerFile => "reading or writing files on the server",
        Hazard::RoleChange => "changing roles or owners",
        Hazard::SetRole => "`SET ROLE`",
        Hazard::SystemChange => "changing settings of the server, the database or a role",
        Hazard::PinnedSetting => "changing a setting that dbgate pins",
        Hazard::ReadWrite => "making the transaction writable",
        Hazard::SqlAsText => "running SQL given as text",
        Hazard::CatalogSecret => "reading statistics, other sessions' statements or secrets",
        Hazard::Signal => "signalling other sessions",
        Hazard::Lock => "taking locks",
        Hazard::Notification => "`LISTEN` or `NOTIFY`",
        Hazard::LargeObject => "using large objects",
        Hazard::PreparedTransaction => "`PREPARE TRANSACTION`",
        Hazard::LoadsCode => "loading code into the server",
        Hazard::Network => "reaching another server",
        Hazard::Sleep => "waiting on purpose",
        Hazard::HiddenWrite => "writing in passing",
    }
}

/// What would help against a rule whose author gave no hint.
pub(super) fn instead(rule: &Rule, facts: &Facts) -> &'static str {
    if rule.hazards.contains(&Hazard::NoWhere) && facts.hazards.contains(&Hazard::NoWhere) {
        "Add a `WHERE` that names the rows."
    } else {
        "Run `dbgate explain` to see what would change the answer, or ask whoever keeps the policy."
    }
}

/// What helps when a part of a statement was not understood.
pub(super) fn way_out(opaque: &Opaque) -> &'static str {
    let of_function =
        opaque.what.starts_with("what the function ") && opaque.what.ends_with(" does");
    if of_function {
        "If it is harmless, an administrator can name the function in `[[trust]]` of the policy; or write the statement without it."
    } else {
        "Write the statement in a simpler form."
    }
}

/// What the database itself would say to a name that does not resolve.
pub(super) fn failure(opaque: &Opaque, text: &str) -> Option<Denial> {
    let failure = opaque.failure.as_ref()?;
    let mut denial = Denial::new(Reason::Unresolved, failure.message.as_str());
    if failure.sqlstate == "0A000" {
        denial = denial.hint(
            "`DEALLOCATE` it, and prepare it again: it is then read by what its names mean now.",
        );
    }
    Some(
        Denial {
            sqlstate: failure.sqlstate,
            ..denial
        }
        .at(text, opaque.position),
    )
}

/// The end of "cannot be used …".
pub(super) const fn use_of(how: How) -> &'static str {
    match how {
        How::Equality => "in a comparison with given values",
        How::NullTest => "in a test for NULL",
        How::Grouping => "for grouping",
        How::Join => "in a join",
        How::SuppliedJoin => "in a join with rows the statement supplies",
        How::Range => "in a range comparison",
        How::Pattern => "in a pattern match",
        How::Ordering => "for ordering",
        How::Computation => "in an expression",
        How::Indirect => "in this way: its values could be inferred",
    }
}

/// The word a policy has for it.
pub(in crate::policy) const fn name_of(how: How) -> &'static str {
    match how {
        How::Equality => "equality",
        How::NullTest => "null-test",
        How::Grouping => "grouping",
        How::Join => "join",
        How::SuppliedJoin => "supplied-join",
        How::Range => "range",
        How::Pattern => "pattern",
        How::Ordering => "ordering",
        How::Computation => "computation",
        How::Indirect => "indirect",
    }
}

/// The end of "would flow …".
pub(super) const fn sink(to: &Sink) -> &'static str {
    match to {
        Sink::Column(_) => "into a column that is not protected in the same way",
        Sink::NewRelation => "into a new relation",
        Sink::Elsewhere => "out of the database's tables",
    }
}
