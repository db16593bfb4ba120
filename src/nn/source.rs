//! The edge between weight files and architectures: named tensors as raw bytes.

use super::NnError;
pub use super::dtype::Dtype;
use half::{bf16, f16};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// What tensors lie in: a mapped file, or a buffer.
pub trait Content: AsRef<[u8]> + Send + Sync {
    /// Whether all of it was there whenever it was read: a file may be cut by others.
    fn is_whole(&self) -> bool {
        true
    }
}

impl Content for Vec<u8> {}

/// Bytes that stay valid while anybody holds them.
pub type Bytes = Arc<dyn Content>;

/// A tensor as it lies in its file, row-major, little-endian. Cloning copies no data.
#[derive(Clone)]
pub struct RawTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Bytes,
    range: Range<usize>,
}

impl RawTensor {
    /// A view of `range` in `data`.
    ///
    /// # Errors
    /// [`NnError::Config`] if the range is not inside the data or does not fit the shape.
    pub fn new(dtype: Dtype, shape: Vec<usize>, data: Bytes, range: Range<usize>) -> Result<Self, NnError> {
        let inside = range.start <= range.end && range.end <= (*data).as_ref().len();
        if !inside || dtype.bytes_of(&shape) != Some(range.end - range.start) {
            return Err(NnError::Config(format!("a tensor of shape {shape:?} does not fit its bytes")));
        }
        Ok(Self { dtype, shape, data, range })
    }

    /// Whether what it lies in was whole so far.
    ///
    /// # Errors
    /// [`NnError::Cut`] if not.
    pub fn check_whole(&self) -> Result<(), NnError> {
        if self.data.is_whole() { Ok(()) } else { Err(NnError::Cut) }
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Bytes of the tensor.
    pub fn bytes(&self) -> &[u8] {
        &(*self.data).as_ref()[self.range.clone()]
    }

    /// The same tensor with its bytes on the heap, independent of the file.
    pub fn to_owned(&self) -> Self {
        let bytes = self.bytes().to_vec();
        Self { dtype: self.dtype, shape: self.shape.clone(), range: 0..bytes.len(), data: Arc::new(bytes) }
    }

    /// `count` rows of a matrix from `first` on, as a matrix that shares the bytes.
    ///
    /// # Errors
    /// [`NnError::Config`] if there are not so many rows.
    pub fn rows(&self, first: usize, count: usize) -> Result<Self, NnError> {
        let [rows, width] = self.shape[..] else {
            return Err(NnError::Config(format!("{:?} is no matrix", self.shape)));
        };
        let row = self.dtype.bytes_of(&[width]).unwrap_or(0);
        if first.checked_add(count).is_none_or(|end| end > rows) {
            return Err(NnError::Config(format!("a matrix of {rows} rows has no rows {first} to {}", first + count)));
        }
        let start = self.range.start + first * row;
        Self::new(self.dtype, vec![count, width], Arc::clone(&self.data), start..start + count * row)
    }

    /// Matrices of one width, one under the other; as f32 where their types differ.
    ///
    /// # Errors
    /// [`NnError::Config`] if they do not go together.
    pub fn stacked(parts: &[&Self]) -> Result<Self, NnError> {
        let wrong = || NnError::Config("matrices of different kinds cannot be stacked".into());
        let first = parts.first().ok_or_else(wrong)?;
        if parts.iter().any(|p| p.dtype != first.dtype) {
            let widened: Vec<Self> = parts.iter().map(|p| p.widened()).collect();
            return Self::stacked(&widened.iter().collect::<Vec<_>>());
        }
        let (mut bytes, mut rows) = (Vec::new(), 0);
        for part in parts {
            let ([n, k], [_, width]) = (&part.shape[..], &first.shape[..]) else { return Err(wrong()) };
            if k != width {
                return Err(wrong());
            }
            rows += n;
            bytes.extend_from_slice(part.bytes());
        }
        let range = 0..bytes.len();
        Self::new(first.dtype, vec![rows, first.shape[1]], Arc::new(bytes), range)
    }

    /// The same tensor as f32.
    fn widened(&self) -> Self {
        let bytes: Vec<u8> = self.to_f32().iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: self.shape.clone(), range: 0..bytes.len(), data: Arc::new(bytes) }
    }

    /// All elements as f32.
    pub fn to_f32(&self) -> Vec<f32> {
        let (elements, bytes) = self.dtype.block();
        let mut out = vec![0f32; self.bytes().len() / bytes * elements];
        widen(self.dtype, self.bytes(), &mut out);
        out
    }

    /// Row `index` of a matrix, as f32, into `out` (whose length is the row's).
    ///
    /// # Panics
    /// If the row does not exist.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        let (elements, bytes) = self.dtype.block();
        let width = out.len() / elements * bytes;
        widen(self.dtype, &self.bytes()[index * width..(index + 1) * width], out);
    }
}

/// Little-endian elements to f32. File offsets need not be aligned.
fn widen(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F32 => {
            for (o, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *o = f32::from_le_bytes(*b);
            }
        }
        Dtype::F16 => {
            use half::slice::HalfFloatSliceExt as _;
            let halves: Cow<'_, [f16]> = bytemuck::try_cast_slice::<u8, u16>(bytes).map_or_else(
                |_| {
                    let each = bytes.as_chunks::<2>().0.iter();
                    Cow::Owned(each.map(|b| f16::from_le_bytes(*b)).collect())
                },
                |bits| Cow::Borrowed(half::slice::HalfBitsSliceExt::reinterpret_cast(bits)),
            );
            halves.convert_to_f32_slice(out);
        }
        Dtype::Bf16 => {
            for (o, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *o = bf16::from_le_bytes(*b).to_f32();
            }
        }
        quantized => super::quant::dequantize(quantized, bytes, out),
    }
}

/// Where an architecture gets its tensors from.
pub trait TensorSource {
    /// The tensor called `name`.
    ///
    /// # Errors
    /// [`NnError::MissingTensor`], or [`NnError::Dtype`] for integers and the like.
    fn tensor(&self, name: &str) -> Result<RawTensor, NnError>;

    /// Whether there is a tensor called `name`.
    fn has(&self, name: &str) -> bool;

    /// Names of all tensors, sorted.
    fn names(&self) -> Vec<String>;

    /// Whether everything that was read of it was there: asked after a loading.
    ///
    /// # Errors
    /// [`NnError::Cut`] if a file became shorter meanwhile.
    fn check_whole(&self) -> Result<(), NnError> {
        self.names().iter().filter_map(|n| self.tensor(n).ok()).try_for_each(|t| t.check_whole())
    }

    /// The type that most bytes of the tensors have, such as `Q4_K`.
    fn precision(&self) -> Option<&'static str> {
        let mut sizes: Vec<(&'static str, usize)> = Vec::new();
        for tensor in self.names().iter().filter_map(|n| self.tensor(n).ok()) {
            let (name, size) = (tensor.dtype().name(), tensor.bytes().len());
            match sizes.iter_mut().find(|s| s.0 == name) {
                Some(entry) => entry.1 += size,
                None => sizes.push((name, size)),
            }
        }
        sizes.into_iter().max_by_key(|s| s.1).map(|s| s.0)
    }
}

/// The first of `names` that exists, checked against `shape`.
///
/// # Errors
/// [`NnError::MissingTensor`] with the first name, or [`NnError::Shape`].
pub fn fetch(source: &dyn TensorSource, names: &[String], shape: &[usize]) -> Result<RawTensor, NnError> {
    let Some(name) = names.iter().find(|n| source.has(n)) else {
        return Err(NnError::MissingTensor(names.first().cloned().unwrap_or_default()));
    };
    let tensor = source.tensor(name)?;
    if tensor.shape() != shape {
        let (expected, found) = (shape.to_vec(), tensor.shape().to_vec());
        return Err(NnError::Shape { name: name.clone(), expected, found });
    }
    Ok(tensor)
}
