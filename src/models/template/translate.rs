//! A Jinja template as `transformers` reads it, written anew for `minijinja`: white space is taken
//! away already, `{% generation %}` becomes a scope, and operators that differ become filters.
//! Lines stay lines, for errors.

use super::lexer::{self, Token};
use super::parser::Parser;

/// How many `elif` one `if` may have, and how many statements may be inside one another: they nest
/// in `minijinja` too.
const MOST_BRANCHES: usize = 200;
const DEEPEST: usize = 60;
/// Statements that have an end.
const OPENING: [&str; 9] = ["if", "for", "with", "generation", "macro", "call", "filter", "block", "autoescape"];

/// `source` for a `minijinja` that trims nothing.
///
/// # Errors
/// What is no Jinja, with its line.
pub fn translated(source: &str) -> Result<String, String> {
    let source = lexer::lines_united(source);
    let mut writer = Writer {
        parser: Parser::new(lexer::tokens(&source)?),
        out: String::with_capacity(source.len() * 2),
        line: 1,
        open: Vec::new(),
    };
    while let Some(token) = writer.parser.current().cloned() {
        match token {
            Token::Data(text) => {
                writer.parser.next();
                writer.data(text);
            }
            Token::PrintBegin => writer.print()?,
            _ => writer.statement()?,
        }
    }
    match writer.open.pop() {
        Some(open) => Err(format!("'{}' is not closed (line {})", open.word, open.line)),
        None => Ok(writer.out),
    }
}

struct Writer<'a> {
    parser: Parser<'a>,
    out: String,
    /// The line that is being written.
    line: usize,
    /// Statements that wait for their end.
    open: Vec<Open>,
}

/// A statement that has begun.
struct Open {
    word: &'static str,
    line: usize,
    /// `elif`s so far.
    branches: usize,
    /// Whether its `else` was there.
    other: bool,
}

impl Writer<'_> {
    fn write(&mut self, text: &str) {
        self.line += text.matches('\n').count();
        self.out.push_str(text);
    }

    /// Writes a tag on the line where the template has it.
    fn tag(&mut self, marks: [&str; 2], line: usize, body: &str) {
        self.write(marks[0]);
        self.write(&"\n".repeat(line.saturating_sub(self.line)));
        self.write(" ");
        self.write(body);
        self.write(" ");
        self.write(marks[1]);
    }

    /// Text that stays as it is: no brace of it begins a tag.
    fn data(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            self.write(&rest[..at]);
            rest = &rest[at + 1..];
            let begins = rest.is_empty() || rest.starts_with(['{', '%', '#']);
            self.write(if begins { "{{ \"{\" }}" } else { "{" });
        }
        self.write(rest);
    }

    fn print(&mut self) -> Result<(), String> {
        let line = self.parser.line();
        self.parser.next();
        let value = self.parser.tuple(true, None)?;
        if self.parser.current() != Some(&Token::PrintEnd) {
            return self.parser.unexpected("'}}'");
        }
        self.parser.next();
        self.tag(["{{", "}}"], line, &value);
        Ok(())
    }

    fn statement(&mut self) -> Result<(), String> {
        let line = self.parser.line();
        self.parser.next();
        let word = self.parser.name()?;
        let mut defaults = Vec::new();
        let innermost = self.open.last().map(|open| if open.other && open.word == "for" { "else" } else { open.word });
        let before = (self.open.len(), innermost);
        let body = match word {
            "print" => printed(&mut self.parser)?,
            "else" | "elif" => self.branch(word, line)?,
            "break" | "continue" => self.leave(word, line)?,
            _ => match word.strip_prefix("end") {
                Some(ended) => self.end(ended, line)?,
                None => self.begin(word, line, &mut defaults)?,
            },
        };
        self.parser.skip(":");
        if self.parser.current() != Some(&Token::BlockEnd) {
            return self.parser.unexpected("'%}'");
        }
        self.parser.next();
        self.scoped(word, before, line, &body);
        if word == "macro" || word == "call" {
            let names = self.parser.names_until_end();
            self.tag(["{%", "%}"], line, &format!("if false %}}{{{{ [{}] }}}}{{% endif", names.join(", ")));
        }
        for (name, value) in defaults {
            self.tag(["{%", "%}"], line, &format!("set {name} = ({value}) if {name} is undefined() else {name}"));
        }
        Ok(())
    }

    /// Writes a statement with the scopes that Jinja has there and `minijinja` does not: what is set
    /// in some blocks stays there. `open` says how many were open before, and the innermost.
    fn scoped(&mut self, word: &str, open: (usize, Option<&str>), line: usize, body: &str) {
        const BLOCK: [&str; 2] = ["{%", "%}"];
        let opens = open.0 < self.open.len();
        // The body of a loop's `else`, of a filter, of a `set`; a call, whose body would otherwise
        // remember what an earlier round of a loop has set.
        let before = match (word, open.1) {
            ("endfilter" | "endset", _) | ("endfor", Some("else")) => Some("endwith"),
            ("call", _) => Some("with"),
            _ => None,
        };
        let after = match (word, open.1) {
            ("else", Some("for")) => Some("with"),
            ("filter" | "set", _) if opens => Some("with"),
            ("endcall", _) => Some("endwith"),
            _ => None,
        };
        if let Some(scope) = before {
            self.tag(BLOCK, line, scope);
        }
        self.tag(if word == "print" { ["{{", "}}"] } else { BLOCK }, line, body);
        if let Some(scope) = after {
            self.tag(BLOCK, line, scope);
        }
    }

    /// A statement that is not about another one. What a macro's arguments are by default goes to
    /// `defaults`: there, unlike in `minijinja`, they may name arguments before them.
    fn begin(&mut self, word: &str, line: usize, defaults: &mut Vec<(String, String)>) -> Result<String, String> {
        let parser = &mut self.parser;
        let mut opens = OPENING.iter().find(|known| **known == word).copied();
        let body = match word {
            "if" => format!("if {}", parser.tuple(false, None)?),
            "for" => looped(parser)?,
            "set" => {
                let (body, is_block) = assigned(parser)?;
                opens = is_block.then_some("set");
                body
            }
            "with" => format!("with {}", assignments(parser)?),
            // `transformers` renders what is inside as a call's body: a scope of its own.
            "generation" => "with".into(),
            "macro" => format!("macro {}({})", parser.name()?, signature(parser, defaults)?),
            "call" if parser.is("(") => format!("call({}) {}", signature(parser, defaults)?, parser.expression()?),
            "call" => format!("call {}", parser.expression()?),
            "filter" => format!("filter {}", filters(parser)?),
            "block" => {
                let name = parser.name()?;
                parser.skip_word("scoped");
                parser.skip_word("required");
                format!("block {name}")
            }
            "autoescape" => format!("autoescape {}", parser.expression()?),
            _ => return Err(format!("'{word}' is no statement of a chat template (line {line})")),
        };
        if let Some(word) = opens {
            self.open.push(Open { word, line, branches: 0, other: false });
            if self.open.len() > DEEPEST {
                return Err(format!("statements nest too deep (line {line})"));
            }
        }
        Ok(body)
    }

    fn end(&mut self, ended: &str, line: usize) -> Result<String, String> {
        match self.open.pop() {
            Some(open) if open.word == ended => {}
            Some(open) => {
                let (word, began) = (open.word, open.line);
                return Err(format!("'end{ended}' where '{word}' of line {began} is open (line {line})"));
            }
            None => return Err(format!("'end{ended}' closes nothing (line {line})")),
        }
        // It may say its block's name.
        if ended == "block" && matches!(self.parser.current(), Some(Token::Name(_))) {
            self.parser.next();
        }
        Ok(format!("end{}", if ended == "generation" { "with" } else { ended }))
    }

    /// `else` and `elif`
    fn branch(&mut self, word: &str, line: usize) -> Result<String, String> {
        let open = self.open.last_mut().filter(|open| !open.other && (open.word == "if" || open.word == "for"));
        let Some(open) = open.filter(|open| word == "else" || open.word == "if") else {
            return Err(format!("'{word}' without a statement before it (line {line})"));
        };
        if word == "else" {
            open.other = true;
            return Ok(word.into());
        }
        open.branches += 1;
        if open.branches > MOST_BRANCHES {
            return Err(format!("an 'if' has too many branches (line {line})"));
        }
        Ok(format!("elif {}", self.parser.tuple(false, None)?))
    }

    /// `break` and `continue`: of a loop whose body they are in, with nothing between that would
    /// have to be closed (`minijinja` does not do that).
    fn leave(&self, word: &str, line: usize) -> Result<String, String> {
        for open in self.open.iter().rev() {
            match open.word {
                "for" if !open.other => return Ok(word.into()),
                "if" => {}
                between => return Err(format!("'{word}' inside '{between}' cannot leave a loop (line {line})")),
            }
        }
        Err(format!("'{word}' outside a loop (line {line})"))
    }
}

/// What the statement `print` prints: values after one another.
fn printed(parser: &mut Parser<'_>) -> Result<String, String> {
    let mut values = vec![parser.expression()?];
    while parser.skip(",") {
        values.push(parser.expression()?);
    }
    let first = values.remove(0);
    Ok(format!("({first})|_join({})", values.join(", ")))
}

/// Where a value goes: a name, a namespace's entry, or several with commas.
fn target(parser: &mut Parser<'_>, entries: bool, depth: usize) -> Result<String, String> {
    if depth > 8 {
        return parser.unexpected("a name");
    }
    let mut items = Vec::new();
    loop {
        items.push(if parser.skip("(") {
            let inner = target(parser, entries, depth + 1)?;
            parser.expect(")")?;
            format!("({inner})")
        } else {
            let mut name = parser.name()?.to_owned();
            if entries && parser.skip(".") {
                name = format!("{name}.{}", parser.name()?);
            }
            name
        });
        if !parser.skip(",") {
            return Ok(items.join(", "));
        }
        if parser.is_word("in") || parser.is("=") || parser.is(")") {
            return Ok(format!("{},", items.join(", ")));
        }
    }
}

fn looped(parser: &mut Parser<'_>) -> Result<String, String> {
    let target = target(parser, false, 0)?;
    if !parser.skip_word("in") {
        return parser.unexpected("'in'");
    }
    let items = parser.tuple(false, Some("recursive"))?;
    let mut out = format!("for {target} in ({items})|_each");
    if parser.skip_word("if") {
        out = format!("{out} if {}", parser.expression()?);
    }
    if parser.skip_word("recursive") {
        out.push_str(" recursive");
    }
    Ok(out)
}

/// `set`, and whether a block follows.
fn assigned(parser: &mut Parser<'_>) -> Result<(String, bool), String> {
    let target = target(parser, true, 0)?;
    Ok(if parser.skip("=") {
        let check = if target.contains('.') { "_entered" } else { "_kept" };
        (format!("set {target} = ({})|{check}", parser.tuple(true, None)?), false)
    } else if parser.skip("|") {
        (format!("set {target} | {}", filters(parser)?), true)
    } else {
        (format!("set {target}"), true)
    })
}

/// What `with` sets. Values know nothing of the names beside them.
fn assignments(parser: &mut Parser<'_>) -> Result<String, String> {
    let (mut values, mut names) = (Vec::new(), Vec::new());
    while matches!(parser.current(), Some(Token::Name(_))) {
        let (name, index) = (parser.name()?, names.len());
        parser.expect("=")?;
        values.push(format!("_value{index} = {}", parser.expression()?));
        names.push(format!("{name} = _value{index}"));
        if !parser.skip(",") {
            break;
        }
    }
    values.extend(names);
    Ok(values.join(", "))
}

/// Names of a macro's arguments; to `defaults` what they are by default.
fn signature(parser: &mut Parser<'_>, defaults: &mut Vec<(String, String)>) -> Result<String, String> {
    parser.expect("(")?;
    let mut names = Vec::new();
    while !parser.is(")") {
        let name = parser.name()?.to_owned();
        if parser.skip("=") {
            defaults.push((name.clone(), parser.expression()?));
        } else if !defaults.is_empty() {
            return parser.unexpected("'='");
        }
        names.push(name);
        if !parser.is(")") {
            parser.expect(",")?;
        }
    }
    parser.expect(")")?;
    Ok(names.join(", "))
}

fn filters(parser: &mut Parser<'_>) -> Result<String, String> {
    let mut out = parser.filter()?;
    while parser.skip("|") {
        out = format!("{out}|{}", parser.filter()?);
    }
    Ok(out)
}
