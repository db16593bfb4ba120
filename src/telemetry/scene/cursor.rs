//! Everything that is known about one moment.

use crate::telemetry::channel::{Key, Unit, bytes, millis};
use crate::telemetry::span::Span;
use crate::telemetry::store::Store;

/// A name and its value in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub name: &'static str,
    pub value: String,
}

/// What stood at `time`, and the request that is marked. `now` is the right edge of the picture.
pub fn readings_at(store: &Store, time: f64, now: f64, span: Option<&Span>) -> Vec<Reading> {
    let mut out = Vec::new();
    let mut add = |name: &'static str, value: Option<String>| {
        if let Some(value) = value {
            out.push(Reading { name, value });
        }
    };
    add("time", Some(if now - time < 0.05 { "now".into() } else { format!("−{:.1} s", now - time) }));
    if let Some(span) = span {
        add("request", Some(format!("{} · {}", span.id, span.task)));
        add("latency", Some(format!("{} · {}", millis(span.total_ms), span.heat.name())));
        add("first token", span.ttft_ms.map(millis));
        add("batch", Some(span.batch.to_string()).filter(|_| span.batch > 0));
        let energy = store.energy_of(span);
        add("energy", energy.map(|e| joules(e.joules)));
        let per = energy.filter(|_| span.done > 1).and_then(|e| e.per_answer);
        add("per answer", per.map(joules));
        let per = energy.filter(|_| span.generated > 1).and_then(|e| e.per_token);
        add("per token", per.map(joules));
    }
    let value = |key: Key| store.shown(key, time);
    add("CPU", value(Key::Cpu));
    add("CPU clock", value(Key::CpuClock));
    add("GPU", value(Key::Gpu(0)));
    add("GPU clock", value(Key::GpuClock(0)));
    add("this app", value(Key::ProcessMemory));
    add("all memory", value(Key::Memory));
    add("GPU memory", value(Key::GpuMemory(0)).or_else(|| value(Key::CudaMemory)));
    add("tokens per step", value(Key::StepTokens));
    add("power", value(Key::Power));
    add("temperature", hottest(store, time));
    add("fan", fan(store, time));
    out
}

/// Joules with as many digits as mean something.
pub fn joules(joules: f64) -> String {
    match joules {
        j if j >= 10.0 => format!("{j:.0} J"),
        j if j >= 0.1 => format!("{j:.2} J"),
        j => format!("{:.1} mJ", j * 1e3),
    }
}

/// The hottest zone's temperature in words.
pub fn hottest(store: &Store, time: f64) -> Option<String> {
    store.hottest(time).map(|h| Unit::Celsius.show(f64::from(h.1)))
}

fn fan(store: &Store, time: f64) -> Option<String> {
    let mut fans = store.channels().iter().enumerate().filter(|(_, c)| matches!(c.key, Key::Fan(_)));
    fans.find_map(|(place, c)| Some(c.unit.show(f64::from(store.value_at(place, time)?))))
}

/// A share of the machine's memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryPart {
    pub name: &'static str,
    pub bytes: f64,
}

impl MemoryPart {
    /// Name and size in words.
    pub fn text(&self) -> String {
        format!("{} {}", self.name, bytes(self.bytes))
    }
}

/// The machine's memory at `time`, as parts that fill it: this app's weights, its caches, the rest
/// of it, other programs, free. On a board whose GPU shares it, that is all the memory there is.
pub fn memory_parts(store: &Store, time: f64) -> Option<Vec<MemoryPart>> {
    let value = |key| Some(f64::from(store.value_at(store.place(key)?, time)?));
    let total = f64::from(store.channel(Key::Memory)?.limit?);
    let used = value(Key::Memory)?.min(total);
    let own = value(Key::ProcessMemory).unwrap_or(0.0).min(used);
    // What CUDA holds on a card is not in this memory; on a shared one it may not be resident.
    let weights = value(Key::Weights).unwrap_or(0.0).min(own);
    let caches = value(Key::Caches).unwrap_or(0.0).min(own - weights);
    let part = |name, bytes| MemoryPart { name, bytes };
    Some(vec![
        part("weights", weights),
        part("caches", caches),
        part("rest of this app", own - weights - caches),
        part("other programs", used - own),
        part("free", total - used),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::channel::{Channel, Facts};

    #[test]
    fn the_parts_fill_the_memory() {
        let mut store = Store::default();
        let channel = |key| Channel::new(key, "x", Unit::Bytes, "t").up_to(Some(8e9));
        let keys = [Key::Memory, Key::ProcessMemory, Key::Weights, Key::Caches];
        store.describe(&keys.map(channel), &Facts::default());
        store.push_row(1.0, &[3e9, 1e9, 4e8, 1e8]);
        let parts = memory_parts(&store, 1.0).expect("parts");
        let sizes: Vec<f64> = parts.iter().map(|p| (p.bytes / 1e8).round()).collect();
        assert_eq!(sizes, [4.0, 1.0, 5.0, 20.0, 50.0]);
        assert!(memory_parts(&store, 9.0).is_none(), "nothing is known of that moment");
    }

    #[test]
    fn what_is_absent_is_not_listed() {
        let mut store = Store::default();
        let keys = [Key::Cpu, Key::Power].map(|k| Channel::new(k, "x", Unit::Percent, "t"));
        store.describe(&keys, &Facts::default());
        store.push_row(1.0, &[34.0, f32::NAN]);
        let names: Vec<_> = readings_at(&store, 1.0, 1.0, None).into_iter().map(|r| r.name).collect();
        assert_eq!(names, ["time", "CPU"]);
    }
}
