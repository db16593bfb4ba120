//! Short messages over the bottom of the stage; they move nothing.

use super::theme::{Palette, size};
use egui::{Align2, Area, Frame, Id, Margin, Order, Stroke, Ui, vec2};
use std::time::{Duration, Instant};

/// How long good news stays.
const BRIEF: Duration = Duration::from_secs(4);
/// Messages shown at a time; what is older was seen or matters less.
const MOST: usize = 3;

/// The messages, oldest first.
#[derive(Default)]
pub struct Notices(Vec<(String, Option<Instant>)>);

impl Notices {
    /// A problem: stays until it is dismissed.
    pub fn push(&mut self, text: String) {
        self.0.retain(|n| n.0 != text);
        self.0.push((text, None));
    }

    /// Good news: goes by itself.
    pub fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.0.retain(|n| n.0 != text);
        self.0.push((text, Some(Instant::now() + BRIEF)));
    }

    /// Draws them above the status line, from `left` on.
    pub fn show(&mut self, ui: &Ui, p: &Palette, left: f32, bottom: f32) {
        let now = Instant::now();
        self.0.retain(|n| n.1.is_none_or(|until| until > now));
        let extra = self.0.len().saturating_sub(MOST);
        self.0.drain(..extra);
        if self.0.is_empty() {
            return;
        }
        let mut gone = None;
        let area = Area::new(Id::unique("notices")).order(Order::Foreground);
        area.anchor(Align2::LEFT_BOTTOM, vec2(left, -bottom)).show(ui.ctx(), |ui| {
            ui.set_max_width(560.0_f32.min(ui.ctx().content_rect().width() - left - 20.0));
            for (i, (text, until)) in self.0.iter().enumerate() {
                let line = if until.is_some() { p.hairline } else { p.warning };
                let frame = Frame::new().fill(p.raised).stroke(Stroke::new(1.0, line)).corner_radius(size::RADIUS);
                frame.inner_margin(Margin::symmetric(12, 6)).show(ui, |ui| {
                    ui.horizontal(|ui| {
                        if ui.button("×").accessible_name("Dismiss").clicked() {
                            gone = Some(i);
                        }
                        ui.add(egui::Label::new(text).wrap());
                    });
                });
            }
        });
        if let Some(i) = gone {
            self.0.remove(i);
        }
        if let Some(until) = self.0.iter().filter_map(|n| n.1).min() {
            ui.ctx().request_repaint_after(until.saturating_duration_since(now));
        }
    }
}
