//! What Python does for Jinja: how values print, its operators, the methods of strings, lists and
//! dicts, Jinja's own filters and tests where `minijinja`'s differ. Nothing that changes a value is
//! there: `transformers` forbids it too (`ImmutableSandboxedEnvironment`).

mod checks;
mod containers;
mod filters;
mod format;
mod globals;
mod json;
mod number;
mod operators;
mod sequences;
mod strings;
mod text;

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use std::borrow::Cow;
use std::sync::Arc;
pub use text::shown;

/// Longest text that one operation may make: a prompt is shorter.
const MOST_BYTES: usize = 8 << 20;

/// Methods of Python's types. `x.items` is the method of a dict, not its entry, so whoever reads
/// templates has to know them.
const STRING_METHODS: [&str; 45] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];
const LIST_METHODS: [&str; 11] =
    ["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];
const DICT_METHODS: [&str; 11] =
    ["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];
/// Those that change a list or a dict.
const CHANGES: [&str; 11] =
    ["append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update"];

/// Whether a string, list or dict has a method `name`.
pub fn is_method(name: &str) -> bool {
    STRING_METHODS.contains(&name) || LIST_METHODS.contains(&name) || DICT_METHODS.contains(&name)
}

/// Adds all of it to `environment`.
pub fn install(environment: &mut Environment<'static>) {
    environment.set_unknown_method_callback(method);
    environment.set_formatter(|out, _, value| match value.as_str() {
        Some(text) => Ok(out.write_str(text)?),
        None => Ok(out.write_str(&text::shown(value)?)?),
    });
    operators::install(environment);
    filters::install(environment);
    sequences::install(environment);
    checks::install(environment);
    globals::install(environment);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("attr", operators::attr);
    // Jinja does not have these.
    for name in ["bool", "chain", "lines", "split", "zip"] {
        environment.remove_filter(name);
    }
    for name in ["startingwith", "endingwith", "int", "safe"] {
        environment.remove_test(name);
    }
    environment.remove_global("debug");
}

/// An error that says `why`.
fn refused(why: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// What is left where a value is missing.
fn undefined() -> Error {
    Error::new(ErrorKind::UndefinedError, "a value is missing that the template needs")
}

/// Python's name of a value's type.
fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq | ValueKind::Iterable if value.is_tuple() => "tuple",
        ValueKind::Seq | ValueKind::Iterable => value.downcast_object_ref::<View>().map_or("list", |view| view.name),
        ValueKind::Map if is_dict(value) => "dict",
        _ => "object",
    }
}

/// Whether `value` is a dict, not a namespace, a loop or a macro.
fn is_dict(value: &Value) -> bool {
    value.kind() == ValueKind::Map && value.as_object().is_some_and(|o| o.type_name().contains("Map<"))
}

/// Whether `value` is a list or a tuple.
fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) && value.downcast_object_ref::<View>().is_none()
}

/// All items of `value`, paid for with fuel.
///
/// # Errors
/// What has no items; no fuel.
fn items(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::Plain => {
            Err(refused(format!("'{}' object is not iterable", type_name(value))))
        }
        _ => {
            let all = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
            state.consume_fuel(all.len() as u64 / 2)?;
            Ok(all)
        }
    }
}

/// `dict.items()` and the like: it can be gone through, but has no positions.
#[derive(Debug)]
struct View {
    name: &'static str,
    items: Vec<Value>,
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }
}

/// `dict.keys()` and the like.
fn view(name: &'static str, items: Vec<Value>) -> Value {
    Value::from_object(View { name, items })
}

/// `x.name` without a call, where `name` is a method.
#[derive(Debug)]
struct Bound {
    value: Value,
    name: String,
}

impl Object for Bound {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, arguments: &[Value]) -> Result<Value, Error> {
        method(state, &self.value, &self.name, arguments)
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<built-in method {} of {} object>", self.name, type_name(&self.value))
    }
}

/// Methods of Python's own types.
fn method(state: &mut State<'_, '_>, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return strings::call(state, text, name, arguments);
    }
    if is_dict(value) {
        return containers::dict(state, value, name, arguments);
    }
    if is_list(value) {
        return containers::list(state, value, name, arguments);
    }
    Err(Error::from(ErrorKind::UnknownMethod))
}

/// Arguments of a call, taken one by one, by place or by name.
struct Arguments<'a> {
    call: &'a str,
    places: &'a [Value],
    names: Option<Kwargs>,
}

impl<'a> Arguments<'a> {
    /// Arguments of `call`, as an error names it.
    fn new(call: &'a str, places: &'a [Value], names: Kwargs) -> Self {
        Self { call, places, names: Some(names) }
    }

    /// As [`Self::new`], with named ones as `minijinja` hands them to methods.
    fn of_method(call: &'a str, all: &'a [Value]) -> Result<Self, Error> {
        Ok(match all.split_last() {
            Some((last, places)) if last.is_kwargs() => Self::new(call, places, Kwargs::try_from(last.clone())?),
            _ => Self { call, places: all, names: None },
        })
    }

    /// The next one by place, or the one called `name`.
    fn next(&mut self, name: &str) -> Result<Option<Value>, Error> {
        let named = match &self.names {
            Some(names) if names.has(name) => Some(names.get::<Value>(name)?),
            _ => None,
        };
        match self.places.split_first() {
            Some(_) if named.is_some() => Err(refused(format!("{} got '{name}' twice", self.call))),
            Some((first, rest)) => {
                self.places = rest;
                Ok(Some(first.clone()))
            }
            None => Ok(named),
        }
    }

    /// As [`Self::next`]; it must be there.
    fn needed(&mut self, name: &str) -> Result<Value, Error> {
        self.next(name)?.ok_or_else(|| refused(format!("{} needs '{name}'", self.call)))
    }

    /// A whole number; None counts as missing.
    fn whole(&mut self, name: &str) -> Result<Option<i64>, Error> {
        match self.next(name)? {
            None => Ok(None),
            Some(value) if value.is_none() => Ok(None),
            Some(value) if value.kind() == ValueKind::Bool => Ok(Some(i64::from(value.is_true()))),
            Some(value) => match value.as_i64().filter(|_| value.is_integer()) {
                Some(number) => Ok(Some(number)),
                None => Err(refused(format!("{}: '{name}' is no whole number", self.call))),
            },
        }
    }

    /// A text; None counts as missing.
    fn text(&mut self, name: &str) -> Result<Option<String>, Error> {
        match self.next(name)? {
            None => Ok(None),
            Some(value) if value.is_none() => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(refused(format!("{}: '{name}' must be str, not {}", self.call, type_name(&value)))),
            },
        }
    }

    /// Whether something is true.
    fn flag(&mut self, name: &str) -> Result<Option<bool>, Error> {
        Ok(self.next(name)?.map(|value| value.is_true()))
    }

    /// None are left.
    fn end(self) -> Result<(), Error> {
        if !self.places.is_empty() {
            return Err(refused(format!("{} takes fewer arguments", self.call)));
        }
        self.names.map_or(Ok(()), |names| names.assert_all_used())
    }
}
