//! Values in binary format, to text and back, for the types that masks know.
//!
//! Reading order: this file → `numeric` → `calendar`. The text is what the server writes with its default settings.

use std::fmt::Write;

mod calendar;
mod numeric;

/// A type of which the binary format is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric`
    Numeric,
    /// `text`, `varchar`, `char(n)`, `name`, `unknown`
    Text,
    /// `json`
    Json,
    /// `jsonb`
    Jsonb,
    /// `xml`
    Xml,
    /// `bytea`
    Bytea,
    /// `uuid`
    Uuid,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `time with time zone`
    TimeTz,
    /// `timestamp`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
}

impl Type {
    /// The type of that OID; `None` for all others (arrays, composites, ranges, types of one's own).
    #[must_use]
    pub const fn of_oid(oid: u32) -> Option<Self> {
        Some(match oid {
            16 => Self::Bool,
            17 => Self::Bytea,
            20 => Self::Int8,
            21 => Self::Int2,
            23 => Self::Int4,
            19 | 25 | 705 | 1042 | 1043 => Self::Text,
            114 => Self::Json,
            142 => Self::Xml,
            700 => Self::Float4,
            701 => Self::Float8,
            1082 => Self::Date,
            1083 => Self::Time,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1266 => Self::TimeTz,
            1700 => Self::Numeric,
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ => return None,
        })
    }
}

/// Writes a value in binary format as text behind what `out` holds. `None`: it is no such value, or one that text
/// of ours cannot name (a date after the year 9999); `out` may then hold a part of it.
pub fn decode(kind: Type, bytes: &[u8], out: &mut String) -> Option<()> {
    match kind {
        Type::Bool => match bytes {
            [0] => out.push('f'),
            [1] => out.push('t'),
            _ => return None,
        },
        Type::Int2 => show(out, i16::from_be_bytes(bytes.try_into().ok()?)),
        Type::Int4 => show(out, i32::from_be_bytes(bytes.try_into().ok()?)),
        Type::Int8 => show(out, i64::from_be_bytes(bytes.try_into().ok()?)),
        Type::Float4 => show(out, f32::from_be_bytes(bytes.try_into().ok()?)),
        Type::Float8 => show(out, f64::from_be_bytes(bytes.try_into().ok()?)),
        Type::Numeric => return numeric::decode(bytes, out),
        Type::Text | Type::Json | Type::Xml => out.push_str(str::from_utf8(bytes).ok()?),
        Type::Jsonb => match bytes {
            [1, text @ ..] => out.push_str(str::from_utf8(text).ok()?),
            _ => return None,
        },
        Type::Bytea => {
            out.push_str("\\x");
            hex(bytes, out);
        }
        Type::Uuid => return decode_uuid(bytes, out),
        Type::Date => return calendar::decode_date(bytes, out),
        Type::Time => return calendar::decode_time(bytes, out),
        Type::TimeTz => return calendar::decode_time_tz(bytes, out),
        Type::Timestamp => return calendar::decode_timestamp(bytes, out),
        Type::TimestampTz => {
            calendar::decode_timestamp(bytes, out)?;
            out.push_str("+00");
        }
    }
    Some(())
}

/// Writes a text as the value's binary format behind what `out` holds. `None`: the text names no such value; `out`
/// may then hold a part of it.
pub fn encode(kind: Type, text: &str, out: &mut Vec<u8>) -> Option<()> {
    match kind {
        Type::Bool => match text {
            "t" | "true" => out.push(1),
            "f" | "false" => out.push(0),
            _ => return None,
        },
        Type::Int2 => out.extend(text.parse::<i16>().ok()?.to_be_bytes()),
        Type::Int4 => out.extend(text.parse::<i32>().ok()?.to_be_bytes()),
        Type::Int8 => out.extend(text.parse::<i64>().ok()?.to_be_bytes()),
        Type::Float4 => out.extend(text.parse::<f32>().ok()?.to_be_bytes()),
        Type::Float8 => out.extend(text.parse::<f64>().ok()?.to_be_bytes()),
        Type::Numeric => return numeric::encode(text, out),
        Type::Text | Type::Json | Type::Xml => out.extend(text.as_bytes()),
        Type::Jsonb => {
            out.push(1);
            out.extend(text.as_bytes());
        }
        Type::Bytea => return unhex(text.strip_prefix("\\x")?.as_bytes(), out),
        Type::Uuid => return encode_uuid(text, out),
        Type::Date => return calendar::encode_date(text, out),
        Type::Time => return calendar::encode_time(text, out),
        Type::TimeTz => return calendar::encode_time_tz(text, out),
        Type::Timestamp => return calendar::encode_timestamp(text, out),
        Type::TimestampTz => return calendar::encode_timestamp_tz(text, out),
    }
    Some(())
}

fn show(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a `String` cannot fail.
    let _ok = write!(out, "{value}");
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.extend(DIGITS.get(usize::from(nibble)).map(|d| char::from(*d)));
        }
    }
}

fn unhex(digits: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    for pair in pairs {
        let [high, low] = pair.map(|d| char::from(d).to_digit(16));
        out.push(u8::try_from(high? << 4 | low?).ok()?);
    }
    Some(())
}

/// Where a UUID has its hyphens: after so many bytes.
const GROUPS: [usize; 5] = [4, 2, 2, 2, 6];

fn decode_uuid(bytes: &[u8], out: &mut String) -> Option<()> {
    let mut rest: &[u8] = <&[u8; 16]>::try_from(bytes).ok()?;
    for (index, length) in GROUPS.into_iter().enumerate() {
        if index > 0 {
            out.push('-');
        }
        let (group, after) = rest.split_at_checked(length)?;
        hex(group, out);
        rest = after;
    }
    Some(())
}

fn encode_uuid(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    for group in text.split('-') {
        unhex(group.as_bytes(), out)?;
    }
    (out.len().checked_sub(start)? == 16).then_some(())
}
