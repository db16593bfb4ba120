//! Another device, context or precision: for idle models at once, for those at work when their last request ends.

use super::telling::count;
use super::worker::Worker;
use crate::error::UserMessage;
use crate::nn::precision::Precision;
use crate::nn::runtime::{DeviceChoice, Runtime};
use std::sync::Arc;

/// Opens the device, or says in words why not.
pub(super) fn open_runtime(
    choice: DeviceChoice,
    threads: Option<usize>,
    precision: Option<Precision>,
) -> Result<Runtime, UserMessage> {
    Runtime::new(choice, threads, precision).map_err(|error| {
        UserMessage::new(
            "No device to compute on",
            error.to_string(),
            "Close other programs, or start with fewer threads (--threads 1).",
        )
    })
}

impl Worker {
    /// Computes on another device from now on.
    pub fn set_device(&mut self, choice: DeviceChoice, threads: Option<usize>) {
        match open_runtime(choice, threads, self.precision) {
            Ok(runtime) => {
                self.runtime = runtime.with_context(self.runtime.context);
                let device = self.runtime.report.name.clone();
                self.outdate(&format!("on {device}"));
            }
            Err(message) => self.send_status(Some(message.to_string())),
        }
    }

    /// Allows conversations of another length from now on.
    pub fn set_context(&mut self, context: Option<usize>) {
        self.runtime.context = context;
        let words =
            context.map_or_else(|| "with the usual context".into(), |n| format!("with {} tokens", thousands(n)));
        self.outdate(&words);
    }

    fn outdate(&mut self, then: &str) {
        self.edition += 1;
        self.postponed.iter_mut().for_each(|p| p.1 = true);
        let bound = self.bound();
        let kept = self.models.outdate(&bound);
        self.send_status(self.going_on(&kept, then));
    }

    /// What was decided about models, or which there are, has changed.
    pub fn refresh(&mut self) {
        self.postponed.iter_mut().for_each(|p| p.1 = true);
        let bound = self.bound();
        let kept = self.models.refresh(&bound);
        let (known, defaults) = self.models.survey(&self.tasks);
        (self.known, self.defaults) = (Arc::new(known), defaults);
        let words = kept.first().and_then(|key| self.models.get(key)).map(|loaded| {
            let chosen = self.models.chosen(&loaded.id);
            chosen.map_or_else(|| "as in its file".into(), |precision| format!("as {}", precision.name()))
        });
        self.send_status(words.and_then(|words| self.going_on(&kept, &words)));
    }

    /// Says of models at work that they go on as they are, and until when.
    fn going_on(&self, keys: &[String], then: &str) -> Option<String> {
        let each = keys.iter().filter_map(|key| {
            let loaded = self.models.get(key)?;
            let requests = self.active.iter().filter(|a| a.is_bound && *a.key == **key).count();
            let have = if requests == 1 { "has" } else { "have" };
            let requests = count(requests, "request");
            Some(format!("{} goes on as it is until {requests} {have} ended, then {then}", loaded.id))
        });
        let all: Vec<String> = each.collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A number as people write it: 8,192.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_have_commas() {
        assert_eq!([5, 512, 8_192, 1_048_576].map(super::thousands), ["5", "512", "8,192", "1,048,576"]);
    }
}
