//! Many lines at once: from a file or pasted, with progress, Stop and CSV.

use super::{export, request};
use crate::app::command::UiCommand;
use crate::app::jobs::Pending;
use crate::app::tabs::Cx;
use crate::app::tabs::asking::{LONG, run_stop, take_long_paste};
use crate::app::theme::{Palette, card, figures, size};
use crate::app::widgets::file_picker::{FilePicker, Picked, Purpose};
use crate::app::widgets::{failure, note, secondary};
use crate::engine::Ticket;
use crate::engine::message::{Event, ItemResult, Priority, Report};
use crate::error::UserMessage;
use crate::labs::lines;
use egui::{RichText, ScrollArea, TextEdit, Ui, vec2};
use std::path::PathBuf;
use std::time::Instant;

/// Lines of a file, or why there are none.
type ReadLines = Result<Vec<String>, UserMessage>;

/// The batch view.
#[derive(Default)]
pub struct Batch {
    pasted: String,
    /// Lines of the file that was read, and its name.
    file: Option<(String, Vec<String>)>,
    reading: Option<(PathBuf, Pending<ReadLines>)>,
    saving: Option<(PathBuf, Pending<Result<usize, String>>)>,
    picker: Option<FilePicker>,
    problem: Option<UserMessage>,
    run: Option<Run>,
}

struct Run {
    ticket: Ticket,
    rows: Vec<(String, Option<ItemResult>)>,
    done: usize,
    begun: Instant,
    end: Option<(String, Report)>,
}

impl Batch {
    /// Reads a file of lines on a thread of its own.
    pub fn read(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        self.problem = None;
        let file = path.clone();
        self.reading = Some((path, Pending::spawn(cx.ctx, move || lines::read(&file))));
    }

    /// The lines that a run would take: the file's, or those pasted.
    fn lines(&self) -> Vec<String> {
        match &self.file {
            Some((_, lines)) => lines.clone(),
            None => self.pasted.lines().filter(|l| !l.trim().is_empty()).map(str::to_owned).collect(),
        }
    }

    fn is_running(&self) -> bool {
        self.run.as_ref().is_some_and(|r| r.end.is_none())
    }

    /// Starts on the lines.
    pub fn run(&mut self, cx: &mut Cx<'_>) {
        if self.is_running() {
            return;
        }
        let lines = self.lines();
        if lines.is_empty() {
            self.problem = Some(UserMessage::new(
                "There is nothing to analyse",
                "no line has been given",
                "Choose a file, or paste some lines.",
            ));
            return;
        }
        self.problem = None;
        match cx.submit(request(lines.clone(), Priority::Batch)) {
            Ok(ticket) => {
                let rows = lines.into_iter().map(|l| (l, None)).collect();
                self.run = Some(Run { ticket, rows, done: 0, begun: Instant::now(), end: None });
            }
            Err(message) => self.problem = Some(message),
        }
    }

    /// Ends the run; what is done stays.
    pub fn stop(&mut self) {
        if let Some(run) = &self.run {
            run.ticket.cancel.cancel();
        }
    }

    /// Takes in what belongs to it.
    pub fn on_event(&mut self, event: &Event) {
        let Some(run) = self.run.as_mut().filter(|r| Some(r.ticket.id) == event.id()) else { return };
        match event {
            Event::Items { items, done, .. } => {
                for (index, result) in items {
                    if let Some(row) = run.rows.get_mut(*index) {
                        row.1 = Some(result.clone());
                    }
                }
                run.done = *done;
            }
            Event::Done { report, .. } => run.end = Some(("done".into(), report.clone())),
            Event::Cancelled { report, .. } => run.end = Some(("stopped".into(), report.clone())),
            Event::Failed { message, report, .. } => {
                self.problem = Some(message.clone());
                run.end = Some(("failed".into(), report.clone()));
            }
            Event::Loading { .. }
            | Event::Started { .. }
            | Event::Partial { .. }
            | Event::Progress { .. }
            | Event::Status(_)
            | Event::Model(_)
            | Event::Library(_)
            | Event::Forecast(_)
            | Event::Stopped(_) => {}
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) {
        if let Some((path, pending)) = &mut self.reading
            && let Some(result) = pending.poll()
        {
            match result {
                Ok(lines) => self.file = Some((format!("'{}'", path.display()), lines)),
                Err(message) => self.problem = Some(message),
            }
            self.reading = None;
        }
        if let Some((path, pending)) = &mut self.saving
            && let Some(result) = pending.poll()
        {
            match result {
                Ok(count) => cx.notices.say(format!("{count} rows saved to '{}'.", path.display())),
                Err(why) => cx.notices.push(why),
            }
            self.saving = None;
        }
    }

    /// Draws it. True if the person goes back to a single text.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
        self.poll(cx);
        let p = cx.palette;
        let mut back = false;
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.heading("Sentiment of many lines");
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    back = secondary(ui, p, "Back to one text", "").clicked();
                });
            });
            note(ui, p, "One text per line, from a file or pasted. A file can also be dropped on the window.");
            self.input_ui(ui, p);
            self.controls(ui, cx);
            if let Some(message) = self.problem.clone()
                && failure(ui, p, &message)
            {
                self.run(cx);
            }
            if let Some(run) = &self.run {
                run.ui(ui, p);
            }
        });
        if let Some(picker) = &mut self.picker
            && let Some(picked) = picker.show(ui, p)
        {
            let saves = picker.is_for(Purpose::Save);
            self.picker = None;
            match picked {
                Picked::File(path) if saves => self.save(path, cx),
                Picked::File(path) => self.read(path, cx),
                Picked::Closed => {}
            }
        }
        back
    }

    fn input_ui(&mut self, ui: &mut Ui, p: &Palette) {
        if let Some((name, lines)) = &self.file {
            let mut drop = false;
            card(p).show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.horizontal_wrapped(|ui| {
                    ui.label(format!("{} lines from {name}", lines.len()));
                    drop = secondary(ui, p, "Remove", "").clicked();
                });
            });
            if drop {
                self.file = None;
            }
            return;
        }
        if let Some((path, _)) = &self.reading {
            note(ui, p, format!("Reading '{}'…", path.display()));
        }
        let id = egui::Id::unique("batch lines");
        if ui.memory(|m| m.has_focus(id))
            && let Some(text) = take_long_paste(ui, LONG)
        {
            match lines::decode(text.as_bytes(), "the pasted text") {
                Ok(lines) => self.file = Some(("the pasted text".into(), lines)),
                Err(message) => self.problem = Some(message),
            }
        }
        ScrollArea::vertical().id_salt("pasted").max_height(150.0).show(ui, |ui| {
            let field = TextEdit::multiline(&mut self.pasted)
                .id(id)
                .desired_width(f32::INFINITY)
                .desired_rows(4)
                .hint_text("Paste lines here");
            let _ = ui.add(field).accessible_name("Lines to analyse");
        });
    }

    fn controls(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        ui.horizontal_wrapped(|ui| {
            let running = self.is_running();
            match run_stop(ui, p, "Run", !running, running) {
                Some(UiCommand::Run) => self.run(cx),
                Some(UiCommand::Stop) => self.stop(),
                _ => {}
            }
            if secondary(ui, p, "Choose file…", "").clicked() {
                self.picker = Some(FilePicker::new(Purpose::Open, FilePicker::home(), ""));
            }
            let any = self.run.as_ref().is_some_and(|r| r.done > 0);
            ui.add_enabled_ui(any && !running, |ui| {
                if secondary(ui, p, "Export CSV…", "").clicked() {
                    self.picker = Some(FilePicker::new(Purpose::Save, FilePicker::home(), "sentiment.csv"));
                }
            });
        });
    }

    fn save(&mut self, path: PathBuf, cx: &mut Cx<'_>) {
        let Some(run) = &self.run else { return };
        let (rows, file) = (run.rows.clone(), path.clone());
        self.saving = Some((path, Pending::spawn(cx.ctx, move || export::write_csv(&file, &rows))));
    }
}

impl Run {
    fn ui(&self, ui: &mut Ui, p: &Palette) {
        let total = self.rows.len();
        ui.add(egui::ProgressBar::new(self.done as f32 / total.max(1) as f32).desired_height(8.0));
        let [positive, negative, failed] = self.tally();
        let seconds = match &self.end {
            Some((_, report)) => report.timing.total / 1e3,
            None => self.begun.elapsed().as_secs_f64(),
        };
        let rate = if seconds > 0.0 { self.done as f64 / seconds } else { 0.0 };
        let state = self.end.as_ref().map_or("running", |e| e.0.as_str());
        let mut words = format!(
            "{state} · {} of {total} · {rate:.0} texts/s · {positive} positive, {negative} negative",
            self.done
        );
        if failed > 0 {
            words.push_str(&format!(", {failed} not analysed"));
        }
        note(ui, p, words);
        let height = 28.0;
        let view = ScrollArea::vertical().id_salt("rows").max_height(320.0).auto_shrink([false, true]);
        view.show_rows(ui, height, total, |ui, range| {
            for (text, result) in &self.rows[range] {
                row(ui, p, text, result.as_ref(), height);
            }
        });
    }

    /// Rows that are positive, negative, and not analysed.
    fn tally(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for (_, result) in &self.rows {
            match result {
                Some(Ok(output)) => match output.scores().map(|s| s.top().0) {
                    Some("positive") => counts[0] += 1,
                    Some("negative") => counts[1] += 1,
                    _ => {}
                },
                Some(Err(_)) => counts[2] += 1,
                None => {}
            }
        }
        counts
    }
}

fn row(ui: &mut Ui, p: &Palette, text: &str, result: Option<&ItemResult>, height: f32) {
    ui.horizontal(|ui| {
        ui.set_height(height - ui.spacing().item_spacing.y);
        let (mark, color) = match result {
            Some(Ok(output)) => {
                let (label, share) = output.scores().map_or(("", 0.0), |s| s.top());
                let color = if label == "negative" { p.negative } else { p.positive };
                (format!("{} {share:.2}", if label == "negative" { "▼" } else { "▲" }), color)
            }
            Some(Err(_)) => ("not analysed".to_owned(), p.warning),
            None => ("·".to_owned(), p.muted),
        };
        ui.add_sized(vec2(84.0, 18.0), egui::Label::new(figures(mark, size::LABEL).color(color)));
        let first: String = text.chars().take(240).collect();
        ui.add(egui::Label::new(RichText::new(first)).truncate());
    });
}
