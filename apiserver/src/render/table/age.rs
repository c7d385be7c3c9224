//! Durations as people read them: two units at most, one when it is all that counts.

use jiff::Timestamp;

/// The time from a moment, given in RFC 3339, until now.
pub(crate) fn since(moment: &str, now: Timestamp) -> String {
    match moment.parse::<Timestamp>() {
        Ok(moment) => seconds(now.as_second().saturating_sub(moment.as_second())),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// A number of seconds in the form of `kubectl`.
pub(crate) fn seconds(seconds: i64) -> String {
    let per = |unit: i64| seconds.checked_div(unit).unwrap_or(0);
    let rest = |unit: i64, of: i64| per(unit).checked_rem(of).unwrap_or(0);
    let two = |first: (i64, char), second: (i64, char)| {
        if second.0 == 0 {
            format!("{}{}", first.0, first.1)
        } else {
            format!("{}{}{}{}", first.0, first.1, second.0, second.1)
        }
    };
    let (minutes, hours, days) = (per(60), per(3600), per(86_400));
    let years = days.checked_div(365).unwrap_or(0);
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two((minutes, 'm'), (rest(1, 60), 's')),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two((hours, 'h'), (rest(60, 60), 'm')),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two((days, 'd'), (rest(3600, 24), 'h')),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two((years, 'y'), (days.checked_rem(365).unwrap_or(0), 'd')),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_as_kubectl_writes_them() {
        let table = [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (315_360_000, "10y"),
        ];
        for (given, expected) in table {
            assert_eq!(seconds(given), expected, "{given}");
        }
    }
}
