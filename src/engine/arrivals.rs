//! Requests that come and go, and how they get their models.

use super::active::{Active, End, Place};
use super::job::{Fresh, Job, Unread};
use super::loader::Reading;
use super::message::{Event, Priority};
use super::planning::{Plan, Wanted};
use super::put_away::{panic_message, put_away};
use super::submission::Submission;
use super::worker::Worker;
use super::works::Works;
use crate::error::UserMessage;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

impl Worker {
    /// Takes a request in.
    pub fn arrive(&mut self, mut submission: Submission) {
        self.arrivals += 1;
        let task = submission.request.task;
        let Some(model_task) = self.tasks.iter().find(|t| t.id() == task).map(|t| t.model_task()) else {
            let known: Vec<&str> = self.tasks.iter().map(|t| t.id()).collect();
            let why = format!("there is no task '{task}'");
            let message = UserMessage::new("Nothing was run", why, format!("Known tasks: {}.", known.join(", ")));
            self.active.push(Active::new(submission, self.arrivals, task));
            self.end(self.active.len() - 1, End::Failed(message));
            return;
        };
        // The default by its id: who names it shares it.
        if submission.request.model.is_none() {
            submission.request.model = self.defaults.get(model_task).cloned();
        }
        let wrong = submission.request.options.check().err();
        let mut active = Active::new(submission, self.arrivals, model_task);
        active.is_bound = self.models.get(&active.key).is_some_and(|l| !l.is_outdated);
        self.active.push(active);
        if let Some(message) = wrong {
            self.end(self.active.len() - 1, End::Failed(message));
        }
    }

    /// Looks after everything that is no step: requests that are not wanted any more, models to be read.
    pub fn attend(&mut self) {
        self.end_all(|a| a.submission.is_unwanted(), || End::Cancelled);
        self.follow_reading();
        self.begin_reading();
        // A request without inputs wanted nothing but its model.
        self.end_all(|a| a.is_bound && a.is_complete(), || End::Done);
    }

    /// Tells those who wait for the model that is being read how far it is; takes it in when it is there.
    fn follow_reading(&mut self) {
        let Some(reading) = &self.reading else { return };
        let waits = |a: &&mut Active| !a.is_bound && *a.key == *reading.key();
        let mut is_wanted = false;
        let progress = reading.progress();
        for active in self.active.iter_mut().filter(waits) {
            is_wanted = true;
            if active.loading.is_none() {
                active.start();
                active.loading = Some(Instant::now());
            }
            if let Some(p) = &progress {
                let (id, model) = (active.id(), p.model.clone());
                active.submission.sink.send(Event::Loading { id, model, share: p.share, bytes: p.bytes });
            }
        }
        if !is_wanted || self.is_past(reading.job()) {
            reading.stop();
        }
        if !reading.has_ended() {
            return;
        }
        let was_stopped = reading.is_stopping();
        let Some(reading) = self.reading.take() else { return };
        let (job, result) = reading.into_result();
        let result = match result {
            Ok(fresh) if was_stopped || self.is_past(&job) => {
                put_away(fresh);
                Err(Unread::Stopped)
            }
            other => other,
        };
        self.end_reading(&job, result);
    }

    /// Whether a model is read for a device, a context or a precision that is not chosen any more.
    fn is_past(&self, job: &Job) -> bool {
        job.edition != self.edition || (!job.is_fixed && self.models.chosen(&job.entry.id) != job.asked)
    }

    fn end_reading(&mut self, job: &Job, result: Result<Fresh, Unread>) {
        match result {
            Ok(fresh) => {
                self.models.adopt(job, fresh);
                for active in self.active.iter_mut().filter(|a| *a.key == *job.key) {
                    active.is_bound = true;
                    active.add_load();
                }
            }
            Err(unread) => {
                self.models.forgo(&job.key);
                for active in self.active.iter_mut().filter(|a| *a.key == *job.key) {
                    active.add_load();
                }
                // Whoever still wants one that was stopped has it read once more.
                if let Unread::Failed(message) = unread {
                    self.end_all(|a| !a.is_bound && *a.key == *job.key, || End::Failed(message.clone()));
                }
            }
        }
        // Even a load that failed may have made others go.
        self.send_status(None);
    }

    /// Begins to read the model that has been waited for longest, unless one is being read.
    fn begin_reading(&mut self) {
        while self.reading.is_none() {
            let rests = |key: &Arc<str>| self.postponed.iter().any(|p| p.0 == *key && !p.1);
            let waits = |a: &&Active| !a.is_bound && self.models.get(&a.key).is_none() && !rests(&a.key);
            let order = |a: &&Active| (a.submission.request.priority == Priority::Batch, a.arrived);
            let Some(first) = self.active.iter().filter(waits).min_by_key(order) else { return };
            let (key, request) = (Arc::clone(&first.key), &first.submission.request);
            let Some(task) = self.tasks.iter().position(|t| t.id() == request.task) else { return };
            let used = self.bound();
            let wanted = Wanted {
                key: &key,
                tasks: &self.tasks,
                task,
                model: request.model.as_deref(),
                runtime: &self.runtime,
                edition: self.edition,
                used: &used,
            };
            let models = &mut self.models;
            let plan = catch_unwind(AssertUnwindSafe(|| models.plan(&wanted)));
            if let Ok(Ok(Plan::Wait(name))) = plan {
                self.postpone(key, &name);
                continue;
            }
            self.postponed.retain(|p| p.0 != key);
            let failed = match plan {
                Ok(Ok(Plan::Read(job))) => self.read(*job).err(),
                Ok(Ok(Plan::Wait(_))) => None,
                Ok(Err(error)) => Some(UserMessage::from(error)),
                Err(payload) => Some(panic_message(&*payload)),
            };
            if let Some(message) = failed {
                self.models.forgo(&key);
                self.end_all(|a| !a.is_bound && a.key == key, || End::Failed(message.clone()));
                self.send_status(None);
            }
        }
    }

    fn read(&mut self, job: Job) -> Result<(), UserMessage> {
        let reading = Reading::begin(job, self.link.bell.clone()).map_err(|error| {
            UserMessage::new(
                "The model could not be loaded",
                error.to_string(),
                "Close other programs, then try again.",
            )
        })?;
        self.reading = Some(reading);
        self.follow_reading();
        // Room may have been made for it.
        self.send_status(None);
        Ok(())
    }

    /// Leaves a model for later that does not fit beside those at work.
    fn postpone(&mut self, key: Arc<str>, name: &str) {
        if let Some(known) = self.postponed.iter_mut().find(|p| p.0 == key) {
            known.1 = false;
            return;
        }
        self.postponed.push((key, false));
        let bound = self.active.iter().filter(|a| a.is_bound).count();
        let requests = super::telling::count(bound, "request");
        self.send_status(Some(format!(
            "{name} waits until there is memory for it: {requests} on other models must end first"
        )));
    }

    /// Removes a request and sends its last event.
    pub fn end(&mut self, index: usize, end: End) {
        let mut active = self.active.remove(index);
        // What it holds is free, and counted so, before anybody hears of the end.
        active.open = Works::default();
        let (usage, models) = (&self.link.usage, &self.models);
        if catch_unwind(AssertUnwindSafe(|| usage.count(models))).is_err() {
            tracing::error!("a model does not tell what it holds");
        }
        let requested = active.submission.request.model.clone();
        let loaded = self.models.get(&active.key).filter(|_| active.is_bound);
        let place = match loaded {
            Some(l) => Place { model: l.id.clone(), device: l.runtime.report.used, precision: l.precision() },
            None => Place {
                model: requested.unwrap_or_default(),
                device: self.runtime.report.used,
                precision: self.runtime.precision(),
            },
        };
        let (key, was_bound) = (Arc::clone(&active.key), active.is_bound);
        active.finish(end, place);
        if !was_bound {
            return;
        }
        // What it held is free for others.
        let active = &self.active;
        self.postponed.retain(|p| active.iter().any(|a| a.key == p.0));
        self.postponed.iter_mut().for_each(|p| p.1 = true);
        let mut is_used = false;
        for other in self.active.iter_mut().filter(|a| a.key == key) {
            other.may_retry = true;
            is_used |= other.is_bound;
        }
        // What was chosen while it was at work takes effect now.
        if !is_used && self.models.get(&key).is_some_and(|l| l.is_outdated) {
            self.models.drop_model(&key);
            self.send_status(None);
        }
    }
}
