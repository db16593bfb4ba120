//! Jinja's filters for lists and dicts, as far as `minijinja`'s differ.

use super::containers::{paired, pairs};
use super::number::Number;
use super::{Arguments, View, is_dict, is_list, items, refused, text, type_name, undefined};
use minijinja::value::{Kwargs, Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, State, Value};
use std::cmp::Ordering;

/// Adds them.
pub fn install(environment: &mut Environment<'static>) {
    environment.add_filter("join", join);
    environment.add_filter("list", |state: &State<'_, '_>, value: Value| items(state, &value));
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("first", |state: &State<'_, '_>, value: Value| {
        items(state, &value).map(|all| all.into_iter().next().unwrap_or_default())
    });
    environment.add_filter("last", |state: &State<'_, '_>, value: Value| {
        items(state, &value).map(|all| all.into_iter().last().unwrap_or_default())
    });
    environment.add_filter("reverse", reverse);
    environment.add_filter("items", entries);
    environment.add_filter("dictsort", dictsort);
    environment.add_filter("sort", sort);
    environment.add_filter("unique", unique);
    environment.add_filter("min", |state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs| {
        extreme(state, &value, &rest, names, true)
    });
    environment.add_filter("max", |state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs| {
        extreme(state, &value, &rest, names, false)
    });
    environment.add_filter("sum", sum);
    environment.add_filter("batch", batch);
    environment.add_filter("slice", slices);
    environment.add_filter("groupby", groupby);
}

/// What `attribute` (`a.b.0`, or a position) names in `item`.
fn path(item: &Value, attribute: &Value) -> Result<Value, Error> {
    let Some(text) = attribute.as_str() else { return item.get_item(attribute) };
    let mut found = item.clone();
    for part in text.split('.') {
        let key = part.parse::<u32>().map_or_else(|_| Value::from(part), Value::from);
        found = found.get_item(&key)?;
    }
    Ok(found)
}

fn named(item: &Value, attribute: Option<&Value>) -> Result<Value, Error> {
    attribute.map_or_else(|| Ok(item.clone()), |attribute| path(item, attribute))
}

/// An argument that may be None.
fn optional(arguments: &mut Arguments<'_>, name: &str) -> Result<Option<Value>, Error> {
    Ok(arguments.next(name)?.filter(|value| !value.is_none()))
}

/// What is compared: texts in lower case unless their case counts.
fn folded(value: Value, case_sensitive: bool) -> Value {
    match value.as_str() {
        Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
        _ => value,
    }
}

/// Sorts by keys as Python does, which compares only what is alike; equal ones stay in order.
fn sorted<T>(state: &State<'_, '_>, mut all: Vec<(Value, T)>, reverse: bool) -> Result<Vec<T>, Error> {
    let direct = |order: Ordering| if reverse { order.reverse() } else { order };
    if all.iter().all(|(key, _)| key.as_str().is_some()) {
        all.sort_by(|(a, _), (b, _)| direct(a.as_str().cmp(&b.as_str())));
    } else if all.iter().all(|(key, _)| Number::of(key).is_some()) {
        all.sort_by(|(a, _), (b, _)| direct(a.cmp(b)));
    } else {
        // Lists, or kinds that do not go together: no order for the library's sort.
        if all.len() > 2_000 {
            return Err(refused("a list is too long to be sorted"));
        }
        for end in 1..all.len() {
            let mut at = end;
            while at > 0 && direct(compare(state, &all[at - 1].0, &all[at].0)?) == Ordering::Greater {
                all.swap(at - 1, at);
                at -= 1;
            }
        }
    }
    Ok(all.into_iter().map(|(_, item)| item).collect())
}

fn compare(state: &State<'_, '_>, a: &Value, b: &Value) -> Result<Ordering, Error> {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(a.cmp(b));
    }
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return Ok(match (a, b) {
            (Number::Whole(a), Number::Whole(b)) => a.cmp(&b),
            (a, b) => a.float().partial_cmp(&b.float()).unwrap_or(Ordering::Equal),
        });
    }
    if is_list(a) && is_list(b) {
        let (left, right) = (items(state, a)?, items(state, b)?);
        for (x, y) in left.iter().zip(&right) {
            match compare(state, x, y)? {
                Ordering::Equal => {}
                order => return Ok(order),
            }
        }
        return Ok(left.len().cmp(&right.len()));
    }
    Err(refused(format!("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b))))
}

fn join(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<String, Error> {
    let mut arguments = Arguments::new("join", &rest, names);
    let between = arguments.next("d")?.map_or_else(|| Ok(String::new()), |d| text::shown(&d))?;
    let attribute = optional(&mut arguments, "attribute")?;
    arguments.end()?;
    let mut out = String::new();
    for (index, item) in items(state, &value)?.iter().enumerate() {
        if index > 0 {
            out.push_str(&between);
        }
        out.push_str(&text::shown(&named(item, attribute.as_ref())?)?);
        if out.len() > super::MOST_BYTES {
            return Err(refused("a text is too long"));
        }
    }
    Ok(out)
}

/// Python's `len`.
///
/// # Errors
/// What has no length.
pub fn length(state: &State<'_, '_>, value: Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(0),
        ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            value.len().map_or_else(|| items(state, &value).map(|all| all.len()), Ok)
        }
        _ => Err(refused(format!("object of type '{}' has no len()", type_name(&value)))),
    }
}

fn reverse(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut all = items(state, &value)?;
    all.reverse();
    Ok(Value::from(all))
}

fn entries(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    if !is_dict(&value) {
        return Err(refused("Can only get item pairs from a mapping."));
    }
    paired(state, &value).map(Value::from)
}

fn dictsort(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("dictsort", &rest, names);
    let sensitive = arguments.flag("case_sensitive")?.unwrap_or(false);
    let by = arguments.text("by")?.unwrap_or_else(|| "key".into());
    let reverse = arguments.flag("reverse")?.unwrap_or(false);
    arguments.end()?;
    if !is_dict(&value) {
        return Err(if value.is_undefined() { undefined() } else { refused("dictsort wants a mapping") });
    }
    let all = pairs(state, &value)?.into_iter().map(|(key, entry)| {
        let by = if by == "value" { entry.clone() } else { key.clone() };
        (folded(by, sensitive), Value::from(Tuple::from([key, entry])))
    });
    sorted(state, all.collect(), reverse).map(Value::from)
}

fn sort(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("sort", &rest, names);
    let reverse = arguments.flag("reverse")?.unwrap_or(false);
    let sensitive = arguments.flag("case_sensitive")?.unwrap_or(false);
    let attribute = optional(&mut arguments, "attribute")?;
    arguments.end()?;
    let mut all = Vec::new();
    for item in items(state, &value)? {
        let keys: Result<Vec<Value>, Error> = match attribute.as_ref().map(|a| (a, a.as_str())) {
            None => Ok(vec![item.clone()]),
            Some((_, Some(names))) => names.split(',').map(|name| path(&item, &Value::from(name))).collect(),
            Some((place, None)) => path(&item, place).map(|found| vec![found]),
        };
        let mut keys: Vec<Value> = keys?.into_iter().map(|key| folded(key, sensitive)).collect();
        let key = if keys.len() == 1 { keys.remove(0) } else { Value::from(keys) };
        all.push((key, item));
    }
    sorted(state, all, reverse).map(Value::from)
}

fn unique(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("unique", &rest, names);
    let sensitive = arguments.flag("case_sensitive")?.unwrap_or(false);
    let attribute = optional(&mut arguments, "attribute")?;
    arguments.end()?;
    let mut seen = std::collections::HashSet::new();
    let mut kept = Vec::new();
    for item in items(state, &value)? {
        if seen.insert(folded(named(&item, attribute.as_ref())?, sensitive)) {
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

fn extreme(state: &State<'_, '_>, value: &Value, rest: &[Value], names: Kwargs, least: bool) -> Result<Value, Error> {
    let mut arguments = Arguments::new(if least { "min" } else { "max" }, rest, names);
    let wanted = if least { Ordering::Less } else { Ordering::Greater };
    let sensitive = arguments.flag("case_sensitive")?.unwrap_or(false);
    let attribute = optional(&mut arguments, "attribute")?;
    arguments.end()?;
    let mut best: Option<(Value, Value)> = None;
    for item in items(state, value)? {
        let key = folded(named(&item, attribute.as_ref())?, sensitive);
        let better = match &best {
            None => true,
            Some((other, _)) => compare(state, &key, other)? == wanted,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Value::UNDEFINED, |(_, item)| item))
}

fn sum(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("sum", &rest, names);
    let attribute = optional(&mut arguments, "attribute")?;
    let mut total = arguments.next("start")?.unwrap_or_else(|| Value::from(0));
    arguments.end()?;
    for item in items(state, &value)? {
        if total.as_str().is_some() {
            return Err(refused("sum() can't sum strings"));
        }
        total = super::operators::add(state, total, Rest(vec![named(&item, attribute.as_ref())?]))?;
    }
    Ok(total)
}

/// How many, at least one, and with what to fill up.
fn counted(call: &str, rest: &[Value], names: Kwargs, name: &str) -> Result<(usize, Option<Value>), Error> {
    let mut arguments = Arguments::new(call, rest, names);
    let count = arguments.whole(name)?.and_then(|n| usize::try_from(n).ok()).filter(|n| (1..100_000).contains(n));
    let fill = optional(&mut arguments, "fill_with")?;
    arguments.end()?;
    Ok((count.ok_or_else(|| refused(format!("{call} wants a number above 0")))?, fill))
}

fn batch(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let (count, fill) = counted("batch", &rest, names, "linecount")?;
    let all = items(state, &value)?;
    let rows = all.chunks(count).map(|row| {
        let mut row = row.to_vec();
        if let Some(fill) = &fill {
            row.resize(count, fill.clone());
        }
        Value::from(row)
    });
    Ok(rows.collect())
}

fn slices(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let (count, fill) = counted("slice", &rest, names, "slices")?;
    let all = items(state, &value)?;
    let (each, longer) = (all.len() / count, all.len() % count);
    let mut at = 0;
    let mut rows = Vec::with_capacity(count);
    for index in 0..count {
        let end = at + each + usize::from(index < longer);
        let mut row = all[at..end].to_vec();
        row.extend(fill.clone().filter(|_| index >= longer));
        rows.push(Value::from(row));
        at = end;
    }
    Ok(Value::from(rows))
}

fn groupby(state: &State<'_, '_>, value: Value, rest: Rest<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut arguments = Arguments::new("groupby", &rest, names);
    let attribute = arguments.needed("attribute")?;
    let default = optional(&mut arguments, "default")?;
    let sensitive = arguments.flag("case_sensitive")?.unwrap_or(false);
    arguments.end()?;
    let mut all = Vec::new();
    for item in items(state, &value)? {
        let found = path(&item, &attribute)?;
        let found = if found.is_undefined() { default.clone().unwrap_or(found) } else { found };
        all.push((folded(found.clone(), sensitive), (found, item)));
    }
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (found, item) in sorted(state, all, false)? {
        let key = folded(found.clone(), sensitive);
        match groups.last_mut() {
            Some((last, _, members)) if *last == key => members.push(item),
            _ => groups.push((key, found, vec![item])),
        }
    }
    let rows = groups.into_iter().map(|(_, name, members)| Value::from(Tuple::from([name, Value::from(members)])));
    Ok(rows.collect())
}

/// Whether `value` can be counted and asked for its items by place or key.
pub fn is_sequence(value: &Value) -> bool {
    let counted = matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Iterable);
    (counted && value.downcast_object_ref::<View>().is_none()) || is_dict(value) || value.is_undefined()
}
