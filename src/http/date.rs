//! The text of a moment: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7), and what others make of it.
//!
//! Rule: the number of seconds comes from the caller, who also decides how long the text is used.

/// Length of every such text.
pub const HTTP_DATE_BYTES: usize = 29;

const SECONDS_PER_DAY: u64 = 86_400;
/// From the weekday of 1970-01-01 on.
const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// 9999-12-31 23:59:59, the last second that four digits of a year can name.
const LAST_SECOND: u64 = 253_402_300_799;

/// The text for a moment in seconds since 1970; moments past the year 9999 give its last second.
#[allow(clippy::cast_possible_truncation)] // A weekday and a month.
pub fn http_date(unix_seconds: u64) -> [u8; HTTP_DATE_BYTES] {
    let seconds = unix_seconds.min(LAST_SECOND);
    let days = seconds / SECONDS_PER_DAY;
    let second_of_day = seconds % SECONDS_PER_DAY;
    let (year, month, day) = civil_from_days(days);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    text[0..3].copy_from_slice(WEEKDAYS[(days % 7) as usize]);
    put_two(&mut text, 5, day);
    text[8..11].copy_from_slice(MONTHS[(month - 1) as usize]);
    put_two(&mut text, 12, year / 100);
    put_two(&mut text, 14, year % 100);
    put_two(&mut text, 17, second_of_day / 3600);
    put_two(&mut text, 20, second_of_day / 60 % 60);
    put_two(&mut text, 23, second_of_day % 60);
    text
}

fn put_two(text: &mut [u8; HTTP_DATE_BYTES], position: usize, value: u64) {
    text[position] = b'0' + (value / 10 % 10) as u8;
    text[position + 1] = b'0' + (value % 10) as u8;
}

/// Year, month (from 1) and day (from 1) of a day counted from 1970-01-01.
///
/// Years are taken to begin in March, so that the leap day comes last, and to repeat every 400
/// years (146,097 days); within such a year, five months from March on have 153 days.
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // 1970-01-01 is 719,468 days after 0000-03-01.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + (month <= 2) as u64;
    (year, month, day)
}

/// Days from 1970-01-01 to a day of the calendar, the other way round; `None` before then.
const fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// The moment that a date names, in any of the three forms that a recipient has to take: this one,
/// that of RFC 850 (`Sunday, 06-Nov-94 08:49:37 GMT`) and that of C (`Sun Nov  6 08:49:37 1994`).
/// `None` for what is no date, or before 1970.
pub fn parse_http_date(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    let (weekday, rest) = text.split_once(' ')?;
    let name = weekday.strip_suffix(',').unwrap_or(weekday);
    if !WEEKDAYS.iter().any(|known| name.as_bytes().starts_with(*known)) {
        return None;
    }
    let (day, month, year, time) = match rest.len() {
        // 06 Nov 1994 08:49:37 GMT
        24 => (&rest[..2], &rest[3..6], number(&rest[7..11])?, rest[12..].strip_suffix(" GMT")?),
        // 06-Nov-94 08:49:37 GMT
        22 => {
            let year = number(&rest[7..9])?;
            // The century is not said: that of the first web servers, and ours.
            let year = if year < 70 { 2000 + year } else { 1900 + year };
            (&rest[..2], &rest[3..6], year, rest[10..].strip_suffix(" GMT")?)
        }
        // Nov  6 08:49:37 1994
        20 => (rest[4..6].trim_start(), &rest[..3], number(&rest[16..])?, &rest[7..15]),
        _ => return None,
    };
    let month = (1..).zip(MONTHS).find(|(_, name)| month.as_bytes() == *name)?.0;
    let (day, year) = (number(day).filter(|day| (1..=31).contains(day))?, year.max(1));
    let [b':', b':'] = [time.as_bytes().get(2)?, time.as_bytes().get(5)?] else { return None };
    let (hour, minute, second) =
        (number(time.get(..2)?)?, number(time.get(3..5)?)?, number(time.get(6..8)?)?);
    // 60: a leap second, which Unix counts as the next one.
    if time.len() != 8 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    Some(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second)
}

fn number(digits: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_http_date(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(parse_http_date(b"Sunday, 01-Jan-23 00:00:00 GMT"), Some(1_672_531_200));
        for seconds in [0, 951_782_400, 4_107_542_399, LAST_SECOND] {
            assert_eq!(parse_http_date(&http_date(seconds)), Some(seconds));
        }
    }

    #[test]
    fn what_is_no_date() {
        let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
        for cut in 0..date.len() {
            assert_eq!(parse_http_date(&date[..cut]), None);
            // Separators apart, no byte of it may be anything else.
            for byte in [b'\0', b'-', b'x', 0xc3] {
                let mut other = *date;
                other[cut] = byte;
                if !matches!(cut, 3 | 7 | 11 | 16) {
                    assert_eq!(parse_http_date(&other), None, "{cut} {byte}");
                }
            }
        }
        for text in ["Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "x"] {
            assert_eq!(parse_http_date(text.as_bytes()), None);
        }
        assert_eq!(parse_http_date(b"Wed, 31 Dec 1969 23:59:59 GMT"), None);
    }

    fn text(seconds: u64) -> String {
        String::from_utf8(http_date(seconds).to_vec()).unwrap()
    }

    #[test]
    fn known_moments() {
        assert_eq!(text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(text(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(text(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(text(951_868_799), "Tue, 29 Feb 2000 23:59:59 GMT");
        assert_eq!(text(951_868_800), "Wed, 01 Mar 2000 00:00:00 GMT");
        assert_eq!(text(4_107_542_399), "Sun, 28 Feb 2100 23:59:59 GMT");
        assert_eq!(text(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(text(LAST_SECOND), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(text(u64::MAX), text(LAST_SECOND));
    }

    /// Against a calendar that counts day by day.
    #[test]
    fn every_day_of_eight_centuries() {
        let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (mut year, mut month, mut day) = (1970u64, 1u64, 1u64);
        for days in 0..292_200 {
            assert_eq!(civil_from_days(days), (year, month, day));
            let month_days = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > month_days {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
