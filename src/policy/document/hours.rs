//! `hours`: on which days, from when to when, in which time zone.

use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::config::problem::Problems;
use crate::config::table::Table;
use crate::model::time::Timestamp;
use crate::policy::document::who::unknown;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A window that comes back every week.
#[derive(Debug, Clone)]
pub struct Hours {
    days: [bool; 7],
    from: Time,
    to: Time,
    zone: TimeZone,
}

impl Hours {
    /// Whether the moment lies in it. A window whose end is before its start goes past midnight, on the day it began.
    #[must_use]
    pub fn contain(&self, now: Timestamp) -> bool {
        let Ok(moment) = jiff::Timestamp::from_microsecond(now.micros()) else {
            // Outside of what a calendar can name: no window is open.
            return false;
        };
        let local = moment.to_zoned(self.zone.clone());
        let time = local.time();
        let today = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or_default();
        let is_day = |day: usize| self.days.get(day % 7).copied().unwrap_or_default();
        if self.from < self.to {
            return is_day(today) && self.from <= time && time < self.to;
        }
        (is_day(today) && time >= self.from) || (is_day(today + 6) && time < self.to)
    }

    pub(super) fn read(parent: &mut Table<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = parent.table("hours", problems)?;
        let days = table.read("days", days, problems);
        let from = table.read("from", time, problems);
        let to = table.read("to", time, problems);
        let zone = table.read("zone", zone, problems);
        let days = if table.has("days") {
            days
        } else {
            Some([true; 7])
        };
        let from = table.require("from", from, problems);
        let to = table.require("to", to, problems);
        let zone = table.require("zone", zone, problems);
        table.finish(problems);
        Some(Self {
            days: days?,
            from: from?,
            to: to?,
            zone: zone?,
        })
    }
}

/// `mon-fri` or `sat,sun`.
fn days(text: &str) -> Result<[bool; 7], String> {
    let number = |day: &str| {
        let day = day.trim();
        let at = DAYS.iter().position(|known| *known == day);
        at.ok_or_else(|| unknown("day", day, &DAYS))
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        let last = if last < first { last + 7 } else { last };
        for day in first..=last {
            if let Some(slot) = days.get_mut(day % 7) {
                *slot = true;
            }
        }
    }
    Ok(days)
}

fn time(text: &str) -> Result<Time, String> {
    Time::strptime("%H:%M", text).map_err(|_| format!("`{text}` is no time of day; write `08:30`"))
}

fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| {
        format!("`{text}` is no time zone; write for example `Europe/Berlin` or `UTC`")
    })
}
