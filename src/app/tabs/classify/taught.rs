//! Teaching: a few examples per label, a head fitted on their embeddings, kept or saved.

use super::map::map_ui;
use crate::app::jobs::Pending;
use crate::app::tabs::Cx;
use crate::app::tabs::asking::{Asking, Ended, Saving};
use crate::app::theme::{Palette, card, size, strong};
use crate::app::widgets::file_picker::{FilePicker, Picked, Purpose};
use crate::app::widgets::{explain, failure, note, primary, secondary};
use crate::engine::message::{Event, Priority, Request};
use crate::error::UserMessage;
use crate::labs::labelled::{Row, read_rows};
use crate::labs::teach::{self, Lesson};
use crate::tasks::TaughtHead;
use egui::{RichText, TextEdit, Ui};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Labels, each with its examples one per line; ours.
const FIRST: [(&str, &str); 3] = [
    ("refund", "I want my money back\nThe jacket does not fit, please refund me\nYou charged me twice for one ticket"),
    ("delivery", "My parcel has not arrived yet\nWhen will you ship my order?\nThe courier left the box in the rain"),
    (
        "broken",
        "The screen stays black when I switch it on\nOne leg of the chair came off\nIt makes a loud noise and then stops",
    ),
];

/// Most label cards that the window shows; a file may hold more.
const CARDS: usize = 12;

/// What came of a file: examples, or a head that was saved.
enum Opened {
    Rows(Vec<Row>),
    Head(TaughtHead),
}

/// A lesson that is over.
struct Learned {
    head: Arc<TaughtHead>,
    classes: Vec<usize>,
    points: Vec<[f64; 2]>,
    seconds: f64,
}

/// The teaching side of the tab.
pub struct Taught {
    cards: Vec<(String, String)>,
    /// Examples from a file, instead of the cards; what is said of them.
    file: Option<(String, Vec<Row>)>,
    asking: Asking,
    rows: Vec<Row>,
    fitting: Option<Pending<Result<Learned, UserMessage>>>,
    halt: Arc<AtomicBool>,
    learned: Option<Learned>,
    problem: Option<UserMessage>,
    picker: Option<FilePicker>,
    opening: Option<(PathBuf, Pending<Result<Opened, UserMessage>>)>,
    saving: Saving,
}

impl Default for Taught {
    fn default() -> Self {
        Self {
            cards: FIRST.iter().map(|(l, e)| ((*l).to_owned(), (*e).to_owned())).collect(),
            file: None,
            asking: Asking::default(),
            rows: Vec::new(),
            fitting: None,
            halt: Arc::default(),
            learned: None,
            problem: None,
            picker: None,
            opening: None,
            saving: Saving::default(),
        }
    }
}

impl Taught {
    /// The head, once there is one.
    pub fn head(&self) -> Option<Arc<TaughtHead>> {
        self.learned.as_ref().map(|l| Arc::clone(&l.head))
    }

    /// Ends what runs.
    pub fn stop(&mut self) {
        self.asking.stop();
        self.halt.store(true, Ordering::Release);
    }

    fn is_busy(&self) -> bool {
        self.asking.is_running() || self.fitting.is_some()
    }

    /// Reads examples (TSV) or a saved head (JSON) on a thread of its own.
    pub fn open(&mut self, path: PathBuf, cx: &Cx<'_>) {
        let file = path.clone();
        let work = move || {
            if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
                return teach::open(&file).map(Opened::Head);
            }
            read_rows(&file).map(Opened::Rows)
        };
        self.opening = Some((path, Pending::spawn(cx.ctx, work)));
    }

    /// Embeds the examples; the fit follows.
    pub fn teach(&mut self, cx: &Cx<'_>) {
        if self.is_busy() {
            return;
        }
        self.problem = None;
        let rows = match &self.file {
            Some((_, rows)) => rows.clone(),
            None => self
                .cards
                .iter()
                .filter(|(label, _)| !label.trim().is_empty())
                .flat_map(|(label, lines)| {
                    let row = |text: &str| Row { label: label.trim().to_owned(), text: text.trim().to_owned() };
                    lines.lines().filter(|l| !l.trim().is_empty()).map(row).collect::<Vec<_>>()
                })
                .collect(),
        };
        if let Err(message) = teach::classes(&rows) {
            self.problem = Some(message);
            return;
        }
        let texts = rows.iter().map(|r| r.text.clone()).collect();
        if self.asking.start(cx, Request::texts("embed", texts, Priority::Interactive)) {
            self.rows = rows;
        }
    }

    /// Takes in what belongs to it; the request that was answered.
    pub fn on_event(&mut self, event: &Event, cx: &Cx<'_>) -> Option<u64> {
        let Ended { id, items, report } = self.asking.on_event(event)?;
        let outputs: Vec<_> = items.into_iter().flatten().collect();
        let rows = std::mem::take(&mut self.rows);
        self.halt = Arc::default();
        let halt = Arc::clone(&self.halt);
        self.fitting = Some(Pending::spawn(cx.ctx, move || {
            let begun = Instant::now();
            let lesson = Lesson::new(&rows, &outputs, &report.model)?;
            let head = Arc::new(lesson.fit(&|| halt.load(Ordering::Acquire)));
            let points = lesson.plane();
            Ok(Learned { head, classes: lesson.classes, points, seconds: begun.elapsed().as_secs_f64() })
        }));
        Some(id)
    }

    /// Dialogs and threads. Once a frame.
    pub fn poll(&mut self, ui: &Ui, cx: &mut Cx<'_>) {
        self.saving.poll(ui, cx);
        if let Some(picker) = &mut self.picker
            && let Some(picked) = picker.show(ui, cx.palette)
        {
            self.picker = None;
            if let Picked::File(path) = picked {
                self.open(path, cx);
            }
        }
        if let Some(result) = self.fitting.as_mut().and_then(Pending::poll) {
            self.fitting = None;
            match result {
                Ok(learned) => self.learned = Some(learned),
                Err(message) => self.problem = Some(message),
            }
        }
        let Some((path, pending)) = &mut self.opening else { return };
        let Some(result) = pending.poll() else { return };
        let name = path.display().to_string();
        self.opening = None;
        match result {
            Ok(Opened::Rows(rows)) => {
                let labels = teach::classes(&rows).map_or(0, |c| c.0.len());
                let said = format!("{} examples of {labels} labels from '{name}'", rows.len());
                self.file = Some((said, rows));
                self.learned = None;
            }
            Ok(Opened::Head(head)) => {
                let head = Arc::new(head);
                self.learned = Some(Learned { head, classes: Vec::new(), points: Vec::new(), seconds: 0.0 });
            }
            Err(message) => self.problem = Some(message),
        }
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        self.examples_ui(ui, p);
        ui.horizontal_wrapped(|ui| {
            ui.add_enabled_ui(!self.is_busy(), |ui| {
                if primary(ui, p, "Teach", "").clicked() {
                    self.teach(cx);
                }
            });
            if self.file.is_none() && self.cards.len() < CARDS && secondary(ui, p, "Add label", "").clicked() {
                self.cards.push((String::new(), String::new()));
            }
            if secondary(ui, p, "Open…", "").on_hover_text("Examples (label, tab, text), or a saved head.").clicked()
            {
                self.picker = Some(FilePicker::new(Purpose::Open, FilePicker::home(), ""));
            }
            if let Some(learned) = &self.learned
                && secondary(ui, p, "Save head…", "").on_hover_text("For another day, or the command line.").clicked()
            {
                self.saving.ask("head.json", serde_json::to_vec(&*learned.head).unwrap_or_default());
            }
        });
        if self.asking.ui(ui, p) == Some(true) {
            self.teach(cx);
        }
        if self.fitting.is_some() {
            note(ui, p, "Learning…");
            ui.ctx().request_repaint_after(std::time::Duration::from_millis(100));
        }
        if let Some(message) = self.problem.clone()
            && failure(ui, p, &message)
        {
            self.teach(cx);
        }
        if let Some(learned) = &self.learned {
            learned.ui(ui, p);
        }
    }

    fn examples_ui(&mut self, ui: &mut Ui, p: &Palette) {
        if let Some((said, _)) = &self.file {
            let mut drop = false;
            card(p).show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.horizontal_wrapped(|ui| {
                    ui.label(said);
                    drop = secondary(ui, p, "Remove", "").clicked();
                });
            });
            if drop {
                self.file = None;
            }
            return;
        }
        let columns = ((ui.available_width() / 220.0) as usize).clamp(1, 3);
        let mut remove = None;
        let mut cards: Vec<(usize, &mut (String, String))> = self.cards.iter_mut().enumerate().collect();
        for row in cards.chunks_mut(columns) {
            ui.columns(columns, |columns| {
                for ((index, entry), ui) in row.iter_mut().zip(columns) {
                    if label_card(ui, p, *index, entry) {
                        remove = Some(*index);
                    }
                }
            });
        }
        if let Some(index) = remove {
            self.cards.remove(index);
        }
    }
}

/// A label's name and examples; whether it is to be removed.
fn label_card(ui: &mut Ui, p: &Palette, index: usize, (label, examples): &mut (String, String)) -> bool {
    let mut remove = false;
    card(p).inner_margin(egui::Margin::same(10)).show(ui, |ui| {
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 44.0).max(60.0);
            let field = TextEdit::singleline(label).desired_width(width).hint_text("label");
            let _ = ui.add(field).accessible_name(format!("Label {}", index + 1));
            use crate::app::widgets::icons::{Icon, quiet};
            remove = quiet(ui, p, Icon::Bin, &format!("Remove label {}", index + 1)).clicked();
        });
        let field = TextEdit::multiline(examples).desired_rows(3).desired_width(f32::INFINITY);
        let field = field.font(egui::FontId::proportional(size::LABEL)).hint_text("one example per line");
        let _ = ui.add(field).accessible_name(format!("Examples of label {}", index + 1));
    });
    remove
}

impl Learned {
    fn ui(&self, ui: &mut Ui, p: &Palette) {
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            let head = &self.head;
            let title = format!("Learned {} labels from {} examples", head.labels.len(), head.examples);
            ui.label(strong(title, size::BODY));
            ui.horizontal_wrapped(|ui| {
                if let Some((right, tried)) = head.held_out {
                    let share = 100.0 * right as f64 / tried.max(1) as f64;
                    let of = if tried < head.examples { format!(" (a random {tried})") } else { String::new() };
                    ui.label(format!("Left out one by one{of}, {right} of {tried} were recognised: {share:.0} %"));
                    explain(
                        ui,
                        "leaving one out",
                        "The classifier learns once more without that one example, and is then asked about it. So the number says how well it does on texts that it has not seen.",
                    );
                }
                if self.seconds > 0.0 {
                    ui.label(RichText::new(format!("{:.2} s", self.seconds)).size(size::LABEL).color(p.muted));
                }
            });
            if !self.points.is_empty() {
                map_ui(ui, p, &head.labels, &self.classes, &self.points);
            }
        });
    }
}
