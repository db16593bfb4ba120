//! The parts of a SentencePiece model file that a tokenizer needs.
//!
//! The file is a protocol buffer (`ModelProto` in sentencepiece_model.proto); of it are read the
//! pieces (field 1), the kind of model (2.3), and the normalizer (3).

/// What kind a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Normal,
    Unknown,
    /// Marks such as `</s>`, never found in text.
    Control,
    UserDefined,
    Byte,
    Unused,
}

/// One piece with its log-probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: Kind,
}

/// A model file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proto {
    pub pieces: Vec<Piece>,
    /// 1 unigram, 2 BPE, 3 words, 4 characters.
    pub model_type: u64,
    /// The compiled rules of normalization; empty for none.
    pub charsmap: Vec<u8>,
    pub add_dummy_prefix: bool,
    pub remove_extra_whitespaces: bool,
}

/// Most pieces that a file may have.
const MAX_PIECES: usize = 4_000_000;

/// A field's value.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Float(f32),
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or("it ends inside a number (cut short)")?;
            self.0 = rest;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err("a number has too many bytes".into())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        if count > self.0.len() {
            return Err(format!("it is cut short: {} bytes where {count} should follow", self.0.len()));
        }
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(taken)
    }

    /// The next field's number and value.
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Number(0)
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| "a length is out of range")?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Float(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            }
            other => return Err(format!("it is no SentencePiece model (wire type {other})")),
        };
        Ok(Some((key >> 3, value)))
    }
}

impl Proto {
    /// Reads a model file.
    ///
    /// # Errors
    /// In words, what is wrong with the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut out = Self { model_type: 1, add_dummy_prefix: true, remove_extra_whitespaces: true, ..Self::default() };
        let mut fields = Fields(bytes);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(b)) => out.pieces.push(piece(b)?),
                (2, Value::Bytes(b)) => {
                    let mut trainer = Fields(b);
                    while let Some((number, value)) = trainer.next()? {
                        if let (3, Value::Number(n)) = (number, value) {
                            out.model_type = n;
                        }
                    }
                }
                (3, Value::Bytes(b)) => out.normalizer(b)?,
                _ => {}
            }
            if out.pieces.len() > MAX_PIECES {
                return Err(format!("it has more than {MAX_PIECES} pieces"));
            }
        }
        if out.pieces.is_empty() {
            return Err("it has no pieces: it is no SentencePiece model".into());
        }
        if out.pieces.iter().all(|p| p.kind != Kind::Unknown) {
            return Err("it has no unknown piece (cut short?)".into());
        }
        Ok(out)
    }

    fn normalizer(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut fields = Fields(bytes);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (2, Value::Bytes(b)) => self.charsmap = b.to_vec(),
                (3, Value::Number(n)) => self.add_dummy_prefix = n != 0,
                (4, Value::Number(n)) => self.remove_extra_whitespaces = n != 0,
                _ => {}
            }
        }
        Ok(())
    }
}

fn piece(bytes: &[u8]) -> Result<Piece, String> {
    let mut out = Piece { text: String::new(), score: 0.0, kind: Kind::Normal };
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(b)) => {
                out.text = std::str::from_utf8(b).map_err(|_| "one of its pieces is no UTF-8")?.to_owned();
            }
            (2, Value::Float(f)) if f.is_finite() => out.score = f,
            (3, Value::Number(n)) => {
                out.kind = match n {
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    4 => Kind::UserDefined,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    _ => Kind::Normal,
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pieces and an unknown one.
    fn file() -> Vec<u8> {
        let piece = |text: &str, score: f32, kind: u8| {
            let mut inner = vec![10, text.len() as u8];
            inner.extend(text.bytes());
            inner.push(21);
            inner.extend(score.to_le_bytes());
            inner.extend([24, kind]);
            let mut out = vec![10, inner.len() as u8];
            out.extend(inner);
            out
        };
        let mut bytes = piece("<unk>", 0.0, 2);
        bytes.extend(piece("▁a", -1.5, 1));
        bytes.extend([18, 2, 24, 2, 26, 4, 18, 2, 7, 8]);
        bytes
    }

    #[test]
    fn pieces_kind_and_normalizer_are_read() {
        let proto = Proto::parse(&file()).expect("model");
        assert_eq!(proto.pieces[1], Piece { text: "▁a".into(), score: -1.5, kind: Kind::Normal });
        assert_eq!((proto.pieces[0].kind, proto.model_type, &proto.charsmap[..]), (Kind::Unknown, 2, &[7u8, 8][..]));
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_refused() {
        let whole = file();
        for end in 1..whole.len() {
            // Cut between two fields it may still be a model; it never panics.
            let _ = Proto::parse(&whole[..end]);
        }
        assert!(Proto::parse(&whole[..whole.len() - 1]).unwrap_err().contains("cut short"));
        assert!(Proto::parse(b"").is_err());
        assert!(Proto::parse(b"{\"not\": \"a model\"}").is_err());
    }
}
