//! Running text with coloured stretches in it, each with its tag; a click tells which.

use crate::app::theme::{Palette, blend, ink, size};
use egui::text::{CCursor, LayoutJob};
use egui::{Align, Color32, FontId, Galley, Rect, Role, Sense, Stroke, TextFormat, Ui, WidgetInfo, pos2};
use std::ops::Range;

/// Bytes of a text that are laid out at once; of a longer one the part around what is chosen.
const SHOWN: usize = 12_000;

/// A stretch of the text.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Bytes.
    pub range: Range<usize>,
    pub color: Color32,
    /// How strong its ground is, 0 to 1.
    pub strength: f32,
    /// In small letters behind it; may be empty.
    pub tag: String,
}

/// Marks under the pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pointed {
    pub hovered: Option<usize>,
    pub clicked: Option<usize>,
}

/// Draws `text` with `marks` (in order, not overlapping); the index of the one that was clicked.
pub fn marked(
    ui: &mut Ui,
    p: &Palette,
    text: &str,
    marks: &[Mark],
    selected: Option<usize>,
    name: &str,
) -> Option<usize> {
    pointed(ui, p, text, marks, selected, name).clicked
}

/// As [`marked`], and which mark the pointer is over. Marks without strength are only drawn while selected.
pub fn pointed(ui: &mut Ui, p: &Palette, text: &str, marks: &[Mark], selected: Option<usize>, name: &str) -> Pointed {
    let window = window(text, selected.and_then(|s| marks.get(s)).map_or(0, |m| m.range.start));
    if window.start > 0 || window.end < text.len() {
        let share = |at: usize| at * 100 / text.len().max(1);
        let part = format!("shown: {} % to {} % of the text", share(window.start), share(window.end));
        super::note(ui, p, part);
    }
    let (job, places) = job(ui, p, text, &window, marks);
    let galley = ui.painter().layout_job(job);
    let (rect, response) = ui.allocate_exact_size(galley.size(), Sense::click());
    for (range, index) in &places {
        let lit = selected == Some(*index);
        if marks[*index].strength <= 0.0 && !lit {
            continue;
        }
        for ground in grounds(&galley, range) {
            paint_ground(ui, p, ground.translate(rect.min.to_vec2()), &marks[*index], lit);
        }
    }
    ui.painter().galley(rect.min, galley.clone(), p.text);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, name));
    let Some(pointer) = response.hover_pos() else { return Pointed::default() };
    let CCursor { index, .. } = galley.cursor_from_pos(pointer - rect.min);
    let hit = places.iter().find(|(range, _)| range.contains(&index.0)).map(|(_, mark)| *mark);
    if hit.is_some() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
    }
    Pointed { hovered: hit, clicked: hit.filter(|_| response.clicked()) }
}

/// The part of a long text around `focus` (bytes) that is drawn, on character boundaries.
pub fn window(text: &str, focus: usize) -> Range<usize> {
    if text.len() <= SHOWN {
        return 0..text.len();
    }
    let start = focus.saturating_sub(SHOWN / 3).min(text.len() - SHOWN);
    text.floor_char_boundary(start)..text.floor_char_boundary(start + SHOWN)
}

/// The layout, and the characters of it that belong to each mark.
fn job(
    ui: &Ui,
    p: &Palette,
    text: &str,
    window: &Range<usize>,
    marks: &[Mark],
) -> (LayoutJob, Vec<(Range<usize>, usize)>) {
    let font = FontId::proportional(size::RESULT);
    let plain = TextFormat {
        font_id: font.clone(),
        color: p.text,
        line_height: Some(34.0),
        valign: Align::Center,
        ..Default::default()
    };
    let mut job = LayoutJob::default();
    job.wrap.max_width = ui.available_width();
    let (mut places, mut at, mut letters) = (Vec::new(), window.start, 0);
    let mut append = |job: &mut LayoutJob, text: &str, format: TextFormat| {
        letters += text.chars().count();
        job.append(text, 0.0, format);
        letters
    };
    let visible = marks.iter().enumerate().filter(|(_, m)| m.range.start < window.end && m.range.end > window.start);
    for (index, mark) in visible {
        let (start, end) = (mark.range.start.max(window.start), mark.range.end.min(window.end));
        if start < at {
            continue;
        }
        let first = append(&mut job, &text[at..start], plain.clone());
        let mut last = append(&mut job, &text[start..end], plain.clone());
        if !mark.tag.is_empty() {
            // Raised like an exponent; the spaces, which never break, keep it off its word and off the ground's edge.
            let font_id = FontId::proportional(10.0);
            let color = ink(p, mark.color);
            let small = TextFormat { font_id, color, line_height: Some(22.0), ..plain.clone() };
            last = append(&mut job, &format!("\u{a0}{}\u{a0}", mark.tag), small);
        }
        places.push((first..last, index));
        at = end;
    }
    append(&mut job, &text[at..window.end], plain);
    (job, places)
}

/// The rectangles of characters `range`, one per row, relative to the galley.
pub fn grounds(galley: &Galley, range: &Range<usize>) -> Vec<Rect> {
    let mut out = Vec::new();
    let mut first = 0;
    for row in &galley.rows {
        let glyphs = &row.row.glyphs;
        let (from, to) = (range.start.max(first), range.end.min(first + glyphs.len()));
        if from < to {
            let (a, b) = (&glyphs[from - first], &glyphs[to - first - 1]);
            let left = row.pos.x + a.pos.x;
            let right = row.pos.x + b.pos.x + b.advance_width;
            let middle = row.pos.y + row.row.size.y / 2.0;
            out.push(Rect::from_min_max(pos2(left - 2.0, middle - 13.0), pos2(right + 2.0, middle + 13.0)));
        }
        first += row.char_count_including_newline().0;
    }
    out
}

fn paint_ground(ui: &Ui, p: &Palette, ground: Rect, mark: &Mark, selected: bool) {
    let strength = if selected { (mark.strength + 0.35).min(1.2) } else { mark.strength };
    ui.painter().rect_filled(ground, 3.0, blend(p.panel, mark.color, 0.26 * strength));
    let line = Stroke::new(if selected { 3.0 } else { 1.5 }, blend(p.panel, mark.color, (0.4 + strength).min(1.0)));
    ui.painter().hline(ground.x_range(), ground.bottom(), line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_part_of_a_long_text_holds_its_focus() {
        let text = "é".repeat(20_000);
        for focus in [0, 5_000, 20_001, 40_000] {
            let window = window(&text, focus);
            assert!(window.start <= focus && focus <= window.end, "{window:?}");
            assert!(text.is_char_boundary(window.start) && text.is_char_boundary(window.end));
        }
        assert_eq!(super::window("short", 3), 0..5);
    }
}
