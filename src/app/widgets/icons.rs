//! Icons drawn as lines of one weight, on a grid of 20 points.

use super::Palette;
use egui::{Color32, Painter, Pos2, Rect, Response, Sense, Shape, Stroke, StrokeKind, Ui, pos2, vec2};

/// A square button with an icon; `name` is its tooltip and its name for screen readers.
pub fn button(ui: &mut Ui, p: &Palette, icon: Icon, name: &str) -> Response {
    let side = ui.spacing().interact_size.y;
    let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::click());
    let line = if response.hovered() || response.has_focus() { p.accent } else { p.hairline };
    ui.painter().rect_stroke(rect, 8.0, Stroke::new(1.0, line), StrokeKind::Inside);
    paint(ui.painter(), rect, icon, p.text);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, name));
    response.on_hover_text(name)
}

/// The icons there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Smile,
    Gear,
    Pause,
    Play,
    Bubble,
    Pencil,
    Again,
    Copy,
    Bin,
    Left,
    Right,
    Tag,
    Question,
    Lines,
    Shapes,
    Table,
    Letters,
    Swap,
    Pulse,
    Cube,
}

/// A small button without a frame, for rows of them.
pub fn quiet(ui: &mut Ui, p: &Palette, icon: Icon, name: &str) -> Response {
    let side = ui.spacing().interact_size.y.max(28.0);
    let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::click());
    let lit = ui.is_enabled() && (response.hovered() || response.has_focus());
    if lit {
        ui.painter().rect_filled(rect, 6.0, p.raised);
    }
    let color = if !ui.is_enabled() {
        p.hairline
    } else if lit {
        p.text
    } else {
        p.muted
    };
    paint(ui.painter(), rect, icon, color);
    let enabled = ui.is_enabled();
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, enabled, name));
    response.on_hover_text(name)
}

/// Draws `icon` in the middle of `rect`.
pub fn paint(painter: &Painter, rect: Rect, icon: Icon, color: Color32) {
    let stroke = Stroke::new(1.6, color);
    let origin = rect.center() - vec2(10.0, 10.0);
    let at = |x: f32, y: f32| origin + vec2(x, y);
    match icon {
        Icon::Smile => {
            painter.circle_stroke(at(10.0, 10.0), 8.0, stroke);
            for x in [7.2, 12.8] {
                painter.circle_filled(at(x, 8.2), 1.1, color);
            }
            let mouth: Vec<Pos2> = (0..=12)
                .map(|i| {
                    let angle = std::f32::consts::PI * (0.15 + 0.7 * i as f32 / 12.0);
                    at(10.0 + 4.4 * angle.cos(), 10.2 + 4.0 * angle.sin())
                })
                .collect();
            painter.add(Shape::line(mouth, stroke));
        }
        Icon::Pause => {
            for x in [7.0, 13.0] {
                painter.line_segment([at(x, 5.0), at(x, 15.0)], Stroke::new(2.4, color));
            }
        }
        Icon::Play => {
            let corners = vec![at(6.0, 4.5), at(15.5, 10.0), at(6.0, 15.5)];
            painter.add(Shape::convex_polygon(corners, color, Stroke::NONE));
        }
        Icon::Bubble => {
            let outline = [(3.0, 4.0), (17.0, 4.0), (17.0, 13.5), (9.0, 13.5), (5.5, 17.0), (5.5, 13.5), (3.0, 13.5)];
            painter.add(Shape::closed_line(outline.iter().map(|(x, y)| at(*x, *y)).collect(), stroke));
        }
        Icon::Pencil => {
            let outline = [(4.0, 16.0), (5.0, 12.2), (13.5, 3.7), (16.3, 6.5), (7.8, 15.0)];
            painter.add(Shape::closed_line(outline.iter().map(|(x, y)| at(*x, *y)).collect(), stroke));
            painter.line_segment([at(11.7, 5.5), at(14.5, 8.3)], stroke);
        }
        Icon::Again => {
            let arc: Vec<Pos2> = (0..=20)
                .map(|i| {
                    let angle = std::f32::consts::TAU * (0.02 + 0.8 * i as f32 / 20.0);
                    at(10.0 + 5.6 * angle.cos(), 10.0 + 5.6 * angle.sin())
                })
                .collect();
            painter.add(Shape::line(arc, stroke));
            painter.add(Shape::line(vec![at(8.8, 2.2), at(12.2, 4.6), at(9.6, 7.6)], stroke));
        }
        Icon::Copy => {
            painter.rect_stroke(Rect::from_min_max(at(7.5, 7.5), at(15.5, 15.5)), 2.0, stroke, StrokeKind::Middle);
            let corner = vec![at(5.6, 12.5), at(4.5, 12.5), at(4.5, 4.5), at(12.5, 4.5), at(12.5, 5.6)];
            painter.add(Shape::line(corner, stroke));
        }
        Icon::Bin => {
            painter.line_segment([at(4.0, 6.0), at(16.0, 6.0)], stroke);
            painter.line_segment([at(8.0, 3.8), at(12.0, 3.8)], stroke);
            painter.add(Shape::line(vec![at(5.5, 6.0), at(6.3, 16.2), at(13.7, 16.2), at(14.5, 6.0)], stroke));
        }
        Icon::Tag
        | Icon::Question
        | Icon::Lines
        | Icon::Shapes
        | Icon::Table
        | Icon::Letters
        | Icon::Swap
        | Icon::Cube
        | Icon::Pulse => paint_task(painter, origin, icon, color),
        Icon::Left => drop(painter.add(Shape::line(vec![at(12.0, 5.5), at(7.5, 10.0), at(12.0, 14.5)], stroke))),
        Icon::Right => drop(painter.add(Shape::line(vec![at(8.0, 5.5), at(12.5, 10.0), at(8.0, 14.5)], stroke))),
        Icon::Gear => {
            painter.circle_stroke(at(10.0, 10.0), 3.0, stroke);
            painter.circle_stroke(at(10.0, 10.0), 6.2, stroke);
            for i in 0..8 {
                let angle = std::f32::consts::TAU * i as f32 / 8.0;
                let ray = vec2(angle.cos(), angle.sin());
                let center = pos2(origin.x + 10.0, origin.y + 10.0);
                painter.line_segment([center + ray * 6.2, center + ray * 8.6], stroke);
            }
        }
    }
}

/// The icons of the tasks that look into a text.
fn paint_task(painter: &Painter, origin: Pos2, icon: Icon, color: Color32) {
    let stroke = Stroke::new(1.6, color);
    let at = |x: f32, y: f32| origin + vec2(x, y);
    match icon {
        Icon::Tag => {
            let outline = [(3.0, 5.5), (12.0, 5.5), (17.0, 10.0), (12.0, 14.5), (3.0, 14.5)];
            painter.add(Shape::closed_line(outline.iter().map(|(x, y)| at(*x, *y)).collect(), stroke));
        }
        Icon::Question => {
            painter.circle_stroke(at(10.0, 10.0), 8.0, stroke);
            let hook = [
                (7.6, 8.2),
                (8.2, 6.4),
                (10.0, 5.7),
                (11.8, 6.4),
                (12.3, 8.0),
                (11.4, 9.4),
                (10.0, 10.6),
                (10.0, 12.0),
            ];
            painter.add(Shape::line(hook.iter().map(|(x, y)| at(*x, *y)).collect(), stroke));
            painter.circle_filled(at(10.0, 14.4), 1.1, color);
        }
        Icon::Lines => {
            for (y, end) in [(5.5, 16.5), (10.0, 16.5), (14.5, 11.0)] {
                painter.line_segment([at(3.5, y), at(end, y)], stroke);
            }
        }
        Icon::Shapes => {
            painter.rect_stroke(Rect::from_min_max(at(3.5, 3.5), at(8.5, 8.5)), 1.0, stroke, StrokeKind::Middle);
            painter.rect_stroke(Rect::from_min_max(at(11.5, 11.5), at(16.5, 16.5)), 1.0, stroke, StrokeKind::Middle);
            painter.circle_stroke(at(14.0, 6.0), 2.7, stroke);
            painter.add(Shape::closed_line(vec![at(6.0, 11.3), at(9.0, 16.5), at(3.0, 16.5)], stroke));
        }
        Icon::Table => {
            painter.rect_stroke(Rect::from_min_max(at(3.5, 4.0), at(16.5, 16.0)), 1.5, stroke, StrokeKind::Middle);
            painter.line_segment([at(3.5, 8.2), at(16.5, 8.2)], stroke);
            painter.line_segment([at(8.5, 8.2), at(8.5, 16.0)], stroke);
        }
        Icon::Letters => {
            painter.add(Shape::line(vec![at(9.0, 17.0), at(13.0, 7.5), at(17.0, 17.0)], stroke));
            painter.line_segment([at(10.5, 13.8), at(15.5, 13.8)], stroke);
            painter.line_segment([at(2.5, 5.0), at(11.0, 5.0)], stroke);
            painter.line_segment([at(6.7, 3.0), at(6.7, 5.0)], stroke);
            painter.add(Shape::line(vec![at(9.3, 5.0), at(7.6, 8.6), at(3.0, 12.4)], stroke));
            painter.add(Shape::line(vec![at(4.3, 7.0), at(6.2, 9.7), at(8.4, 11.3)], stroke));
        }
        Icon::Pulse => {
            let beat = [(2.0, 10.5), (6.0, 10.5), (8.5, 4.0), (12.0, 16.0), (14.5, 10.5), (18.0, 10.5)];
            let points: Vec<Pos2> = beat.iter().map(|(x, y)| at(*x, *y)).collect();
            painter.add(Shape::line(points, stroke));
        }
        Icon::Cube => {
            let outline = [(10.0, 2.5), (16.5, 6.0), (16.5, 14.0), (10.0, 17.5), (3.5, 14.0), (3.5, 6.0)];
            painter.add(Shape::closed_line(outline.iter().map(|(x, y)| at(*x, *y)).collect(), stroke));
            painter.add(Shape::line(vec![at(3.5, 6.0), at(10.0, 9.5), at(16.5, 6.0)], stroke));
            painter.line_segment([at(10.0, 9.5), at(10.0, 17.5)], stroke);
        }
        Icon::Swap => {
            painter.line_segment([at(4.0, 7.0), at(16.0, 7.0)], stroke);
            painter.add(Shape::line(vec![at(13.0, 4.0), at(16.0, 7.0), at(13.0, 10.0)], stroke));
            painter.line_segment([at(4.0, 13.0), at(16.0, 13.0)], stroke);
            painter.add(Shape::line(vec![at(7.0, 10.0), at(4.0, 13.0), at(7.0, 16.0)], stroke));
        }
        _ => {}
    }
}
