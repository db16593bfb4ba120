//! Short messages below the stage, in a place of their own: at most three, and each can be put away.

use super::command::UiCommand;
use super::theme::{Palette, size};
use egui::{Frame, Margin, Panel, Stroke, Ui};
use std::time::{Duration, Instant};

/// How long good news stays.
const BRIEF: Duration = Duration::from_secs(4);
/// Messages shown at a time; what is older was seen or matters less.
const MOST: usize = 3;

/// A message.
struct Notice {
    text: String,
    /// When it goes by itself, if it does.
    until: Option<Instant>,
    /// What can be done about it at once.
    remedy: Option<UiCommand>,
}

/// The messages, oldest first.
#[derive(Default)]
pub struct Notices(Vec<Notice>);

/// Letters of a message: it is read at a glance.
const LONGEST: usize = 400;

/// A message as one paragraph, and no longer than can be read at a glance: for a terminal it may have lines of its own.
fn shortened(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

impl Notices {
    /// A problem: stays until it is dismissed.
    pub fn push(&mut self, text: String) {
        self.add(text, None, None);
    }

    /// A problem with a button that does something about it.
    pub fn push_with(&mut self, text: String, remedy: UiCommand) {
        self.add(text, None, Some(remedy));
    }

    /// Good news: goes by itself.
    pub fn say(&mut self, text: impl Into<String>) {
        self.add(text.into(), Some(Instant::now() + BRIEF), None);
    }

    /// Takes away what `remedy` was offered for: it is done.
    pub fn settle(&mut self, remedy: UiCommand) {
        self.0.retain(|n| n.remedy != Some(remedy));
    }

    fn add(&mut self, text: String, until: Option<Instant>, remedy: Option<UiCommand>) {
        let text = shortened(&text);
        self.0.retain(|n| n.text != text);
        self.0.push(Notice { text, until, remedy });
    }

    /// Draws them in a strip of their own between the stage and the status line: they take nothing from what is there.
    /// The command whose button was pressed.
    pub fn show(&mut self, ui: &mut Ui, p: &Palette) -> Option<UiCommand> {
        let now = Instant::now();
        self.0.retain(|n| n.until.is_none_or(|until| until > now));
        let extra = self.0.len().saturating_sub(MOST);
        self.0.drain(..extra);
        if self.0.is_empty() {
            return None;
        }
        let (mut gone, mut chosen) = (None, None);
        let frame = Frame::new().fill(p.ground).inner_margin(Margin::symmetric(16, 6));
        Panel::bottom("notices").resizable(false).frame(frame).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            // The newest first: it is what somebody waits for.
            for (i, notice) in self.0.iter().enumerate().rev() {
                let line = if notice.until.is_some() { p.hairline } else { p.warning };
                let frame = Frame::new().fill(p.raised).stroke(Stroke::new(1.0, line)).corner_radius(size::RADIUS);
                frame.inner_margin(Margin::symmetric(12, 6)).show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    ui.horizontal(|ui| {
                        if ui.button("×").accessible_name("Dismiss").clicked() {
                            gone = Some(i);
                        }
                        if let Some(remedy) = notice.remedy
                            && ui.button(remedy.text()).on_hover_text(remedy.tooltip()).clicked()
                        {
                            chosen = Some(remedy);
                        }
                        ui.add(egui::Label::new(&notice.text).wrap());
                    });
                });
            }
        });
        if let Some(i) = gone {
            self.0.remove(i);
        }
        if let Some(until) = self.0.iter().filter_map(|n| n.until).min() {
            ui.ctx().request_repaint_after(until.saturating_duration_since(now));
        }
        chosen
    }
}
