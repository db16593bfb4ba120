//! What the tabs that ask something of a text share: the request on its way, the text field, what an
//! answer cost, the pieces that the model read.

use super::Cx;
pub use super::editor::{Editor, LONG, cut_paste, take_long_paste};
use crate::app::command::UiCommand;
use crate::app::jobs::Pending;
use crate::app::theme::{Palette, card, size};
use crate::app::widgets::file_picker::{FilePicker, Picked, Purpose};
use crate::app::widgets::{chips, explain, failure, millis, note, primary, secondary};
use crate::engine::Ticket;
use crate::engine::message::{Event, ItemResult, Report, Request, RequestId};
use crate::error::UserMessage;
use crate::tasks::Reading;
use egui::{RichText, Ui};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One request at a time: on its way, failed, stopped.
#[derive(Default)]
pub struct Asking {
    running: Option<Running>,
    pub failed: Option<UserMessage>,
    stopped: bool,
}

struct Running {
    ticket: Ticket,
    begun: Instant,
    /// Share read of the model, and its bytes.
    loading: Option<(f32, u64)>,
    share: f32,
    stopping: bool,
    items: Vec<Option<ItemResult>>,
}

/// A request that has ended well.
pub struct Ended {
    pub id: u64,
    /// One per input.
    pub items: Vec<Option<ItemResult>>,
    pub report: Report,
}

impl Asking {
    /// Submits, unless something runs already. False if nothing was submitted.
    pub fn start(&mut self, cx: &Cx<'_>, request: Request) -> bool {
        if self.is_running() {
            return false;
        }
        self.clear();
        let items = vec![None; request.inputs.len()];
        match cx.submit(request) {
            Ok(ticket) => {
                let begun = Instant::now();
                self.running = Some(Running { ticket, begun, loading: None, share: 0.0, stopping: false, items });
                true
            }
            Err(message) => {
                self.failed = Some(message);
                false
            }
        }
    }

    /// Whether an answer is awaited.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The request on its way.
    pub fn id(&self) -> Option<RequestId> {
        self.running.as_ref().map(|r| r.ticket.id)
    }

    /// Asks for the end.
    pub fn stop(&mut self) {
        if let Some(running) = &mut self.running {
            running.stopping = true;
            running.ticket.cancel.cancel();
        }
    }

    /// Forgets that the last request failed or was stopped.
    pub fn clear(&mut self) {
        (self.failed, self.stopped) = (None, false);
    }

    /// Takes in what belongs to it; the answers once they are complete.
    pub fn on_event(&mut self, event: &Event) -> Option<Ended> {
        let running = self.running.as_mut().filter(|r| Some(r.ticket.id) == event.id())?;
        match event {
            Event::Loading { share, bytes, .. } => running.loading = Some((*share, *bytes)),
            Event::Progress { share, .. } => running.share = *share,
            Event::Items { items, done, total, .. } => {
                running.loading = None;
                running.share = *done as f32 / (*total).max(1) as f32;
                for (index, result) in items {
                    if let Some(slot) = running.items.get_mut(*index) {
                        *slot = Some(result.clone());
                    }
                }
            }
            Event::Done { id, report } => {
                let items = std::mem::take(&mut running.items);
                self.running = None;
                return Some(Ended { id: id.0, items, report: report.clone() });
            }
            Event::Cancelled { .. } => {
                self.running = None;
                self.stopped = true;
            }
            Event::Failed { message, .. } => {
                self.running = None;
                self.failed = Some(message.clone());
            }
            Event::Started { .. } => running.loading = None,
            Event::Partial { .. }
            | Event::Status(_)
            | Event::Model(_)
            | Event::Library(_)
            | Event::Forecast(_)
            | Event::Stopped(_) => {}
        }
        None
    }

    /// What is to be said instead of an answer; `Some(true)` if Retry was pressed, `None` if there is
    /// nothing to say.
    pub fn ui(&self, ui: &mut Ui, p: &Palette) -> Option<bool> {
        if let Some(running) = &self.running {
            running.ui(ui, p);
            return Some(false);
        }
        if let Some(message) = &self.failed {
            return Some(failure(ui, p, message));
        }
        if self.stopped {
            quiet_card(ui, p, "Stopped. Your text is still there.");
            return Some(false);
        }
        None
    }
}

impl Running {
    fn ui(&self, ui: &mut Ui, p: &Palette) {
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            let seconds = self.begun.elapsed().as_secs_f64();
            match self.loading {
                Some((share, bytes)) if share < 0.999 => {
                    let mb = bytes as f64 / 1e6;
                    ui.label(format!("Loading the model: {:.0} of {mb:.0} MB · {seconds:.1} s", f64::from(share) * mb));
                    ui.add(egui::ProgressBar::new(share));
                }
                _ if self.stopping => {
                    ui.label("Stopping…");
                }
                _ => {
                    ui.label(format!("Running · {seconds:.1} s"));
                    if self.share > 0.0 {
                        ui.add(egui::ProgressBar::new(self.share).desired_height(8.0));
                    }
                }
            }
        });
        ui.ctx().request_repaint_after(std::time::Duration::from_millis(100));
    }
}

/// A card with nothing but a remark.
pub fn quiet_card(ui: &mut Ui, p: &Palette, text: &str) {
    card(p).show(ui, |ui| {
        ui.set_width(ui.available_width());
        note(ui, p, text);
    });
}

/// Tokens and time of an answer, with what the reader should know beside it.
pub fn cost_ui(ui: &mut Ui, p: &Palette, reading: &Reading, report: &Report) {
    let windows = if reading.windows > 1 { format!("{} windows · ", reading.windows) } else { String::new() };
    note(ui, p, format!("{windows}{} tokens · {}", reading.tokens, millis(report.timing.total)));
    explain(
        ui,
        "a token",
        "A token is a piece of text that the model reads as one: a whole word, or a part of a rare one. The time runs from pressing the button to the answer, waiting and loading included.",
    );
}

/// The warnings of a report.
pub fn warnings_ui(ui: &mut Ui, p: &Palette, report: &Report) {
    for warning in &report.warnings {
        ui.label(RichText::new(format!("Note: {warning}.")).size(size::LABEL).color(p.warning));
    }
}

/// What stands below an answer: the report's warnings and, if they are wanted, the pieces that the model read.
pub fn reading_ui(ui: &mut Ui, p: &Palette, report: &Report, pieces: Option<&Reading>) {
    warnings_ui(ui, p, report);
    if let Some(reading) = pieces {
        pieces_ui(ui, p, reading);
    }
}

/// A chip for each example (name, text). The one that is pressed becomes `text`, to be run.
pub fn examples(ui: &mut Ui, p: &Palette, all: &[(&str, &str)], text: &mut String) -> Option<UiCommand> {
    let mut chosen = None;
    for (name, example) in all {
        if chips::choice(ui, p, name).clicked() {
            *text = (*example).to_owned();
            chosen = Some(UiCommand::Run);
        }
    }
    chosen
}

/// Buttons for commands; the one that was pressed.
pub fn buttons(ui: &mut Ui, p: &Palette, commands: &[UiCommand]) -> Option<UiCommand> {
    let pressed = |c: &UiCommand, ui: &mut Ui| secondary(ui, p, c.text(), "").on_hover_text(c.tooltip()).clicked();
    commands.iter().copied().filter(|c| pressed(c, ui)).last()
}

/// The button that asks and the one that ends it; the command of the one that was pressed.
pub fn run_stop(ui: &mut Ui, p: &Palette, ask: &str, ready: bool, busy: bool) -> Option<UiCommand> {
    let (run, stop) = (UiCommand::Run, UiCommand::Stop);
    let asked =
        ui.add_enabled_ui(ready, |ui| primary(ui, p, ask, &run.key_name()).on_hover_text(run.tooltip()).clicked());
    let ended = ui.add_enabled_ui(busy, |ui| secondary(ui, p, stop.text(), &stop.key_name()).clicked());
    asked.inner.then_some(run).or(ended.inner.then_some(stop))
}

/// The pieces that the model read, with ids and offsets.
pub fn pieces_ui(ui: &mut Ui, p: &Palette, reading: &Reading) {
    card(p).show(ui, |ui| {
        ui.set_width(ui.available_width());
        note(
            ui,
            p,
            "The pieces that the model reads, each with its number in the vocabulary and its bytes of the text (plus marks at the ends).",
        );
        ui.horizontal_wrapped(|ui| {
            for piece in &reading.pieces {
                chips::piece(ui, p, &piece.text, piece.id, (piece.start, piece.end));
            }
        });
    });
}

/// Makes a file's bytes.
type Contents = Box<dyn FnOnce() -> std::io::Result<Vec<u8>> + Send>;

/// Writes a file on a thread of its own and says what came of it.
#[derive(Default)]
pub struct Saving {
    picker: Option<FilePicker>,
    contents: Option<Contents>,
    running: Option<(PathBuf, Pending<std::io::Result<()>>)>,
}

impl Saving {
    /// Asks where to; `name` is proposed.
    pub fn ask(&mut self, name: &str, contents: Vec<u8>) {
        self.ask_for(name, move || Ok(contents));
    }

    /// The same for what is only made when a place is chosen, on a thread of its own.
    pub fn ask_for(&mut self, name: &str, make: impl FnOnce() -> std::io::Result<Vec<u8>> + Send + 'static) {
        self.contents = Some(Box::new(make));
        self.picker = Some(FilePicker::new(Purpose::Save, FilePicker::home(), name));
    }

    fn write(&mut self, path: &Path, cx: &Cx<'_>) {
        let (Some(contents), file) = (self.contents.take(), path.to_owned()) else { return };
        let work = move || crate::disk::write_whole(&file, &contents()?);
        self.running = Some((path.to_owned(), Pending::spawn(cx.ctx, work)));
    }

    /// The dialog, and the end of the writing. Once a frame.
    pub fn poll(&mut self, ui: &Ui, cx: &mut Cx<'_>) {
        if let Some(picker) = &mut self.picker
            && let Some(picked) = picker.show(ui, cx.palette)
        {
            self.picker = None;
            if let Picked::File(path) = picked {
                self.write(&path, cx);
            }
        }
        if let Some((path, pending)) = &mut self.running
            && let Some(result) = pending.poll()
        {
            match result {
                Ok(()) => cx.notices.say(format!("Saved to '{}'.", path.display())),
                Err(e) => cx.notices.push(format!("'{}' was not written: {e}. Choose another folder.", path.display())),
            }
            self.running = None;
        }
    }
}
