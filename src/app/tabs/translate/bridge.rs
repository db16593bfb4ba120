//! Two rows of words and the bands between those that belong together.

use crate::app::theme::{Palette, blend, size};
use crate::tasks::Link;
use egui::epaint::CubicBezierShape;
use egui::{Color32, FontId, Galley, Pos2, Rect, Role, ScrollArea, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};
use std::ops::Range;
use std::sync::Arc;

/// Space between words.
const GAP: f32 = 18.0;
/// Height of the bands.
const SPAN: f32 = 84.0;

/// A word where it stands.
struct Word {
    bytes: Range<usize>,
    galley: Arc<Galley>,
    x: f32,
}

impl Word {
    fn middle(&self) -> f32 {
        self.x + self.galley.size().x / 2.0
    }
}

/// The words of a row, in order, and how wide they are together.
fn row(ui: &Ui, p: &Palette, text: &str, bytes: impl Iterator<Item = Range<usize>>) -> (Vec<Word>, f32) {
    let mut all: Vec<Range<usize>> = bytes.collect();
    all.sort_by_key(|r| r.start);
    all.dedup();
    let mut x = 0.0;
    let mut words = Vec::new();
    for bytes in all {
        let word = text.get(bytes.clone()).unwrap_or("").trim().to_owned();
        let galley = ui.painter().layout_no_wrap(word, FontId::proportional(size::BODY), p.text);
        let width = galley.size().x;
        words.push(Word { bytes, galley, x });
        x += width + GAP;
    }
    (words, (x - GAP).max(0.0))
}

/// Draws the links between the words of `source` and `target`; links give bytes of them.
pub fn bridge(ui: &mut Ui, p: &Palette, source: &str, target: &str, links: &[Link]) {
    let (upper, wide) = row(ui, p, source, words(source));
    let (lower, long) = row(ui, p, target, words(target));
    let height = SPAN + 56.0;
    ScrollArea::horizontal().id_salt("bridge").show(ui, |ui| {
        let width = wide.max(long).max(ui.available_width() - 4.0);
        let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
        let (top, bottom) = (rect.top() + 24.0, rect.top() + 24.0 + SPAN);
        let left = |row: f32| rect.left() + ((width - row) / 2.0).max(0.0);
        let (from, to) = (left(wide), left(long));
        let pointer = response.hover_pos();
        let near = |word: &Word, start: f32, y: f32| {
            let area = Rect::from_min_size(pos2(start + word.x, y - 22.0), word.galley.size() + vec2(0.0, 24.0));
            pointer.is_some_and(|at| area.contains(at))
        };
        let chosen = upper.iter().find(|w| near(w, from, top)).map(|w| (true, w.bytes.clone()));
        let chosen =
            chosen.or_else(|| lower.iter().find(|w| near(w, to, bottom + 22.0)).map(|w| (false, w.bytes.clone())));
        for link in links {
            let overlaps = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
            let ends = |row: &'_ [Word], bytes: &Range<usize>| -> Vec<f32> {
                row.iter().filter(|w| overlaps(&w.bytes, bytes)).map(Word::middle).collect()
            };
            let lit = chosen
                .as_ref()
                .is_none_or(|(up, bytes)| overlaps(bytes, if *up { &link.source } else { &link.target }));
            let strength = link.weight.clamp(0.0, 1.0) * if lit { 1.0 } else { 0.15 };
            for a in ends(&upper, &link.source) {
                for b in ends(&lower, &link.target) {
                    band(
                        ui,
                        pos2(from + a, top),
                        pos2(to + b, bottom),
                        blend(p.panel, p.accent, 0.2 + 0.7 * strength),
                        link.weight,
                    );
                }
            }
        }
        for (row, start, y) in [(&upper, from, top - 22.0), (&lower, to, bottom + 4.0)] {
            for word in row {
                ui.painter().galley(pos2(start + word.x, y), word.galley.clone(), p.text);
            }
        }
        let name = links.iter().map(|l| {
            let part = |t: &str, r: &Range<usize>| t.get(r.clone()).unwrap_or("").to_owned();
            format!("{}: {}", part(source, &l.source), part(target, &l.target))
        });
        let name = format!("Which words belong together: {}", name.collect::<Vec<_>>().join(", "));
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
    });
}

/// Words between white space, by their bytes.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.split_whitespace().map(|w| {
        let start = w.as_ptr() as usize - text.as_ptr() as usize;
        start..start + w.len()
    })
}

fn band(ui: &Ui, from: Pos2, to: Pos2, color: Color32, weight: f32) {
    let bend = vec2(0.0, (to.y - from.y) * 0.45);
    let points = [from, from + bend, to - bend, to];
    let stroke = Stroke::new(1.0 + 3.5 * weight.clamp(0.0, 1.0), color);
    ui.painter().add(Shape::CubicBezier(CubicBezierShape::from_points_stroke(
        points,
        false,
        Color32::TRANSPARENT,
        stroke,
    )));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_their_bytes() {
        let text = " où est\nla gare";
        let found: Vec<&str> = words(text).map(|r| &text[r]).collect();
        assert_eq!(found, ["où", "est", "la", "gare"]);
    }
}
