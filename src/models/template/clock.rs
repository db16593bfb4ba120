//! Local time and Python's `strftime` in the C locale, as `datetime.now().strftime(…)` has it on
//! Linux (glibc's fields and flags).

use std::fmt::Write;
use std::time::SystemTime;

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Widest field.
const WIDEST: usize = 999;

/// A moment as a clock on the wall shows it, without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    year: i64,
    /// From 1.
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    /// Days since 1970.
    days: i64,
    /// Seconds since 1970, UTC.
    epoch: i64,
}

impl Moment {
    /// Now, where this computer is (`TZ`, else its own setting, else UTC).
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = since.as_secs().cast_signed();
        let offset = jiff::Timestamp::from_second(epoch)
            .map_or(0, |now| i64::from(jiff::tz::TimeZone::system().to_offset(now).seconds()));
        Self { microsecond: i64::from(since.subsec_micros()), epoch, ..Self::at(epoch.saturating_add(offset)) }
    }

    /// `seconds` after the beginning of 1970, on the wall's clock.
    pub fn at(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
        Self { year, month, day: day as i64, hour, minute, second, microsecond: 0, days, epoch: seconds }
    }

    /// From 0, Monday.
    fn weekday(self) -> i64 {
        (self.days + 3).rem_euclid(7)
    }

    /// From 0.
    fn day_of_year(self) -> i64 {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][self.month - 1];
        before + self.day - 1 + i64::from(self.month > 2 && is_leap(self.year))
    }

    /// Year and week of ISO 8601: weeks begin on Monday, the first has the year's first Thursday.
    fn iso_week(self) -> (i64, i64) {
        let week = (self.day_of_year() - self.weekday() + 10) / 7;
        if week < 1 {
            return (self.year - 1, weeks_in(self.year - 1));
        }
        if week > weeks_in(self.year) { (self.year + 1, 1) } else { (self.year, week) }
    }

    fn hour_of_twelve(self) -> i64 {
        (self.hour + 11) % 12 + 1
    }

    /// Python's `strftime`. Unknown fields stay as they are.
    pub fn strftime(self, format: &str) -> String {
        let mut out = String::with_capacity(format.len() * 2);
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            let whole = after;
            let field = Field::read(after);
            rest = field.rest;
            match field.kind.and_then(|kind| self.field(kind, &field)) {
                Some(text) => out.push_str(&text),
                None => {
                    out.push('%');
                    out.push_str(&whole[..whole.len() - rest.len()]);
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// What the field `kind` says.
    fn field(self, kind: char, field: &Field<'_>) -> Option<String> {
        let number = |value: i64, width: usize, pad: char| Some(field.number(value, width, pad));
        let parts = |format: &str| Some(field.text(&self.strftime(format)));
        match kind {
            'Y' => number(self.year, 1, '0'),
            'C' => number(self.year.div_euclid(100), 2, '0'),
            'y' => number(self.year.rem_euclid(100), 2, '0'),
            'G' => number(self.iso_week().0, 1, '0'),
            'g' => number(self.iso_week().0.rem_euclid(100), 2, '0'),
            'm' => number(self.month as i64, 2, '0'),
            'd' => number(self.day, 2, '0'),
            'e' => number(self.day, 2, ' '),
            'H' => number(self.hour, 2, '0'),
            'k' => number(self.hour, 2, ' '),
            'I' => number(self.hour_of_twelve(), 2, '0'),
            'l' => number(self.hour_of_twelve(), 2, ' '),
            'M' => number(self.minute, 2, '0'),
            'S' => number(self.second, 2, '0'),
            'j' => number(self.day_of_year() + 1, 3, '0'),
            'U' => number((self.day_of_year() + 7 - (self.weekday() + 1) % 7) / 7, 2, '0'),
            'W' => number((self.day_of_year() + 7 - self.weekday()) / 7, 2, '0'),
            'V' => number(self.iso_week().1, 2, '0'),
            'u' => number(self.weekday() + 1, 1, '0'),
            'w' => number((self.weekday() + 1) % 7, 1, '0'),
            's' => number(self.epoch, 1, '0'),
            // Python's own, before the C library sees it.
            'f' if field.is_plain() => Some(format!("{:06}", self.microsecond)),
            // The moment has no zone.
            'z' | 'Z' => Some(String::new()),
            'B' => Some(field.text(MONTHS[self.month - 1])),
            'b' | 'h' => Some(field.text(&MONTHS[self.month - 1][..3])),
            'A' => Some(field.text(DAYS[self.weekday() as usize])),
            'a' => Some(field.text(&DAYS[self.weekday() as usize][..3])),
            'p' => Some(field.text(match (self.hour < 12, field.swapped) {
                (true, false) => "AM",
                (false, false) => "PM",
                (true, true) => "am",
                (false, true) => "pm",
            })),
            'P' => Some(field.text(if self.hour < 12 { "am" } else { "pm" })),
            'c' => parts("%a %b %e %H:%M:%S %Y"),
            'D' | 'x' => parts("%m/%d/%y"),
            'F' => parts("%Y-%m-%d"),
            'R' => parts("%H:%M"),
            'r' => parts("%I:%M:%S %p"),
            'T' | 'X' => parts("%H:%M:%S"),
            'n' => Some("\n".into()),
            't' => Some("\t".into()),
            '%' => Some(field.text("%")),
            _ => None,
        }
    }
}

/// One field: `%`, flags, width, `E` or `O`, and what it is.
struct Field<'a> {
    flag: Option<char>,
    upper: bool,
    swapped: bool,
    width: Option<usize>,
    kind: Option<char>,
    rest: &'a str,
}

impl<'a> Field<'a> {
    fn read(text: &'a str) -> Self {
        let mut field = Self { flag: None, upper: false, swapped: false, width: None, kind: None, rest: text };
        while let Some(flag) = field.rest.chars().next().filter(|c| "_-0^#".contains(*c)) {
            match flag {
                '^' => field.upper = true,
                '#' => field.swapped = true,
                flag => field.flag = Some(flag),
            }
            field.rest = &field.rest[1..];
        }
        let digits = field.rest.len() - field.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            field.width = Some(field.rest[..digits].parse().unwrap_or(WIDEST).min(WIDEST));
            field.rest = &field.rest[digits..];
        }
        field.rest = field.rest.strip_prefix(['E', 'O']).unwrap_or(field.rest);
        if let Some(kind) = field.rest.chars().next() {
            field.kind = Some(kind);
            field.rest = &field.rest[kind.len_utf8()..];
        }
        field
    }

    fn is_plain(&self) -> bool {
        self.flag.is_none() && !self.upper && !self.swapped && self.width.is_none()
    }

    fn number(&self, value: i64, width: usize, pad: char) -> String {
        let mut digits = String::new();
        let _ = write!(digits, "{}", value.abs());
        let pad = match self.flag {
            Some('-') => None,
            Some('_') => Some(' '),
            Some('0') => Some('0'),
            _ => Some(pad),
        };
        let sign = if value < 0 { "-" } else { "" };
        let missing = self.width.unwrap_or(width).saturating_sub(digits.len() + sign.len());
        match pad {
            // glibc still fills up to a width that is asked for.
            None if self.width.is_some() => format!("{}{sign}{digits}", " ".repeat(missing)),
            None => format!("{sign}{digits}"),
            Some('0') => format!("{sign}{}{digits}", "0".repeat(missing)),
            Some(pad) => format!("{}{sign}{digits}", pad.to_string().repeat(missing)),
        }
    }

    fn text(&self, text: &str) -> String {
        // Of names: fields made of others keep their letters under `#`.
        let large = self.upper || (self.swapped && matches!(self.kind, Some('a' | 'A' | 'b' | 'B' | 'h')));
        let text = if large { text.to_uppercase() } else { text.to_owned() };
        let missing = self.width.unwrap_or(0).saturating_sub(text.len());
        let pad = if self.flag == Some('0') { "0" } else { " " };
        format!("{}{text}", pad.repeat(missing))
    }
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

/// Weeks of a year by ISO 8601.
fn weeks_in(year: i64) -> i64 {
    // 31 December of a year falls on Thursday, or that of the year before on Wednesday.
    let last = |year: i64| (year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400)).rem_euclid(7);
    52 + i64::from(last(year) == 4 || last(year - 1) == 3)
}

/// Year, month and day of a count of days since 1970 (Howard Hinnant, "chrono-compatible
/// low-level date algorithms", `civil_from_days`).
pub fn civil(days: i64) -> (i64, usize, usize) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month as usize, day as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(20_781), (2026, 11, 24));
        assert_eq!(civil(11_016), (2000, 2, 29));
    }

    #[test]
    fn now_is_local_and_close_to_the_system_clock() {
        let system = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        let now = Moment::now();
        assert!((now.epoch - system.cast_signed()).abs() < 5);
        let offset = now.days * 86_400 + now.hour * 3_600 + now.minute * 60 + now.second - now.epoch;
        assert!(offset.abs() <= 86_400, "zones are less than a day off");
    }
}
