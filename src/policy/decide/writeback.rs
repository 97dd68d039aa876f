//! A masked value that comes back in a write is refused: it would destroy the real one.

use crate::model::name::ColumnId;
use crate::policy::binding::Parameter;
use crate::policy::decide::{Question, Unbound};
use crate::policy::denial::by;
use crate::policy::obligation::{self, Mask};
use crate::policy::{Denial, Guard, Reason};
use crate::sql::footprint::{Facts, Written};
use crate::wire::row::Format;
use crate::wire::value::{Type, decode};

pub(super) fn check(question: &Question<'_>, facts: &Facts, unbound: Unbound) -> Option<Denial> {
    facts.assigned.iter().find_map(|assignment| {
        let column = assignment.column;
        let guard = question.protection.guard_for(column, question.subject)?;
        let is_mask_again = |value: &Written| match value {
            Written::Text(text) => is_mask(question, guard, column, text),
            Written::Parameter(number) => match bound(question, *number) {
                Some(parameter) => comes_back(question, guard, column, parameter),
                None => unbound == Unbound::Refused,
            },
            // NULL and defaults are never masks.
            Written::Null | Written::Default | Written::Other => false,
        };
        let comes_back = match &assignment.value {
            // What is read is a flow and judged there; what is computed is made of the statement's literals.
            Written::Other => {
                facts.literals.len() >= MOST || facts.literals.iter().any(is_mask_again)
            }
            value @ (Written::Text(_)
            | Written::Parameter(_)
            | Written::Null
            | Written::Default) => is_mask_again(value),
        };
        comes_back.then(|| refuse(guard))
    })
}

/// As many literals are listed; whether one of the rest is a mask is not known.
const MOST: usize = 4_096;

fn bound<'a>(question: &Question<'a>, number: u32) -> Option<&'a Parameter<'a>> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    question.parameters.get(index)
}

fn comes_back(
    question: &Question<'_>,
    guard: &Guard,
    column: ColumnId,
    parameter: &Parameter<'_>,
) -> bool {
    let Some(bytes) = parameter.value else {
        return false;
    };
    let mut text = String::new();
    let known = match (parameter.format, Type::of_oid(parameter.type_oid)) {
        (Format::Text, _) | (Format::Binary, None) => {
            str::from_utf8(bytes).ok().map(|value| text.push_str(value))
        }
        (Format::Binary, Some(kind)) => decode(kind, bytes, &mut text),
    };
    // What has no text here (composites, arrays, far dates) is what masks show as NULL.
    known.is_some_and(|()| is_mask(question, guard, column, &text))
}

fn is_mask(question: &Question<'_>, guard: &Guard, column: ColumnId, text: &str) -> bool {
    resembles(&guard.mask, text) || question.session.shown.contains(column, text)
}

/// Whether the text has a form that only masks have.
fn resembles(mask: &Mask, text: &str) -> bool {
    let text = text.trim();
    match mask {
        Mask::Redact | Mask::Partial { .. } | Mask::Email => has_stars(text),
        Mask::Token { .. } => has_stars(text) || obligation::is_token(text),
        // Their values could be real ones; only what was shown is refused. Elsewhere they fall back to stars.
        Mask::Null | Mask::Bucket { .. } | Mask::Truncate { .. } | Mask::Constant { .. } => {
            is_stars(text)
        }
    }
}

/// Three stars in a row, also in the hexadecimal form of `bytea`.
fn has_stars(text: &str) -> bool {
    text.contains("***") || text == "\\x2a2a2a"
}

fn is_stars(text: &str) -> bool {
    let bare = text.trim_matches('"');
    bare.len() >= 3 && bare.bytes().all(|b| b == b'*')
}

fn refuse(guard: &Guard) -> Denial {
    let (column, rule) = (guard.column.clone(), guard.rule.clone());
    let message = format!("a masked value would be written over the real one in `{column}`");
    Denial::new(Reason::WriteBack { column, rule }, message)
        .detail(by("Protection", &guard.rule, &guard.place))
        .hint("Leave the column out of the statement, or write the real value.")
}
