//! What this app knows of itself, as a source like any other.

use super::{OwnReader, Source};
use crate::telemetry::channel::{Channel, Key, Unit};

/// What the app says of itself.
pub(super) struct OwnSource {
    reader: OwnReader,
    channels: Vec<Channel>,
}

impl OwnSource {
    pub fn new(reader: OwnReader) -> Self {
        let engine = |key, name: &str, unit| Channel::new(key, name, unit, "Glossa's engine");
        let channels = vec![
            engine(Key::Weights, "weights", Unit::Bytes),
            engine(Key::Caches, "caches", Unit::Bytes),
            engine(Key::Queue, "queue", Unit::Count),
            engine(Key::StepTokens, "tokens per step", Unit::Count),
            engine(Key::Texts, "texts at work", Unit::Count),
            Channel::new(Key::CudaMemory, "CUDA memory", Unit::Bytes, "CUDA driver"),
            Channel::new(Key::CudaTotal, "all CUDA memory", Unit::Bytes, "CUDA driver"),
        ];
        Self { reader, channels }
    }
}

impl Source for OwnSource {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn read(&mut self, _: f64, _: &[bool], _: &mut [u8], row: &mut [f32]) {
        let own = (self.reader)();
        row.fill(f32::NAN);
        row[0] = own.weights as f32;
        row[1] = own.caches as f32;
        row[2] = own.queue as f32;
        row[3] = own.step_tokens as f32;
        row[4] = own.texts as f32;
        if let Some((free, total)) = own.cuda {
            row[5] = total.saturating_sub(free) as f32;
            row[6] = total as f32;
        }
    }
}
