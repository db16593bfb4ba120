//! Values of a configuration, read so that none that cannot be gets any further: what is there must be what it should
//! be, and sizes stay so small that no product of them overflows.

use super::NnError;
use super::harmless::is_harmless;
use serde_json::Value;
use std::ops::RangeInclusive;

/// Largest size.
pub const MOST: usize = 1 << 24;
/// Most numbers in a table that is made, not read: 1 GB.
pub const MOST_MADE: usize = 1 << 28;
/// Most layers of a stack.
pub const MOST_LAYERS: usize = 1_024;
/// Most heads, and columns of a head.
pub const MOST_HEADS: usize = 4_096;

/// What generation_config.json says that a text ends with, beside what config.json says.
pub const ENDS: &str = "generation_eos_token_id";

/// A parsed config.json.
#[derive(Clone, Copy)]
pub struct Keys<'a>(pub &'a Value);

impl<'a> Keys<'a> {
    /// A value that is there and not null.
    fn value(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }

    /// Refuses a configuration that says more than is read of it (`known`): what is left may change what the model computes.
    ///
    /// # Errors
    /// The key that is not known, by its name.
    pub fn nothing_else(self, known: &[&str]) -> Result<(), NnError> {
        let Some(all) = self.0.as_object() else {
            return Err(NnError::Config("config.json is no list of names with values".into()));
        };
        for (key, value) in all {
            if key != ENDS && !known.contains(&key.as_str()) && !is_harmless(key, &value.to_string()) {
                let (key, value) = (shown(key), shown(&value.to_string()));
                return Err(NnError::Config(format!(
                    "config.json has '{key}' ({value}), which is not known here and may change what the model computes"
                )));
            }
        }
        Ok(())
    }

    /// Refuses a key whose value is another than what the others say.
    ///
    /// # Errors
    /// The key, its value and what was expected.
    pub fn agrees(self, key: &str, expected: impl Into<Value>) -> Result<(), NnError> {
        let expected = expected.into();
        match self.value(key).filter(|v| **v != expected) {
            Some(value) => {
                Err(cannot_be(key, value, &format!("{}, as the rest of the file says", shown(&expected.to_string()))))
            }
            None => Ok(()),
        }
    }

    /// A size that must be there: 1 to [`MOST`].
    ///
    /// # Errors
    /// [`NnError::Config`] in words, as all here.
    pub fn size(self, key: &str) -> Result<usize, NnError> {
        let Some(value) = self.value(key) else {
            return Err(NnError::Config(format!("config.json has no number '{key}'")));
        };
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=MOST).contains(n));
        size.ok_or_else(|| cannot_be(key, value, &format!("a whole number from 1 to {MOST}")))
    }

    /// A size that may be missing, not wrong.
    pub fn size_or(self, key: &str, otherwise: usize) -> Result<usize, NnError> {
        if self.value(key).is_some() { self.size(key) } else { Ok(otherwise) }
    }

    /// A number of layers.
    pub fn layers(self, key: &str) -> Result<usize, NnError> {
        let count = self.size(key)?;
        if count > MOST_LAYERS {
            return Err(NnError::Config(format!("config.json: {count} layers in '{key}' cannot be")));
        }
        Ok(count)
    }

    /// The id of a token, below `vocabulary`; `None` if there is none. Of a list the first.
    pub fn id(self, key: &str, vocabulary: usize) -> Result<Option<u32>, NnError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let one = value.as_array().map_or(Some(value), |all| all.first());
        let id = one.and_then(Value::as_u64).filter(|id| *id < vocabulary as u64).and_then(|id| u32::try_from(id).ok());
        id.map(Some).ok_or_else(|| cannot_be(key, value, &format!("an id in the vocabulary of {vocabulary}")))
    }

    /// All ids of a list, or the only one, each below `vocabulary`; none if there is no such key.
    pub fn ids(self, key: &str, vocabulary: usize) -> Result<Vec<u32>, NnError> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let one = std::slice::from_ref(value);
        let all = value.as_array().map_or(one, Vec::as_slice).iter();
        let id = |v: &Value| v.as_u64().filter(|id| *id < vocabulary as u64).and_then(|id| u32::try_from(id).ok());
        let ids: Option<Vec<u32>> = all.map(id).collect();
        ids.ok_or_else(|| cannot_be(key, value, &format!("ids in the vocabulary of {vocabulary}")))
    }

    /// All tokens that end a text that is written; none if the files name none.
    pub fn ends(self, vocabulary: usize) -> Result<Vec<u32>, NnError> {
        let own = self.ids(ENDS, vocabulary)?;
        if own.is_empty() { self.ids("eos_token_id", vocabulary) } else { Ok(own) }
    }

    /// A number.
    pub fn float_or(self, key: &str, otherwise: f32, range: RangeInclusive<f64>) -> Result<f32, NnError> {
        let Some(value) = self.value(key) else { return Ok(otherwise) };
        let number = value.as_f64().filter(|n| range.contains(n));
        let what = format!("a number from {} to {}", range.start(), range.end());
        number.map(|n| n as f32).ok_or_else(|| cannot_be(key, value, &what))
    }

    /// What is added to a variance before the root is taken.
    pub fn epsilon(self, key: &str, otherwise: f32) -> Result<f32, NnError> {
        self.float_or(key, otherwise, 0.0..=1.0)
    }

    /// True or false.
    pub fn flag(self, key: &str, otherwise: bool) -> Result<bool, NnError> {
        let Some(value) = self.value(key) else { return Ok(otherwise) };
        value.as_bool().ok_or_else(|| cannot_be(key, value, "true or false"))
    }

    /// A word; `None` if it is missing.
    pub fn text(self, key: &str) -> Result<Option<&'a str>, NnError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| cannot_be(key, value, "a word"))
    }

    /// A list; `None` if it is missing.
    pub fn list(self, key: &str) -> Result<Option<&'a Vec<Value>>, NnError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_array().map(Some).ok_or_else(|| cannot_be(key, value, "a list"))
    }
}

/// What a file says, short enough for a message.
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.escape_debug().to_string()
}

fn cannot_be(key: &str, value: &Value, expected: &str) -> NnError {
    let shown = shown(&value.to_string());
    NnError::Config(format!("config.json: '{key}' is {shown}, which cannot be; expected {expected}"))
}

/// Columns of one head of `heads` that share `hidden` evenly.
///
/// # Errors
/// [`NnError::Config`] if they cannot.
pub fn head_dim(hidden: usize, heads: usize) -> Result<usize, NnError> {
    if heads == 0 || !hidden.is_multiple_of(heads) {
        return Err(NnError::Config(format!("a hidden size of {hidden} cannot be shared by {heads} heads")));
    }
    check_heads(heads, hidden / heads)?;
    Ok(hidden / heads)
}

/// Whether so many heads of so many columns can be.
///
/// # Errors
/// [`NnError::Config`] if not.
pub fn check_heads(heads: usize, dim: usize) -> Result<(), NnError> {
    if (1..=MOST_HEADS).contains(&heads) && (1..=MOST_HEADS).contains(&dim) && heads * dim <= MOST {
        return Ok(());
    }
    Err(NnError::Config(format!("{heads} heads of {dim} columns cannot be")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_there_must_be_what_it_should_be() {
        let keys =
            json!({"n": 5, "zero": 0, "huge": 1u64 << 63, "word": "x", "null": null, "ids": [3, 4], "minus": -1});
        let keys = Keys(&keys);
        assert_eq!(keys.size("n").expect("size"), 5);
        for bad in ["zero", "huge", "word", "minus", "ids", "null", "none"] {
            assert!(keys.size(bad).is_err(), "{bad}");
        }
        assert_eq!(keys.size_or("null", 7).expect("size"), 7);
        assert!(keys.size_or("zero", 7).is_err() && keys.flag("n", true).is_err() && keys.text("n").is_err());
        assert_eq!(keys.id("ids", 5).expect("id"), Some(3));
        assert!(keys.id("n", 5).is_err() && keys.id("minus", 5).is_err() && keys.id("word", 5).is_err());
        assert!(keys.epsilon("n", 0.1).is_err() && keys.epsilon("word", 0.1).is_err());
        assert!(head_dim(30, 4).is_err() && head_dim(30, 0).is_err());
        assert_eq!(head_dim(30, 5).expect("columns"), 6);
    }
}
