//! The Models tab: what is here, what can be had, and what fits this board.

mod adding;
mod details;
mod fit;
mod rows;
mod view;

use super::{Cx, Tab};
use crate::app::command::UiCommand;
use crate::app::jobs::Pending;
use crate::app::widgets::icons::Icon;
use crate::engine::Ticket;
use crate::engine::message::{ClientId, Event, LoadedModel, ModelChange, Outlook, Priority, Request};
use crate::engine::news::{Download, Errand, Found, News, Phase, Removal};
use crate::engine::shelf::{Shelf, Volume};
use crate::error::UserMessage;
use crate::labs::precisions::{self, Asked, Compared};
use crate::nn::precision::Precision;
use crate::tasks::{DEFAULT_CONTEXT, Options};
use adding::Adding;
use egui::Ui;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Tasks whose models there are: id, and what people call it.
const TASKS: [(&str, &str); 7] = [
    ("sentiment", "Sentiment"),
    ("entities", "Entities"),
    ("qa", "Questions"),
    ("embed", "Meaning"),
    ("abstractive", "Summary"),
    ("translate", "Translate"),
    ("chat", "Chat"),
];

/// The tab.
#[derive(Default)]
pub struct ModelsTab {
    shelf: Option<Arc<Shelf>>,
    /// Number of the frame that showed it last.
    seen: Option<u64>,
    downloads: BTreeMap<String, Download>,
    /// Downloads that are to pause: a silent connection takes a while to notice.
    pausing: Vec<String>,
    loading: Vec<Loading>,
    /// What went wrong with a model, by its id.
    failed: HashMap<String, UserMessage>,
    /// What happened last to a model in memory.
    changes: HashMap<String, ModelChange>,
    selected: Option<String>,
    /// Tokens that the forecast is for, if not those of the settings.
    context: Option<usize>,
    outlook: Option<Arc<Outlook>>,
    /// Model and context of the forecast that was asked for last.
    asked: Option<(String, usize)>,
    /// Task whose models are shown.
    only: Option<&'static str>,
    words: String,
    /// Whether the hub is being searched, and what it had the last time.
    searching: bool,
    found: Option<(String, Result<Vec<Found>, UserMessage>)>,
    adding: Option<Adding>,
    /// The model whose removal has to be confirmed.
    leaving: Option<String>,
    /// What removing a model would do, by its id.
    removal: Option<(String, Option<Arc<Removal>>)>,
    comparing: Option<Comparing>,
    compared: HashMap<String, Vec<Compared>>,
}

/// A model on its way into memory.
struct Loading {
    ticket: Ticket,
    model: String,
    share: f32,
}

/// A comparison of precisions on its way.
struct Comparing {
    model: String,
    done: Arc<AtomicUsize>,
    /// How many of them the list shows.
    shown: usize,
    all: Vec<Precision>,
    stop: Arc<AtomicBool>,
    work: Pending<Result<Vec<Compared>, UserMessage>>,
}

impl Tab for ModelsTab {
    fn id(&self) -> &'static str {
        "models"
    }

    fn title(&self) -> &'static str {
        "Models"
    }

    fn icon(&self) -> Icon {
        Icon::Cube
    }

    fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let frame = cx.ctx.cumulative_pass_nr();
        // Whoever comes back may have changed folders meanwhile.
        if self.seen.is_none_or(|last| frame > last + 2) {
            self.ask(Errand::List, cx);
        }
        self.seen = Some(frame);
        self.poll(cx);
        self.ask_forecast(cx);
        self.show(ui, cx);
    }

    fn on_event(&mut self, event: &Event, cx: &mut Cx<'_>) {
        match event {
            Event::Library(news) => self.hear(news, cx),
            Event::Forecast(outlook) if self.asked.as_ref().is_some_and(|a| a.0 == outlook.model) => {
                self.outlook = Some(Arc::clone(outlook));
            }
            Event::Model(change) => {
                self.changes.insert(change.id.clone(), change.clone());
                self.asked = None;
            }
            Event::Loading { id, share, .. } => {
                if let Some(loading) = self.loading.iter_mut().find(|l| l.ticket.id == *id) {
                    loading.share = *share;
                }
            }
            Event::Done { id, .. } | Event::Cancelled { id, .. } => self.loading.retain(|l| l.ticket.id != *id),
            Event::Failed { id, message, .. } => {
                if let Some(at) = self.loading.iter().position(|l| l.ticket.id == *id) {
                    let model = self.loading.remove(at).model;
                    self.selected = Some(model.clone());
                    self.failed.insert(model, message.clone());
                }
            }
            _ => {}
        }
    }

    fn on_command(&mut self, command: UiCommand, _cx: &mut Cx<'_>) -> bool {
        let stops = command == UiCommand::Stop;
        if stops {
            self.loading.iter().for_each(|l| l.ticket.cancel.cancel());
            if let Some(comparing) = &self.comparing {
                comparing.stop.store(true, Ordering::Release);
            }
        }
        stops
    }

    fn on_drop(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        self.adding = Some(Adding::of(path.display().to_string()));
        self.ask(Errand::Check(path), cx);
    }

    fn on_exit(&mut self) {
        if let Some(comparing) = &self.comparing {
            comparing.stop.store(true, Ordering::Release);
        }
    }
}

impl ModelsTab {
    fn ask(&self, errand: Errand, cx: &mut Cx<'_>) {
        if let Err(error) = cx.engine.ask(errand) {
            cx.notices.push(error.to_string());
        }
    }

    /// Takes in what the librarian says.
    fn hear(&mut self, news: &News, cx: &mut Cx<'_>) {
        match news {
            News::Shelf(shelf) => {
                shelf.problems.iter().for_each(|p| cx.notices.push(p.to_string()));
                self.shelf = Some(Arc::clone(shelf));
                self.asked = None;
            }
            News::Download(download) => self.hear_download(download, cx),
            News::Checked { path, result } => {
                if let Some(adding) = &mut self.adding {
                    adding.checked = Some((path.clone(), result.clone()));
                }
            }
            News::Removal { id, plan } => self.removal = Some((id.clone(), plan.clone())),
            News::Found { words, result } => {
                self.searching = false;
                self.found = Some((words.clone(), result.clone()));
            }
            News::Done(words) => {
                self.adding = None;
                cx.notices.say(words.clone());
            }
            News::Failed(message) => cx.notices.push(message.to_string()),
        }
    }

    fn hear_download(&mut self, download: &Download, cx: &mut Cx<'_>) {
        let id = &download.id;
        match &download.state {
            Phase::Waiting | Phase::Running => {
                self.failed.remove(id);
                self.downloads.insert(id.clone(), download.clone());
                return;
            }
            Phase::Paused => {}
            Phase::Done => cx.notices.say(format!("{} is here.", self.name_of(id))),
            Phase::Failed(message) => {
                self.failed.insert(id.clone(), message.clone());
                if self.volume(id).is_none() {
                    cx.notices.push(message.to_string());
                }
            }
        }
        self.pausing.retain(|p| p != id);
        let is_listed = self.volume(id).is_some();
        // What the list does not have keeps its row with how far it came, if it can go on: something that the hub
        // does not even have can not.
        let goes_on = |row: &&mut Download| match &download.state {
            Phase::Paused => !is_listed,
            Phase::Failed(_) => !is_listed && row.progress.done > 0,
            Phase::Waiting | Phase::Running | Phase::Done => false,
        };
        match self.downloads.get_mut(id).filter(goes_on) {
            Some(row) => row.state = download.state.clone(),
            None => drop(self.downloads.remove(id)),
        }
        // What has come of it is shown.
        self.ask(Errand::List, cx);
    }

    fn volumes(&self) -> &[Volume] {
        self.shelf.as_ref().map_or(&[], |s| &s.volumes)
    }

    fn volume(&self, id: &str) -> Option<&Volume> {
        self.volumes().iter().find(|v| v.id == id)
    }

    fn name_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.volume(id).map_or(id, |v| &v.name)
    }

    /// Tokens that the forecast is for.
    fn context(&self, cx: &Cx<'_>) -> usize {
        self.context.or(cx.settings.context).unwrap_or(DEFAULT_CONTEXT)
    }

    fn ask_forecast(&mut self, cx: &mut Cx<'_>) {
        let chosen = self.shelf.as_deref().and_then(|shelf| chosen(shelf, self.selected.as_deref()));
        let Some(model) = chosen.map(|v| v.id.clone()) else { return };
        let wanted = (model, self.context(cx));
        // A full queue is asked again in the next frame.
        if self.asked.as_ref() != Some(&wanted) && cx.engine.forecast(&wanted.0, wanted.1).is_ok() {
            self.asked = Some(wanted);
        }
    }

    /// Reads a model into memory: a request without inputs ends when it is there.
    fn load(&mut self, model: &str, cx: &mut Cx<'_>) {
        let task = self.volume(model).and_then(|v| TASKS.iter().find(|t| t.0 == v.task));
        let Some(&(task, _)) = task else { return };
        self.failed.remove(model);
        let (inputs, options) = (Vec::new(), Options::default());
        let request = Request {
            task,
            model: Some(model.to_owned()),
            inputs,
            options,
            priority: Priority::Interactive,
            client: ClientId::default(),
        };
        match cx.submit(request) {
            Ok(ticket) => self.loading.push(Loading { ticket, model: model.to_owned(), share: 0.0 }),
            Err(message) => {
                self.failed.insert(model.to_owned(), message);
            }
        }
    }

    fn unload(&mut self, model: &str, cx: &mut Cx<'_>) {
        if let Err(error) = cx.engine.unload_model(model) {
            cx.notices.push(error.to_string());
        }
    }

    /// Measures how fast a model is in each precision, on a thread of its own.
    fn compare(&mut self, model: &str, all: Vec<Precision>, cx: &Cx<'_>) {
        if self.comparing.is_some() {
            return;
        }
        let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let asked = Asked {
            model: model.to_owned(),
            precisions: all.clone(),
            device: cx.settings.device,
            threads: cx.settings.threads,
            context: cx.settings.context,
        };
        let (library, counted, over) = (cx.library.clone(), Arc::clone(&done), Arc::clone(&stop));
        let work = move || {
            precisions::compare(&library, &asked, &mut |n| {
                counted.store(n, Ordering::Release);
                over.load(Ordering::Acquire)
            })
        };
        let work = Pending::spawn(cx.ctx, work);
        self.comparing = Some(Comparing { model: model.to_owned(), done, shown: 0, all, stop, work });
    }

    /// Takes in a comparison that is over.
    fn poll(&mut self, cx: &mut Cx<'_>) {
        let Some(comparing) = &mut self.comparing else { return };
        cx.ctx.request_repaint_after(std::time::Duration::from_millis(200));
        let Some(result) = comparing.work.poll() else {
            let done = comparing.done.load(Ordering::Acquire);
            if done > comparing.shown {
                comparing.shown = done;
                self.ask(Errand::List, cx);
            }
            return;
        };
        match result {
            Ok(rows) => {
                self.compared.insert(comparing.model.clone(), rows);
            }
            Err(message) => {
                self.failed.insert(comparing.model.clone(), message);
            }
        }
        self.comparing = None;
        self.ask(Errand::List, cx);
    }
}

/// The model that the forecast is about: the one that is selected, else the first.
fn chosen<'a>(shelf: &'a Shelf, selected: Option<&str>) -> Option<&'a Volume> {
    let found = shelf.volumes.iter().find(|v| selected == Some(&v.id));
    found.or_else(|| shelf.volumes.iter().find(|v| v.problem.is_none()))
}

/// The model called `id`, if it is in memory.
fn loaded<'a>(cx: &'a Cx<'_>, id: &str) -> Option<&'a LoadedModel> {
    cx.status?.loaded.iter().find(|l| l.id == id)
}

/// What people call the task of `volume`.
fn task_name(volume: &Volume) -> &str {
    TASKS.iter().find(|t| t.0 == volume.task).map_or(&volume.task, |t| t.1)
}
