//! A tokenizer from a GGUF file alone: its tokens, merges or scores, and the name of its
//! pre-tokenizer, put together as `transformers` does it.

use super::{Gguf, Value};
use crate::models::ModelError;
use crate::models::careful::caught;
use crate::models::codec::{Codec, Specials};
use crate::models::sentencepiece::pairs::{merges, vocabulary};
use crate::nn::decoder::config::Metadata as _;
use crate::nn::keys::shown;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{NFC, NormalizerWrapper, Prepend, Replace, Sequence as NormalizerSequence};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const DEFAULT: [&str; 4] = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
];

/// How byte-level BPE cuts a text into words.
enum Words {
    Gpt2,
    /// Digits one by one, then GPT-2's rule.
    Digits,
    /// What llama.cpp does for a file that names no rule: each pattern cuts what those before left.
    Default,
    Pattern(&'static str),
}

/// What a pre-tokenizer's name stands for.
struct Rule {
    words: Words,
    /// Whether a word that is a token as a whole needs no merges.
    whole: bool,
    /// Whether a text begins with the first token, where the file says nothing of it.
    begins: bool,
}

/// The rule that a file names (as llama.cpp reads the names).
fn rule(name: &str) -> Option<Rule> {
    let rule = |words, whole, begins| Rule { words, whole, begins };
    Some(match name {
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "roberta-bpe" | "trillion" | "gigachat" | "exaone4"
        | "mellum" | "a.x-4.0" | "modern-bert" | "jina-es" | "jina-de" | "jina-v2-es" | "jina-v2-de" | "jina-v1-en"
        | "jina-v2-code" => rule(Words::Gpt2, false, false),
        "default" => rule(Words::Default, false, false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => rule(Words::Digits, false, false),
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2" => {
            rule(Words::Pattern(LLAMA3), true, true)
        }
        "smaug-bpe" | "dbrx" => rule(Words::Pattern(LLAMA3), false, false),
        "qwen2" | "deepseek-r1-qwen" | "megrez" | "stablelm2" | "kormo" => rule(Words::Pattern(QWEN2), false, false),
        "gpt-4o" | "llama4" | "kanana2" => rule(Words::Pattern(GPT4O), false, false),
        "tekken" => rule(Words::Pattern(TEKKEN), true, true),
        _ => return None,
    })
}

/// ggml's kinds of tokens.
const CONTROL: u8 = 3;
const USER_DEFINED: u8 = 4;

/// Tokens by which models end a turn, whatever the file calls its end of text and whatever kind it says they are
/// (llama.cpp's list for the families that run here).
const ENDS: [&str; 30] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|endoftext|>",
    "</s>",
    "<|end_of_text|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "[e~[",
    "<turn|>",
    "<|tool_response>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
    "<eos>",
    // Between files, in models of programs.
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<reponame>",
    "<|file_sep|>",
];

/// Keys by which a file names others.
const END_KEYS: [&str; 6] =
    ["eos_token_id", "eot_token_id", "eom_token_id", "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"];

/// Said of a kind that no file is damaged by.
const UNKNOWN: &str = "is not known here";

/// Said where a byte-level file names no pre-tokenizer.
const NO_RULE: &str = "this file does not say how its tokenizer cuts words (tokenizer.ggml.pre); a general rule was \
                       taken, and answers may be worse for it: a newer conversion of the model helps";

/// Cuts out what matches `pattern`.
fn split(pattern: &str) -> Result<PreTokenizerWrapper, String> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(|e| e.to_string())?;
    Ok(split.into())
}

impl Gguf {
    /// The file's tokenizer, with its chat template and its ends of turn.
    ///
    /// # Errors
    /// A kind of tokenizer or a pre-tokenizer that is not known here, or lists that do not fit.
    pub fn codec(&self) -> Result<Codec, ModelError> {
        caught(|| self.build()).map_err(|why| match why.contains(UNKNOWN) {
            true => ModelError::unfit(self.path(), why, "Choose another model, or look for a newer Glossa."),
            false => ModelError::damaged(self.path(), why),
        })
    }

    fn build(&self) -> Result<Codec, String> {
        let Some(Value::Strings(tokens)) = self.value("tokenizer.ggml.tokens") else {
            return Err("it has no list of tokens (tokenizer.ggml.tokens)".into());
        };
        let mut kinds: Vec<u8> = match self.value("tokenizer.ggml.token_type") {
            Some(Value::Numbers(kinds)) if kinds.len() == tokens.len() => kinds.iter().map(|k| *k as u8).collect(),
            Some(_) => return Err("its list of token types does not fit its tokens".into()),
            None => vec![1; tokens.len()],
        };
        for (token, kind) in tokens.iter().zip(&mut kinds) {
            if ENDS.contains(&token.as_str()) {
                *kind = CONTROL;
            }
        }
        let kind = self.text("tokenizer.ggml.model");
        let spm = kind == Some("llama");
        let mut tokenizer = match kind {
            Some("gpt2") => self.byte_level(tokens)?,
            Some("llama") => self.sentence_pieces(tokens, &kinds)?,
            Some(other) => {
                return Err(format!("its tokenizer '{}' {UNKNOWN} ('gpt2' and 'llama' are)", shown(other)));
            }
            None => return Err("it names no tokenizer (tokenizer.ggml.model)".into()),
        };
        let phi3 = spm && self.text("general.architecture") == Some("phi3");
        let added = tokens
            .iter()
            .zip(&kinds)
            .filter(|(t, kind)| **kind == CONTROL || **kind == USER_DEFINED && !t.contains('▁'));
        let added: Vec<AddedToken> = added
            .map(|(token, kind)| {
                let plain = matches!(token.as_str(), "<unk>" | "<s>" | "<|endoftext|>");
                AddedToken::from(token.clone(), *kind == CONTROL).normalized(false).rstrip(phi3 && !plain)
            })
            .collect();
        tokenizer.add_tokens(added).map_err(|e| e.to_string())?;
        let id = |key: &str| self.token_id(key, tokens.len());
        let mut ends: Vec<u32> = Vec::new();
        for key in END_KEYS {
            ends.extend(id(key)?);
        }
        // Llama's ids, where a file with scores names none.
        let usual = |id: u32| (spm && (id as usize) < tokens.len()).then_some(id);
        let eos = id("eos_token_id")?.or(usual(2));
        ends.extend(eos);
        // Where there is a token that ends a whole answer, this one ends a part of it.
        let has = |name: &str| tokens.iter().any(|t| t == name);
        let is_part = has("<|call|>") && has("<|return|>") || has("<|calls|>") && has("<|flush|>");
        let ends_turn = |t: &str| ENDS.contains(&t) && !(is_part && t == "<|end|>");
        ends.extend((0..).zip(tokens).filter(|(_, t)| ends_turn(t)).map(|(at, _)| at));
        ends.sort_unstable();
        ends.dedup();
        let template = self.text("tokenizer.chat_template").map(str::to_owned);
        if template.is_none() && self.has_key("tokenizer.chat_template") {
            return Err("its chat template is no text".into());
        }
        let name = self.text("tokenizer.ggml.pre");
        let begins = spm || name.and_then(rule).is_some_and(|r| r.begins);
        let add_bos = self.token_flag("add_bos_token")?.unwrap_or(begins);
        let notes = if spm || name.is_some() { Vec::new() } else { vec![NO_RULE.to_owned()] };
        let bos = id("bos_token_id")?.or(usual(1));
        Ok(Codec::new(tokenizer, Specials { bos, eos, add_bos, ends, template, notes }))
    }

    /// The id of a special token, if the file names one.
    fn token_id(&self, key: &str, tokens: usize) -> Result<Option<u32>, String> {
        let key = format!("tokenizer.ggml.{key}");
        if !self.has_key(&key) {
            return Ok(None);
        }
        let id = self.number(&key).filter(|id| id.fract() == 0.0 && (0.0..tokens as f64).contains(id));
        id.map(|id| Some(id as u32)).ok_or_else(|| format!("'{key}' is no id of its {tokens} tokens"))
    }

    fn token_flag(&self, key: &str) -> Result<Option<bool>, String> {
        let key = format!("tokenizer.ggml.{key}");
        match self.value(&key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(format!("'{key}' is neither true nor false")),
        }
    }

    /// GPT-2's byte-level BPE.
    fn byte_level(&self, tokens: &[String]) -> Result<Tokenizer, String> {
        let name = self.text("tokenizer.ggml.pre").unwrap_or("default");
        let Rule { words, whole, .. } =
            rule(name).ok_or_else(|| format!("its pre-tokenizer '{}' {UNKNOWN}; ids would be wrong", shown(name)))?;
        let Some(Value::Strings(merges)) = self.value("tokenizer.ggml.merges") else {
            return Err("it has no list of merges (tokenizer.ggml.merges)".into());
        };
        let pair = |m: &String| {
            // A token may begin with a space of its own, never be empty.
            let at = m.char_indices().skip(1).find(|c| c.1 == ' ').map(|c| c.0);
            at.map(|at| (m[..at].to_owned(), m[at + 1..].to_owned()))
        };
        let merges: Option<Vec<(String, String)>> = merges.iter().map(pair).collect();
        let merges = merges.ok_or("one of its merges is no pair")?;
        let model = BPE::builder().vocab_and_merges(vocabulary(tokens), merges).ignore_merges(whole);
        let mut tokenizer = Tokenizer::new(model.build().map_err(|e| e.to_string())?);
        let level = |regex: bool| PreTokenizerWrapper::from(ByteLevel::new(false, true, regex));
        let steps = match words {
            Words::Gpt2 => vec![level(true)],
            Words::Digits => vec![Digits::new(true).into(), level(true)],
            Words::Pattern(pattern) => vec![split(pattern)?, level(false)],
            Words::Default => {
                let mut steps = DEFAULT.into_iter().map(split).collect::<Result<Vec<_>, _>>()?;
                steps.push(level(false));
                steps
            }
        };
        tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
        tokenizer.with_decoder(Some(ByteLevelDecoder::default()));
        if matches!(name, "qwen2" | "deepseek-r1-qwen" | "megrez" | "kormo") {
            tokenizer.with_normalizer(Some(NormalizerWrapper::from(NFC))).map_err(|e| e.to_string())?;
        }
        Ok(tokenizer)
    }

    /// SentencePiece's BPE: merges follow from the scores (as `transformers` converts them).
    fn sentence_pieces(&self, tokens: &[String], kinds: &[u8]) -> Result<Tokenizer, String> {
        let scores = match self.value("tokenizer.ggml.scores") {
            Some(Value::Numbers(scores)) if scores.len() == tokens.len() => scores,
            _ => return Err("its list of scores does not fit its tokens".into()),
        };
        let merged = tokens.iter().zip(scores).zip(kinds).filter(|(_, kind)| matches!(kind, 1 | 4));
        let merges = merges(tokens, merged.map(|((piece, score), _)| (piece.as_str(), *score)));
        let unknown = self.token_id("unknown_token_id", tokens.len())?.unwrap_or(0);
        let unknown = tokens.get(unknown as usize).cloned().ok_or("its unknown token is not in its list")?;
        let model = BPE::builder().vocab_and_merges(vocabulary(tokens), merges);
        let model = model.unk_token(unknown).fuse_unk(true).byte_fallback(true);
        let mut tokenizer = Tokenizer::new(model.build().map_err(|e| e.to_string())?);
        let prefix = self.token_flag("add_space_prefix")?.unwrap_or(true);
        let spaces = Replace::new(" ", "▁").map_err(|e| e.to_string())?;
        let mut steps = vec![NormalizerWrapper::from(spaces)];
        let back = Replace::new("▁", " ").map_err(|e| e.to_string())?;
        let mut decoders = vec![DecoderWrapper::from(back), ByteFallback::new().into(), Fuse::new().into()];
        if prefix {
            steps.insert(0, Prepend::new("▁".into()).into());
            decoders.push(Strip::new(' ', 1, 0).into());
        }
        tokenizer.with_normalizer(Some(NormalizerSequence::new(steps))).map_err(|e| e.to_string())?;
        tokenizer.with_decoder(Some(DecoderSequence::new(decoders)));
        Ok(tokenizer)
    }
}
