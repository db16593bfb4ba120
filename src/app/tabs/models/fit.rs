//! "Will it fit?": what is in use, what the chosen model would add, and what is left.

use super::{ModelsTab, chosen, loaded};
use crate::app::settings::CONTEXTS;
use crate::app::tabs::Cx;
use crate::app::theme::{Palette, card, ink, size, strong};
use crate::app::widgets::{bytes, explain, grouped, secondary};
use crate::engine::message::{Outlook, Prospect};
use crate::engine::shelf::Volume;
use crate::nn::precision::Precision;
use crate::tasks::DEFAULT_CONTEXT;
use egui::{Align, Color32, ComboBox, Layout, Rect, RichText, Sense, Ui, WidgetInfo, vec2};

/// Height of the bar.
const BAR: f32 = 22.0;

/// A part of the bar.
struct Part {
    name: &'static str,
    bytes: usize,
    color: Color32,
}

impl ModelsTab {
    pub(super) fn fit_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let Some(shelf) = self.shelf.clone() else { return };
        let Some(volume) = chosen(&shelf, self.selected.as_deref()) else { return };
        card(p).show(ui, |ui| {
            ui.set_width(ui.available_width());
            // The same with and without a picture: nothing below moves under somebody's finger.
            ui.set_min_height(2.0 * ui.spacing().interact_size.y + BAR + 2.0 * ui.spacing().item_spacing.y);
            self.title(ui, cx, volume);
            let outlook = self.outlook.clone().filter(|o| o.model == volume.id);
            let Some(outlook) = outlook else {
                ui.label(RichText::new("Its files are looked at…").size(size::LABEL).color(p.muted));
                return;
            };
            let Some(prospect) = in_effect(&outlook, volume.kept) else { return };
            // What it holds already is not counted twice.
            let held = loaded(cx, &volume.id).map_or(0, |l| l.bytes);
            picture(ui, p, &outlook, prospect, held);
        });
    }

    fn title(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, volume: &Volume) {
        ui.horizontal(|ui| {
            ui.label(strong("Will it fit?", size::BODY));
            explain(
                ui,
                "the forecast",
                "What a model needs in memory: its weights; keys and values of all tokens of a conversation (KV cache), which grow with the context; and work space for a step. Known from its files before anything of it is read. What does not fit is not loaded.",
            );
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if volume.task == "chat" {
                    self.context_ui(ui, cx);
                }
                let name = format!("{} · {}", volume.name, in_words(volume.kept, &volume.precision));
                ui.add(egui::Label::new(RichText::new(name).color(cx.palette.muted)).truncate());
            });
        });
    }

    fn context_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let before = self.context(cx);
        let mut context = before;
        if before != cx.settings.context.unwrap_or(DEFAULT_CONTEXT)
            && secondary(ui, cx.palette, "Use", "")
                .on_hover_text("Load models for conversations of this length")
                .clicked()
        {
            cx.use_context(Some(before).filter(|c| *c != DEFAULT_CONTEXT));
        }
        let combo = ComboBox::from_id_salt("context").width(84.0).selected_text(grouped(context));
        let shown = combo.show_ui(ui, |ui| {
            for (tokens, name) in CONTEXTS {
                ui.selectable_value(&mut context, tokens.unwrap_or(DEFAULT_CONTEXT), name);
            }
        });
        let _ = shown.response.accessible_name("Context");
        ui.label(RichText::new("context").color(cx.palette.muted));
        if context != before {
            self.context = Some(context);
        }
    }
}

/// The forecast for the precision that the model is to be loaded in.
pub(super) fn in_effect(outlook: &Outlook, kept: Option<Precision>) -> Option<&Prospect> {
    let wanted = kept.unwrap_or_default();
    outlook.prospects.iter().find(|f| f.precision == wanted)
}

/// How a model is kept, in words.
pub(super) fn in_words(kept: Option<Precision>, file: &str) -> String {
    kept.map_or_else(|| file.to_owned(), |p| p.name().to_owned())
}

/// What is left of the memory, or how much is missing.
pub(super) fn verdict(prospect: &Prospect, held: usize) -> Option<Result<usize, usize>> {
    let free = prospect.forecast.available? + held;
    let total = prospect.forecast.total();
    Some(free.checked_sub(total).ok_or(total.saturating_sub(free)))
}

fn picture(ui: &mut Ui, p: &Palette, outlook: &Outlook, prospect: &Prospect, held: usize) {
    let f = &prospect.forecast;
    let (Some(free), Some(total)) = (f.available, outlook.total) else {
        let needs = format!("It needs {}. This system does not tell how much is free.", bytes(f.total() as u64));
        ui.label(needs);
        return;
    };
    let used = total.saturating_sub(free + held);
    let parts = [
        Part { name: "in use", bytes: used, color: p.muted },
        Part { name: "weights", bytes: f.weights, color: p.memory },
        Part { name: "KV cache", bytes: f.cache, color: p.cpu },
        Part { name: "work", bytes: f.work, color: p.throughput },
    ];
    let parts: Vec<Part> = parts.into_iter().filter(|part| part.bytes > 0).collect();
    bar(ui, p, &parts, total);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 16.0;
        for part in &parts {
            let text = format!("■ {} {}", part.name, bytes(part.bytes as u64));
            ui.label(RichText::new(text).size(size::LABEL).color(ink(p, part.color)));
        }
        let (text, color) = match verdict(prospect, held) {
            Some(Ok(left)) => (format!("fits, {} left", bytes(left as u64)), p.positive),
            Some(Err(lack)) => (format!("does not fit: {} too much", bytes(lack as u64)), p.negative),
            None => return,
        };
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.label(strong(text, size::LABEL).color(color));
        });
    });
}

fn bar(ui: &mut Ui, p: &Palette, parts: &[Part], total: usize) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), BAR), Sense::hover());
    ui.painter().rect_filled(rect, 5.0, p.raised);
    // Too much squeezes the picture: its end is marked.
    let sum: usize = parts.iter().map(|part| part.bytes).sum();
    let whole = sum.max(total).max(1) as f32;
    let mut left = rect.left();
    for part in parts {
        let width = rect.width() * part.bytes as f32 / whole;
        // A thin part can still be seen.
        let shown = Rect::from_min_size(egui::pos2(left, rect.top()), vec2(width.max(1.5), rect.height()));
        ui.painter().rect_filled(shown.intersect(rect), 2.0, part.color);
        left += width;
    }
    if sum > total {
        let end = rect.left() + rect.width() * total as f32 / whole;
        ui.painter().vline(end, rect.y_range(), egui::Stroke::new(2.0, p.negative));
    }
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Meter, true, "Memory forecast"));
}
