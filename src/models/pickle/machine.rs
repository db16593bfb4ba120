//! Reads Python pickles as data: nothing is called, nothing is imported. What a checkpoint needs is known
//! (`torch.save` writes dictionaries of tensors that name their storages); anything else is refused by name.
//!
//! Format: Python's pickletools.py. All values live in one arena, so that neither a deep nor a circular
//! file can exhaust the stack.

use super::INSTEAD;
use crate::models::refusal::Refusal;
use std::collections::HashMap;

/// Most values that a file may make. A checkpoint makes some dozens for each tensor.
const MOST_VALUES: usize = 2_000_000;
/// Most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 16;
/// Longest key of a storage, and longest name of a function.
const MOST_NAME: usize = 256;
/// Arguments of a call that are looked at.
const MOST_ARGUMENTS: usize = 8;

/// A value in the arena.
#[derive(Clone, Debug)]
pub enum Node {
    None,
    Bool,
    Int(i64),
    Float,
    Text(String),
    Tuple(Vec<Ref>),
    List(Vec<Ref>),
    Dict(Vec<(Ref, Ref)>),
    /// A class or function, by module and name; never looked up.
    Global(String),
    Storage(Storage),
    Tensor(Tensor),
    /// Something that is of no use here.
    Other,
}

/// Where a tensor's numbers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Such as `FloatStorage`.
    pub kind: String,
    pub key: String,
    pub elements: i64,
}

/// A view of a storage.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub storage: Storage,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

/// An index into the arena.
pub type Ref = u32;

/// What may be named. Everything else ends the reading.
const KNOWN: [&str; 8] = [
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "collections.OrderedDict",
    "torch.Size",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "_codecs.encode",
];

/// A machine that has read one pickle.
pub struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    arena: Vec<Node>,
    stack: Vec<Ref>,
    marks: Vec<usize>,
    memo: HashMap<u32, Ref>,
}

impl<'a> Machine<'a> {
    /// Reads the pickle that begins at byte `at`; returns the machine, the value, and where the pickle ends.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(bytes: &'a [u8], at: usize) -> Result<(Self, Ref, usize), Refusal> {
        let mut machine =
            Self { bytes, at, arena: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        loop {
            let op = machine.byte()?;
            if op == b'.' {
                let top = machine.pop()?;
                let end = machine.at;
                return Ok((machine, top, end));
            }
            machine.step(op)?;
        }
    }

    /// A value.
    pub fn node(&self, index: Ref) -> &Node {
        self.arena.get(index as usize).unwrap_or(&Node::Other)
    }

    /// A text, if the value is one.
    pub fn text(&self, index: Ref) -> Option<&str> {
        match self.node(index) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let end = self.at.checked_add(count).filter(|e| *e <= self.bytes.len());
        let end = end.ok_or("its index ends too early (truncated)")?;
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn byte(&mut self) -> Result<u8, Refusal> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, Refusal> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn line(&mut self) -> Result<&'a str, Refusal> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take(4096).position(|b| *b == b'\n').ok_or("a name in its index has no end")?;
        let line = std::str::from_utf8(&rest[..length]).map_err(|_| "a name in its index is no text")?;
        self.at += length + 1;
        Ok(line)
    }

    fn push(&mut self, node: Node) -> Result<(), Refusal> {
        if self.arena.len() >= MOST_VALUES {
            return Err("its index has more values than any checkpoint needs".into());
        }
        self.stack.push(self.arena.len() as Ref);
        self.arena.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Result<Ref, Refusal> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("its index is no valid pickle (nothing to take)".into());
        }
        self.stack.pop().ok_or_else(|| "its index is no valid pickle".into())
    }

    /// The values since the last mark.
    fn since_mark(&mut self) -> Result<Vec<Ref>, Refusal> {
        let from = self.marks.pop().ok_or("its index is no valid pickle (no mark)")?;
        Ok(self.stack.split_off(from.min(self.stack.len())))
    }

    fn top(&self) -> Result<Ref, Refusal> {
        self.stack.last().copied().ok_or_else(|| "its index is no valid pickle (empty)".into())
    }

    fn string(&mut self, length: usize) -> Result<(), Refusal> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Node::Text(text))
    }

    fn step(&mut self, op: u8) -> Result<(), Refusal> {
        match op {
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Node::None)?,
            0x88 | 0x89 => self.push(Node::Bool)?,
            b'J' => {
                let value = i64::from(self.u32()?.cast_signed());
                self.push(Node::Int(value))?;
            }
            b'K' => {
                let value = i64::from(self.byte()?);
                self.push(Node::Int(value))?;
            }
            b'M' => {
                let value = i64::from(u16::from_le_bytes(self.array()?));
                self.push(Node::Int(value))?;
            }
            0x8a => self.long()?,
            b'I' => {
                let value = self.line()?.trim().parse().unwrap_or(0);
                self.push(Node::Int(value))?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Node::Float)?;
            }
            b'X' | b'T' => {
                let length = self.u32()? as usize;
                self.string(length)?;
            }
            0x8c | b'U' => {
                let length = usize::from(self.byte()?);
                self.string(length)?;
            }
            b'B' => {
                let length = self.u32()? as usize;
                self.take(length)?;
                self.push(Node::Other)?;
            }
            b'C' => {
                let length = usize::from(self.byte()?);
                self.take(length)?;
                self.push(Node::Other)?;
            }
            b'q' | b'r' | 0x94 => self.memorize(op)?,
            b'h' | b'j' => {
                let index = if op == b'h' { u32::from(self.byte()?) } else { self.u32()? };
                let value = *self.memo.get(&index).ok_or("its index refers to what it has not made")?;
                self.stack.push(value);
                // Copies cost stack alone, but a file must not grow it without end.
                if self.stack.len() > MOST_VALUES {
                    return Err("its index has more values than any checkpoint needs".into());
                }
            }
            b')' | b't' | 0x85..=0x87 => self.tuple(op)?,
            b']' => self.push(Node::List(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'a' | b'e' => self.append(op)?,
            b's' | b'u' => self.set(op)?,
            b'c' | 0x93 => self.global(op)?,
            b'Q' => self.persistent()?,
            b'R' | 0x81 => self.call()?,
            b'b' => drop(self.pop()?),
            other => {
                let why = format!("has the instruction {other:#04x} in its index, which no checkpoint needs");
                return Err(Refusal::unfit(why, INSTEAD));
            }
        }
        Ok(())
    }

    fn long(&mut self) -> Result<(), Refusal> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length)?;
        let mut value = [if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 }; 8];
        let kept = length.min(8);
        value[..kept].copy_from_slice(&bytes[..kept]);
        self.push(if length > 8 { Node::Other } else { Node::Int(i64::from_le_bytes(value)) })
    }

    fn memorize(&mut self, op: u8) -> Result<(), Refusal> {
        let index = match op {
            b'q' => u32::from(self.byte()?),
            b'r' => self.u32()?,
            _ => self.memo.len() as u32,
        };
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn tuple(&mut self, op: u8) -> Result<(), Refusal> {
        let items = match op {
            b')' => Vec::new(),
            b't' => self.since_mark()?,
            _ => {
                let mut items = Vec::new();
                for _ in 0..op - 0x84 {
                    items.push(self.pop()?);
                }
                items.reverse();
                items
            }
        };
        self.push(Node::Tuple(items))
    }

    fn append(&mut self, op: u8) -> Result<(), Refusal> {
        let items = if op == b'e' { self.since_mark()? } else { vec![self.pop()?] };
        let list = self.top()?;
        match self.arena.get_mut(list as usize) {
            Some(Node::List(all)) => all.extend(items),
            _ => return Err("its index is no valid pickle (no list)".into()),
        }
        Ok(())
    }

    fn set(&mut self, op: u8) -> Result<(), Refusal> {
        let items = if op == b'u' {
            self.since_mark()?
        } else {
            let value = self.pop()?;
            vec![self.pop()?, value]
        };
        let dict = self.top()?;
        match self.arena.get_mut(dict as usize) {
            Some(Node::Dict(all)) => all.extend(items.as_chunks::<2>().0.iter().map(|[k, v]| (*k, *v))),
            Some(Node::Other) => {}
            _ => return Err("its index is no valid pickle (no dictionary)".into()),
        }
        Ok(())
    }

    fn global(&mut self, op: u8) -> Result<(), Refusal> {
        let name = if op == b'c' {
            let module = self.line()?;
            format!("{module}.{}", self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let part = |index| self.text(index).ok_or("a name in its index is no text");
            let (module, name) = (part(module)?, part(name)?);
            if module.len() + name.len() > MOST_NAME {
                let why = "asks to run something with an endless name: nothing of it was run";
                return Err(Refusal::unfit(why, INSTEAD));
            }
            format!("{module}.{name}")
        };
        let is_storage = name.strip_prefix("torch.").is_some_and(|n| !n.contains('.') && n.ends_with("Storage"));
        if !is_storage && !KNOWN.contains(&name.as_str()) {
            let shown: String = name.chars().take(80).collect();
            let why = format!("asks to run '{shown}', which weights do not need: nothing of it was run");
            return Err(Refusal::unfit(why, INSTEAD));
        }
        self.push(Node::Global(name))
    }

    /// `('storage', class, key, device, elements)`
    fn persistent(&mut self) -> Result<(), Refusal> {
        let wrong = "a storage in its index is not described as torch does it";
        let id = self.pop()?;
        let Node::Tuple(parts) = self.node(id) else { return Err(wrong.into()) };
        let [tag, class, key, _, elements, ..] = parts[..] else { return Err(wrong.into()) };
        let storage = match (self.text(tag), self.node(class), self.text(key), self.node(elements)) {
            (Some("storage"), Node::Global(class), Some(key), Node::Int(elements)) if key.len() <= MOST_NAME => {
                Storage {
                    kind: class.trim_start_matches("torch.").to_owned(),
                    key: key.to_owned(),
                    elements: *elements,
                }
            }
            _ => return Err(wrong.into()),
        };
        self.push(Node::Storage(storage))
    }

    /// What the known functions would make.
    fn call(&mut self) -> Result<(), Refusal> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Node::Global(name) = self.node(function) else {
            return Err("its index calls what is no function".into());
        };
        let arguments = match self.node(arguments) {
            // No copy of what a file may name a thousand times.
            Node::Tuple(all) => all.iter().take(MOST_ARGUMENTS).copied().collect(),
            _ => Vec::new(),
        };
        let made = match name.as_str() {
            "collections.OrderedDict" => Node::Dict(Vec::new()),
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => self.tensor(&arguments)?,
            "torch._utils._rebuild_parameter" => arguments.first().map_or(Node::Other, |t| self.node(*t).clone()),
            _ => Node::Other,
        };
        self.push(made)
    }

    /// `(storage, offset, shape, strides, …)`
    fn tensor(&self, arguments: &[Ref]) -> Result<Node, Refusal> {
        let numbers = |index: Ref| match self.node(index) {
            Node::Tuple(all) if all.len() <= MOST_DIMENSIONS => {
                all.iter().map(|i| self.int(*i)).collect::<Option<Vec<i64>>>()
            }
            _ => None,
        };
        let wrong = || Refusal::from("a tensor in its index is not described as torch does it");
        let [storage, offset, shape, strides, ..] = *arguments else { return Err(wrong()) };
        match (self.node(storage), self.int(offset), numbers(shape), numbers(strides)) {
            (Node::Storage(storage), Some(offset), Some(shape), Some(strides)) if shape.len() == strides.len() => {
                Ok(Node::Tensor(Tensor { storage: storage.clone(), offset, shape, strides }))
            }
            _ => Err(wrong()),
        }
    }

    fn int(&self, index: Ref) -> Option<i64> {
        match self.node(index) {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }
}
