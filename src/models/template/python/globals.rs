//! Functions that Jinja gives to all templates, as far as `minijinja` has none or another.

use super::{is_dict, items, refused};
use minijinja::value::{Kwargs, Object, ObjectRepr, Rest};
use minijinja::{Environment, Error, State, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Adds them.
pub fn install(environment: &mut Environment<'static>) {
    environment.add_function("dict", dict);
    environment.add_function("cycler", cycler);
    environment.add_function("joiner", joiner);
}

/// Python's `dict(…)`.
fn dict(state: &State<'_, '_>, from: Option<Value>, names: Kwargs) -> Result<Value, Error> {
    let mut entries = Vec::new();
    for item in from.as_ref().map_or_else(|| Ok(Vec::new()), |from| items(state, from))? {
        entries.push(match &from {
            Some(from) if is_dict(from) => (item.clone(), from.get_item(&item)?),
            _ => match items(state, &item)?.as_slice() {
                [key, entry] => (key.clone(), entry.clone()),
                _ => return Err(refused("dict wants pairs")),
            },
        });
    }
    for name in names.args() {
        entries.push((Value::from(name), names.peek(name)?));
    }
    let named: Vec<String> = names.args().map(str::to_owned).collect();
    named.iter().try_for_each(|name| names.get::<Value>(name).map(|_| ()))?;
    Ok(Value::from_pairs(entries))
}

/// Jinja's `cycler`: one item after the other.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

fn cycler(items: Rest<Value>) -> Result<Value, Error> {
    if items.is_empty() {
        return Err(refused("a cycler needs items"));
    }
    Ok(Value::from_object(Cycler { items: items.0, at: AtomicUsize::new(0) }))
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = self.at.load(Ordering::Relaxed) % self.items.len();
        (key.as_str() == Some("current")).then(|| self.items[at].clone())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, name: &str, _: &[Value]) -> Result<Value, Error> {
        match name {
            "next" => Ok(self.items[self.at.fetch_add(1, Ordering::Relaxed) % self.items.len()].clone()),
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }
}

/// Jinja's `joiner`: nothing at first, then its text.
#[derive(Debug)]
struct Joiner {
    text: String,
    used: AtomicBool,
}

fn joiner(text: Option<String>) -> Value {
    Value::from_object(Joiner { text: text.unwrap_or_else(|| ", ".into()), used: AtomicBool::new(false) })
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Result<Value, Error> {
        let used = self.used.swap(true, Ordering::Relaxed);
        Ok(Value::from(if used { self.text.as_str() } else { "" }))
    }
}
