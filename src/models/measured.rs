//! What was measured of models on this machine: accuracy and speed, by precision and device, kept in one file.

use crate::disk::{Found, read_json, update_json};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Measurements that are kept.
const MOST: usize = 2_000;

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub model: String,
    pub precision: String,
    /// Such as "CPU, 2 threads, AVX-512".
    pub device: String,
    /// `ms` (for 128 tokens) or `tokens/s` of a speed, else such as `accuracy`, `F1`, `perplexity`.
    pub metric: String,
    pub value: f64,
    /// What it was measured on; empty for a speed.
    #[serde(default)]
    pub data: String,
    /// Inputs, or runs.
    pub n: usize,
    /// 95 % confidence interval, if known.
    #[serde(default)]
    pub ci95: Option<[f64; 2]>,
}

impl Measurement {
    /// Whether it is about speed.
    pub fn is_speed(&self) -> bool {
        self.data.is_empty()
    }

    /// The number as people read it.
    pub fn shown(&self) -> String {
        let value = self.value;
        match self.metric.as_str() {
            "ms" if value < 9.95 => format!("{value:.1} ms"),
            "ms" => format!("{value:.0} ms"),
            "tokens/s" if value < 9.95 => format!("{value:.1} tokens/s"),
            "tokens/s" => format!("{value:.0} tokens/s"),
            "perplexity" => format!("perplexity {value:.1}"),
            // Shares of one.
            "accuracy" => format!("{:.1} %", value * 100.0),
            "BLEU" => format!("BLEU {value:.1}"),
            metric => format!("{metric} {:.1}", value * 100.0),
        }
    }

    /// How many times as fast as `other` it is, if both are speeds of one kind.
    pub fn gain_over(&self, other: &Self) -> Option<f64> {
        let same = self.is_speed() && self.metric == other.metric && self.device == other.device;
        let ratio = if self.metric == "ms" { other.value / self.value } else { self.value / other.value };
        (same && ratio.is_finite()).then_some(ratio)
    }

    fn replaces(&self, other: &Self) -> bool {
        let of = |m: &Self| (m.model.clone(), m.precision.clone(), m.device.clone(), m.metric.clone(), m.data.clone());
        of(self) == of(other)
    }
}

/// All that is known.
pub fn read(path: &Path) -> Vec<Measurement> {
    match read_json::<Vec<serde_json::Value>>(path) {
        // One that is not understood costs no other.
        Found::Read(all) => all.iter().filter_map(|m| Measurement::deserialize(m).ok()).collect(),
        Found::Nothing => Vec::new(),
        Found::Damaged(why) => {
            tracing::warn!(why, path = ?path, "measurements cannot be understood");
            Vec::new()
        }
        Found::Unreadable(error) => {
            tracing::warn!(%error, path = ?path, "measurements cannot be read");
            Vec::new()
        }
    }
}

/// Adds measurements in place of older ones of the same thing. A measurement that cannot be kept is still a
/// measurement: the reason goes to the log.
pub fn note(path: Option<&Path>, fresh: Vec<Measurement>) {
    let Some(path) = path.filter(|_| !fresh.is_empty()) else { return };
    let written = update_json(path, |all: &mut Vec<serde_json::Value>| {
        let is_old = |old: &Measurement| fresh.iter().any(|new| new.replaces(old));
        all.retain(|old| !Measurement::deserialize(old).is_ok_and(|old| is_old(&old)));
        all.extend(fresh.iter().filter_map(|new| serde_json::to_value(new).ok()));
        let excess = all.len().saturating_sub(MOST);
        all.drain(..excess);
    });
    if let Err(error) = written {
        tracing::warn!(%error, path = ?path, "measurements are not kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_measurement_takes_the_place_of_an_older() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a/measured.json");
        let one = |value: f64, precision: &str| Measurement {
            model: "m".into(),
            precision: precision.into(),
            device: "CPU".into(),
            metric: "ms".into(),
            value,
            data: String::new(),
            n: 5,
            ci95: None,
        };
        note(Some(&path), vec![one(3.0, "f32"), one(2.0, "int8")]);
        note(Some(&path), vec![one(4.0, "f32")]);
        let all = read(&path);
        assert_eq!(all.len(), 2);
        assert!(all.contains(&one(4.0, "f32")) && all.contains(&one(2.0, "int8")));
    }
}
