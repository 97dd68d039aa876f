//! `numeric`: digits to the base of 10 000, and decimal text.

use std::fmt::Write;

const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

pub(super) fn decode(bytes: &[u8], out: &mut String) -> Option<()> {
    let (head, digits) = bytes.as_chunks::<2>().0.split_at_checked(4)?;
    let [count, weight, sign, scale] = head else {
        return None;
    };
    let count = usize::from(u16::from_be_bytes(*count));
    if digits.len() != count || !bytes.as_chunks::<2>().1.is_empty() {
        return None;
    }
    match u16::from_be_bytes(*sign) {
        0 => {}
        NEGATIVE => out.push('-'),
        NOT_A_NUMBER => out.push_str("NaN"),
        INFINITY => out.push_str("Infinity"),
        NEGATIVE_INFINITY => out.push_str("-Infinity"),
        _ => return None,
    }
    if u16::from_be_bytes(*sign) >= NOT_A_NUMBER {
        return Some(());
    }
    let digit = |index: i32| -> Option<u16> {
        let found = usize::try_from(index).ok().and_then(|i| digits.get(i));
        let value = found.map_or(0, |pair| u16::from_be_bytes(*pair));
        (value < 10_000).then_some(value)
    };
    let weight = i32::from(i16::from_be_bytes(*weight));
    if weight < 0 {
        out.push('0');
    }
    for index in 0..=weight {
        let value = digit(index)?;
        // Writing to a `String` cannot fail.
        let _ok = match index {
            0 => write!(out, "{value}"),
            _ => write!(out, "{value:04}"),
        };
    }
    fraction(usize::from(u16::from_be_bytes(*scale)), weight, digit, out)
}

fn fraction(
    scale: usize,
    weight: i32,
    digit: impl Fn(i32) -> Option<u16>,
    out: &mut String,
) -> Option<()> {
    if scale == 0 {
        return Some(());
    }
    out.push('.');
    let end = out.len().checked_add(scale)?;
    let mut index = weight.checked_add(1)?;
    while out.len() < end {
        let _ok = write!(out, "{:04}", digit(index)?);
        index = index.checked_add(1)?;
    }
    out.truncate(end);
    Some(())
}

pub(super) fn encode(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let special = match text {
        "NaN" => Some(NOT_A_NUMBER),
        "Infinity" => Some(INFINITY),
        "-Infinity" => Some(NEGATIVE_INFINITY),
        _ => None,
    };
    if let Some(sign) = special {
        head(out, 0, 0, sign, 0);
        return Some(());
    }
    let (sign, plain) = match text.strip_prefix('-') {
        Some(plain) => (NEGATIVE, plain),
        None => (0, text),
    };
    let (whole, part) = plain.split_once('.').unwrap_or((plain, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let mut digits = Vec::with_capacity((text.len() / 4).saturating_add(2));
    let first = whole.len() % 4;
    let (lead, rest) = whole.split_at_checked(first)?;
    if !lead.is_empty() {
        digits.push(lead.parse::<u16>().ok()?);
    }
    groups(rest, &mut digits)?;
    let mut weight = i16::try_from(digits.len()).ok()?.checked_sub(1)?;
    groups(part, &mut digits)?;
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let mut digits = digits.get(zeros..)?;
    weight = weight.checked_sub(i16::try_from(zeros).ok()?)?;
    while let [before @ .., 0] = digits {
        digits = before;
    }
    let (sign, weight) = if digits.is_empty() {
        (0, 0)
    } else {
        (sign, weight)
    };
    head(
        out,
        u16::try_from(digits.len()).ok()?,
        weight,
        sign,
        u16::try_from(part.len()).ok()?,
    );
    out.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
    Some(())
}

/// Groups of four digits from the left; the last is filled up with zeros.
fn groups(text: &str, digits: &mut Vec<u16>) -> Option<()> {
    for group in text.as_bytes().chunks(4) {
        let mut value = 0;
        for at in 0..4 {
            let digit = group.get(at).map_or(0, |b| u16::from(b.wrapping_sub(b'0')));
            value = u16::checked_add(u16::checked_mul(value, 10)?, digit)?;
        }
        digits.push(value);
    }
    Some(())
}

fn head(out: &mut Vec<u8>, count: u16, weight: i16, sign: u16, scale: u16) {
    out.extend(count.to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(scale.to_be_bytes());
}
