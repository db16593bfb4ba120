//! What the tab looks like.

use super::bridge::bridge;
use super::{Answer, BEAMS, EXAMPLES, TranslateTab, pairs};
use crate::app::command::UiCommand;
use crate::app::tabs::asking::{buttons, examples, quiet_card, run_stop, warnings_ui};
use crate::app::tabs::{Cx, Tab as _};
use crate::app::theme::{Palette, card, figures, size};
use crate::app::widgets::icons::{self, Icon};
use crate::app::widgets::marked::{Mark, pointed};
use crate::app::widgets::{explain, millis, note, secondary, titled};
use crate::tasks::rewriting::languages::{language_name, pair_name};
use crate::tasks::{Link, Structure};
use egui::{Align, Button, ComboBox, Label, Layout, RichText, ScrollArea, Ui, vec2};

/// Width of the stage from which source and translation stand side by side.
const BESIDE: f32 = 560.0;
/// Sentences that are shown while more are written.
const LAST: usize = 12;
/// Height of the two texts.
const TEXTS: f32 = 220.0;

impl TranslateTab {
    pub(super) fn translate_ui(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            self.head(ui, cx);
            ui.add_space(4.0);
            let fresh = self.is_fresh();
            self.hovered = self.texts(ui, cx.palette, fresh);
            self.controls(ui, cx);
            match self.asking.ui(ui, cx.palette) {
                Some(true) => self.run(cx),
                Some(false) => {}
                None if self.answer.is_none() => {
                    let words = "Press Translate. Tap a sentence to see its twin, other ways to say it, and which words belong together.";
                    quiet_card(ui, cx.palette, words);
                }
                None => {}
            }
            self.result(ui, cx, fresh);
        });
    }

    fn head(&mut self, ui: &mut Ui, cx: &Cx<'_>) {
        let p = cx.palette;
        ui.horizontal_wrapped(|ui| {
            ui.heading("Translate");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| self.pair_ui(ui, cx));
        });
        let own = |(_, from, to): &(&crate::engine::message::ModelInfo, &str, &str)| {
            [*from, *to] == [&self.pair[0], &self.pair[1]]
        };
        let about = match pairs(cx).into_iter().find(own) {
            Some((model, _, _)) => model.description.clone(),
            None if cx.status.is_none() => String::new(),
            None => "There is no translation model in the models folders.".into(),
        };
        note(ui, p, about);
    }

    /// The two languages, from right to left.
    fn pair_ui(&mut self, ui: &mut Ui, cx: &Cx<'_>) {
        let all = pairs(cx);
        let mut targets: Vec<&str> = all.iter().filter(|a| a.1 == self.pair[0]).map(|a| a.2).collect();
        targets.dedup();
        let mut sources: Vec<&str> = all.iter().map(|a| a.1).collect();
        sources.sort_unstable();
        sources.dedup();
        let choose = |ui: &mut Ui, salt: &str, name: &str, now: &mut String, among: &[&str]| {
            let shown = ComboBox::from_id_salt(salt).selected_text(language_name(now)).width(96.0);
            let shown = shown.show_ui(ui, |ui| {
                for code in among {
                    ui.selectable_value(now, (*code).to_owned(), language_name(code));
                }
            });
            let _ = shown.response.accessible_name(name);
        };
        choose(ui, "to", "Translate into", &mut self.pair[1], &targets);
        let back = all.iter().any(|a| [a.1, a.2] == [&self.pair[1], &self.pair[0]]);
        let swap = ui.add_enabled_ui(back, |ui| icons::button(ui, cx.palette, Icon::Swap, "Swap the languages")).inner;
        let why = format!("No model here translates {}.", pair_name(&self.pair[1], &self.pair[0]));
        let swapped = swap.clone().on_disabled_hover_text(why).clicked();
        choose(ui, "from", "Translate from", &mut self.pair[0], &sources);
        if swapped {
            self.pair.swap(0, 1);
            if let Some(answer) = self.answer.take() {
                self.editor.text = answer.translated.text;
            }
        }
        // A source that has no such target takes its first.
        if !all.iter().any(|a| [a.1, a.2] == [&self.pair[0], &self.pair[1]])
            && let Some((_, _, to)) = all.iter().find(|a| a.1 == self.pair[0])
        {
            self.pair[1] = (*to).to_owned();
        }
    }

    /// Source and translation; the sentence under the pointer.
    fn texts(&mut self, ui: &mut Ui, p: &Palette, fresh: bool) -> Option<usize> {
        if ui.available_width() >= BESIDE {
            let mut over = None;
            ui.columns(2, |columns| {
                let source = self.source_ui(&mut columns[0], p, fresh);
                over = source.or(self.target_ui(&mut columns[1], p, fresh));
            });
            return over;
        }
        let source = self.source_ui(ui, p, fresh);
        source.or(self.target_ui(ui, p, fresh))
    }

    fn source_ui(&mut self, ui: &mut Ui, p: &Palette, fresh: bool) -> Option<usize> {
        let lit = self.hovered.or(self.selected);
        let place =
            self.answer.as_ref().filter(|_| fresh).and_then(|a| Some(a.translated.sentences.get(lit?)?.source.clone()));
        let [under, put] = self.editor.lit_ui(ui, p, 7, TEXTS, place.as_ref());
        let answer = self.answer.as_ref().filter(|_| fresh)?;
        let find = |at: usize| answer.translated.sentences.iter().position(|s| s.source.contains(&at));
        let (hovered, clicked) = (under.and_then(find), put.and_then(find));
        if clicked.is_some() {
            self.selected = clicked;
        }
        hovered
    }

    fn target_ui(&mut self, ui: &mut Ui, p: &Palette, fresh: bool) -> Option<usize> {
        let mut over = None;
        let mut clicked = None;
        card(p).fill(p.raised).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.set_min_height(TEXTS * 0.72);
            ScrollArea::vertical().id_salt("translation").max_height(TEXTS - 32.0).show(ui, |ui| {
                if self.asking.is_running() && !self.coming.is_empty() {
                    // Of a long text what was written last.
                    let from = self.coming.len().saturating_sub(LAST);
                    let coming = RichText::new(self.coming[from..].join(" ")).size(size::INPUT).color(p.muted);
                    ui.with_layout(Layout::top_down(Align::LEFT), |ui| ui.label(coming));
                    return;
                }
                let Some(answer) = &self.answer else {
                    note(ui, p, "The translation");
                    return;
                };
                let marks = marks(p, answer);
                let lit = self.hovered.or(self.selected).filter(|_| fresh);
                let name = format!("Translation: {}", answer.translated.text.chars().take(400).collect::<String>());
                let at = pointed(ui, p, &answer.translated.text, &marks, lit, &name);
                (over, clicked) = (at.hovered, at.clicked);
                if !fresh {
                    note(ui, p, "The text has changed since.");
                }
            });
        });
        if clicked.is_some() {
            self.selected = clicked;
        }
        over
    }

    fn controls(&mut self, ui: &mut Ui, cx: &mut Cx<'_>) {
        let p = cx.palette;
        let mut chosen = None;
        let mut beams = self.beams;
        ui.horizontal_wrapped(|ui| {
            chosen = run_stop(ui, p, "Translate", !self.asking.is_running(), self.asking.is_running());
            let hover = "A text, Markdown or subtitles (.srt), or a table (.tsv: its last column).";
            if secondary(ui, p, "File…", "").on_hover_text(hover).clicked() {
                self.editor.choose();
            }
            if let Some(run) = examples(ui, p, &EXAMPLES, &mut self.editor.text) {
                self.editor.file = None;
                chosen = Some(run);
            }
        });
        ui.horizontal_wrapped(|ui| {
            note(ui, p, "Beams");
            for n in BEAMS {
                let button = Button::selectable(self.beams == n, n.to_string()).min_size(vec2(40.0, 0.0));
                if ui.add(button).accessible_name(format!("{n} beams")).clicked() {
                    beams = n;
                }
            }
            explain(
                ui,
                "a beam",
                "The model writes word by word. With one beam it always takes the likeliest word and never looks back. With four it keeps the four best beginnings and compares whole sentences: mostly better, and dearer.",
            );
            self.cost_ui(ui, p);
        });
        if beams != self.beams {
            self.beams = beams;
            if self.answer.is_some() {
                chosen = Some(UiCommand::Run);
            }
        }
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }

    /// What this text cost with each number of beams that was tried.
    fn cost_ui(&self, ui: &mut Ui, p: &Palette) {
        let Some(first) = self.costs.first() else { return };
        let one = |c: &super::Cost| {
            let times = if c.millis > first.millis * 1.05 && self.costs.len() > 1 {
                format!(" ({:.1}×)", c.millis / first.millis)
            } else {
                String::new()
            };
            format!("{} beam{}: {}{times}", c.beams, if c.beams == 1 { "" } else { "s" }, millis(c.millis))
        };
        let all: Vec<String> = self.costs.iter().map(one).collect();
        note(ui, p, all.join("  ·  "));
    }

    fn result(&mut self, ui: &mut Ui, cx: &mut Cx<'_>, fresh: bool) {
        let p = cx.palette;
        let Some(answer) = &self.answer else { return };
        let mut chosen = None;
        let mut save = false;
        ui.horizontal_wrapped(|ui| {
            let t = &answer.translated;
            let plural = if t.sentences.len() == 1 { "" } else { "s" };
            let speed = answer.report.tokens_per_second().map_or_else(String::new, |s| format!(" · {s:.0} tokens/s"));
            note(
                ui,
                p,
                format!(
                    "{} sentence{plural} · {} tokens read, {} written · {}{speed}",
                    t.sentences.len(),
                    t.reading.tokens,
                    t.tokens,
                    millis(answer.report.timing.total)
                ),
            );
            chosen = buttons(ui, p, &[UiCommand::CopyText, UiCommand::CopyJson, UiCommand::SaveCsv]);
            let hover = "Save the translation, with everything that is not text as it was.";
            save = secondary(ui, p, "Save…", "").on_hover_text(hover).clicked();
        });
        warnings_ui(ui, p, &answer.report);
        if self.structure() != Structure::Plain {
            note(ui, p, "The file's structure is kept: only its words are translated.");
        }
        if let Some(sentence) = self.selected.filter(|_| fresh) {
            if ui.available_width() >= BESIDE {
                ui.columns(2, |columns| {
                    alternatives(&mut columns[0], p, answer, sentence);
                    alignment(&mut columns[1], p, answer, sentence);
                });
            } else {
                alternatives(ui, p, answer, sentence);
                alignment(ui, p, answer, sentence);
            }
        }
        if save {
            self.save();
        }
        if let Some(command) = chosen {
            self.on_command(command, cx);
        }
    }
}

/// Every sentence can be pointed at; none is lit by itself.
fn marks(p: &Palette, answer: &Answer) -> Vec<Mark> {
    let one = |s: &crate::tasks::Sentence| Mark {
        range: s.target.clone(),
        color: p.accent,
        strength: 0.0,
        tag: String::new(),
    };
    answer.translated.sentences.iter().map(one).collect()
}

/// Other ways to say a sentence.
fn alternatives(ui: &mut Ui, p: &Palette, answer: &Answer, sentence: usize) {
    let Some(sentence) = answer.translated.sentences.get(sentence) else { return };
    card(p).show(ui, |ui| {
        ui.set_width(ui.available_width());
        titled(
            ui,
            "Alternatives",
            "the number",
            "The mean logarithm of the model's probability of each piece: 0 would be certainty, and −0.7 means that it took one of two equally likely pieces each time. Higher is better; the first is the best that was found.",
        );
        ui.spacing_mut().item_spacing.y = 4.0;
        ui.spacing_mut().interact_size.y = 24.0;
        for alternative in &sentence.rewritten.alternatives {
            ui.horizontal(|ui| {
                let left = ui.available_width() - 64.0;
                ui.allocate_ui_with_layout(vec2(left, 22.0), Layout::left_to_right(Align::Center), |ui| {
                    ui.set_width(left);
                    ui.add(Label::new(&alternative.text).wrap());
                });
                ui.label(figures(format!("{:.2}", alternative.score), size::LABEL).color(p.muted));
            });
            ui.separator();
        }
        if sentence.rewritten.alternatives.len() == 1 {
            let why = if answer.beams == 1 { "One beam finds one translation." } else { "All beams ended in the same words." };
            note(ui, p, why);
        }
    });
}

/// Which words of a sentence belong together.
fn alignment(ui: &mut Ui, p: &Palette, answer: &Answer, sentence: usize) {
    let Some(sentence) = answer.translated.sentences.get(sentence) else { return };
    let source = answer.text.get(sentence.source.clone()).unwrap_or("");
    let target = answer.translated.text.get(sentence.target.clone()).unwrap_or("");
    let from = sentence.source.start;
    // Places within the sentence.
    let local = |l: &Link| Link { source: l.source.start - from..l.source.end - from, ..l.clone() };
    let links: Vec<Link> = sentence.rewritten.links.iter().map(local).collect();
    card(p).show(ui, |ui| {
        ui.set_width(ui.available_width());
        titled(
            ui,
            "Alignment",
            "the alignment",
            "While the model writes a word it looks at some words of the source more than at others (cross-attention). A band joins those that it looked at most; the thicker, the more.",
        );
        bridge(ui, p, source, target, &links);
    });
}
