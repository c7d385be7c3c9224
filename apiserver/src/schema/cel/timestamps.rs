//! The parts of timestamps and durations.

use jiff::tz::{Offset, TimeZone};

use super::eval::Outcome;
use super::fault::Fault;
use super::value::Val;

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Option<Outcome<'a>> {
    match args {
        [Val::Timestamp(at)] => part(name, *at, Ok(TimeZone::UTC)),
        [Val::Timestamp(at), Val::Text(zone)] => part(name, *at, time_zone(zone.as_str())),
        [Val::Duration(nanos)] => {
            let unit: i64 = match name {
                "getHours" => 3_600_000_000_000,
                "getMinutes" => 60_000_000_000,
                "getSeconds" => 1_000_000_000,
                "getMilliseconds" => 1_000_000,
                _ => return None,
            };
            Some(Ok(Val::Int(nanos.checked_div(unit).unwrap_or(0))))
        }
        _ => None,
    }
}

fn part<'a>(name: &str, at: jiff::Timestamp, zone: Result<TimeZone, Fault>) -> Option<Outcome<'a>> {
    let zoned = match zone {
        Ok(zone) => at.to_zoned(zone),
        Err(fault) => return Some(Err(fault)),
    };
    let less_one = |n: i8| i64::from(n).saturating_sub(1);
    let value = match name {
        "getFullYear" => i64::from(zoned.year()),
        "getMonth" => less_one(zoned.month()),
        "getDate" => i64::from(zoned.day()),
        "getDayOfMonth" => less_one(zoned.day()),
        "getDayOfWeek" => i64::from(zoned.weekday().to_sunday_zero_offset()),
        "getDayOfYear" => i64::from(zoned.day_of_year()).saturating_sub(1),
        "getHours" => i64::from(zoned.hour()),
        "getMinutes" => i64::from(zoned.minute()),
        "getSeconds" => i64::from(zoned.second()),
        "getMilliseconds" => i64::from(zoned.millisecond()),
        _ => return None,
    };
    Some(Ok(Val::Int(value)))
}

/// A zone by its name, or by its distance to UTC: `-08:00`.
fn time_zone(name: &str) -> Result<TimeZone, Fault> {
    let unknown = || Fault::Error(format!("unknown time zone {name}"));
    let Some((hours, minutes)) = name.split_once(':') else {
        return TimeZone::get(name).map_err(|_| unknown());
    };
    let sign = if hours.starts_with('-') { -1 } else { 1 };
    let hours: i32 = hours
        .trim_start_matches(['+', '-'])
        .parse()
        .map_err(|_| unknown())?;
    let minutes: i32 = minutes.parse().map_err(|_| unknown())?;
    let seconds = hours
        .saturating_mul(3600)
        .saturating_add(minutes.saturating_mul(60))
        .saturating_mul(sign);
    Offset::from_seconds(seconds)
        .map(Offset::to_time_zone)
        .map_err(|_| unknown())
}
