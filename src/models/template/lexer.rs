//! A template cut into tokens as Jinja2 3.1 does it with `trim_blocks` and `lstrip_blocks`, which is
//! how `transformers` sets it up. White space that tags take away is gone from the text tokens, so
//! whoever reads them need not know about `-`, `+` and line ends.

use super::literals::{float_length, integer_length, sign_of, unescaped};
use std::borrow::Cow;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Token<'a> {
    /// Text to be copied, with line ends as `\n`.
    Data(&'a str),
    /// `{{`
    PrintBegin,
    /// `}}`
    PrintEnd,
    /// `{%`
    BlockBegin,
    /// `%}`
    BlockEnd,
    Name(&'a str),
    /// What a quoted string stands for.
    Text(String),
    /// Decimal digits.
    Integer(String),
    /// As Rust reads it.
    Float(String),
    Operator(&'static str),
}

impl Token<'_> {
    /// As an error names it.
    pub fn shown(&self) -> String {
        match self {
            Self::Data(_) => "text".into(),
            Self::PrintBegin => "'{{'".into(),
            Self::PrintEnd => "'}}'".into(),
            Self::BlockBegin => "'{%'".into(),
            Self::BlockEnd => "'%}'".into(),
            Self::Name(name) => format!("'{name}'"),
            Self::Text(_) => "a string".into(),
            Self::Integer(digits) | Self::Float(digits) => format!("'{digits}'"),
            Self::Operator(sign) => format!("'{sign}'"),
        }
    }
}

/// Operators, longest first.
const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",", ";",
];

/// Whether Python's `str.isspace` (and `\s` of its regular expressions) holds.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `source` with line ends as `\n` and without the last one.
pub fn lines_united(source: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(source);
    if source.contains('\r') {
        text = Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n"));
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('\n').unwrap_or(text)),
        Cow::Owned(mut text) => {
            if text.ends_with('\n') {
                text.pop();
            }
            Cow::Owned(text)
        }
    }
}

/// Tokens of `source` (see [`lines_united`]), each with its line.
///
/// # Errors
/// What cannot be read, with its line.
pub fn tokens(source: &str) -> Result<Vec<(Token<'_>, usize)>, String> {
    let mut lexer = Lexer { source, at: 0, line_starts: true, found: Vec::new(), line: 1, counted: 0 };
    while lexer.at < source.len() {
        lexer.text()?;
    }
    Ok(lexer.found)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    /// Whether what was read last ends with a line end, or nothing was read.
    line_starts: bool,
    found: Vec<(Token<'a>, usize)>,
    line: usize,
    /// How far lines are counted.
    counted: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, token: Token<'a>) {
        self.line += self.source[self.counted..self.at].matches('\n').count();
        self.counted = self.at;
        self.found.push((token, self.line));
    }

    fn error(&self, why: &str) -> String {
        let line = self.line + self.source[self.counted..self.at].matches('\n').count();
        format!("{why} (line {line})")
    }

    /// Moves over `bytes` of one match.
    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.source[self.at..self.at + bytes];
        self.at += bytes;
        self.line_starts = taken.ends_with('\n');
        taken
    }

    fn data(&mut self, text: &'a str) {
        if !text.is_empty() {
            self.push(Token::Data(text));
        }
    }

    /// Text up to the next tag, and the tag.
    fn text(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let next =
            rest.match_indices('{').find(|(at, _)| matches!(rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')));
        let Some((length, _)) = next else {
            self.data(rest);
            self.at = self.source.len();
            return Ok(());
        };
        let (text, tag) = rest.split_at(length);
        let kind = tag.as_bytes()[1];
        let sign = sign_of(&tag[2..]);
        let kept = self.left_stripped(text, sign, kind == b'{');
        self.data(kept);
        if let Some(opening) = raw_opening(tag) {
            self.take(length + opening);
            return self.raw();
        }
        self.take(length + 2 + sign.map_or(0, |_| 1));
        match kind {
            b'#' => self.comment(),
            b'%' => {
                self.push(Token::BlockBegin);
                self.inside(true)
            }
            _ => {
                self.push(Token::PrintBegin);
                self.inside(false)
            }
        }
    }

    /// `text` without what the tag after it takes away.
    fn left_stripped(&self, text: &'a str, sign: Option<char>, print: bool) -> &'a str {
        match sign {
            Some('-') => text.trim_end_matches(is_space),
            None if !print => {
                let line = text.rfind('\n').map_or(0, |at| at + 1);
                if (line > 0 || self.line_starts) && text[line..].chars().all(is_space) { &text[..line] } else { text }
            }
            _ => text,
        }
    }

    /// After `{#`.
    fn comment(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let Some(end) = rest.find("#}") else {
            return Err(self.error("a comment is not closed"));
        };
        let sign = rest[..end].chars().next_back().filter(|c| matches!(c, '+' | '-'));
        self.take(end);
        self.close(2, sign, true);
        Ok(())
    }

    /// Moves over an end mark and what it takes away: `-` all white space, nothing one line end
    /// where blocks are trimmed.
    fn close(&mut self, mark: usize, sign: Option<char>, trims: bool) {
        let after = &self.rest()[mark..];
        let more = match sign {
            Some('-') => after.len() - after.trim_start_matches(is_space).len(),
            None if trims && after.starts_with('\n') => 1,
            _ => 0,
        };
        self.take(mark + more);
    }

    /// After `{% raw %}`.
    fn raw(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let closing = rest.match_indices("{%").find_map(|(at, _)| {
            let (mark, sign, length) = closing_raw(&rest[at..])?;
            Some((at, mark, sign, length))
        });
        let Some((length, opening, sign, end)) = closing else {
            return Err(self.error("a raw block is not closed"));
        };
        let kept = self.left_stripped(&rest[..length], opening, false);
        self.data(kept);
        self.take(length + end);
        self.close(2, sign, true);
        Ok(())
    }

    /// What stands in a tag, with its end.
    fn inside(&mut self, block: bool) -> Result<(), String> {
        let mut open: Vec<&str> = Vec::new();
        loop {
            let rest = self.rest();
            if open.is_empty() && self.tag_end(block) {
                return Ok(());
            }
            let Some(first) = rest.chars().next() else {
                return Err(self.error("a tag is not closed"));
            };
            if is_space(first) {
                self.take(rest.len() - rest.trim_start_matches(is_space).len());
            } else if first.is_ascii_digit() {
                self.number()?;
            } else if first.is_alphanumeric() || first == '_' {
                let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                if !name.is_ascii() {
                    return Err(self.error("names may have plain letters only"));
                }
                self.take(name.len());
                self.push(Token::Name(name));
            } else if first == '"' || first == '\'' {
                self.string(first)?;
            } else {
                self.operator(&mut open)?;
            }
        }
    }

    fn tag_end(&mut self, block: bool) -> bool {
        let rest = self.rest();
        let mark = if block { "%}" } else { "}}" };
        let sign = sign_of(rest).filter(|c| block || *c == '-');
        let skipped = sign.map_or(0, |_| 1);
        if !rest[skipped..].starts_with(mark) {
            return false;
        }
        self.take(skipped);
        self.close(2, sign, block);
        self.push(if block { Token::BlockEnd } else { Token::PrintEnd });
        true
    }

    fn operator(&mut self, open: &mut Vec<&'static str>) -> Result<(), String> {
        let rest = self.rest();
        let Some(sign) = OPERATORS.iter().find(|o| rest.starts_with(**o)) else {
            let odd = rest.chars().next().unwrap_or_default();
            return Err(self.error(&format!("unexpected character {odd:?}")));
        };
        match *sign {
            "{" => open.push("}"),
            "(" => open.push(")"),
            "[" => open.push("]"),
            "}" | ")" | "]" if open.pop() != Some(*sign) => {
                return Err(self.error(&format!("unexpected '{sign}'")));
            }
            _ => {}
        }
        self.take(sign.len());
        self.push(Token::Operator(sign));
        Ok(())
    }

    /// A number: digits may be parted by single underscores.
    fn number(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let after_dot = self.source[..self.at].ends_with('.');
        if let Some(length) = float_length(rest).filter(|_| !after_dot) {
            let digits = self.take(length).replace('_', "");
            self.push(Token::Float(digits));
            return Ok(());
        }
        let (radix, length) = integer_length(rest);
        let digits = self.take(length).replace('_', "");
        let digits = if radix == 10 { digits.as_str() } else { &digits[2..] };
        let value = u128::from_str_radix(digits, radix).map_err(|_| self.error("a number is too large"))?;
        self.push(Token::Integer(value.to_string()));
        Ok(())
    }

    fn string(&mut self, quote: char) -> Result<(), String> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest[1..].find(|c| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else {
            return Err(self.error("a string is not closed"));
        };
        let text = unescaped(&rest[1..=end]).map_err(|why| self.error(why))?;
        self.take(end + 2);
        self.push(Token::Text(text));
        Ok(())
    }
}

/// Bytes of `{% raw %}` at the beginning of `tag`. Its end takes no line end away.
fn raw_opening(tag: &str) -> Option<usize> {
    let rest = tag.strip_prefix("{%")?;
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    let rest = rest.trim_start_matches(is_space).strip_prefix("raw")?.trim_start_matches(is_space);
    let rest = match rest.strip_prefix("-%}") {
        Some(rest) => rest.trim_start_matches(is_space),
        None => rest.strip_prefix("%}")?,
    };
    Some(tag.len() - rest.len())
}

/// `{% endraw %}` at the beginning of `tag`: its opening sign, its closing sign, and the bytes up
/// to `%}`.
fn closing_raw(tag: &str) -> Option<(Option<char>, Option<char>, usize)> {
    let rest = tag.strip_prefix("{%")?;
    let opening = sign_of(rest);
    let rest = rest[opening.map_or(0, |_| 1)..].trim_start_matches(is_space);
    let rest = rest.strip_prefix("endraw")?.trim_start_matches(is_space);
    let closing = sign_of(rest);
    let rest = &rest[closing.map_or(0, |_| 1)..];
    rest.starts_with("%}").then_some((opening, closing, tag.len() - rest.len()))
}
