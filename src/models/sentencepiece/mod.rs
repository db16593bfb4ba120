//! Tokenizers of encoder-decoders: Marian's from source.spm, target.spm and vocab.json, T5's from
//! tokenizer.json or spiece.model, as they lie on the hub.

pub(super) mod pairs;
mod proto;
mod sentinels;

use super::ModelError;
use super::careful::caught;
use super::tokenizer::{read_json, trimmed};
use pairs::{merges, vocabulary};
use proto::{Kind, Proto};
use sentinels::Sentinels;
use std::collections::HashMap;
use std::path::Path;
use tokenizers::Tokenizer;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::precompiled::Precompiled;
use tokenizers::normalizers::{NormalizerWrapper, Replace, Sequence, Strip};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};

/// What SentencePiece writes for a space.
const SPACE: char = '▁';

/// Text to source ids, target ids to text.
pub struct PairTokenizer {
    source: Tokenizer,
    /// Marian: ids by piece, and that of unknown ones. Elsewhere `source` has the ids.
    source_ids: Option<(HashMap<String, u32>, u32)>,
    /// Pieces by id.
    target: Vec<String>,
    /// Not part of a text.
    special: Vec<bool>,
    /// Marks of target languages such as `>>fra<<` (multilingual Marian).
    languages: Vec<(String, u32)>,
}

/// One token of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceToken {
    pub id: u32,
    /// Bytes of the text that it stands for.
    pub start: usize,
    pub end: usize,
}

impl PairTokenizer {
    /// Reads the tokenizer at `path`: source.spm (with target.spm and vocab.json beside it),
    /// tokenizer.json or spiece.model. The configuration says how many entries there must be in the
    /// `[source, target]` vocabularies.
    ///
    /// # Errors
    /// A missing or damaged file, or a vocabulary of another size.
    pub fn open(path: &Path, vocab: [usize; 2]) -> Result<Self, ModelError> {
        let bytes = super::read_bounded(path, super::MOST_VOCABULARY)?;
        match path.extension().and_then(|e| e.to_str()) {
            Some("json") => Self::from_json(path, &bytes, vocab),
            Some("spm") => Self::marian(path, &bytes, vocab),
            _ => Self::t5(path, &bytes, vocab),
        }
    }

    fn from_json(path: &Path, bytes: &[u8], vocab: [usize; 2]) -> Result<Self, ModelError> {
        let damaged = |e: &dyn ToString| ModelError::damaged(path, e.to_string());
        let mut source = read_json(path, bytes)?;
        source.with_padding(None);
        source.with_truncation(None).map_err(|e| damaged(&e))?;
        let size = source.get_vocab(true).values().max().map_or(0, |most| *most as usize + 1);
        check_size(path, size, vocab)?;
        let size = size as u32;
        let added = source.get_added_tokens_decoder();
        let special = (0..size).map(|id| added.get(&id).is_some_and(|t| t.special)).collect();
        let target = (0..size).map(|id| source.id_to_token(id).unwrap_or_default()).collect();
        Ok(Self { source, source_ids: None, target, special, languages: Vec::new() })
    }

    fn t5(path: &Path, bytes: &[u8], vocab: [usize; 2]) -> Result<Self, ModelError> {
        let proto = Proto::parse(bytes).map_err(|e| ModelError::damaged(path, e))?;
        check_size(path, proto.pieces.len(), vocab)?;
        let sentinels = Sentinels::beside(path, vocab[0].min(vocab[1]) - proto.pieces.len());
        let made = caught(|| {
            let mut source = tokenizer(&proto, sentinels.legacy)?;
            sentinels.add_to(&mut source, &proto).map(|()| source)
        });
        let source = made.map_err(|e| ModelError::damaged(path, e))?;
        let mut target: Vec<String> = proto.pieces.iter().map(|p| p.text.clone()).collect();
        let mut special: Vec<bool> =
            proto.pieces.iter().map(|p| matches!(p.kind, Kind::Control | Kind::Unknown)).collect();
        target.extend(sentinels.names());
        special.resize(target.len(), true);
        Ok(Self { source, source_ids: None, target, special, languages: Vec::new() })
    }

    fn marian(path: &Path, bytes: &[u8], vocab: [usize; 2]) -> Result<Self, ModelError> {
        let source = Proto::parse(bytes)
            .and_then(|p| caught(|| tokenizer(&p, true)))
            .map_err(|e| ModelError::damaged(path, e))?;
        let beside = |name: &str| path.with_file_name(name);
        // Only its pieces are needed, and vocab.json has them; a damaged file is said all the same.
        let other = beside("target.spm");
        let bytes = super::read_bounded(&other, super::MOST_VOCABULARY)?;
        Proto::parse(&bytes).map_err(|e| ModelError::damaged(&other, e))?;
        let ids = checked_ids(&beside("vocab.json"), vocab[0])?;
        let own = beside("target_vocab.json");
        let target_ids = if own.is_file() { checked_ids(&own, vocab[1])? } else { ids.clone() };
        let mut target = vec![String::new(); vocab[1]];
        for (piece, id) in target_ids {
            target[id as usize] = piece;
        }
        let special = target.iter().map(|p| matches!(p.as_str(), "</s>" | "<unk>" | "<pad>" | "<s>")).collect();
        let Some(&unknown) = ids.get("<unk>") else {
            return Err(ModelError::damaged(&beside("vocab.json"), "it has no <unk>"));
        };
        let mut languages: Vec<(String, u32)> = ids
            .iter()
            .filter(|(p, _)| p.starts_with(">>") && p.ends_with("<<"))
            .map(|(p, i)| (p.clone(), *i))
            .collect();
        languages.sort();
        Ok(Self { source, source_ids: Some((ids, unknown)), target, special, languages })
    }

    /// Tokens of `text`, without an end token. Marian's language mark may stand at the beginning.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub fn encode(&self, text: &str) -> Result<Vec<SourceToken>, String> {
        let mut out = Vec::new();
        let mut from = 0;
        if let Some(end) = text.strip_prefix(">>").and_then(|t| t.find("<<")).map(|i| i + 4)
            && let Some((_, id)) = self.languages.iter().find(|l| l.0 == text[..end])
        {
            out.push(SourceToken { id: *id, start: 0, end });
            from = end;
        }
        let part = &text[from..];
        let plain = plain_marks(part).filter(|_| self.source_ids.is_some());
        let text = plain.as_ref().map_or(part, |p| &p.0);
        let place = |at: usize| plain.as_ref().map_or(at, |p| p.1[at.min(p.1.len() - 1)]);
        let encoding = caught(|| self.source.encode(text, false).map_err(|e| e.to_string()))?;
        let each = encoding.get_ids().iter().zip(encoding.get_tokens()).zip(encoding.get_offsets());
        for ((id, piece), (start, end)) in each {
            let id = match &self.source_ids {
                Some((ids, unknown)) => ids.get(piece).copied().unwrap_or(*unknown),
                None => *id,
            };
            let (start, end) = trimmed(part, place(*start), place(*end));
            out.push(SourceToken { id, start: from + start, end: from + end });
        }
        Ok(out)
    }

    /// The piece that a source id stands for. Looks through the vocabulary: for people, not for loops.
    pub fn source_piece(&self, id: u32) -> String {
        match &self.source_ids {
            Some((ids, _)) => ids.iter().find(|(_, i)| **i == id).map_or_else(String::new, |(piece, _)| piece.clone()),
            None => self.source.id_to_token(id).unwrap_or_default(),
        }
    }

    /// The text of target ids.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut raw: Vec<u8> = Vec::new();
        for &id in ids.iter().filter(|id| !self.is_special(**id)) {
            let piece = self.piece(id);
            match byte(piece) {
                Some(b) => raw.push(b),
                None => {
                    text.push_str(&String::from_utf8_lossy(&raw));
                    raw.clear();
                    text.push_str(piece);
                }
            }
        }
        text.push_str(&String::from_utf8_lossy(&raw));
        text.replace(SPACE, " ").trim().to_owned()
    }

    /// The piece that a target id stands for, `▁` for a space.
    pub fn piece(&self, id: u32) -> &str {
        self.target.get(id as usize).map_or("", String::as_str)
    }

    /// Whether a target id is not part of a text.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(true)
    }

    /// The id of the mark for a target language of a multilingual model, by its code.
    pub fn language(&self, code: &str) -> Option<u32> {
        let mark = format!(">>{code}<<");
        self.languages.iter().find(|l| l.0 == mark).map(|l| l.1)
    }

    /// Codes of target languages, if the model has several.
    pub fn languages(&self) -> Vec<&str> {
        self.languages.iter().map(|l| l.0.trim_matches(['>', '<'])).collect()
    }
}

/// `<0x41>` as the byte that it stands for.
fn byte(piece: &str) -> Option<u8> {
    let hex = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 2)
}

/// Typographic quotes, dashes and dots as Marian's training data has them: plain (rules of Moses'
/// punctuation normalizer, without which they would be unknown words). `None` if there are none;
/// else the text, and for each of its bytes and its end the byte of `text`.
fn plain_marks(text: &str) -> Option<(String, Vec<usize>)> {
    let plain = |c: char| match c {
        '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{00B4}' => "'",
        '\u{201C}' | '\u{201D}' | '\u{201E}' => "\"",
        '\u{2013}' => "-",
        '\u{2014}' => " - ",
        '\u{2026}' => "...",
        _ => "",
    };
    if text.chars().all(|c| plain(c).is_empty()) {
        return None;
    }
    let (mut out, mut map) = (String::new(), Vec::new());
    let mut buffer = [0u8; 4];
    for (at, c) in text.char_indices() {
        let replaced = plain(c);
        let part = if replaced.is_empty() { &*c.encode_utf8(&mut buffer) } else { replaced };
        // Within a letter each byte is its own; what replaces a mark stands for all of it.
        map.extend((0..part.len()).map(|i| if replaced.is_empty() { at + i } else { at }));
        out.push_str(part);
    }
    map.push(text.len());
    Some((out, map))
}

const TOGETHER: &str = "Fetch tokenizer, configuration and weights again, from one place.";

/// Whether a tokenizer's ids all have a row in the model's tables.
fn check_size(path: &Path, size: usize, vocab: [usize; 2]) -> Result<(), ModelError> {
    let most = vocab[0].min(vocab[1]);
    if size <= most {
        return Ok(());
    }
    let why = format!("has {size} entries, config.json says {most}: it belongs to another model");
    Err(ModelError::unfit(path, why, TOGETHER))
}

/// vocab.json, checked for ids outside of `size`.
fn checked_ids(path: &Path, size: usize) -> Result<HashMap<String, u32>, ModelError> {
    let ids: HashMap<String, u32> = super::read_json(path, super::MOST_VOCABULARY)?;
    let most = ids.values().max().map_or(0, |m| *m as usize + 1);
    // OPUS' converted vocabularies may be a few entries short of the padded matrix, never longer.
    if most > size || most + 64 < size {
        let last = most.saturating_sub(1);
        let why = format!("has ids up to {last}, config.json says {size} entries: it belongs to another model");
        return Err(ModelError::unfit(path, why, TOGETHER));
    }
    Ok(ids)
}

/// The model as `transformers` would convert it. `strip` says whether a space at the beginning goes: behind a mark it
/// may be what begins a word.
fn tokenizer(proto: &Proto, strip: bool) -> Result<Tokenizer, String> {
    let unknown = proto.pieces.iter().position(|p| p.kind == Kind::Unknown);
    let bytes = proto.pieces.iter().any(|p| p.kind == Kind::Byte);
    let mut tokenizer = match proto.model_type {
        1 => {
            // Marks are never found in text: their score keeps them out.
            let score = |p: &proto::Piece| match p.kind {
                Kind::Normal | Kind::UserDefined => f64::from(p.score),
                _ => -1e9,
            };
            let pieces = proto.pieces.iter().map(|p| (p.text.clone(), score(p))).collect();
            Tokenizer::new(Unigram::from(pieces, unknown, bytes).map_err(|e| e.to_string())?)
        }
        2 => Tokenizer::new(bpe(proto, unknown, bytes)?),
        other => return Err(format!("its kind of model ({other}) is not known here; unigram and BPE are")),
    };
    let text = |e: tokenizers::Error| e.to_string();
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if !proto.charsmap.is_empty() {
        let map =
            Precompiled::from(&proto.charsmap).map_err(|e| format!("its normalization rules are damaged ({e})"))?;
        steps.push(map.into());
    }
    if proto.remove_extra_whitespaces {
        steps.push(Strip::new(strip, true).into());
        let several = tokenizers::normalizers::replace::ReplacePattern::Regex(" {2,}".into());
        steps.push(Replace::new(several, " ").map_err(text)?.into());
    }
    tokenizer.with_normalizer(Some(Sequence::new(steps))).map_err(text)?;
    let prefix = if proto.add_dummy_prefix { PrependScheme::Always } else { PrependScheme::Never };
    tokenizer.with_pre_tokenizer(Some(Metaspace::new(SPACE, prefix, true)));
    Ok(tokenizer)
}

/// A BPE model; `bytes` says whether it has pieces for single bytes.
fn bpe(proto: &Proto, unknown: Option<usize>, bytes: bool) -> Result<BPE, String> {
    let tokens: Vec<String> = proto.pieces.iter().map(|p| p.text.clone()).collect();
    let merged = proto.pieces.iter().filter(|p| matches!(p.kind, Kind::Normal | Kind::UserDefined));
    let merges = merges(&tokens, merged.map(|p| (p.text.as_str(), f64::from(p.score))));
    let mut builder = BPE::builder().vocab_and_merges(vocabulary(&tokens), merges).fuse_unk(true).byte_fallback(bytes);
    if let Some(unknown) = unknown {
        builder = builder.unk_token(tokens[unknown].clone());
    }
    builder.build().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typographic_marks_become_plain_and_keep_their_places() {
        let text = "“Où ?” – l’été…";
        let (plain, map) = plain_marks(text).expect("marks");
        assert_eq!(plain, "\"Où ?\" - l'été...");
        let at = plain.find("été").expect("word");
        assert!(text[map[at]..].starts_with("été"));
        assert_eq!(map.len(), plain.len() + 1);
        assert!(plain_marks("plain 'text'").is_none());
    }
}
