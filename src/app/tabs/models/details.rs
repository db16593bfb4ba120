//! Below the chosen row: the model's card, its precisions, and what can be done with it.

use super::fit::{in_effect, verdict};
use super::rows::speed;
use super::{ModelsTab, loaded, task_name};
use crate::app::tabs::Cx;
use crate::app::theme::{figures, size};
use crate::app::widgets::{bytes, failure, grouped, note, primary, secondary, titled};
use crate::engine::message::{Happening, Outlook, Prospect};
use crate::engine::news::{Card, Errand, Removal};
use crate::engine::shelf::{Measurement, Volume};
use crate::nn::precision::Precision;
use crate::tasks::rewriting::languages::language_name;
use egui::{Frame, Grid, Margin, RichText, Ui};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl ModelsTab {
    pub(super) fn details(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, volume: &Volume) {
        Frame::new().inner_margin(Margin { left: 14, right: 14, top: 2, bottom: 14 }).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 8.0;
            if let Some(message) = self.failed.get(&volume.id).cloned()
                && failure(ui, cx.palette, &message)
            {
                self.failed.remove(&volume.id);
                if volume.is_here { self.load(&volume.id, cx) } else { self.ask(Errand::Get(volume.id.clone()), cx) }
            }
            if !volume.description.is_empty() {
                ui.label(RichText::new(&volume.description).size(size::LABEL));
            }
            self.memory_ui(ui, cx, volume);
            self.actions(ui, cx, volume);
            if let Some(outlook) = self.outlook.clone().filter(|o| o.model == volume.id) {
                self.precisions(ui, cx, volume, &outlook);
            }
            facts(ui, cx, volume);
        });
    }

    /// What each precision needs, and what it brings.
    fn precisions(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, volume: &Volume, outlook: &Outlook) {
        let p = cx.palette;
        let rows = worth_showing(outlook);
        let held = loaded(cx, &volume.id).map_or(0, |l| l.bytes);
        let plain =
            rows.iter().find(|r| r.name.eq_ignore_ascii_case("f32")).and_then(|r| speed(cx, volume, &r.name)).cloned();
        let effect = in_effect(outlook, volume.kept).map(|r| r.name.clone());
        let mut chosen = None;
        titled(
            ui,
            "Precision",
            "precision",
            "How many bits each weight gets. f32 is exact; f16 halves the memory; int8 multiplies bytes and is fastest on many CPUs; q8_0 to q4_0 are blocks with a scale each, q4_k_m a mixture that spends more bits where they matter. Fewer bits need less memory and cost a little accuracy. Blocks are made once and kept on disk.",
        );
        let small = |text: String| RichText::new(text).size(size::LABEL);
        egui::ScrollArea::horizontal().id_salt("precisions").show(ui, |ui| {
            // Short names begin where long ones do.
            ui.spacing_mut().interact_size.x = 0.0;
            if !cx.settings.touch {
                ui.spacing_mut().interact_size.y = 24.0;
            }
            Grid::new("precisions").num_columns(5).spacing([18.0, 4.0]).show(ui, |ui| {
                for head in ["load as", "needs", "", "speed", "accuracy"] {
                    note(ui, p, head);
                }
                ui.end_row();
                for row in &rows {
                    let is_here = effect.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&row.name));
                    let name = if row.precision == Precision::Own {
                        format!("usual ({})", row.name)
                    } else {
                        row.name.clone()
                    };
                    ui.add_enabled_ui(volume.is_here, |ui| {
                        if ui.radio(is_here, small(name)).clicked() && !is_here {
                            chosen = Some(row.precision);
                        }
                    });
                    ui.label(figures(bytes(row.forecast.total() as u64), size::LABEL));
                    match verdict(row, held) {
                        Some(Ok(_)) => ui.label(small("fits".into()).color(p.positive)),
                        Some(Err(_)) => ui.label(small("too large".into()).color(p.negative)),
                        None => ui.label(""),
                    };
                    self.speed_cell(ui, cx, volume, row, plain.as_ref());
                    let scores = volume.measured.iter().rev();
                    let score = scores.filter(|m| !m.is_speed()).find(|m| m.precision.eq_ignore_ascii_case(&row.name));
                    ui.label(small(score.map_or_else(|| "–".into(), |m| format!("{} · {}", m.shown(), m.data))));
                    ui.end_row();
                }
            });
        });
        if let Some(precision) = chosen {
            let precision = Some(precision).filter(|p| *p != Precision::Own);
            self.ask(Errand::Keep { model: volume.id.clone(), precision }, cx);
        }
        self.compare_ui(ui, cx, volume, &rows);
    }

    /// How fast a precision is here, beside f32.
    fn speed_cell(&self, ui: &mut Ui, cx: &Cx<'_>, volume: &Volume, row: &Prospect, plain: Option<&Measurement>) {
        let small = |text: String| RichText::new(text).size(size::LABEL);
        let of_row = self.compared.get(&volume.id).and_then(|all| all.iter().find(|c| c.0 == row.precision));
        if let Some((_, Err(message))) = of_row {
            ui.label(small(message.what.clone()).color(cx.palette.warning)).on_hover_text(message.why.clone());
            return;
        }
        let Some(own) = speed(cx, volume, &row.name) else {
            ui.label(small("–".into()));
            return;
        };
        let shown = own.shown();
        match plain.filter(|f| f.precision != own.precision).and_then(|f| own.gain_over(f)) {
            Some(gain) if gain < 0.97 => {
                ui.label(small(format!("{shown} · slower than f32 ({gain:.2} ×)")).color(cx.palette.warning))
            }
            Some(gain) => ui.label(small(format!("{shown} · {gain:.1} × f32"))),
            None => ui.label(small(shown)),
        }
        .on_hover_text(format!("{}, n = {}", own.device, own.n));
    }

    fn compare_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, volume: &Volume, rows: &[Prospect]) {
        if !volume.is_here {
            return;
        }
        ui.horizontal_wrapped(|ui| {
            match &self.comparing {
                Some(c) if c.model == volume.id => {
                    let done = c.done.load(Ordering::Acquire);
                    let now = c.all.get(done).map_or("", |p| p.name());
                    ui.add(egui::Spinner::new().size(16.0));
                    note(ui, cx.palette, format!("Measuring {now} ({} of {})", done + 1, c.all.len()));
                    if secondary(ui, cx.palette, "Stop", "Esc").clicked() {
                        c.stop.store(true, Ordering::Release);
                    }
                    return;
                }
                Some(_) => return,
                None => {}
            }
            if secondary(ui, cx.palette, "Measure speed", "").clicked() {
                let all = rows.iter().map(|r| r.precision).collect();
                self.compare(&volume.id, all, cx);
            }
            let what = if volume.task == "chat" || volume.task == "translate" || volume.task == "abstractive" {
                "Tokens written per second, one precision after the other."
            } else {
                "Time for a text of 128 tokens, one precision after the other."
            };
            note(ui, cx.palette, format!("{what} Accuracy: glossa eval, with --precision."));
        });
    }

    /// What the model holds, and what loading and unloading did.
    fn memory_ui(&self, ui: &mut Ui, cx: &Cx<'_>, volume: &Volume) {
        let mb = |n: usize| bytes(n as u64);
        if let Some(model) = loaded(cx, &volume.id) {
            let measured = match model.memory {
                Some((before, after)) => format!(
                    "; loading it took the program from {} to {} (+ {})",
                    mb(before),
                    mb(after),
                    mb(after.saturating_sub(before))
                ),
                None => String::new(),
            };
            note(ui, cx.palette, format!("In memory as {}: {}{measured}.", model.precision, mb(model.bytes)));
            return;
        }
        let gone = self.changes.get(&volume.id).filter(|c| !matches!(c.happening, Happening::Loaded(_)));
        if let Some(change) = gone
            && let Some((before, after)) = change.memory
        {
            let freed = mb(before.saturating_sub(after));
            let why = if change.happening == Happening::Evicted { "It made room for another" } else { "Unloaded" };
            note(ui, cx.palette, format!("{why}: the program went from {} to {} (− {freed}).", mb(before), mb(after)));
        }
    }

    fn actions(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, volume: &Volume) {
        let p = cx.palette;
        if !volume.is_here {
            return;
        }
        ui.horizontal_wrapped(|ui| {
            let id = &volume.id;
            if loaded(cx, id).is_some() && secondary(ui, p, "Unload", "").clicked() {
                self.unload(id, cx);
            }
            if volume.problem.is_none() {
                if !volume.is_default && secondary(ui, p, &format!("Use for {}", task_name(volume)), "").clicked() {
                    self.ask(Errand::Default { task: volume.task.clone(), model: id.clone() }, cx);
                }
                let mut pinned = volume.is_pinned;
                if ui.checkbox(&mut pinned, "Keep in memory").clicked() {
                    self.ask(Errand::Pin { model: id.clone(), pinned }, cx);
                }
            }
            if volume.is_shipped() {
                return;
            }
            let word = if volume.origin == "added" { "Take off the list…" } else { "Delete…" };
            if self.leaving.as_deref() != Some(id) {
                if secondary(ui, p, word, "").clicked() {
                    self.leaving = Some(id.clone());
                    self.removal = None;
                    self.ask(Errand::Survey(id.clone()), cx);
                }
                return;
            }
            match self.removal.as_ref().filter(|r| r.0 == *id) {
                None => {
                    note(ui, p, "Looking which files are its own…");
                    return;
                }
                Some((_, None)) => {
                    note(ui, p, "Its files are gone already.");
                }
                Some((_, Some(plan))) => {
                    note(ui, p, what_goes(plan));
                }
            }
            if primary(ui, p, word.trim_end_matches('…'), "").clicked() {
                self.leaving = None;
                self.unload(id, cx);
                self.ask(Errand::Remove(id.clone()), cx);
            }
            if secondary(ui, p, "Keep it", "").clicked() {
                self.leaving = None;
            }
        });
    }
}

/// What will be deleted and what stays, in a sentence.
fn what_goes(plan: &Removal) -> String {
    if plan.only_forgotten {
        return "It leaves the list; its files stay where they are.".into();
    }
    let name = |p: &std::path::PathBuf| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Blobs are called by their hash: the names beside them say more.
    let mut names: Vec<String> = plan.files.iter().filter(|p| p.is_symlink() || !is_blob(p)).map(name).collect();
    names.dedup();
    let more = names.len().saturating_sub(6);
    names.truncate(6);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let kept = if plan.shared.is_empty() { "" } else { " Files that another model uses stay." };
    format!("{} go: {}{more}.{kept}", bytes(plan.bytes), names.join(", "))
}

fn is_blob(path: &std::path::Path) -> bool {
    path.parent().and_then(|p| p.file_name()).is_some_and(|n| n == "blobs")
}

/// One row per way to keep the weights; what comes to the same is shown once.
fn worth_showing(outlook: &Outlook) -> Vec<Prospect> {
    let mut rows: Vec<Prospect> = Vec::new();
    for prospect in &outlook.prospects {
        if rows.iter().all(|r| !r.name.eq_ignore_ascii_case(&prospect.name)) {
            rows.push(prospect.clone());
        }
    }
    rows
}

fn facts(ui: &mut Ui, cx: &Cx<'_>, volume: &Volume) {
    let languages: Vec<&str> = volume.languages.iter().map(|l| language_name(l)).collect();
    let licence = if volume.licence.is_empty() { "not stated in its files" } else { &volume.licence };
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(card) = &volume.card {
        rows.extend(of_card(card));
    } else if volume.parameters > 0 {
        rows.push(("Parameters", millions(volume.parameters)));
    }
    rows.push(("Licence", licence.to_owned()));
    if !languages.is_empty() {
        rows.push(("Languages", languages.join(", ")));
    }
    match (&volume.card, &volume.repo) {
        (Some(card), _) => {
            let files: Vec<String> =
                card.files.iter().map(|(name, size)| format!("{name} {}", file_size(*size))).collect();
            rows.push(("Files", files.join(", ")));
            rows.push(("Place", card.path.display().to_string()));
        }
        (None, Some(repo)) => rows.push(("From", format!("huggingface.co/{repo}"))),
        (None, None) => {}
    }
    for (name, value) in rows {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().interact_size.y = 18.0;
            let label = RichText::new(name).size(size::LABEL).color(cx.palette.muted);
            let width = 92.0;
            ui.allocate_ui(egui::vec2(width, 18.0), |ui| {
                ui.set_width(width);
                ui.label(label);
            });
            ui.add(egui::Label::new(RichText::new(value).size(size::LABEL)).wrap());
        });
    }
}

fn of_card(card: &Arc<Card>) -> Vec<(&'static str, String)> {
    let s = &card.shape;
    let mut rows = vec![
        (
            "Network",
            format!(
                "{}, {} layers, {} wide, {} heads",
                card.architecture,
                s.layers + s.decoder_layers,
                s.hidden,
                s.heads
            ),
        ),
        ("Parameters", format!("{}, most in {}", millions(card.parameters), card.precision)),
        ("Vocabulary", format!("{} tokens; reads up to {} at a time", grouped(s.vocabulary), grouped(s.context))),
    ];
    for a in &card.accuracy {
        let [low, high] = a.ci95.map(|v| v * 100.0);
        rows.push((
            "Measured",
            format!(
                "{} {:.1} on {} (n = {}, 95 % interval {low:.1} to {high:.1})",
                a.metric,
                a.value * 100.0,
                a.data,
                grouped(a.n)
            ),
        ));
    }
    rows
}

fn file_size(count: u64) -> String {
    if count < 1_000_000 { format!("{} kB", count.div_ceil(1_000)) } else { bytes(count) }
}

pub(super) fn millions(count: u64) -> String {
    match count as f64 {
        n if n < 1e8 => format!("{:.1} million", n / 1e6),
        n if n < 1e9 => format!("{:.0} million", n / 1e6),
        n => format!("{:.1} billion", n / 1e9),
    }
}
