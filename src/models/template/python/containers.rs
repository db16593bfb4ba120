//! Methods of Python's `list`, `tuple` and `dict`. Those that would change one are refused, as in
//! Jinja's immutable sandbox.

use super::{Arguments, CHANGES, items, refused, type_name, view};
use minijinja::value::Tuple;
use minijinja::{Error, ErrorKind, State, Value};

/// `value.name(arguments)` of a list or a tuple.
///
/// # Errors
/// Unknown methods, those that change it, wrong arguments.
pub fn list(state: &State<'_, '_>, value: &Value, name: &str, all: &[Value]) -> Result<Value, Error> {
    let mut arguments = Arguments::of_method(name, all)?;
    let result = match name {
        "count" => {
            let wanted = arguments.needed("value")?;
            Value::from(items(state, value)?.into_iter().filter(|item| *item == wanted).count())
        }
        "index" => {
            let wanted = arguments.needed("value")?;
            let all = items(state, value)?;
            let length = i64::try_from(all.len()).unwrap_or(i64::MAX);
            let bound =
                |at: i64| usize::try_from(if at < 0 { (at.saturating_add(length)).max(0) } else { at }).unwrap_or(0);
            let start = bound(arguments.whole("start")?.unwrap_or(0));
            let stop = bound(arguments.whole("stop")?.unwrap_or(length).min(length));
            let found = (start..stop).find(|at| all[*at] == wanted);
            Value::from(found.ok_or_else(|| refused("the value is not in the list"))?)
        }
        "copy" if !value.is_tuple() => Value::from(items(state, value)?),
        _ if CHANGES.contains(&name) && !value.is_tuple() => return Err(unsafe_change(value, name)),
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    };
    arguments.end()?;
    Ok(result)
}

/// `value.name(arguments)` of a dict.
///
/// # Errors
/// As [`list`].
pub fn dict(state: &State<'_, '_>, value: &Value, name: &str, all: &[Value]) -> Result<Value, Error> {
    let mut arguments = Arguments::of_method(name, all)?;
    let result = match name {
        "get" => {
            let key = arguments.needed("key")?;
            let default = arguments.next("default")?;
            match value.get_item(&key)? {
                entry if entry.is_undefined() => default.unwrap_or_else(|| Value::from(())),
                entry => entry,
            }
        }
        "keys" => view("dict_keys", items(state, value)?),
        "values" => view("dict_values", pairs(state, value)?.into_iter().map(|(_, entry)| entry).collect()),
        "items" => view("dict_items", paired(state, value)?),
        "copy" => value.clone(),
        _ if CHANGES.contains(&name) => return Err(unsafe_change(value, name)),
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    };
    arguments.end()?;
    Ok(result)
}

fn unsafe_change(value: &Value, name: &str) -> Error {
    refused(format!("access to attribute '{name}' of '{}' object is unsafe.", type_name(value)))
}

/// Keys and entries of a dict.
///
/// # Errors
/// A value that has none.
pub fn pairs(state: &State<'_, '_>, value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    items(state, value)?.into_iter().map(|key| value.get_item(&key).map(|entry| (key, entry))).collect()
}

/// As [`pairs`], as tuples.
///
/// # Errors
/// As [`pairs`].
pub fn paired(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    Ok(pairs(state, value)?.into_iter().map(|(key, entry)| Value::from(Tuple::from([key, entry]))).collect())
}
