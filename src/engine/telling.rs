//! What the worker tells of itself: its status, its models, what they do now.

use super::message::{AtWork, Event, Status};
use super::worker::Worker;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two tellings of what is being done.
const PAUSE: Duration = Duration::from_millis(200);

impl Worker {
    /// Tells what has become of the models, and how the engine is.
    pub fn send_status(&mut self, notice: Option<String>) {
        self.link.usage.count(&self.models);
        self.link.usage.on_cuda(self.runtime.report.used == "cuda");
        let changes = self.models.take_changes();
        let work = self.at_work();
        self.told = (Some(Instant::now()), !work.is_empty());
        let Some(sink) = &self.status else { return };
        for change in changes {
            sink.send(Event::Model(change));
        }
        sink.send(Event::Status(Status {
            device: self.runtime.report.clone(),
            precision: self.runtime.precision(),
            loaded: self.models.summary(),
            models: Arc::clone(&self.known),
            queue: self.link.ledger.open(),
            work,
            notice,
        }));
    }

    /// Tells now and then what is being done, and once that there is nothing more.
    pub fn tell_work(&mut self, is_over: bool) {
        let (at, was_working) = self.told;
        let is_due = at.is_none_or(|at| at.elapsed() >= PAUSE);
        let is_news = if is_over { was_working } else { is_due && !self.active.is_empty() };
        if is_news {
            self.send_status(None);
        }
    }

    /// What the models at work are doing.
    fn at_work(&self) -> Vec<AtWork> {
        let mut all: Vec<AtWork> = Vec::new();
        for active in &self.active {
            let loaded = self.models.get(&active.key);
            let requested = active.submission.request.model.clone().unwrap_or_default();
            let id = loaded.map_or(requested, |l| l.id.clone());
            let place = all.iter().position(|w| w.id == id).unwrap_or_else(|| {
                let occupancy = loaded.and_then(|l| l.model.occupancy());
                all.push(AtWork { id, occupancy, rows: loaded.map_or(0, |l| l.rows), ..AtWork::default() });
                all.len() - 1
            });
            let (reading, writing) = active.open.phases();
            let is_waiting = !active.is_ready() || active.is_waiting() || reading + writing == 0;
            if is_waiting {
                all[place].waiting += 1;
            } else {
                all[place].reading += reading;
                all[place].writing += writing;
            }
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }
}

/// "1 request", "2 requests".
pub fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
