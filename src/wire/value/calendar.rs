//! Dates and times: days and microseconds since 2000, and ISO text.

use std::fmt::Write;

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Span};

/// Day 0 of PostgreSQL's calendar.
const DAY_ZERO: DateTime = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);

const DAY: i64 = 86_400_000_000;

pub(super) fn decode_date(bytes: &[u8], out: &mut String) -> Option<()> {
    let date = date(i32::from_be_bytes(bytes.try_into().ok()?))?;
    show_date(date, out)
}

pub(super) fn encode_date(text: &str, out: &mut Vec<u8>) -> Option<()> {
    out.extend(days(parse_date(text)?)?.to_be_bytes());
    Some(())
}

pub(super) fn decode_time(bytes: &[u8], out: &mut String) -> Option<()> {
    show_time(i64::from_be_bytes(bytes.try_into().ok()?), out)
}

pub(super) fn encode_time(text: &str, out: &mut Vec<u8>) -> Option<()> {
    out.extend(parse_time(text)?.to_be_bytes());
    Some(())
}

pub(super) fn decode_time_tz(bytes: &[u8], out: &mut String) -> Option<()> {
    let (time, zone) = bytes.split_at_checked(8)?;
    show_time(i64::from_be_bytes(time.try_into().ok()?), out)?;
    // PostgreSQL keeps seconds west of Greenwich.
    let west = i32::from_be_bytes(zone.try_into().ok()?);
    show_zone(west.checked_neg()?, out);
    Some(())
}

pub(super) fn encode_time_tz(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let (time, east) = split_zone(text)?;
    out.extend(parse_time(time)?.to_be_bytes());
    out.extend(east.checked_neg()?.to_be_bytes());
    Some(())
}

pub(super) fn decode_timestamp(bytes: &[u8], out: &mut String) -> Option<()> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    let day = i32::try_from(micros.div_euclid(DAY)).ok()?;
    show_date(date(day)?, out)?;
    out.push(' ');
    show_time(micros.rem_euclid(DAY), out)
}

pub(super) fn encode_timestamp(text: &str, out: &mut Vec<u8>) -> Option<()> {
    out.extend(micros(text)?.to_be_bytes());
    Some(())
}

pub(super) fn encode_timestamp_tz(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let (local, east) = split_zone(text)?;
    let east = i64::from(east).checked_mul(1_000_000)?;
    let utc = micros(local)?.checked_sub(east)?;
    out.extend(utc.to_be_bytes());
    Some(())
}

fn micros(text: &str) -> Option<i64> {
    let (date, time) = text.split_once([' ', 'T'])?;
    i64::from(days(parse_date(date)?)?)
        .checked_mul(DAY)?
        .checked_add(parse_time(time)?)
}

/// None for `infinity`, for years before 1 and after 9999.
fn date(day: i32) -> Option<Date> {
    let span = Span::new().try_days(day).ok()?;
    let date = DAY_ZERO.checked_add(span).ok()?.date();
    (date.year() > 0).then_some(date)
}

fn days(date: Date) -> Option<i32> {
    let between = DAY_ZERO.duration_until(date.to_datetime(Time::midnight()));
    i32::try_from(between.as_secs() / 86_400).ok()
}

fn parse_date(text: &str) -> Option<Date> {
    let is_form = text.len() == 10 && text.is_ascii();
    is_form.then(|| text.parse().ok()).flatten()
}

/// `08:30:00.25`, as microseconds; `24:00:00` is one of PostgreSQL's times.
fn parse_time(text: &str) -> Option<i64> {
    if text == "24:00:00" {
        return Some(DAY);
    }
    let time: Time = text.parse().ok()?;
    let since = DAY_ZERO.time().duration_until(time);
    i64::try_from(since.as_micros()).ok()
}

fn show_date(date: Date, out: &mut String) -> Option<()> {
    write!(
        out,
        "{:04}-{:02}-{:02}",
        date.year(),
        date.month(),
        date.day()
    )
    .ok()
}

fn show_time(micros: i64, out: &mut String) -> Option<()> {
    if !(0..=DAY).contains(&micros) {
        return None;
    }
    let time = SignedDuration::from_micros(micros);
    let seconds = time.as_secs();
    write!(
        out,
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
    .ok()?;
    let part = time.subsec_micros();
    if part != 0 {
        let start = out.len();
        write!(out, ".{part:06}").ok()?;
        let kept = out.get(start..)?.trim_end_matches('0').len();
        out.truncate(start.checked_add(kept)?);
    }
    Some(())
}

fn show_zone(east: i32, out: &mut String) {
    let sign = if east < 0 { '-' } else { '+' };
    let seconds = east.unsigned_abs();
    // Writing to a `String` cannot fail.
    let mut _ok = write!(out, "{sign}{:02}", seconds / 3600);
    if !seconds.is_multiple_of(3600) {
        _ok = write!(out, ":{:02}", seconds / 60 % 60);
    }
    if !seconds.is_multiple_of(60) {
        _ok = write!(out, ":{:02}", seconds % 60);
    }
}

/// Text before its zone, and the zone in seconds east of Greenwich.
fn split_zone(text: &str) -> Option<(&str, i32)> {
    if let Some(utc) = text.strip_suffix('Z') {
        return Some((utc, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let (local, zone) = text.split_at_checked(at)?;
    let (units, zone) = match zone.strip_prefix('-') {
        Some(zone) => ([-3600, -60, -1], zone),
        None => ([3600, 60, 1], zone.strip_prefix('+')?),
    };
    let mut seconds = 0_i32;
    for (part, unit) in zone.split(':').zip(units) {
        let is_form = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if !is_form {
            return None;
        }
        seconds = seconds.checked_add(part.parse::<i32>().ok()?.checked_mul(unit)?)?;
    }
    Some((local, seconds))
}
