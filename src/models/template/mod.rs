//! Chat templates: Jinja as `transformers` renders it, from a file that nobody vouches for.
//!
//! `minijinja` runs them. What Jinja does to white space and what Python does with values, it does
//! differently: `translate` writes each template anew for it, `python` adds what is missing.
//!
//! Known to differ from `transformers`, as far as public templates go without consequence: `break`
//! and `continue` out of a `with`, `filter`, block `set` or loop's `else` are refused, so are names
//! beyond ASCII and `\N{…}`; macros have no `varargs` and `kwargs`; kinds that do not compare give
//! false instead of an error; `autoescape` and `Markup` do nothing.

mod clock;
mod expression;
mod lexer;
mod literals;
mod parser;
mod python;
mod translate;

use clock::Moment;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde::{Deserialize, Serialize};

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
    /// Names of special tokens with their text.
    tokens: Vec<(String, String)>,
}

impl Template {
    /// Compiles `source`. `bos` and `eos` are the tokens as text, empty where there is none.
    ///
    /// # Errors
    /// What Jinja says about it.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        // White space is dealt with by the translation.
        let syntax = minijinja::syntax::SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|e| words(&e))?);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(64);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        python::install(&mut environment);
        environment.add_function("raise_exception", |why: Value| -> Result<Value, Error> {
            let refusal = Refusal(python::shown(&why)?);
            Err(Error::new(ErrorKind::InvalidOperation, "the template refuses").with_source(refusal))
        });
        environment.add_function("strftime_now", |format: String| Moment::now().strftime(&format));
        let translated = translate::translated(source)?;
        environment.add_template_owned("chat", translated).map_err(|e| words(&e))?;
        let template = Self { environment, tokens: Vec::new() };
        Ok(template.with_token("bos_token", bos).with_token("eos_token", eos))
    }

    /// Also knows a token (`pad_token`, `unk_token`) by its text; an empty one stays undefined.
    #[must_use]
    pub fn with_token(mut self, name: &str, text: &str) -> Self {
        if !text.is_empty() {
            self.tokens.push((name.to_owned(), text.to_owned()));
        }
        self
    }

    /// Takes the moment that is `seconds` after the beginning of 1970, on the wall's clock, for now.
    #[must_use]
    pub fn at(mut self, seconds: i64) -> Self {
        let moment = Moment::at(seconds);
        self.environment.add_function("strftime_now", move |format: String| moment.strftime(&format));
        self
    }

    /// The prompt that `messages` make, up to where the model begins to answer.
    ///
    /// # Errors
    /// What the template says: some refuse roles or an order of them. Words that it chose itself
    /// (`raise_exception`) come as they are.
    pub fn render(&self, messages: &[Message]) -> Result<String, String> {
        self.render_with(&serde_json::json!(messages), &serde_json::Map::new())
    }

    /// As [`Self::render`], with messages in any form that the template knows, and what else it may
    /// ask for (`tools`, `enable_thinking`, `add_generation_prompt`, …). What is not given is
    /// undefined, except as `transformers` has it: `tools` and `documents` are None.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_with(
        &self,
        messages: &serde_json::Value,
        given: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, String> {
        let template = self.environment.get_template("chat").map_err(|e| words(&e))?;
        let mut context: Vec<(&str, Value)> = vec![
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(true)),
        ];
        context.extend(self.tokens.iter().map(|(name, text)| (name.as_str(), Value::from(text.as_str()))));
        context.extend(given.iter().map(|(name, value)| (name.as_str(), Value::from(Serde(value)))));
        context.push(("messages", Value::from(Serde(messages))));
        template.render(Value::from_pairs(context)).map_err(|e| words(&e))
    }
}

/// What a template says with `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

/// An error of the template's with its cause, on one line; of a refusal only its words.
fn words(error: &Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return "it does not come to an end".into();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(Refusal(why)) = cause.downcast_ref() {
            return why.clone();
        }
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(source: &str, content: &str) -> Result<String, String> {
        Template::new(source, "", "").and_then(|template| template.render(&[Message::user(content)]))
    }

    #[test]
    fn templates_that_never_end_or_refuse_say_so() {
        let endless = "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
        assert!(rendered(endless, "hi").unwrap_err().contains("end"));
        let refusing = "{{ raise_exception('Roles: must\nalternate') }}";
        assert_eq!(rendered(refusing, "hi").unwrap_err(), "Roles: must\nalternate");
        assert!(Template::new("{% if %}", "", "").is_err());
        assert!(rendered("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "hi").is_err());
        let wrong = rendered("{% if true %}\n  x\n{% endif %}\n\n{{ 'a' + 1 }}", "hi").unwrap_err();
        assert!(wrong.contains("chat:5"), "{wrong}");
    }

    #[test]
    fn python_habits_work() {
        let source = "{%- for m in messages -%}\n{%- if m.role == 'user' and m['content'].strip().startswith('a') -%}\n[{{ m.content | trim }}|{{ {'k': '<é>'} | tojson }}]\n{%- endif -%}\n{%- endfor -%}";
        let template = Template::new(source, "", "").expect("compiles");
        let text = template.render(&[Message::user(" a b "), Message::assistant("c")]).expect("renders");
        assert_eq!(text, "[a b|{\"k\": \"<é>\"}]");
    }

    #[test]
    fn marks_around_what_people_wrote_come_out_of_everything() {
        let written = "\u{fdd0}a b\u{fdd1}";
        let whole = [
            "c",
            "c | tojson",
            "c | tojson(ensure_ascii=true)",
            "c | trim",
            "c.strip()",
            "c | string",
            "c | list | join",
            "[c] | join",
            "[c]",
            "{'k': c}",
            "(c,)",
            "'%s' % c",
            "'%r' % c",
            "'{}'.format(c)",
            "c ~ ''",
            "c + ''",
            "c | e",
            "c | indent",
            "c | safe",
            "c | replace('x', 'y')",
            "c.replace('x', 'y')",
            "c.splitlines()[0]",
            "c | lower",
            "c.split(' ') | join(' ')",
            "messages",
            "messages | map(attribute='content') | first",
            "c | reverse | reverse",
            "c | truncate(99)",
            "c | center(20)",
            "c.partition('x')[0]",
            "c.expandtabs()",
            "[c] | sort | first",
            "c[:]",
            "[c] | unique | first",
            "c | striptags",
            "c | format",
            "c.casefold()",
            "c.removeprefix('x')",
            "c.ljust(30)",
        ];
        for expression in whole {
            let source = format!("{{% set c = messages[0].content %}}{{{{ {expression} }}}}");
            let text = rendered(&source, written).unwrap_or_else(|why| panic!("{expression}: {why}"));
            assert!(text.contains(written), "{expression}: {text:?}");
        }
        for expression in ["c | upper", "c | title", "c.title()", "c | capitalize", "c.swapcase()"] {
            let source = format!("{{% set c = messages[0].content %}}{{{{ {expression} }}}}");
            let text = rendered(&source, written).expect(expression);
            assert!(text.starts_with('\u{fdd0}') && text.ends_with('\u{fdd1}'), "{expression}: {text:?}");
        }
    }

    /// Each of these once took the whole program with it, or all memory, or minutes.
    #[test]
    fn hostile_templates_are_refused() {
        let (many, loops) = (100_000, "{% for i in range(90000) %}");
        let grown = |first: &str, next: &str, end: &str| {
            let again = format!("{loops}{{% set ns.x = {next} %}}{{% endfor %}}");
            format!("{{% set ns = namespace(x={first}) %}}{again}{end}")
        };
        let mut sources = vec![
            grown("[]", "[ns.x]", ""),
            grown("{}", "{'a': ns.x}", ""),
            grown("()", "(ns.x,)", ""),
            grown("{}", "{'a': ns.x}.items()", ""),
            grown("[1]", "[ns.x, ns.x]", "{{ [ns.x] == [[ns.x]] }}"),
            grown("'a'", "ns.x + ns.x", ""),
            grown("'a'", "ns.x ~ ns.x", ""),
            grown("'a'", "ns.x.replace('a', 'aaaaaaaaaa')", ""),
            grown("'a'", "'%s%s%s' % (ns.x, ns.x, ns.x)", ""),
            grown("[1]", "ns.x + ns.x", ""),
            grown("'a'", "ns", "{{ ns }}"),
            format!("{{% set l = range(99999) | list %}}{loops}{{{{ l.count(5) }}}}{{% endfor %}}"),
            // minijinja lost count of what is open.
            format!("{loops}{{% with %}}{{% break %}}{{% endwith %}}{{% endfor %}}"),
            "{% for i in [] %}{% else %}{% break %}{% endfor %}".into(),
            format!("{{{{ 1{} }}}}", " - 1".repeat(many)),
            format!("{{{{ {}1 }}}}", "not ".repeat(many)),
            format!("{{{{ {}1 }}}}", "-".repeat(many)),
            format!("{{{{ {}1{} }}}}", "(".repeat(many), ")".repeat(many)),
            format!("{{{{ {}1{} }}}}", "[".repeat(many), "]".repeat(many)),
            format!("{{{{ messages{} }}}}", ".a".repeat(many)),
            format!("{{{{ 1{} }}}}", "|abs".repeat(many)),
            format!("{{{{ 1{} }}}}", " and 1".repeat(many)),
            format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(many)),
            "{% generation %}".repeat(many),
            "{".repeat(many),
        ];
        let wide = ["'a' * 10**9", "[1] * 10**9", "'%1000000000d' % 1", "'%*d' % (10**9, 1)", "'a'.ljust(10**9)"];
        let wider =
            ["'{:1000000000}'.format(1)", "'a'.zfill(10**12)", "'\\t'.expandtabs(10**9)", "'a\\nb' | indent(10**9)"];
        sources.extend(wide.into_iter().chain(wider).map(|expression| format!("{{{{ {expression} }}}}")));
        for source in sources {
            let shown: String = source.chars().take(90).collect();
            assert!(rendered(&source, "hi").is_err(), "{shown}");
        }
    }
}
