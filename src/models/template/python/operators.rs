//! Python's operators where `minijinja`'s differ, as filters that `expression` writes.

use super::number::Number;
use super::{
    Bound, CHANGES, DICT_METHODS, LIST_METHODS, STRING_METHODS, is_dict, is_list, items, refused, text, type_name,
    undefined,
};
use minijinja::value::{Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, State, Value};

/// Most values in a value, counted as often as they are in it.
const MOST_NODES: usize = 1 << 18;
/// Most items of a list that an operator makes.
const MOST_ITEMS: usize = 1 << 17;

/// Adds them.
pub fn install(environment: &mut Environment<'static>) {
    environment.add_filter("_add", add);
    environment.add_filter("_join", join);
    environment.add_filter("_times", times);
    environment.add_filter("_rest", rest);
    environment.add_filter("_slice", slice);
    environment.add_filter("_attribute", attribute);
    environment.add_filter("_item", item);
    environment.add_filter("_each", each);
    environment.add_filter("_kept", |state: &State<'_, '_>, value: Value| kept(state, value, false));
    environment.add_filter("_entered", |state: &State<'_, '_>, value: Value, _: Rest<Value>| kept(state, value, true));
    environment.add_filter("_minus", minus);
    environment
        .add_filter("_some", |value: Value| if value.is_true() { value } else { Value::from(Vec::<Value>::new()) });
}

/// The error for an operator that does not know its operands.
fn unsupported(sign: &str, a: &Value, b: &Value) -> Error {
    if a.is_undefined() || b.is_undefined() {
        return undefined();
    }
    refused(format!("unsupported operand type(s) for {sign}: '{}' and '{}'", type_name(a), type_name(b)))
}

/// `a + b + …`
pub fn add(state: &State<'_, '_>, first: Value, rest: Rest<Value>) -> Result<Value, Error> {
    if let Some(text) = first.as_str() {
        let mut out = text.to_owned();
        for part in rest.iter() {
            match part.as_str() {
                Some(text) => out.push_str(text),
                None if part.is_undefined() => return Err(undefined()),
                None => return Err(refused(format!("can only concatenate str (not \"{}\") to str", type_name(part)))),
            }
        }
        return short(out).map(Value::from);
    }
    let mut sum = first;
    for part in rest.iter() {
        sum = match (Number::of(&sum), Number::of(part)) {
            (Some(Number::Whole(a)), Some(Number::Whole(b))) => {
                Number::Whole(a.checked_add(b).ok_or_else(|| refused("a number is too large"))?).value()
            }
            (Some(a), Some(b)) => Value::from(a.float() + b.float()),
            _ if is_list(&sum) && is_list(part) && sum.is_tuple() == part.is_tuple() => {
                let mut all = items(state, &sum)?;
                all.extend(items(state, part)?);
                listed(all, part.is_tuple())?
            }
            _ => return Err(unsupported("+", &sum, part)),
        };
    }
    Ok(sum)
}

fn listed(items: Vec<Value>, tuple: bool) -> Result<Value, Error> {
    if items.len() > MOST_ITEMS {
        return Err(refused("a list is too long"));
    }
    Ok(if tuple { Value::from(Tuple::from(items)) } else { Value::from(items) })
}

/// `a ~ b ~ …`
fn join(first: Value, rest: Rest<Value>) -> Result<String, Error> {
    let mut out = text::shown(&first)?;
    for part in rest.iter() {
        match part.as_str() {
            Some(text) => out.push_str(text),
            None => out.push_str(&text::shown(part)?),
        }
    }
    short(out)
}

fn short(text: String) -> Result<String, Error> {
    if text.len() > super::MOST_BYTES { Err(refused("a text is too long")) } else { Ok(text) }
}

/// `a * b`
fn times(state: &State<'_, '_>, a: Value, b: Value) -> Result<Value, Error> {
    let (repeated, count) = match (Number::of(&a), Number::of(&b)) {
        (Some(Number::Whole(a)), Some(Number::Whole(b))) => {
            return Ok(Number::Whole(a.checked_mul(b).ok_or_else(|| refused("a number is too large"))?).value());
        }
        (Some(x), Some(y)) => return Ok(Value::from(x.float() * y.float())),
        (None, Some(Number::Whole(count))) => (&a, count),
        (Some(Number::Whole(count)), None) => (&b, count),
        _ => return Err(unsupported("*", &a, &b)),
    };
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    if let Some(text) = repeated.as_str() {
        let bytes = text.len().saturating_mul(count);
        if bytes > super::MOST_BYTES {
            return Err(refused("a text is too long"));
        }
        return Ok(Value::from(text.repeat(count)));
    }
    if !is_list(repeated) {
        return Err(unsupported("*", &a, &b));
    }
    let all = items(state, repeated)?;
    if all.len().saturating_mul(count) > MOST_ITEMS {
        return Err(refused("a list is too long"));
    }
    state.consume_fuel((all.len() * count) as u64)?;
    listed(std::iter::repeat_n(all, count).flatten().collect(), repeated.is_tuple())
}

/// `-a`
fn minus(a: Value) -> Result<Value, Error> {
    match Number::of(&a) {
        Some(Number::Whole(number)) => Ok(Number::Whole(number.saturating_neg()).value()),
        Some(Number::Float(number)) => Ok(Value::from(-number)),
        None if a.is_undefined() => Err(undefined()),
        None => Err(refused(format!("bad operand type for unary -: '{}'", type_name(&a)))),
    }
}

/// `a % b`: what a division leaves, or a text with its places filled.
fn rest(state: &State<'_, '_>, a: Value, b: Value) -> Result<Value, Error> {
    if let Some(template) = a.as_str() {
        return super::format::percent(state, template, &b).map(Value::from);
    }
    let zero = || refused("division by zero");
    match (Number::of(&a), Number::of(&b)) {
        (Some(Number::Whole(a)), Some(Number::Whole(b))) => {
            let rest = if b == -1 { Some(0) } else { a.checked_rem(b) }.ok_or_else(zero)?;
            Ok(Number::Whole(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }).value())
        }
        (Some(a), Some(b)) => {
            let (a, b) = (a.float(), b.float());
            if b == 0.0 {
                return Err(zero());
            }
            let rest = a % b;
            Ok(Value::from(match rest {
                0.0 => 0f64.copysign(b),
                rest if (rest < 0.0) != (b < 0.0) => rest + b,
                rest => rest,
            }))
        }
        _ => Err(unsupported("%", &a, &b)),
    }
}

/// `value[start:stop:step]`
fn slice(state: &State<'_, '_>, value: Value, start: Value, stop: Value, step: Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(undefined());
    }
    let text = value.as_str().map(|text| text.chars().collect::<Vec<_>>());
    let list = if text.is_none() && is_list(&value) { Some(items(state, &value)?) } else { None };
    let length = text.as_ref().map_or_else(|| list.as_ref().map_or(0, Vec::len), Vec::len);
    let bounds =
        [&start, &stop, &step].map(|bound| if bound.is_none() { Some(None) } else { bound.as_i64().map(Some) });
    let [Some(start), Some(stop), Some(step)] = bounds else {
        return Ok(Value::UNDEFINED);
    };
    let chosen = indices(length, start, stop, step.unwrap_or(1))?;
    Ok(match (text, list) {
        (Some(text), _) => Value::from(chosen.into_iter().map(|at| text[at]).collect::<String>()),
        (_, Some(list)) => listed(chosen.into_iter().map(|at| list[at].clone()).collect(), value.is_tuple())?,
        _ => Value::UNDEFINED,
    })
}

/// Positions of a slice of `length` items (Python's `slice.indices`).
fn indices(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> Result<Vec<usize>, Error> {
    if step == 0 {
        return Err(refused("slice step cannot be zero"));
    }
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |bound: Option<i64>, default| match bound {
        None => default,
        Some(at) if at < 0 => (at.saturating_add(length)).max(lowest),
        Some(at) => at.min(highest),
    };
    let (first, last) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
    let (mut at, stop) = (bound(start, first), bound(stop, last));
    let mut chosen = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        chosen.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    Ok(chosen)
}

/// Whether Python's type of `value` has a method `name`.
fn has_method(value: &Value, name: &str) -> bool {
    match value.kind() {
        ValueKind::String => STRING_METHODS.contains(&name),
        ValueKind::Map => is_dict(value) && DICT_METHODS.contains(&name),
        _ if value.is_tuple() => matches!(name, "count" | "index"),
        _ => is_list(value) && LIST_METHODS.contains(&name),
    }
}

/// A method as a value; those that would change something are not there.
fn bound(value: Value, name: String) -> Value {
    let changes = value.kind() != ValueKind::String && CHANGES.contains(&name.as_str());
    if changes { Value::UNDEFINED } else { Value::from_object(Bound { value, name }) }
}

/// `value.name`: a method before an entry.
fn attribute(value: Value, name: String) -> Result<Value, Error> {
    if has_method(&value, &name) { Ok(bound(value, name)) } else { value.get_attr(&name) }
}

/// Jinja's `attr`: a method, or what a namespace or a loop has; no entry of a dict.
pub fn attr(value: Value, name: String) -> Result<Value, Error> {
    if is_dict(&value) && !has_method(&value, &name) { Ok(Value::UNDEFINED) } else { attribute(value, name) }
}

/// `value["name"]`: an entry before a method.
fn item(value: Value, name: String) -> Result<Value, Error> {
    let entry = value.get_item(&Value::from(name.as_str()))?;
    Ok(if entry.is_undefined() && has_method(&value, &name) { bound(value, name) } else { entry })
}

/// What a loop goes through: Python refuses what has no items.
fn each(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::Plain => {
            Err(refused(format!("'{}' object is not iterable", type_name(&value))))
        }
        _ => Ok(value),
    }
}

/// What a variable may hold, or a namespace where `enters`: values that nest too deep would
/// overflow the stack when they go, those that hold one another many times would take forever to
/// compare, and a namespace in itself would have no end.
fn kept(state: &State<'_, '_>, value: Value, enters: bool) -> Result<Value, Error> {
    let mut left = MOST_NODES;
    measured(&value, enters, text::DEEPEST, &mut left)?;
    state.consume_fuel((MOST_NODES - left) as u64 / 4)?;
    Ok(value)
}

fn measured(value: &Value, enters: bool, depth: usize, left: &mut usize) -> Result<(), Error> {
    let Some(object) = value.as_object() else { return Ok(()) };
    *left = left.checked_sub(1).ok_or_else(|| refused("a value is too large"))?;
    let depth = depth.checked_sub(1).ok_or_else(|| refused("a value nests too deep"))?;
    if let Some(bound) = value.downcast_object_ref::<Bound>() {
        return measured(&bound.value, enters, depth, left);
    }
    if enters && object.type_name().ends_with("Namespace") {
        return Err(refused("a namespace cannot hold a namespace"));
    }
    if is_dict(value) {
        for (key, entry) in object.try_iter_pairs().into_iter().flatten() {
            measured(&key, enters, depth, left)?;
            measured(&entry, enters, depth, left)?;
        }
    } else if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        for item in object.try_iter().into_iter().flatten() {
            measured(&item, enters, depth, left)?;
        }
    }
    Ok(())
}
