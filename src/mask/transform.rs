//! What each mask does with a value, as text of its type.
//!
//! `None` stands for NULL: the mask has nothing to show for such a value.

use std::fmt::Write;

use aws_lc_rs::hmac;

use crate::policy::obligation::{TOKEN_LENGTH, TOKEN_PREFIX, Unit};
use crate::wire::value::Type;

/// What stands for what is not shown.
const STARS: &str = "***";

/// Between the parts that `partial` keeps; always as many, so that the length is not shown.
const GAP: &str = "******";

/// The types whose values can hold stars.
pub(super) const fn redacted(kind: Type) -> Option<&'static str> {
    match kind {
        Type::Text | Type::Xml => Some(STARS),
        Type::Json | Type::Jsonb => Some("\"***\""),
        Type::Bytea => Some("\\x2a2a2a"),
        Type::Bool
        | Type::Int2
        | Type::Int4
        | Type::Int8
        | Type::Float4
        | Type::Float8
        | Type::Numeric
        | Type::Uuid
        | Type::Date
        | Type::Time
        | Type::TimeTz
        | Type::Timestamp
        | Type::TimestampTz => None,
    }
}

/// Keeps the ends only of a text that is at least twice as long as what is kept.
pub(super) fn partial(text: &str, first: usize, last: usize, out: &mut String) {
    let count = text.chars().count();
    if count < (first + last) * 2 {
        out.push_str(GAP);
        return;
    }
    out.extend(text.chars().take(first));
    out.push_str(GAP);
    out.extend(text.chars().skip(count - last));
}

/// The longest top-level domain that is shown; longer ones could be anything.
const LONGEST_DOMAIN: usize = 12;

/// `grace@navy.example` becomes `g***@***.example`; what is no address is redacted.
pub(super) fn email(text: &str, out: &mut String) {
    let parts = text.rsplit_once('@');
    let first = parts.and_then(|(local, _)| local.chars().next());
    let (Some(first), Some((local, domain))) = (first, parts) else {
        out.push_str(STARS);
        return;
    };
    // Of a local part of one letter nothing would be left to hide.
    if local.chars().nth(1).is_some() {
        out.push(first);
    }
    out.push_str("***@***");
    let top = domain.rsplit_once('.').map_or("", |(_, top)| top);
    let is_shown = top.len() <= LONGEST_DOMAIN && top.chars().all(char::is_alphabetic);
    if is_shown && !top.is_empty() {
        out.push('.');
        out.push_str(top);
    }
}

const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The same token for the same value, whatever format it came in.
pub(super) fn token(kind: Type, text: &str, key: &hmac::Key, out: &mut String) -> Option<()> {
    let tag = match kind {
        Type::Float4 | Type::Float8 => {
            // Formats differ in how they write a float, so its bits are what counts.
            hmac::sign(key, &text.parse::<f64>().ok()?.to_bits().to_be_bytes())
        }
        Type::Numeric => hmac::sign(key, plain_number(text).as_bytes()),
        Type::Bool
        | Type::Int2
        | Type::Int4
        | Type::Int8
        | Type::Text
        | Type::Json
        | Type::Jsonb
        | Type::Xml
        | Type::Bytea
        | Type::Uuid
        | Type::Date
        | Type::Time
        | Type::TimeTz
        | Type::Timestamp
        | Type::TimestampTz => hmac::sign(key, text.as_bytes()),
    };
    let bytes = tag.as_ref();
    match kind {
        Type::Text | Type::Xml => letters(bytes, out),
        Type::Json | Type::Jsonb => {
            out.push('"');
            letters(bytes, out);
            out.push('"');
        }
        Type::Bytea => {
            out.push_str("\\x");
            hex(bytes.get(..16)?, out);
        }
        Type::Uuid => uuid(bytes, out)?,
        Type::Int2 => number(bytes, 0x7FFF, out)?,
        Type::Int4 => number(bytes, 0x7FFF_FFFF, out)?,
        // Up to 2^53, which programs with floats only can hold, too.
        Type::Int8 | Type::Float8 | Type::Numeric => number(bytes, (1 << 53) - 1, out)?,
        Type::Float4 => number(bytes, (1 << 24) - 1, out)?,
        Type::Bool
        | Type::Date
        | Type::Time
        | Type::TimeTz
        | Type::Timestamp
        | Type::TimestampTz => return None,
    }
    Some(())
}

fn letters(bytes: &[u8], out: &mut String) {
    out.push_str(TOKEN_PREFIX);
    let letters = bytes
        .iter()
        .filter_map(|b| LETTERS.get(usize::from(b & 31)));
    out.extend(letters.take(TOKEN_LENGTH).map(|b| char::from(*b)));
}

fn hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ok = write!(out, "{byte:02x}");
    }
}

/// Version 8, which is for uses of one's own and by which tokens are known.
fn uuid(bytes: &[u8], out: &mut String) -> Option<()> {
    let mut id: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut id;
    *version = (*version & 0x0F) | 0x80;
    *variant = (*variant & 0x3F) | 0x80;
    let mut start = 0;
    for end in [4, 6, 8, 10, 16] {
        if start > 0 {
            out.push('-');
        }
        hex(id.get(start..end)?, out);
        start = end;
    }
    Some(())
}

fn number(bytes: &[u8], mask: u64, out: &mut String) -> Option<()> {
    let number = u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?) & mask;
    write!(out, "{number}").ok()
}

/// Without the zeros that do not count.
fn plain_number(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// Numbers rounded down to a multiple of `size`.
pub(super) fn bucket(kind: Type, text: &str, size: u64, out: &mut String) -> Option<()> {
    match kind {
        Type::Int2 | Type::Int4 | Type::Int8 => {
            let number: i128 = text.parse().ok()?;
            let bucket = floor(number, size);
            // Rounded down below what the type holds, there is no bucket.
            let lowest = if kind == Type::Int2 {
                i128::from(i16::MIN)
            } else if kind == Type::Int4 {
                i128::from(i32::MIN)
            } else {
                i128::from(i64::MIN)
            };
            (bucket >= lowest).then(|| write!(out, "{bucket}").ok())?
        }
        Type::Numeric => numeric_bucket(text, size, out),
        Type::Float4 | Type::Float8 => {
            let number: f64 = text.parse().ok()?;
            // Exact up to 2^53; beyond it buckets are as coarse as floats are.
            let size = text_of(size)?;
            let bucket = (number / size).floor() * size;
            bucket.is_finite().then(|| write!(out, "{bucket}").ok())?
        }
        Type::Bool
        | Type::Text
        | Type::Json
        | Type::Jsonb
        | Type::Xml
        | Type::Bytea
        | Type::Uuid
        | Type::Date
        | Type::Time
        | Type::TimeTz
        | Type::Timestamp
        | Type::TimestampTz => None,
    }
}

/// As a float, by way of text: a cast could lose bits unseen.
fn text_of(size: u64) -> Option<f64> {
    size.to_string().parse().ok()
}

fn floor(number: i128, size: u64) -> i128 {
    number - number.rem_euclid(i128::from(size.max(1)))
}

/// With as many zeros behind the point as the value has digits there.
fn numeric_bucket(text: &str, size: u64, out: &mut String) -> Option<()> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = part.bytes().all(|b| b.is_ascii_digit());
    let mut number: i128 = whole.parse().ok().filter(|_| is_digits)?;
    let is_negative = whole.starts_with('-');
    if is_negative && part.bytes().any(|b| b != b'0') {
        number = number.checked_sub(1)?;
    }
    write!(out, "{}", floor(number, size)).ok()?;
    if !part.is_empty() {
        out.push('.');
        out.extend(part.bytes().map(|_| '0'));
    }
    Some(())
}

/// Dates and times cut down to a unit. A unit that would leave the value whole shows nothing.
pub(super) fn truncate(kind: Type, text: &str, unit: Unit, out: &mut String) -> Option<()> {
    match kind {
        Type::Date => truncate_date(text, unit, out),
        Type::Timestamp | Type::TimestampTz => truncate_timestamp(text, unit, out),
        Type::Time | Type::TimeTz => match unit {
            Unit::Hour => truncate_time(text, out),
            Unit::Year | Unit::Quarter | Unit::Month | Unit::Day => None,
        },
        Type::Bool
        | Type::Int2
        | Type::Int4
        | Type::Int8
        | Type::Float4
        | Type::Float8
        | Type::Numeric
        | Type::Text
        | Type::Json
        | Type::Jsonb
        | Type::Xml
        | Type::Bytea
        | Type::Uuid => None,
    }
}

fn truncate_date(text: &str, unit: Unit, out: &mut String) -> Option<()> {
    let (year, month, _) = ymd(text)?;
    match unit {
        Unit::Year => write!(out, "{year}-01-01").ok(),
        Unit::Quarter => write!(out, "{year}-{:02}-01", (month - 1) / 3 * 3 + 1).ok(),
        Unit::Month => write!(out, "{year}-{month:02}-01").ok(),
        Unit::Day | Unit::Hour => None,
    }
}

fn truncate_timestamp(text: &str, unit: Unit, out: &mut String) -> Option<()> {
    let (date, time) = text.split_once(' ')?;
    let (hour, zone) = hour(time)?;
    match unit {
        Unit::Hour | Unit::Day => {
            ymd(date)?;
            out.push_str(date);
        }
        Unit::Year | Unit::Quarter | Unit::Month => truncate_date(date, unit, out)?,
    }
    match unit {
        Unit::Hour => write!(out, " {hour}:00:00{zone}").ok(),
        Unit::Year | Unit::Quarter | Unit::Month | Unit::Day => write!(out, " 00:00:00{zone}").ok(),
    }
}

fn truncate_time(text: &str, out: &mut String) -> Option<()> {
    let (hour, zone) = hour(text)?;
    write!(out, "{hour}:00:00{zone}").ok()
}

/// Year as written, month and day; only in ISO form. Years before 1 and after 9999 are not cut, so not shown.
fn ymd(text: &str) -> Option<(&str, u8, u8)> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit())
    };
    let is_form = is_number(year, 4) && is_number(month, 2) && is_number(day, 2);
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    let is_date = parts.next().is_none() && is_form && (1..=12).contains(&month) && day <= 31;
    is_date.then_some((year, month, day))
}

/// The hour of `HH:MM:SS[.ffffff][zone]`, and the zone.
fn hour(text: &str) -> Option<(&str, &str)> {
    let end = text.find(['+', '-']).unwrap_or(text.len());
    let (time, zone) = text.split_at_checked(end)?;
    let (hour, rest) = time.split_once(':')?;
    let is_digits = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit() || b == b':' || b == b'.')
    };
    let is_zone = zone
        .bytes()
        .skip(1)
        .all(|b| b.is_ascii_digit() || b == b':');
    (hour.len() == 2 && is_digits(hour) && is_digits(rest) && is_zone).then_some((hour, zone))
}
