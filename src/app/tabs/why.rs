//! "Why?" for any answer: each word is left out in turn, and its colour shows how far a number of the
//! answer moved without it.

use super::Cx;
use super::asking::{Asking, Ended};
use crate::app::widgets::{chips, millis, note};
use crate::engine::message::{Event, Request};
use crate::labs::occlusion::{self, MAX_WORDS};
use crate::tasks::Output;
use egui::Ui;
use std::ops::Range;

/// The number that is followed, out of an answer.
type Probe = Box<dyn Fn(&Output) -> Option<f64>>;

/// The view's state.
#[derive(Default)]
pub struct Words {
    asking: Asking,
    asked: Option<Asked>,
}

struct Asked {
    text: String,
    words: Vec<Range<usize>>,
    probe: Probe,
    /// What the number is, in words: "the probability of 'sports'".
    what: String,
    effects: Option<(Vec<Option<f64>>, f64)>,
}

impl Words {
    /// Forgets everything; ends what runs.
    pub fn clear(&mut self) {
        self.asking.stop();
        *self = Self::default();
    }

    /// Ends what runs.
    pub fn stop(&mut self) {
        self.asking.stop();
    }

    /// Whether words are being left out now.
    pub fn is_running(&self) -> bool {
        self.asking.is_running()
    }

    /// Leaves out each word of `text` in turn: `request` makes a request of the variants.
    pub fn start(
        &mut self,
        cx: &Cx<'_>,
        text: &str,
        what: String,
        request: impl FnOnce(Vec<String>) -> Request,
        probe: impl Fn(&Output) -> Option<f64> + 'static,
    ) {
        self.clear();
        let words = occlusion::words(text);
        if self.asking.start(cx, request(occlusion::variants(text, &words))) {
            self.asked = Some(Asked { text: text.to_owned(), words, probe: Box::new(probe), what, effects: None });
        }
    }

    /// Takes in what belongs to it.
    pub fn on_event(&mut self, event: &Event) {
        let Some(Ended { items, report, .. }) = self.asking.on_event(event) else { return };
        let Some(asked) = &mut self.asked else { return };
        let value = |item: &Option<crate::engine::message::ItemResult>| match item {
            Some(Ok(output)) => (asked.probe)(output),
            _ => None,
        };
        let Some((base, rest)) = items.split_first() else { return };
        if let Some(base) = value(base) {
            let effects = rest.iter().map(|i| value(i).map(|v| base - v)).collect();
            asked.effects = Some((effects, report.timing.total));
        }
    }

    /// Draws it, if it was asked for.
    pub fn ui(&self, ui: &mut Ui, cx: &Cx<'_>) {
        let p = cx.palette;
        let Some(asked) = &self.asked else { return };
        ui.add_space(4.0);
        if self.asking.ui(ui, p).is_some() {
            return;
        }
        let Some((effects, ms)) = &asked.effects else {
            note(ui, p, "There is nothing to follow: the answer does not come again.");
            return;
        };
        note(ui, p, format!("Why? Each word left out in turn; colour and number show how far {} moved.", asked.what));
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = egui::vec2(4.0, 2.0);
            for (word, effect) in asked.words.iter().zip(effects) {
                chips::word(ui, p, &asked.text[word.clone()], *effect, false);
            }
        });
        let cut = if asked.words.len() == MAX_WORDS { " (the first 160 words)" } else { "" };
        note(ui, p, format!("{} variants in one batch · {}{cut}", effects.len() + 1, millis(*ms)));
    }
}
