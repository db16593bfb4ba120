//! Jinja's expressions written anew for `minijinja`, which has the same grammar but not all of
//! Python's operators: where they differ, an operator becomes a filter of ours (see `operators`).

use super::lexer::Token;
use super::literals::quoted;
use super::parser::Parser;
use super::python::is_method;
use std::fmt::Write;

impl Parser<'_> {
    /// An expression.
    pub fn expression(&mut self) -> Result<String, String> {
        self.deeper()?;
        let mut value = self.either()?;
        let mut links = 0;
        while self.skip_word("if") {
            self.counted(&mut links)?;
            let condition = self.either()?;
            value = format!("{value} if {condition}");
            if self.skip_word("else") {
                let other = self.expression()?;
                value = format!("{value} else {other}");
            }
        }
        self.depth -= 1;
        Ok(value)
    }

    /// An expression or several with commas, a tuple. `choice` allows `a if b else c`.
    pub fn tuple(&mut self, choice: bool, stop: Option<&str>) -> Result<String, String> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            let ends = matches!(self.current(), None | Some(Token::PrintEnd | Token::BlockEnd)) || self.is(")");
            if ends || stop.is_some_and(|word| self.is_word(word)) {
                break;
            }
            items.push(if choice { self.expression()? } else { self.either()? });
            if !self.skip(",") {
                break;
            }
            is_tuple = true;
        }
        match items.pop() {
            None => self.unexpected("an expression"),
            Some(item) if !is_tuple => Ok(item),
            Some(item) => {
                items.push(item);
                Ok(format!("({},)", items.join(", ")))
            }
        }
    }

    /// `or` and what binds closer.
    pub fn either(&mut self) -> Result<String, String> {
        let mut value = self.both()?;
        let mut links = 0;
        while self.skip_word("or") {
            self.counted(&mut links)?;
            value = format!("{value} or {}", self.both()?);
        }
        Ok(value)
    }

    fn both(&mut self) -> Result<String, String> {
        let mut value = self.not()?;
        let mut links = 0;
        while self.skip_word("and") {
            self.counted(&mut links)?;
            value = format!("{value} and {}", self.not()?);
        }
        Ok(value)
    }

    fn not(&mut self) -> Result<String, String> {
        if !self.skip_word("not") {
            return self.comparison();
        }
        self.deeper()?;
        let value = format!("not {}", self.not()?);
        self.depth -= 1;
        Ok(value)
    }

    fn comparison(&mut self) -> Result<String, String> {
        let mut value = self.sum()?;
        let mut links = 0;
        loop {
            let sign = match self.current() {
                Some(Token::Operator(sign @ ("==" | "!=" | "<" | "<=" | ">" | ">="))) => *sign,
                Some(Token::Name("in")) => "in",
                Some(Token::Name("not")) if matches!(self.after(), Some(Token::Name("in"))) => {
                    self.at += 1;
                    "not in"
                }
                _ => return Ok(value),
            };
            self.at += 1;
            self.counted(&mut links)?;
            value = format!("{value} {sign} {}", self.sum()?);
        }
    }

    fn sum(&mut self) -> Result<String, String> {
        let mut value = self.joined()?;
        let mut links = 0;
        loop {
            if self.is("+") {
                // One call for a row of terms: they do not nest.
                let mut terms = Vec::new();
                while terms.len() < 1_000 && self.skip("+") {
                    terms.push(self.joined()?);
                }
                self.counted(&mut links)?;
                value = format!("({value})|_add({})", terms.join(", "));
            } else if self.skip("-") {
                self.counted(&mut links)?;
                value = format!("{value} - {}", self.joined()?);
            } else {
                return Ok(value);
            }
        }
    }

    fn joined(&mut self) -> Result<String, String> {
        let mut value = self.product()?;
        let mut links = 0;
        while self.is("~") {
            let mut terms = Vec::new();
            while terms.len() < 1_000 && self.skip("~") {
                terms.push(self.product()?);
            }
            self.counted(&mut links)?;
            value = format!("({value})|_join({})", terms.join(", "));
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<String, String> {
        let mut value = self.power()?;
        let mut links = 0;
        loop {
            let sign = match self.current() {
                Some(Token::Operator(sign @ ("*" | "/" | "//" | "%"))) => *sign,
                _ => return Ok(value),
            };
            self.at += 1;
            self.counted(&mut links)?;
            let factor = self.power()?;
            value = match sign {
                "%" => format!("({value})|_rest({factor})"),
                "*" => format!("({value})|_times({factor})"),
                _ => format!("{value} {sign} {factor}"),
            };
        }
    }

    fn power(&mut self) -> Result<String, String> {
        let mut value = self.unary(true)?;
        let mut links = 0;
        while self.skip("**") {
            self.counted(&mut links)?;
            value = format!("{value} ** {}", self.unary(true)?);
        }
        Ok(value)
    }

    fn unary(&mut self, filters: bool) -> Result<String, String> {
        let minus = self.is("-");
        let mut value = if minus || self.is("+") {
            self.at += 1;
            self.deeper()?;
            let operand = self.unary(false)?;
            self.depth -= 1;
            match minus {
                true if operand.starts_with(|c: char| c.is_ascii_digit()) => format!("-{operand}"),
                true => format!("({operand})|_minus"),
                // Python's plus changes no number.
                false => operand,
            }
        } else {
            let value = self.primary()?;
            self.postfix(value)?
        };
        if filters {
            value = self.filters_and_tests(value)?;
        }
        Ok(value)
    }

    fn primary(&mut self) -> Result<String, String> {
        let token = self.current().cloned();
        match token {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(match name {
                    "True" => "true",
                    "False" => "false",
                    "None" => "none",
                    name => name,
                }
                .to_owned())
            }
            Some(Token::Text(_)) => {
                let mut text = String::new();
                while let Some(Token::Text(part)) = self.current() {
                    text.push_str(part);
                    self.at += 1;
                }
                Ok(quoted(&text))
            }
            // In brackets: `1.x` would be read as a number.
            Some(Token::Integer(digits) | Token::Float(digits)) => {
                self.at += 1;
                Ok(if self.is(".") || self.is("[") { format!("({digits})") } else { digits })
            }
            Some(Token::Operator("(")) => self.in_brackets(),
            Some(Token::Operator("[")) => Ok(format!("[{}]", self.list("[", "]", |p| p.expression())?)),
            Some(Token::Operator("{")) => Ok(format!("{{{}}}", self.list("{", "}", Self::pair)?)),
            _ => self.unexpected("a value"),
        }
    }

    fn in_brackets(&mut self) -> Result<String, String> {
        self.expect("(")?;
        if self.skip(")") {
            return Ok("()".into());
        }
        let value = self.tuple(true, None)?;
        self.expect(")")?;
        Ok(format!("({value})"))
    }

    fn pair(&mut self) -> Result<String, String> {
        let key = self.expression()?;
        self.expect(":")?;
        Ok(format!("{key}: {}", self.expression()?))
    }

    /// What stands between two brackets, with commas.
    fn list(
        &mut self,
        open: &str,
        close: &str,
        item: impl Fn(&mut Self) -> Result<String, String>,
    ) -> Result<String, String> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.is(close) {
            items.push(item(self)?);
            if !self.is(close) {
                self.expect(",")?;
            }
        }
        self.expect(close)?;
        Ok(items.join(", "))
    }

    fn postfix(&mut self, mut value: String) -> Result<String, String> {
        let mut links = 0;
        loop {
            value = match self.current() {
                Some(Token::Operator(".")) => self.attribute(value)?,
                Some(Token::Operator("[")) => self.subscript(&value)?,
                // A loop in a loop: what it goes through is checked as what a variable holds.
                Some(Token::Operator("(")) if value == "loop" => format!("loop(({})|_kept|_each)", self.arguments()?),
                Some(Token::Operator("(")) => format!("{value}({})", self.arguments()?),
                _ => return Ok(value),
            };
            self.counted(&mut links)?;
        }
    }

    fn attribute(&mut self, value: String) -> Result<String, String> {
        self.expect(".")?;
        match self.next() {
            Some(Token::Name(name)) if is_method(name) && !self.is("(") => {
                Ok(format!("(({value})|_attribute(\"{name}\"))"))
            }
            Some(Token::Name(name)) => Ok(format!("{value}.{name}")),
            Some(Token::Integer(digits)) => Ok(format!("{value}[{digits}]")),
            _ => {
                self.at -= 1;
                self.unexpected("a name or a number")
            }
        }
    }

    fn subscript(&mut self, value: &str) -> Result<String, String> {
        self.expect("[")?;
        let mut parts: [Option<String>; 3] = [None, None, None];
        let mut colons = 0;
        let text = match self.current() {
            Some(Token::Text(text)) if is_method(text) => Some(text.clone()),
            _ => None,
        };
        let text = text.filter(|_| matches!(self.after(), Some(Token::Operator("]"))));
        while !self.is("]") {
            if colons < 2 && self.skip(":") {
                colons += 1;
            } else if parts[colons].is_none() {
                parts[colons] = Some(self.expression()?);
            } else {
                return self.unexpected("']'");
            }
        }
        self.expect("]")?;
        if let Some(text) = text {
            return Ok(format!("(({value})|_item(\"{text}\"))"));
        }
        if colons > 0 {
            let [start, stop, step] = parts.map(|part| part.unwrap_or_else(|| "none".into()));
            return Ok(format!("(({value})|_slice({start}, {stop}, {step}))"));
        }
        match &parts[0] {
            Some(index) => Ok(format!("{value}[{index}]")),
            None => self.unexpected("an index"),
        }
    }

    /// Arguments of a call, without the brackets.
    pub fn arguments(&mut self) -> Result<String, String> {
        self.list("(", ")", |p| {
            if p.skip("**") {
                return Ok(format!("**{}", p.expression()?));
            }
            if p.skip("*") {
                return Ok(format!("*{}", p.expression()?));
            }
            if let (Some(Token::Name(name)), Some(Token::Operator("="))) = (p.current(), p.after()) {
                let name = *name;
                p.at += 2;
                return Ok(format!("{name}={}", p.expression()?));
            }
            p.expression()
        })
    }

    fn dotted_name(&mut self) -> Result<String, String> {
        let mut name = self.name()?.to_owned();
        while self.skip(".") {
            let _ = write!(name, ".{}", self.name()?);
        }
        Ok(name)
    }

    /// A filter's name with its arguments.
    pub fn filter(&mut self) -> Result<String, String> {
        let name = self.dotted_name()?;
        Ok(if self.is("(") { format!("{name}({})", self.arguments()?) } else { name })
    }

    fn filters_and_tests(&mut self, mut value: String) -> Result<String, String> {
        let mut links = 0;
        loop {
            if self.skip("|") {
                let filter = self.filter()?;
                let name = filter.split('(').next().unwrap_or_default();
                // These take what is false for an empty list.
                let lenient = matches!(name, "map" | "select" | "reject" | "selectattr" | "rejectattr");
                value = format!("{value}{}|{filter}", if lenient { "|_some" } else { "" });
            } else if self.skip_word("is") {
                value = self.test(&value)?;
            } else if self.is("(") {
                value = format!("({value})({})", self.arguments()?);
            } else {
                return Ok(value);
            }
            self.counted(&mut links)?;
        }
    }

    fn test(&mut self, value: &str) -> Result<String, String> {
        let is = if self.skip_word("not") { "is not" } else { "is" };
        let name = self.dotted_name()?;
        let arguments = match self.current() {
            Some(Token::Operator("(")) => self.arguments()?,
            Some(Token::Name("else" | "or" | "and")) => String::new(),
            Some(Token::Name("is")) => return self.unexpected("'and'"),
            Some(
                Token::Name(_) | Token::Text(_) | Token::Integer(_) | Token::Float(_) | Token::Operator("[" | "{"),
            ) => {
                let argument = self.primary()?;
                self.postfix(argument)?
            }
            _ => String::new(),
        };
        // Brackets always: `minijinja` would take more for an argument than Jinja does.
        Ok(format!("{value} {is} {name}({arguments})"))
    }
}
