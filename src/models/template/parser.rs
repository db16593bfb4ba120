//! Tokens of a template, one after the other.

use super::lexer::Token;

/// How deep expressions may nest: a bound for the stack.
const DEEPEST: usize = 48;
/// How many operators or calls may follow one another: they nest in `minijinja`.
const LONGEST: usize = 250;

/// Words that are no variables, or not those of a surrounding body.
const KNOWN: [&str; 18] = [
    "and",
    "caller",
    "else",
    "false",
    "False",
    "if",
    "in",
    "is",
    "loop",
    "none",
    "None",
    "not",
    "or",
    "recursive",
    "scoped",
    "self",
    "true",
    "True",
];

/// Reads tokens; `expression` writes what they mean.
pub struct Parser<'a> {
    tokens: Vec<(Token<'a>, usize)>,
    /// Where the next token is.
    pub at: usize,
    /// How deep expressions nest here.
    pub depth: usize,
}

impl<'a> Parser<'a> {
    /// From a template's tokens, each with its line.
    pub fn new(tokens: Vec<(Token<'a>, usize)>) -> Self {
        Self { tokens, at: 0, depth: 0 }
    }

    /// The next token.
    pub fn current(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    /// The one after it.
    pub fn after(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at + 1).map(|(token, _)| token)
    }

    /// The next token, which is then behind us.
    pub fn next(&mut self) -> Option<Token<'a>> {
        let token = self.current().cloned();
        self.at += 1;
        token
    }

    /// The next token's line.
    pub fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line)
    }

    /// Whether `sign` is next.
    pub fn is(&self, sign: &str) -> bool {
        matches!(self.current(), Some(Token::Operator(s)) if *s == sign)
    }

    /// Whether the name `word` is next.
    pub fn is_word(&self, word: &str) -> bool {
        matches!(self.current(), Some(Token::Name(name)) if *name == word)
    }

    /// Whether `sign` was next; then it is behind us.
    pub fn skip(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    /// As [`Self::skip`], for a name.
    pub fn skip_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    /// Something else than `wanted` is next.
    ///
    /// # Errors
    /// Always.
    pub fn unexpected<T>(&self, wanted: &str) -> Result<T, String> {
        let found = self.current().map_or("the end of the template".into(), Token::shown);
        Err(format!("{wanted} is missing before {found} (line {})", self.line()))
    }

    /// `sign`, which is then behind us.
    ///
    /// # Errors
    /// Something else.
    pub fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.skip(sign) { Ok(()) } else { self.unexpected(&format!("'{sign}'")) }
    }

    /// A name, which is then behind us.
    ///
    /// # Errors
    /// Something else.
    pub fn name(&mut self) -> Result<&'a str, String> {
        match self.current() {
            Some(Token::Name(name)) => {
                let name = *name;
                self.at += 1;
                Ok(name)
            }
            _ => self.unexpected("a name"),
        }
    }

    /// One level more; whoever leaves it takes it off again.
    ///
    /// # Errors
    /// Too many.
    pub fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("an expression nests too deep (line {})", self.line()));
        }
        Ok(())
    }

    /// One link more in a row of `links`.
    ///
    /// # Errors
    /// Too many.
    pub fn counted(&self, links: &mut usize) -> Result<(), String> {
        *links += 1;
        if *links > LONGEST {
            return Err(format!("an expression is too long (line {})", self.line()));
        }
        Ok(())
    }

    /// Names of variables up to the end of the macro or call that has just begun. `minijinja` lets a
    /// body see only what it finds there itself, and it overlooks some (`{% set a = a + 1 %}`).
    pub fn names_until_end(&self) -> Vec<&'a str> {
        let mut names = Vec::new();
        let (mut depth, mut before): (usize, Option<&Token<'a>>) = (1, None);
        for (token, _) in self.tokens.get(self.at..).unwrap_or_default() {
            match (before, token) {
                (Some(Token::BlockBegin), Token::Name("macro" | "call")) => depth += 1,
                (Some(Token::BlockBegin), Token::Name("endmacro" | "endcall")) => depth -= 1,
                (Some(Token::BlockBegin | Token::Operator("." | "|")), _) => {}
                (_, Token::Name(name)) if !KNOWN.contains(name) && !names.contains(name) => names.push(name),
                _ => {}
            }
            if depth == 0 {
                break;
            }
            before = Some(token);
        }
        names
    }
}
