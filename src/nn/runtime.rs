//! The device that models run on: chosen, tested, described.

use super::NnError;
use super::bert::Target;
use super::kernels::Isa;
use super::kernels::team::Team;
use super::precision::Precision;
use super::shape::Place;
use crate::error::UserMessage;
use crate::memory::{self, Memory};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a person asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// CUDA if it is there and passes its self-test, else CPU.
    #[default]
    Auto,
    Cpu,
    Cuda,
}

impl DeviceChoice {
    /// All choices, with what they are called.
    pub const ALL: [(Self, &'static str); 3] = [(Self::Auto, "Automatic"), (Self::Cpu, "CPU"), (Self::Cuda, "CUDA")];
}

/// The device in use, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    pub asked: DeviceChoice,
    /// `cpu` or `cuda`
    pub used: &'static str,
    /// Such as "CPU, 2 threads, AVX-512".
    pub name: String,
    pub threads: usize,
    /// Why it is not what was asked for, or why a GPU that is there is not used.
    pub notice: Option<String>,
}

impl DeviceReport {
    /// For callers whom another device would mislead, such as measurements: why not to go on.
    pub fn refusal(&self) -> Option<UserMessage> {
        let why = self.notice.clone().filter(|_| self.asked == DeviceChoice::Cuda)?;
        let next = "Run with --device cpu or auto; 'glossa doctor' says what is missing.";
        Some(UserMessage::new("CUDA cannot be used", why, next))
    }
}

/// A device ready to take models.
#[derive(Clone)]
pub struct Runtime {
    pub report: DeviceReport,
    /// Tokens that a conversation may have, if not the default.
    pub context: Option<usize>,
    kept: Precision,
    target: Target,
}

impl Runtime {
    /// Opens the device. Where CUDA is asked for and cannot be had, the CPU is used and
    /// [`DeviceReport::notice`] says why. Weights are `kept` as f32 on CPU and f16 on CUDA unless
    /// asked otherwise (sums are f32 on CPU either way).
    ///
    /// # Errors
    /// If not even the CPU's threads can be started.
    pub fn new(asked: DeviceChoice, threads: Option<usize>, kept: Option<Precision>) -> Result<Self, NnError> {
        let mut notice = None;
        let kept = kept.unwrap_or_default();
        if asked != DeviceChoice::Cpu {
            match cuda() {
                Ok(device) => {
                    let dtype = on_device(kept);
                    let name = format!("CUDA 0, {}", dtype.as_str());
                    let report = DeviceReport { asked, used: "cuda", name, threads: 1, notice: None };
                    return Ok(Self { report, context: None, kept, target: Target::Device { device, dtype } });
                }
                Err(why) if asked == DeviceChoice::Cuda => {
                    notice = Some(format!("CUDA was asked for, but runs on CPU: {why}"));
                }
                Err(why) if cfg!(feature = "cuda") => notice = Some(format!("Runs on CPU: {why}")),
                Err(_) => {}
            }
        }
        let isa = Isa::detect();
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or(available).clamp(1, 256);
        let team = Arc::new(Team::new(threads)?);
        let plural = if threads == 1 { "" } else { "s" };
        let name = format!("CPU, {threads} thread{plural}, {}", isa.name());
        let report = DeviceReport { asked, used: "cpu", name, threads, notice };
        Ok(Self { report, context: None, kept, target: Target::Cpu { team, isa, precision: kept } })
    }

    /// The same, with another limit for conversations.
    #[must_use]
    pub fn with_context(self, context: Option<usize>) -> Self {
        Self { context, ..self }
    }

    /// Where to put a model.
    pub fn target(&self) -> Target {
        self.target.clone()
    }

    /// Bytes that can still be used where models are put, if that can be known: what the kernel
    /// calls available, or what is free on the GPU.
    pub fn free_memory(&self) -> Option<usize> {
        match &self.target {
            Target::Cpu { .. } => available_memory(),
            Target::Device { .. } => free_on_gpu(),
        }
    }

    /// The memory that a model would lie in.
    pub fn place(&self) -> Place {
        Place { is_gpu: matches!(self.target, Target::Device { .. }), free: self.free_memory() }
    }

    /// All bytes of the memory that [`Self::free_memory`] is a part of.
    pub fn total_memory(&self) -> Option<usize> {
        match &self.target {
            Target::Cpu { .. } => main_memory().and_then(|m| usize::try_from(m.total).ok()),
            Target::Device { .. } => GpuMemory::open()?.read().map(|(_, total)| total),
        }
    }

    /// The same device, with weights kept another way.
    #[must_use]
    pub fn keeping(&self, kept: Precision) -> Self {
        let mut other = self.clone();
        other.kept = kept;
        match &mut other.target {
            Target::Cpu { precision, .. } => *precision = kept,
            Target::Device { dtype, .. } => *dtype = on_device(kept),
        }
        other
    }

    /// How weights are asked to be kept.
    pub fn kept(&self) -> Precision {
        self.kept
    }

    /// How weights whose file leaves it open are really kept here, as people write it.
    pub fn precision(&self) -> &'static str {
        match (&self.target, self.kept) {
            (Target::Cpu { .. }, Precision::Own) => "f32",
            (Target::Cpu { .. }, Precision::Bf16) => "f16",
            (Target::Cpu { .. }, kept) => kept.name(),
            (Target::Device { dtype, .. }, _) => dtype.as_str(),
        }
    }
}

/// The type of tensors on a Candle device. Blocks are computed with in f16.
fn on_device(kept: Precision) -> DType {
    match kept {
        Precision::F32 => DType::F32,
        Precision::Bf16 => DType::BF16,
        _ => DType::F16,
    }
}

/// Bytes of main memory that this process can still have, if the system tells: of the machine, of the container that it
/// is in, and of what the shell allows, the smallest.
pub fn available_memory() -> Option<usize> {
    usize::try_from(main_memory()?.available).ok()
}

fn main_memory() -> Option<Memory> {
    memory::bounded(std::path::Path::new("/")).map(|(memory, _)| memory)
}

/// Bytes of main memory that this process holds for itself: without files that are mapped, which the system
/// takes back when it needs them.
pub fn process_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse::<usize>().ok().map(|kb| kb * 1024)
}

fn free_on_gpu() -> Option<usize> {
    GpuMemory::open()?.read().map(|(free, _)| free)
}

/// Asks the CUDA driver for the memory of GPU 0, from any thread.
#[cfg(feature = "cuda")]
pub struct GpuMemory(Arc<candle_core::cuda_backend::cudarc::driver::CudaContext>);

/// Without CUDA in the build there is no such memory.
#[cfg(not(feature = "cuda"))]
pub struct GpuMemory(std::convert::Infallible);

#[cfg(feature = "cuda")]
impl GpuMemory {
    /// Takes part in the context that Candle uses; `None` if there is no GPU.
    pub fn open() -> Option<Self> {
        candle_core::cuda_backend::cudarc::driver::CudaContext::new(0).ok().map(Self)
    }

    /// Free and total bytes.
    pub fn read(&self) -> Option<(usize, usize)> {
        self.0.mem_get_info().ok()
    }
}

#[cfg(not(feature = "cuda"))]
impl GpuMemory {
    /// `None`: this build has no CUDA.
    pub fn open() -> Option<Self> {
        None
    }

    /// Free and total bytes.
    pub fn read(&self) -> Option<(usize, usize)> {
        match self.0 {}
    }
}

/// CUDA device 0, after a self-test: a wrong or missing kernel shows here, not in an answer.
fn cuda() -> Result<Device, String> {
    if !cfg!(feature = "cuda") {
        return Err("this build has no CUDA (build with --features cuda)".into());
    }
    let device = Device::new_cuda(0).map_err(|e| format!("no CUDA device could be opened ({e})"))?;
    self_test(&device).map_err(|e| format!("the GPU failed its self-test ({e})"))?;
    Ok(device)
}

/// A small product on the GPU against the same on the CPU.
fn self_test(device: &Device) -> Result<(), String> {
    let product = |device: &Device| -> candle_core::Result<Vec<f32>> {
        let a = Tensor::arange(0f32, 64.0, &Device::Cpu)?.reshape((8, 8))?.to_device(device)?;
        let x = (a.matmul(&a.t()?)? * 0.001)?;
        candle_nn::ops::softmax_last_dim(&x)?.flatten_all()?.to_vec1()
    };
    let here = product(&Device::Cpu).map_err(|e| e.to_string())?;
    let there = product(device).map_err(|e| e.to_string())?;
    let worst = here.iter().zip(&there).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    if worst < 1e-3 { Ok(()) } else { Err(format!("wrong by {worst}")) }
}
