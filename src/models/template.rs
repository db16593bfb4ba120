//! Chat templates: Jinja as `transformers` renders it, from a file that nobody vouches for.

use minijinja::{Environment, Error, ErrorKind, Value};
use serde::{Deserialize, Serialize};
use std::io;

/// Steps that a template may take: a loop without end stops here.
const FUEL: u64 = 5_000_000;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
}

impl Role {
    /// As templates and files call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

impl Message {
    /// A turn of the user's.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// The system prompt.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }

    /// A turn of the model's.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// A chat template with the tokens that it may name.
pub struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl Template {
    /// Compiles `source`. `bos` and `eos` are the tokens as text.
    ///
    /// # Errors
    /// What Jinja says about it.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        let syntax = minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| words(&e))?);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(64);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |why: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, why))
        });
        environment.add_function("strftime_now", |format: String| today(&format));
        // Python's json.dumps: nothing is escaped for HTML.
        environment.add_filter("tojson", |value: Value, options: minijinja::value::Kwargs| -> Result<String, Error> {
            let indent = options.get::<Option<usize>>("indent")?;
            options.assert_all_used()?;
            python_json(&value, indent).map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))
        });
        environment.add_template_owned("chat", source.to_owned()).map_err(|e| words(&e))?;
        Ok(Self { environment, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// The prompt that `messages` make, up to where the model begins to answer.
    ///
    /// # Errors
    /// What the template says: some refuse roles or an order of them.
    pub fn render(&self, messages: &[Message]) -> Result<String, String> {
        let template = self.environment.get_template("chat").map_err(|e| words(&e))?;
        let turns: Vec<Value> = messages
            .iter()
            .map(|m| {
                Value::from_pairs([("role", Value::from(m.role.name())), ("content", Value::from(m.content.as_str()))])
            })
            .collect();
        let context = minijinja::context! {
            messages => turns,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
            add_generation_prompt => true,
        };
        template.render(context).map_err(|e| words(&e))
    }
}

/// JSON as Python's `json.dumps` writes it: a space after commas and colons, or indented.
fn python_json(value: &Value, indent: Option<usize>) -> serde_json::Result<String> {
    let mut out = Vec::new();
    let result = match indent {
        Some(count) => {
            let spaces = " ".repeat(count.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Spaced)),
    };
    result.map(|()| String::from_utf8_lossy(&out).into_owned())
}

/// Python's separators.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// An error of the template's with its cause, on one line.
fn words(error: &Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return "it does not come to an end".into();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.replace('\n', " ")
}

/// Today (UTC) in the few `strftime` fields that templates use.
fn today(format: &str) -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (year, month, day) = civil((seconds / 86_400).cast_signed());
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
    let name = MONTHS[month - 1];
    format
        .replace("%Y", &year.to_string())
        .replace("%m", &format!("{month:02}"))
        .replace("%d", &format!("{day:02}"))
        .replace("%B", name)
        .replace("%b", &name[..3])
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
    fn templates_that_never_end_or_refuse_say_so() {
        let endless = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
        let template = Template::new(endless, "", "").expect("compiles");
        assert!(template.render(&[Message::user("hi")]).unwrap_err().contains("end"));
        let refusing = "{{ raise_exception('roles must alternate') }}";
        let template = Template::new(refusing, "", "").expect("compiles");
        assert!(template.render(&[Message::user("hi")]).unwrap_err().contains("alternate"));
        assert!(Template::new("{% if %}", "", "").is_err());
        let macros = "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}";
        let template = Template::new(macros, "", "").expect("compiles");
        assert!(template.render(&[Message::user("hi")]).is_err());
    }

    #[test]
    fn python_habits_work() {
        let source = "{%- for m in messages -%}\n{%- if m.role == 'user' and m['content'].strip().startswith('a') -%}\n[{{ m.content | trim }}|{{ {'k': '<é>'} | tojson }}]\n{%- endif -%}\n{%- endfor -%}";
        let template = Template::new(source, "", "").expect("compiles");
        let text = template.render(&[Message::user(" a b "), Message::assistant("c")]).expect("renders");
        assert_eq!(text, "[a b|{\"k\": \"<é>\"}]");
    }
}
