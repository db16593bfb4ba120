//! What the tabs that let a model write share: a text as it comes, and how tokens are drawn.

use super::Cx;
use crate::app::settings::WritingSettings;
use crate::app::widgets::explain;
use crate::engine::Ticket;
use crate::engine::message::{Event, Report};
use crate::error::UserMessage;
use crate::tasks::{Generated, Options, PromptInfo, Step, WritingOptions};
use egui::{ComboBox, Grid, Slider, Ui};
use std::path::Path;
use std::time::Instant;

/// A text that is being written.
pub struct Stream {
    pub ticket: Ticket,
    pub begun: Instant,
    /// Share read of the model, and its bytes.
    pub loading: Option<(f32, u64)>,
    pub text: String,
    pub steps: Vec<Step>,
    pub prompt: PromptInfo,
    pub stopping: bool,
    first: Option<Instant>,
    whole: Option<Generated>,
}

/// How it ended. What was written until then is in the [`Stream`].
pub enum Ended {
    Done(Box<Report>, Box<Generated>),
    Stopped(Box<Report>),
    Failed(UserMessage),
}

impl Stream {
    /// Nothing yet.
    pub fn new(ticket: Ticket) -> Self {
        Self {
            ticket,
            begun: Instant::now(),
            loading: None,
            text: String::new(),
            steps: Vec::new(),
            prompt: PromptInfo::default(),
            stopping: false,
            first: None,
            whole: None,
        }
    }

    /// Asks for the end.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.ticket.cancel.cancel();
    }

    /// Tokens per second since the first.
    pub fn rate(&self) -> Option<f64> {
        let seconds = self.first?.elapsed().as_secs_f64();
        (self.steps.len() > 1 && seconds > 0.05).then(|| (self.steps.len() - 1) as f64 / seconds)
    }

    /// Takes an event in, if it is its own; says how it ended.
    pub fn on_event(&mut self, event: &Event) -> Option<Ended> {
        if event.id() != Some(self.ticket.id) {
            return None;
        }
        match event {
            Event::Loading { share, bytes, .. } => self.loading = Some((*share, *bytes)),
            Event::Partial { partial, .. } => {
                self.first.get_or_insert_with(Instant::now);
                self.prompt = partial.prompt;
                self.text.push_str(&partial.text);
                self.steps.extend(partial.steps.iter().cloned());
            }
            Event::Items { .. } => self.whole = event.first_answer().and_then(|o| o.text()).cloned(),
            Event::Done { report, .. } => {
                return Some(match self.whole.take() {
                    Some(whole) => Ended::Done(Box::new(report.clone()), Box::new(whole)),
                    None => Ended::Stopped(Box::new(report.clone())),
                });
            }
            Event::Cancelled { report, .. } => return Some(Ended::Stopped(Box::new(report.clone()))),
            Event::Failed { message, .. } => return Some(Ended::Failed(message.clone())),
            Event::Started { .. }
            | Event::Progress { .. }
            | Event::Status(_)
            | Event::Model(_)
            | Event::Library(_)
            | Event::Forecast(_)
            | Event::Stopped(_) => {}
        }
        None
    }

    /// What it is doing, in words.
    pub fn state(&self) -> String {
        let seconds = self.begun.elapsed().as_secs_f64();
        match self.loading {
            Some((share, bytes)) if share < 0.999 && self.steps.is_empty() => {
                let mb = bytes as f64 / 1e6;
                format!("loading the model: {:.0} of {mb:.0} MB · {seconds:.1} s", f64::from(share) * mb)
            }
            _ if self.stopping => "stopping…".into(),
            _ if self.steps.is_empty() => format!("reading… {seconds:.1} s"),
            _ => match self.rate() {
                Some(rate) => format!("writing… {rate:.0} tokens/s"),
                None => "writing…".into(),
            },
        }
    }
}

impl WritingSettings {
    /// As the engine takes them.
    pub fn options(&self, candidates: usize) -> Options {
        let sampling = self.sampling.clone();
        let max_tokens = self.max_tokens.max(1);
        WritingOptions { sampling, max_tokens, candidates, ..WritingOptions::default() }.into()
    }
}

/// What a model is called: its manifest's name, or its file's.
pub fn model_name(cx: &Cx<'_>, id: Option<&str>) -> String {
    let known = cx.status.map(|s| s.models.as_slice()).unwrap_or_default();
    let found = match id {
        Some(id) => known.iter().find(|m| m.id == id),
        None => known.iter().find(|m| m.task == "chat"),
    };
    match (found, id) {
        (Some(model), _) => model.name.clone(),
        (None, Some(id)) => {
            Path::new(id).file_stem().map_or_else(|| id.to_owned(), |s| s.to_string_lossy().into_owned())
        }
        (None, None) => "no model".into(),
    }
}

/// What to ask for to have a dropped file or folder as model; anything else is refused in words.
pub fn dropped_model(path: &Path, cx: &mut Cx<'_>) -> Option<String> {
    // What has an ending other than .gguf is a file that is no model; whether a folder is one, the loading says.
    let is_gguf = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    let is_file = !ending.is_empty() && ending.len() <= 5 && ending.chars().any(char::is_alphabetic);
    if is_gguf || !is_file {
        return Some(path.display().to_string());
    }
    cx.notices.push(format!("'{}' is no model: drop a GGUF file, or a GPT-2 folder.", path.display()));
    None
}

/// A choice among the chat models; true if a file is to be opened.
pub fn model_ui(ui: &mut Ui, cx: &Cx<'_>, model: &mut Option<String>) -> bool {
    let mut open = false;
    let shown = model_name(cx, model.as_deref());
    let combo = ComboBox::from_id_salt("model").selected_text(shown).width(170.0).show_ui(ui, |ui| {
        let known = cx.status.map(|s| s.models.as_slice()).unwrap_or_default();
        let mut first = true;
        for info in known.iter().filter(|m| m.task == "chat") {
            let here = model.as_deref() == Some(&info.id) || (first && model.is_none());
            if ui.selectable_label(here, &info.name).on_hover_text(&info.description).clicked() {
                *model = (!first).then(|| info.id.clone());
            }
            first = false;
        }
        if let Some(file) = model.clone().filter(|m| known.iter().all(|k| k.id != *m)) {
            let _ = ui.selectable_label(true, model_name(cx, Some(&file)));
        }
        open = ui.selectable_label(false, "Open a GGUF file…").clicked();
    });
    let _ = combo.response.accessible_name("Model");
    open
}

/// Sliders for how tokens are drawn, each with its explanation.
pub fn sampling_ui(ui: &mut Ui, writing: &mut WritingSettings, usual: &WritingSettings) {
    let WritingSettings { sampling, max_tokens, .. } = writing;
    Grid::new("sampling").num_columns(3).spacing([12.0, 8.0]).show(ui, |ui| {
        let mut row = |name: &str, about: &str, slider: Slider<'_>| {
            ui.label(name);
            let _ = ui.add(slider).accessible_name(name);
            explain(ui, name, about);
            ui.end_row();
        };
        row(
            "Temperature",
            "How bold the choice is. At 0 the likeliest token is always taken; at 1 tokens are drawn as often as the model thinks them likely; above 1 unlikely ones come more often.",
            Slider::new(&mut sampling.temperature, 0.0..=2.0).step_by(0.05).fixed_decimals(2),
        );
        row(
            "Top-k",
            "Only the so many likeliest tokens can be drawn. 0 allows all.",
            Slider::new(&mut sampling.top_k, 0..=200),
        );
        row(
            "Top-p",
            "Only the likeliest tokens that together reach this probability can be drawn: few where the model is sure, many where it is not.",
            Slider::new(&mut sampling.top_p, 0.05..=1.0).step_by(0.01).fixed_decimals(2),
        );
        row(
            "Min-p",
            "Only tokens at least this share as likely as the likeliest one can be drawn.",
            Slider::new(&mut sampling.min_p, 0.0..=0.5).step_by(0.01).fixed_decimals(2),
        );
        row(
            "Repetition",
            "Tokens that have occurred are made less likely by this factor. 1 leaves them alone; 1.1 helps small models out of loops.",
            Slider::new(&mut sampling.repetition_penalty, 1.0..=1.5).step_by(0.01).fixed_decimals(2),
        );
        row("Longest", "Tokens that an answer may have. A token is a word or a part of one.", Slider::new(max_tokens, 1..=2048).logarithmic(true));
    });
    ui.horizontal(|ui| {
        let mut fixed = sampling.seed.is_some();
        if ui.checkbox(&mut fixed, "Same seed each time").changed() {
            sampling.seed = fixed.then_some(1);
        }
        if let Some(seed) = &mut sampling.seed {
            let _ = ui.add(egui::DragValue::new(seed)).accessible_name("Seed");
        }
        explain(ui, "the seed", "Tokens are drawn with numbers from a generator. With the same seed it gives the same numbers, and the model the same text.");
    });
    if ui.button("Back to the usual").clicked() {
        sampling.clone_from(&usual.sampling);
        *max_tokens = usual.max_tokens;
    }
}

/// How unsure the model was, 0 to 1: entropy against 6 bits (one in 64).
pub fn surprise(step: &Step) -> f32 {
    (step.entropy / 6.0).clamp(0.0, 1.0) as f32
}
