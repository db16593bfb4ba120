//! A GGUF header, from bytes that nobody vouches for.

use crate::models::refusal::{Refusal, another_type, other_type, short, something_else};
use crate::nn::source::Dtype;
use std::collections::BTreeMap;
use std::ops::Range;

/// A metadata value, by what it can be used for.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Bool(bool),
    Text(String),
    Numbers(Vec<f64>),
    Bools(Vec<bool>),
    Strings(Vec<String>),
    /// An array of arrays: nothing here uses one.
    Nested,
}

/// A tensor's place.
#[derive(Debug)]
pub struct TensorInfo {
    pub name: String,
    pub dtype: Dtype,
    /// Outermost first.
    pub shape: Vec<usize>,
    /// Bytes of the file.
    pub range: Range<usize>,
}

/// The same before its type and its place were looked at.
struct Place {
    name: String,
    shape: Vec<usize>,
    /// ggml's number of its type.
    kind: u32,
    /// From where tensors begin.
    offset: u64,
}

/// What a header says.
#[derive(Debug)]
pub struct Header {
    pub metadata: BTreeMap<String, Value>,
    pub tensors: Vec<TensorInfo>,
}

/// Most keys and tensors that a real file has, by far.
const MOST_ENTRIES: u64 = 1 << 20;
/// Arrays in arrays, at most.
const MOST_DEPTH: u32 = 4;

/// Reads forward, never beyond the end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|e| *e <= self.bytes.len());
        let end = end.ok_or_else(|| format!("it ends inside its header (truncated at byte {})", self.bytes.len()))?;
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count of things of at least `least` bytes each, which must still be there.
    fn count(&mut self, least: usize, what: &str) -> Result<usize, String> {
        let count = self.u64()?;
        let left = (self.bytes.len() - self.at) as u64;
        if count.checked_mul(least as u64).is_none_or(|needed| needed > left) {
            return Err(format!("it claims {count} {what}, more than its bytes can hold (truncated or forged)"));
        }
        Ok(count as usize)
    }

    fn string(&mut self) -> Result<String, String> {
        let length = self.count(1, "bytes of text")?;
        // Tokens of some vocabularies are no valid UTF-8; what is lost then is never looked up.
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn number(&mut self, kind: u32) -> Result<f64, String> {
        Ok(match kind {
            0 => f64::from(self.array::<1>()?[0]),
            1 => f64::from(self.array::<1>()?[0].cast_signed()),
            2 => f64::from(u16::from_le_bytes(self.array()?)),
            3 => f64::from(i16::from_le_bytes(self.array()?)),
            4 => f64::from(self.u32()?),
            5 => f64::from(self.u32()?.cast_signed()),
            6 => f64::from(f32::from_le_bytes(self.array()?)),
            10 => self.u64()? as f64,
            11 => self.u64()?.cast_signed() as f64,
            12 => f64::from_le_bytes(self.array()?),
            other => return Err(format!("it has a value of the unknown type {other}")),
        })
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Value, String> {
        match kind {
            7 => Ok(Value::Bool(self.array::<1>()?[0] != 0)),
            8 => Ok(Value::Text(self.string()?)),
            9 => self.list(depth),
            other => Ok(Value::Number(self.number(other)?)),
        }
    }

    fn list(&mut self, depth: u32) -> Result<Value, String> {
        if depth >= MOST_DEPTH {
            return Err("it has arrays nested too deep".into());
        }
        let kind = self.u32()?;
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            9 => 12,
            8 | 10..=12 => 8,
            other => return Err(format!("it has an array of the unknown type {other}")),
        };
        let count = self.count(least, "array items")?;
        Ok(match kind {
            7 => Value::Bools(self.take(count)?.iter().map(|b| *b != 0).collect()),
            8 => Value::Strings((0..count).map(|_| self.string()).collect::<Result<_, _>>()?),
            9 => {
                for _ in 0..count {
                    self.list(depth + 1)?;
                }
                Value::Nested
            }
            number => Value::Numbers((0..count).map(|_| self.number(number)).collect::<Result<_, _>>()?),
        })
    }
}

/// The type with ggml's number; `None` for one that is not read here.
fn dtype(number: u32) -> Option<Dtype> {
    Some(match number {
        0 => Dtype::F32,
        1 => Dtype::F16,
        2 => Dtype::Q4_0,
        3 => Dtype::Q4_1,
        6 => Dtype::Q5_0,
        7 => Dtype::Q5_1,
        8 => Dtype::Q8_0,
        10 => Dtype::Q2K,
        11 => Dtype::Q3K,
        12 => Dtype::Q4K,
        13 => Dtype::Q5K,
        14 => Dtype::Q6K,
        30 => Dtype::Bf16,
        _ => return None,
    })
}

/// Says of a file with tensors in types that are not read here which those are, the commonest first.
fn unread(places: &[Place]) -> Option<Refusal> {
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    for place in places.iter().filter(|p| dtype(p.kind).is_none()) {
        *counts.entry(place.kind).or_default() += 1;
    }
    // A number without a name says more than its file's size: nothing else is sure of it.
    if let Some(place) = places.iter().find(|p| dtype(p.kind).is_none() && other_type(p.kind).is_none()) {
        let why = format!(
            "keeps its tensor '{}' as ggml's type {}, which this version of Glossa does not know",
            short(&place.name),
            place.kind
        );
        let next =
            format!("Update Glossa, if the file is newer; if it came damaged, fetch it again. {}", another_type());
        return Some(Refusal::unfit(why, next));
    }
    let mut kinds: Vec<(u32, u32)> = counts.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let names: Vec<&str> = kinds.iter().filter_map(|(kind, _)| other_type(*kind)).collect();
    let count: u32 = kinds.iter().map(|k| k.1).sum();
    let [first, ..] = names[..] else { return None };
    let what = if count as usize == places.len() {
        "its weights".into()
    } else {
        format!("{count} of its {} tensors", places.len())
    };
    let more = if names.len() > 1 { format!(" ({})", names.join(", ")) } else { String::new() };
    Some(Refusal::unfit(format!("keeps {what} as {first}{more}, which Glossa does not read"), another_type()))
}

/// A version that is read here, or why not.
fn version(number: u32) -> Result<(), Refusal> {
    let swapped = number.swap_bytes();
    match number {
        2 | 3 => Ok(()),
        0 | 1 => Err(Refusal::unfit(
            format!("is GGUF version {number}, which is too old: 2 and 3 are read"),
            "Take a newer file of the same model, or convert the model again.",
        )),
        // No version of the other order has its low bytes set.
        _ if number & 0xffff == 0 && swapped < 1 << 16 => Err(Refusal::unfit(
            "was written for big-endian machines",
            "Take the little-endian file of the same model, as nearly all are, or convert this one (gguf-convert-endian of Python's gguf).",
        )),
        4..1_000 => Err(Refusal::unfit(
            format!("is GGUF version {number}, which is newer than this version of Glossa: 2 and 3 are read"),
            "Update Glossa, or take a file of the same model in GGUF version 3.",
        )),
        _ => Err(format!("GGUF version {number} cannot be").into()),
    }
}

/// Reads a header. `bytes` is the whole file: tensors must lie inside it.
///
/// # Errors
/// What is wrong, in words.
pub fn read(bytes: &[u8]) -> Result<Header, Refusal> {
    let mut r = Reader { bytes, at: 0 };
    if r.take(4).is_ok_and(|magic| magic != b"GGUF") || bytes.len() < 4 {
        let no_gguf =
            || Refusal::unfit("is no GGUF file", "Name a GGUF file; if it was fetched as one, fetch it again.");
        return Err(something_else(bytes).unwrap_or_else(no_gguf));
    }
    version(r.u32()?)?;
    let tensor_count = r.count(24, "tensors")?;
    let key_count = r.count(13, "keys")?;
    if tensor_count as u64 > MOST_ENTRIES || key_count as u64 > MOST_ENTRIES {
        return Err(format!("it claims {tensor_count} tensors and {key_count} keys, which cannot be").into());
    }
    let mut metadata = BTreeMap::new();
    for _ in 0..key_count {
        let key = r.string()?;
        let kind = r.u32()?;
        let value = r.value(kind, 0).map_err(|why| format!("'{}': {why}", short(&key)))?;
        metadata.insert(key, value);
    }
    let mut places = Vec::new();
    for _ in 0..tensor_count {
        let name = r.string()?;
        let (shape, kind, offset) = tensor(&mut r).map_err(|why| format!("tensor '{}': {why}", short(&name)))?;
        places.push(Place { name, shape, kind, offset });
    }
    if let Some(refusal) = unread(&places) {
        return Err(refusal);
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(Value::Number(n)) if (1.0..=65_536.0).contains(n) && (*n as usize).is_power_of_two() => *n as usize,
        Some(other) => return Err(format!("an alignment of {other:?} cannot be").into()),
    };
    let start = r.at.next_multiple_of(alignment);
    let mut tensors = Vec::with_capacity(places.len());
    for Place { name, shape, kind, offset } in places {
        let wrong = |why: &str| format!("tensor '{}' {why}", short(&name));
        let dtype = dtype(kind).ok_or_else(|| wrong("has an unknown type"))?;
        let size = dtype.bytes_of(&shape).ok_or_else(|| wrong("has a shape that its type cannot have"))?;
        let from = usize::try_from(offset).ok().and_then(|o| o.checked_add(start));
        let to = from.and_then(|f| f.checked_add(size)).filter(|to| *to <= bytes.len());
        let (Some(from), Some(to)) = (from, to) else {
            let why = format!("ends behind the end of the file, which has {} bytes (truncated)", bytes.len());
            return Err(wrong(&why).into());
        };
        tensors.push(TensorInfo { name, dtype, shape, range: from..to });
    }
    Ok(Header { metadata, tensors })
}

/// A tensor's shape, ggml's number of its type, and where it begins.
fn tensor(r: &mut Reader<'_>) -> Result<(Vec<usize>, u32, u64), String> {
    let rank = r.u32()?;
    if !(1..=4).contains(&rank) {
        return Err(format!("{rank} dimensions cannot be"));
    }
    let mut shape = Vec::with_capacity(rank as usize);
    for _ in 0..rank {
        let size = r.u64()?;
        shape.push(usize::try_from(size).map_err(|_| format!("a dimension of {size} cannot be"))?);
    }
    // ggml counts the innermost first.
    shape.reverse();
    Ok((shape, r.u32()?, r.u64()?))
}
