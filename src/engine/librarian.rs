//! Models as files: what is here, what can be got, downloads, decisions. On threads of their own, so that
//! neither the window nor the worker waits for a disk or a network.

use super::command::Command;
use super::message::{Event, EventSink};
use super::news::{Download, Errand, News, Phase};
use super::put_away::panic_message;
use super::shelf::Shelf;
use crate::error::UserMessage;
use crate::models::add;
use crate::models::catalogue;
use crate::models::hub::{HubError, Progress};
use crate::models::library::Library;
use crate::models::{ModelError, removal};
use crossbeam_channel::{Receiver, Sender};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Whether `path` looks like a model: a file of weights, an archive, or a folder with a configuration.
/// Looks at the disk.
pub fn is_model(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
    ["gguf", "zip", "safetensors"].contains(&ending.as_str()) || path.join("config.json").is_file()
}

/// The librarian's wires.
pub(super) struct Desk {
    pub library: Library,
    pub errands: Receiver<Errand>,
    pub worker: Sender<Command>,
    pub sink: EventSink,
}

/// Downloads that may wait.
const MOST: usize = 64;

fn crowded() -> UserMessage {
    let why = format!("{MOST} downloads are waiting already");
    UserMessage::new("The model was not downloaded", why, "Try again when some have ended.")
}

type Stops = Arc<Mutex<HashMap<String, Arc<AtomicBool>>>>;

/// Runs until nobody can send errands any more.
pub(super) fn run(desk: &Desk) {
    let stops: Stops = Arc::default();
    let (queue, waiting) = crossbeam_channel::bounded::<String>(MOST);
    let fetcher = Fetcher {
        library: desk.library.clone(),
        worker: desk.worker.clone(),
        sink: desk.sink.clone(),
        stops: Arc::clone(&stops),
    };
    let thread = std::thread::Builder::new().name("glossa-download".into()).spawn(move || fetcher.run(&waiting));
    while let Ok(errand) = desk.errands.recv() {
        match errand {
            Errand::Get(id) => {
                let mut all = crate::nn::lock(&stops);
                if all.contains_key(&id) {
                    continue;
                }
                let state = match queue.try_send(id.clone()) {
                    Ok(()) => {
                        all.insert(id.clone(), Arc::default());
                        Phase::Waiting
                    }
                    Err(_) => Phase::Failed(crowded()),
                };
                drop(all);
                let download = Download { id, progress: Progress::default(), rate: 0.0, state };
                desk.sink.send(Event::Library(News::Download(download)));
            }
            Errand::Pause(id) => {
                if let Some(stop) = crate::nn::lock(&stops).get(&id) {
                    stop.store(true, Ordering::Release);
                }
            }
            Errand::Search(words) => desk.search(words),
            other => {
                let news = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.serve(other)));
                let news = news.unwrap_or_else(|p| Some(News::Failed(panic_message(&*p))));
                if let Some(news) = news {
                    desk.sink.send(Event::Library(news));
                }
            }
        }
    }
    // Downloads stop with the window; what has come is kept.
    for stop in crate::nn::lock(&stops).values() {
        stop.store(true, Ordering::Release);
    }
    drop(queue);
    drop(thread);
}

impl Desk {
    /// On a thread of its own: a slow network must not hold up the list.
    fn search(&self, words: String) {
        let (hub, sink) = (self.library.hub_or_env(), self.sink.clone());
        let look = move || {
            let result = hub.search(&words, &mut |_| false).map_err(Into::into);
            sink.send(Event::Library(News::Found { words, result }));
        };
        if let Err(error) = std::thread::Builder::new().name("glossa-search".into()).spawn(look) {
            let message = UserMessage::new("The hub was not searched", error.to_string(), "Close other programs.");
            self.sink.send(Event::Library(News::Failed(message)));
        }
    }

    fn serve(&self, errand: Errand) -> Option<News> {
        let failed = |e: ModelError| News::Failed(e.into());
        let result = match errand {
            Errand::List => return Some(News::Shelf(Arc::new(Shelf::of(&self.library)))),
            Errand::Check(path) => {
                if add::is_archive(&path) {
                    return self.serve(Errand::Add(path));
                }
                let result = add::check(&path).map(Box::new).map_err(Into::into);
                return Some(News::Checked { path, result });
            }
            Errand::Add(path) => add::add(&self.library, &path).map(|card| Some(format!("{} was added", card.name))),
            Errand::Survey(id) => {
                let plan = self.library.resolve(Some(&id), "").and_then(|entry| removal::plan(&self.library, &entry));
                // One whose files are gone has nothing to be told about.
                return Some(News::Removal { id, plan: plan.ok().map(Arc::new) });
            }
            Errand::Remove(id) => self.remove(&id).map(Some),
            Errand::Default { task, model } => {
                self.library.decide(|r| drop(r.defaults.insert(task, model))).map(|()| None)
            }
            Errand::Keep { model, precision } => {
                let change = |r: &mut crate::models::registry::Registry| {
                    match precision {
                        Some(precision) => r.precisions.insert(model, precision),
                        None => r.precisions.remove(&model),
                    };
                };
                self.library.decide(change).map(|()| None)
            }
            Errand::Pin { model, pinned } => {
                let change = |r: &mut crate::models::registry::Registry| {
                    if pinned {
                        r.pinned.insert(model)
                    } else {
                        r.pinned.remove(&model)
                    };
                };
                self.library.decide(change).map(|()| None)
            }
            Errand::Get(_) | Errand::Pause(_) | Errand::Search(_) => return None,
        };
        match result {
            Ok(words) => {
                self.refresh();
                words.map(News::Done)
            }
            Err(error) => Some(failed(error)),
        }
    }

    fn remove(&self, id: &str) -> Result<String, ModelError> {
        if removal::forget_missing(&self.library, id)? {
            return Ok("The model was taken off the list.".into());
        }
        let entry = self.library.resolve(Some(id), "")?;
        let plan = removal::plan(&self.library, &entry)?;
        removal::carry_out(&self.library, &entry, &plan)?;
        Ok(match plan.only_forgotten {
            true => format!("{} was taken off the list; its files are still there", entry.name()),
            false => format!("{} was deleted: {} MB free again", entry.name(), plan.bytes / 1_000_000),
        })
    }

    fn refresh(&self) {
        tell_all(&self.library, &self.worker, &self.sink);
    }
}

/// The worker and the window learn of what has changed.
fn tell_all(library: &Library, worker: &Sender<Command>, sink: &EventSink) {
    let _ = worker.try_send(Command::Refresh);
    sink.send(Event::Library(News::Shelf(Arc::new(Shelf::of(library)))));
}

/// Downloads, one after the other.
struct Fetcher {
    library: Library,
    worker: Sender<Command>,
    sink: EventSink,
    stops: Stops,
}

impl Fetcher {
    fn run(&self, waiting: &Receiver<String>) {
        while let Ok(id) = waiting.recv() {
            let stop = crate::nn::lock(&self.stops).get(&id).cloned().unwrap_or_default();
            let get = std::panic::AssertUnwindSafe(|| self.get(&id, &stop));
            let state = std::panic::catch_unwind(get).unwrap_or_else(|p| Phase::Failed(panic_message(&*p)));
            crate::nn::lock(&self.stops).remove(&id);
            let is_done = state == Phase::Done;
            let download = Download { id, progress: Progress::default(), rate: 0.0, state };
            self.sink.send(Event::Library(News::Download(download)));
            if is_done {
                tell_all(&self.library, &self.worker, &self.sink);
            }
        }
    }

    fn get(&self, id: &str, stop: &AtomicBool) -> Phase {
        let wanted = match catalogue::wanted(id) {
            Ok(wanted) => wanted,
            Err(error) => return Phase::Failed(error.into()),
        };
        let hub = self.library.hub_or_env();
        let (begun, mut first, mut told) = (Instant::now(), None, None::<Instant>);
        let mut watch = |p: Progress| {
            let from = *first.get_or_insert(p.done);
            // Ten times a second is enough for anybody's eyes.
            if told.is_none_or(|t| t.elapsed().as_millis() >= 100) {
                told = Some(Instant::now());
                let rate = p.done.saturating_sub(from) as f64 / begun.elapsed().as_secs_f64().max(0.1);
                let download = Download { id: id.to_owned(), progress: p, rate, state: Phase::Running };
                self.sink.send(Event::Library(News::Download(download)));
            }
            stop.load(Ordering::Acquire)
        };
        match hub.get(&wanted, &mut watch) {
            Ok(path) => match add::check(&path) {
                Ok(_) => Phase::Done,
                Err(error) => Phase::Failed(UserMessage::from(error)),
            },
            Err(HubError::Stopped) => Phase::Paused,
            Err(error) => Phase::Failed(error.into()),
        }
    }
}
