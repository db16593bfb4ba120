//! Makes ggml's blocks of floats: which tensors, into which types, and the blocks themselves.
//!
//! The mixture follows llama.cpp's Q4_K_M (llama-quant.cpp): tables and output in Q6_K, and so the value and
//! down projections of the first and the last eighth of the layers and of every third between; all else in
//! Q4_K. Types whose blocks do not divide a row give way to 32-element ones of the next size (Q4_K to Q5_0,
//! Q6_K to Q8_0).

use super::NnError;
use super::precision::Precision;
use super::source::{Dtype, RawTensor, TensorSource};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

/// Rows that are quantized between two looks at whether to stop.
const ROWS: usize = 256;

/// A matrix that becomes blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub dtype: Dtype,
    /// GPT-2's matrices stand the other way round; as blocks they are called [`turned`].
    pub is_turned: bool,
}

/// What a matrix that stood as `[in, out]` is called once it stands as `[out, in]`.
pub fn turned(name: &str) -> String {
    format!("{name}_t")
}

/// Parts of names of tensors that stay floats: small, or only looked up, or where rounding shows at once.
const KEPT: [&str; 9] = [
    "position",
    "wpe.",
    "token_type",
    "relative_attention_bias",
    "classifier",
    "pooler",
    "qa_outputs",
    "norm",
    "rope_freqs",
];
/// Parts of names of word tables and output layers.
const TABLES: [&str; 6] = ["word_embeddings", "embed_tokens", "shared.weight", "wte.", "token_embd", "lm_head"];
/// Ends of names of the projections that a mixture treats better.
const BETTER: [&str; 7] = [
    "attn_v.weight",
    "ffn_down.weight",
    "output.dense.weight",
    "lin2.weight",
    "fc2.weight",
    "wo.weight",
    "mlp.c_proj.weight",
];

/// Which tensors of `source` become blocks of which types; empty for a precision without blocks.
pub fn plan(source: &dyn TensorSource, precision: Precision) -> Vec<Step> {
    let Some(main) = precision.blocks() else { return Vec::new() };
    let names = source.names();
    let layers = names.iter().filter_map(|n| layer_of(n)).max().map_or(0, |l| l + 1);
    let step = |name: &String| {
        let tensor = source.tensor(name).ok()?;
        let &[n, k] = tensor.shape() else { return None };
        if n < 32 || k < 32 || !name.ends_with("weight") || KEPT.iter().any(|part| name.contains(part)) {
            return None;
        }
        let is_turned = ["c_attn.weight", "c_proj.weight", "c_fc.weight"].iter().any(|end| name.ends_with(end));
        let is_table = TABLES.iter().any(|part| name.contains(part)) || name == "output.weight";
        let dtype = fitting(type_of(main, name, is_table, layers), if is_turned { n } else { k })?;
        Some(Step { name: name.clone(), dtype, is_turned })
    };
    names.iter().filter_map(step).collect()
}

fn type_of(main: Dtype, name: &str, is_table: bool, layers: usize) -> Dtype {
    let attention_output = name.contains("attention.output");
    let is_better = BETTER.iter().any(|end| name.ends_with(end)) && !attention_output;
    match main {
        Dtype::Q8_0 => Dtype::Q8_0,
        _ if is_table => Dtype::Q6K,
        Dtype::Q4K if is_better && layer_of(name).is_some_and(|l| gets_more_bits(l, layers)) => Dtype::Q6K,
        main => main,
    }
}

fn gets_more_bits(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || layer.saturating_sub(eighth) % 3 == 2
}

/// The first whole number in a name.
fn layer_of(name: &str) -> Option<usize> {
    name.split('.').find_map(|part| part.parse().ok())
}

/// `dtype`, or what stands in for it in rows of `width`.
fn fitting(dtype: Dtype, width: usize) -> Option<Dtype> {
    let (elements, _) = dtype.block();
    if width.is_multiple_of(elements) {
        return Some(dtype);
    }
    let smaller = match dtype {
        Dtype::Q4K => Dtype::Q5_0,
        _ => Dtype::Q8_0,
    };
    width.is_multiple_of(32).then_some(smaller)
}

/// `[rows, width]` of `raw` as blocks, row by row, on all of rayon's threads. `stop` is asked now and then.
///
/// # Errors
/// [`NnError::Stopped`], or a matrix that the type cannot hold.
pub fn quantize(raw: &RawTensor, step: &Step, stop: &dyn Fn() -> bool) -> Result<RawTensor, NnError> {
    let whole = if step.is_turned { transposed(raw)? } else { raw.clone() };
    let &[rows, width] = whole.shape() else {
        return Err(NnError::Config(format!("{:?} is no matrix", whole.shape())));
    };
    let mut bytes = Vec::with_capacity(step.dtype.bytes_of(&[rows, width]).unwrap_or(0));
    for first in (0..rows).step_by(ROWS) {
        if stop() {
            return Err(NnError::Stopped);
        }
        let count = ROWS.min(rows - first);
        let parts: Vec<Result<Vec<u8>, NnError>> = (0..count.div_ceil(16))
            .into_par_iter()
            .with_max_len(1)
            .map(|p| blocks(&whole.rows(first + p * 16, 16.min(count - p * 16))?, step.dtype))
            .collect();
        for part in parts {
            bytes.extend(part?);
        }
    }
    let range = 0..bytes.len();
    RawTensor::new(step.dtype, vec![rows, width], std::sync::Arc::new(bytes), range)
}

fn blocks(raw: &RawTensor, dtype: Dtype) -> Result<Vec<u8>, NnError> {
    let kind = ggml(dtype).ok_or_else(|| NnError::Config(format!("{} has no blocks", dtype.name())))?;
    let tensor = Tensor::from_vec(raw.to_f32(), raw.shape(), &Device::Cpu)?;
    Ok(QTensor::quantize(&tensor, kind)?.data()?.into_owned())
}

/// A matrix the other way round, as f32.
///
/// # Errors
/// [`NnError::Config`] for anything but a matrix.
pub fn transposed(raw: &RawTensor) -> Result<RawTensor, NnError> {
    let &[inputs, out] = raw.shape() else {
        return Err(NnError::Config(format!("{:?} is no matrix", raw.shape())));
    };
    let values = raw.to_f32();
    let mut bytes = vec![0u8; values.len() * 4];
    for (i, row) in values.chunks_exact(out).enumerate() {
        for (o, value) in row.iter().enumerate() {
            let at = (o * inputs + i) * 4;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
    let range = 0..bytes.len();
    RawTensor::new(Dtype::F32, vec![out, inputs], std::sync::Arc::new(bytes), range)
}

/// Candle's name of a type; `None` for floats.
pub fn ggml(dtype: Dtype) -> Option<GgmlDType> {
    Some(match dtype {
        Dtype::F32 | Dtype::F16 | Dtype::Bf16 => return None,
        Dtype::Q4_0 => GgmlDType::Q4_0,
        Dtype::Q4_1 => GgmlDType::Q4_1,
        Dtype::Q5_0 => GgmlDType::Q5_0,
        Dtype::Q5_1 => GgmlDType::Q5_1,
        Dtype::Q8_0 => GgmlDType::Q8_0,
        Dtype::Q2K => GgmlDType::Q2K,
        Dtype::Q3K => GgmlDType::Q3K,
        Dtype::Q4K => GgmlDType::Q4K,
        Dtype::Q5K => GgmlDType::Q5K,
        Dtype::Q6K => GgmlDType::Q6K,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Fake(BTreeMap<String, RawTensor>);

    impl TensorSource for Fake {
        fn tensor(&self, name: &str) -> Result<RawTensor, NnError> {
            self.0.get(name).cloned().ok_or_else(|| NnError::MissingTensor(name.to_owned()))
        }
        fn has(&self, name: &str) -> bool {
            self.0.contains_key(name)
        }
        fn names(&self) -> Vec<String> {
            self.0.keys().cloned().collect()
        }
    }

    fn tensor(shape: &[usize]) -> RawTensor {
        let count: usize = shape.iter().product();
        let bytes: Vec<u8> =
            (0..count).flat_map(|i| (((i * 7_919) % 1_009) as f32 / 504.0 - 1.0).to_le_bytes()).collect();
        let range = 0..bytes.len();
        RawTensor::new(Dtype::F32, shape.to_vec(), std::sync::Arc::new(bytes), range).expect("tensor")
    }

    #[test]
    fn a_mixture_falls_back_where_rows_are_no_multiples_of_256() {
        let names = [
            ("bert.embeddings.word_embeddings.weight", [64, 96]),
            ("bert.embeddings.position_embeddings.weight", [64, 96]),
            ("bert.encoder.layer.0.attention.self.query.weight", [96, 96]),
            ("bert.encoder.layer.0.intermediate.dense.weight", [512, 256]),
            ("bert.encoder.layer.0.output.dense.weight", [256, 512]),
            ("bert.encoder.layer.0.attention.output.dense.weight", [256, 256]),
            ("classifier.weight", [64, 96]),
            ("h.0.attn.c_attn.weight", [96, 288]),
        ];
        let source = Fake(names.iter().map(|(n, s)| ((*n).to_owned(), tensor(s))).collect());
        let found: BTreeMap<String, (Dtype, bool)> =
            plan(&source, Precision::Q4KM).into_iter().map(|s| (s.name, (s.dtype, s.is_turned))).collect();
        let dtype = |name: &str| found.get(name).map(|f| f.0);
        assert_eq!(dtype("bert.embeddings.word_embeddings.weight"), Some(Dtype::Q8_0));
        assert_eq!(dtype("bert.embeddings.position_embeddings.weight"), None);
        assert_eq!(dtype("bert.encoder.layer.0.attention.self.query.weight"), Some(Dtype::Q5_0));
        assert_eq!(dtype("bert.encoder.layer.0.intermediate.dense.weight"), Some(Dtype::Q4K));
        assert_eq!(dtype("bert.encoder.layer.0.output.dense.weight"), Some(Dtype::Q6K));
        assert_eq!(dtype("bert.encoder.layer.0.attention.output.dense.weight"), Some(Dtype::Q4K));
        assert_eq!(dtype("classifier.weight"), None);
        assert_eq!(found.get("h.0.attn.c_attn.weight"), Some(&(Dtype::Q5_0, true)));
        assert!(plan(&source, Precision::F16).is_empty());
    }

    #[test]
    fn blocks_are_close_to_the_floats_that_they_stand_for() {
        let floats = tensor(&[300, 256]);
        for (dtype, most) in
            [(Dtype::Q8_0, 0.005), (Dtype::Q6K, 0.04), (Dtype::Q5_0, 0.07), (Dtype::Q4K, 0.1), (Dtype::Q4_0, 0.15)]
        {
            let step = Step { name: "w".into(), dtype, is_turned: false };
            let made = quantize(&floats, &step, &|| false).expect("blocks");
            assert_eq!(made.shape(), [300, 256]);
            let worst = made.to_f32().iter().zip(floats.to_f32()).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(worst < most, "{dtype:?} {worst}");
        }
        let step = Step { name: "w".into(), dtype: Dtype::Q8_0, is_turned: true };
        let turned = quantize(&tensor(&[64, 40]), &step, &|| false).expect("blocks");
        assert_eq!(turned.shape(), [40, 64]);
        let stopped = quantize(&floats, &step, &|| true);
        assert!(matches!(stopped, Err(NnError::Stopped)));
    }
}
