//! What can be measured: names, units, where a reading comes from, how old it is.

use serde::Serialize;
use std::time::Duration;

/// Time between two readings of what is read most often.
pub const PERIOD: Duration = Duration::from_millis(100);
/// The same in seconds.
pub const PERIOD_SECS: f32 = PERIOD.as_secs_f32();

/// What a channel measures. Numbers tell several of a kind apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// All cores together.
    Cpu,
    Core(u16),
    CpuClock,
    /// This process, of all cores.
    Process,
    /// Resident memory of this process.
    ProcessMemory,
    /// This app's models, as the engine counts them.
    Weights,
    /// This app's keys and values of conversations.
    Caches,
    /// MemTotal minus MemAvailable: the page cache is not use.
    Memory,
    Swap,
    /// Memory that the Tegra GPU driver has mapped, part of the board's one memory.
    NvMap,
    Gpu(u8),
    GpuClock(u8),
    /// Memory in use on a GPU that has its own.
    GpuMemory(u8),
    /// Of the GPU memory, this process' share.
    GpuOwn(u8),
    /// Memory in use on the GPU, and all of it, as the CUDA driver says.
    CudaMemory,
    CudaTotal,
    /// The best sum that can be had: see the channel's source.
    Power,
    Rail(u8),
    Temperature(u8),
    Fan(u8),
    /// How far a cooling device holds the clocks back, percent of its range.
    Throttle(u8),
    /// Times that a protection against too much current or heat has acted.
    Alarms(u8),
    /// Requests waiting or running.
    Queue,
    /// Tokens that go through a model in one step, of all texts together.
    StepTokens,
    /// Texts that are read or written at the same time.
    Texts,
}

/// What a value is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Percent,
    Bytes,
    Megahertz,
    Watts,
    Celsius,
    /// Turns a minute.
    Rpm,
    Count,
}

impl Unit {
    /// As it stands after a number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Percent => "%",
            Self::Bytes => "bytes",
            Self::Megahertz => "MHz",
            Self::Watts => "W",
            Self::Celsius => "°C",
            Self::Rpm => "rpm",
            Self::Count => "",
        }
    }

    /// A value as people read it, with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Percent if value < 9.95 => format!("{value:.1} %"),
            Self::Percent => format!("{value:.0} %"),
            Self::Bytes => bytes(value),
            Self::Megahertz => format!("{value:.0} MHz"),
            Self::Watts => format!("{value:.1} W"),
            Self::Celsius => format!("{value:.0} °C"),
            Self::Rpm => format!("{value:.0} rpm"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

/// Milliseconds with as many digits as mean something.
pub fn millis(ms: f64) -> String {
    if ms >= 10_000.0 {
        format!("{:.1} s", ms / 1e3)
    } else if ms >= 100.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.1} ms")
    }
}

/// Bytes as people read them: MB and GB of a thousand.
pub fn bytes(n: f64) -> String {
    if n >= 1e9 { format!("{:.1} GB", n / 1e9) } else { format!("{:.0} MB", n / 1e6) }
}

/// One measured quantity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Channel {
    pub key: Key,
    /// As shown to people, such as "GPU" or "VDD_IN".
    pub name: String,
    pub unit: Unit,
    /// The file or library that it is read from.
    pub source: String,
    /// Seconds between two readings.
    pub period: f32,
    /// The end of the scale, where there is one: total memory, temperature of throttling, power cap.
    pub limit: Option<f32>,
}

impl Channel {
    /// A channel without a limit, read at every tick.
    pub fn new(key: Key, name: impl Into<String>, unit: Unit, source: impl Into<String>) -> Self {
        Self { key, name: name.into(), unit, source: source.into(), period: PERIOD_SECS, limit: None }
    }

    /// What to say where there is no value: a file that is there and cannot be read is not absent.
    pub fn without_value(&self) -> &'static str {
        match self.key {
            Key::Core(_) => "off",
            Key::Swap | Key::CudaMemory | Key::CudaTotal | Key::GpuOwn(_) => "absent",
            _ => "not readable",
        }
    }

    /// The same, read every `period` seconds.
    #[must_use]
    pub fn every(self, period: f32) -> Self {
        Self { period, ..self }
    }

    /// The same, with a limit.
    #[must_use]
    pub fn up_to(self, limit: Option<f32>) -> Self {
        Self { limit, ..self }
    }
}

/// What does not change while the program runs, and what changes rarely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The board's or the CPU's name.
    pub machine: String,
    /// That are on.
    pub cores: usize,
    /// Such as "R36.4.3".
    pub l4t: Option<String>,
    /// Such as "JetPack 6".
    pub jetpack: Option<String>,
    /// Name of the power mode in use.
    pub power_mode: Option<String>,
    /// Number and name of the mode that allows most, if it is another.
    pub faster_mode: Option<(u32, String)>,
    /// Names of the GPUs.
    pub gpus: Vec<String>,
    /// CPU and GPU share one memory.
    pub unified: bool,
    pub kernel: String,
    /// What was looked for and not found, and why.
    pub absent: Vec<(String, String)>,
    /// What is there and cannot be read, and why.
    pub closed: Vec<(String, String)>,
}
