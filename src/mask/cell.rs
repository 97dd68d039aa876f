//! One masked column: its mask, its type, its format, made ready once for all its values.

use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::mask::key::Keys;
use crate::mask::transform;
use crate::policy::obligation::{Mask, Unit};
use crate::sql::catalog::Catalog;
use crate::wire::row::Format;
use crate::wire::value::{self, Type};

/// What becomes of the values of a column.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    action: Action,
    format: Format,
}

#[derive(Debug, Clone)]
enum Action {
    /// NULL for every value.
    Null,
    /// The same for every value.
    Fixed { bytes: Arc<[u8]>, text: Arc<str> },
    /// Something that depends on the value.
    Compute(Type, Computed),
}

#[derive(Debug, Clone)]
enum Computed {
    Partial { first: usize, last: usize },
    Email,
    Token(Box<hmac::Key>),
    Bucket(u64),
    Truncate(Unit),
}

/// Room for the text of a value before and after, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    before: String,
    after: String,
    bytes: Vec<u8>,
}

/// A masked value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masked<'a> {
    /// In the column's format.
    pub(super) bytes: &'a [u8],
    /// As text.
    pub(super) text: &'a str,
}

impl Cell {
    pub(super) fn new(mask: &Mask, kind: Option<Type>, format: Format, keys: &Keys) -> Self {
        let action = kind.map_or(Action::Null, |kind| action(mask, kind, format, keys));
        Self { action, format }
    }

    /// Whether a masked value could be taken for a real one, so that it must be remembered.
    pub(super) fn looks_real(&self) -> bool {
        match &self.action {
            Action::Null => false,
            Action::Fixed { text, .. } => !text.contains("***"),
            Action::Compute(kind, how) => match how {
                Computed::Partial { .. } | Computed::Email => false,
                Computed::Token(_) => !is_known_token(*kind),
                Computed::Bucket(_) | Computed::Truncate(_) => true,
            },
        }
    }

    /// The masked value; `None` is NULL.
    pub(super) fn apply<'s>(
        &'s self,
        value: &[u8],
        scratch: &'s mut Scratch,
    ) -> Option<Masked<'s>> {
        match &self.action {
            Action::Null => None,
            Action::Fixed { bytes, text } => Some(Masked { bytes, text }),
            Action::Compute(kind, how) => {
                scratch.after.clear();
                scratch.bytes.clear();
                let Scratch {
                    before,
                    after,
                    bytes,
                } = scratch;
                match self.format {
                    Format::Text => {
                        compute(*kind, how, str::from_utf8(value).ok()?, after)?;
                        Some(Masked {
                            bytes: after.as_bytes(),
                            text: after,
                        })
                    }
                    Format::Binary => {
                        before.clear();
                        value::decode(*kind, value, before)?;
                        compute(*kind, how, before, after)?;
                        value::encode(*kind, after, bytes)?;
                        Some(Masked { bytes, text: after })
                    }
                }
            }
        }
    }
}

/// Whether tokens of the type have a form by which they are known.
const fn is_known_token(kind: Type) -> bool {
    matches!(
        kind,
        Type::Text | Type::Xml | Type::Json | Type::Jsonb | Type::Uuid
    )
}

fn action(mask: &Mask, kind: Type, format: Format, keys: &Keys) -> Action {
    let fixed = |text: &str| {
        let mut bytes = Vec::new();
        match format {
            Format::Text => bytes.extend(text.as_bytes()),
            Format::Binary => {
                if value::encode(kind, text, &mut bytes).is_none() {
                    return Action::Null;
                }
            }
        }
        Action::Fixed {
            bytes: bytes.into(),
            text: text.into(),
        }
    };
    let redact = || transform::redacted(kind).map_or(Action::Null, fixed);
    // Where a mask has no meaning for the type, the value is redacted.
    let on_text = |how: Computed| match kind {
        Type::Text => Action::Compute(kind, how),
        Type::Bool
        | Type::Int2
        | Type::Int4
        | Type::Int8
        | Type::Float4
        | Type::Float8
        | Type::Numeric
        | Type::Json
        | Type::Jsonb
        | Type::Xml
        | Type::Bytea
        | Type::Uuid
        | Type::Date
        | Type::Time
        | Type::TimeTz
        | Type::Timestamp
        | Type::TimestampTz => redact(),
    };
    match mask {
        Mask::Redact => redact(),
        Mask::Null => Action::Null,
        Mask::Partial { first, last } => on_text(Computed::Partial {
            first: usize::from(*first),
            last: usize::from(*last),
        }),
        Mask::Email => on_text(Computed::Email),
        Mask::Token { key, scope } => {
            Action::Compute(kind, Computed::Token(Box::new(keys.derive(key, *scope))))
        }
        Mask::Bucket { size } => Action::Compute(kind, Computed::Bucket(*size)),
        Mask::Truncate { unit } => Action::Compute(kind, Computed::Truncate(*unit)),
        Mask::Constant { value } => {
            if is_value(kind, value) {
                fixed(value)
            } else {
                Action::Null
            }
        }
    }
}

/// Whether the text names a value of the type. JSON and XML are taken at the author's word.
fn is_value(kind: Type, text: &str) -> bool {
    value::encode(kind, text, &mut Vec::new()).is_some()
}

fn compute(kind: Type, how: &Computed, text: &str, out: &mut String) -> Option<()> {
    match how {
        Computed::Partial { first, last } => transform::partial(text, *first, *last, out),
        Computed::Email => transform::email(text, out),
        Computed::Token(key) => return transform::token(kind, text, key, out),
        Computed::Bucket(size) => return transform::bucket(kind, text, *size, out),
        Computed::Truncate(unit) => return transform::truncate(kind, text, *unit, out),
    }
    Some(())
}

/// The type behind an OID: domains are what they are made of, `citext` is text.
pub(super) fn type_of(oid: u32, catalog: &Catalog) -> Option<Type> {
    /// Domains over domains over … end here.
    const DEEPEST: usize = 32;
    let mut oid = oid;
    for _ in 0..DEEPEST {
        if let Some(kind) = Type::of_oid(oid) {
            return Some(kind);
        }
        let found = catalog.types.get(&oid)?;
        if found.kind == 'b' && found.name.name == "citext" {
            return Some(Type::Text);
        }
        if found.kind != 'd' {
            return None;
        }
        oid = found.base;
    }
    None
}
