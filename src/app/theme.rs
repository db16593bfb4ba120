//! Every colour, size and font of the window.
#![allow(clippy::disallowed_methods, reason = "the one place where colours are made")]

use super::settings::{Settings, ThemeChoice};
use crate::telemetry::scene::Hue;
use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, RichText, Stroke, TextStyle,
    Theme, Visuals, vec2,
};
use std::sync::Arc;

/// Widths and heights in points.
pub mod size {
    pub const RAIL: f32 = 112.0;
    pub const PULSE: f32 = 320.0;
    pub const STATUS: f32 = 32.0;
    pub const MARGIN: f32 = 24.0;
    pub const GAP: f32 = 12.0;
    pub const RADIUS: u8 = 8;
    /// Below this width of the window the pulse is a drawer.
    pub const FOLD: f32 = 1100.0;
    /// Target heights: touch mode, otherwise.
    pub const TOUCH: f32 = 44.0;
    pub const CLICK: f32 = 34.0;
    pub const INPUT: f32 = 17.0;
    pub const TITLE: f32 = 22.0;
    pub const RESULT: f32 = 18.0;
    pub const BODY: f32 = 15.0;
    pub const LABEL: f32 = 13.0;
    pub const SMALL: f32 = 12.0;
    pub const BIG: f32 = 36.0;
    /// A mark that moves while something is written.
    pub const MARK: f32 = 18.0;
}

/// The colours of one theme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette {
    pub ground: Color32,
    pub panel: Color32,
    pub raised: Color32,
    pub hairline: Color32,
    pub text: Color32,
    pub muted: Color32,
    pub accent: Color32,
    pub on_accent: Color32,
    pub positive: Color32,
    pub negative: Color32,
    pub warning: Color32,
    pub latency: Color32,
    pub throughput: Color32,
    pub batch: Color32,
    pub memory: Color32,
    pub cpu: Color32,
    pub gpu: Color32,
    pub power: Color32,
    pub heat: Color32,
}

const DARK: Palette = Palette {
    ground: Color32::from_rgb(0x0F, 0x12, 0x16),
    panel: Color32::from_rgb(0x15, 0x1A, 0x20),
    raised: Color32::from_rgb(0x1D, 0x23, 0x2B),
    hairline: Color32::from_rgb(0x2A, 0x32, 0x3C),
    text: Color32::from_rgb(0xE8, 0xEC, 0xF1),
    muted: Color32::from_rgb(0x98, 0xA3, 0xB0),
    accent: Color32::from_rgb(0x4D, 0xA3, 0xFF),
    on_accent: Color32::from_rgb(0x08, 0x12, 0x1E),
    positive: Color32::from_rgb(0x2B, 0xB5, 0x8B),
    negative: Color32::from_rgb(0xE8, 0x82, 0x5A),
    warning: Color32::from_rgb(0xE6, 0x9F, 0x00),
    latency: Color32::from_rgb(0xE6, 0x9F, 0x00),
    throughput: Color32::from_rgb(0x00, 0x9E, 0x73),
    batch: Color32::from_rgb(0x9A, 0x8C, 0xE8),
    memory: Color32::from_rgb(0xCC, 0x79, 0xA7),
    cpu: Color32::from_rgb(0x56, 0xB4, 0xE9),
    gpu: Color32::from_rgb(0xF0, 0xE4, 0x42),
    power: Color32::from_rgb(0xD5, 0x5E, 0x00),
    heat: Color32::from_rgb(0xE8, 0x82, 0x5A),
};

const LIGHT: Palette = Palette {
    ground: Color32::from_rgb(0xF6, 0xF8, 0xFA),
    panel: Color32::from_rgb(0xFF, 0xFF, 0xFF),
    raised: Color32::from_rgb(0xF0, 0xF3, 0xF6),
    hairline: Color32::from_rgb(0xDC, 0xE2, 0xE9),
    text: Color32::from_rgb(0x17, 0x20, 0x2B),
    muted: Color32::from_rgb(0x5A, 0x67, 0x76),
    accent: Color32::from_rgb(0x0B, 0x6B, 0xCB),
    on_accent: Color32::from_rgb(0xFF, 0xFF, 0xFF),
    positive: Color32::from_rgb(0x00, 0x7A, 0x59),
    negative: Color32::from_rgb(0xB0, 0x4A, 0x1A),
    warning: Color32::from_rgb(0x8F, 0x5C, 0x00),
    latency: Color32::from_rgb(0xE6, 0x9F, 0x00),
    throughput: Color32::from_rgb(0x00, 0x9E, 0x73),
    batch: Color32::from_rgb(0x5B, 0x4B, 0xB5),
    memory: Color32::from_rgb(0xCC, 0x79, 0xA7),
    cpu: Color32::from_rgb(0x56, 0xB4, 0xE9),
    gpu: Color32::from_rgb(0x0B, 0x6B, 0xCB),
    power: Color32::from_rgb(0xD5, 0x5E, 0x00),
    heat: Color32::from_rgb(0xB0, 0x4A, 0x1A),
};

/// The colours of the theme in use.
pub fn palette(ctx: &Context) -> &'static Palette {
    match ctx.theme() {
        Theme::Dark => &DARK,
        Theme::Light => &LIGHT,
    }
}

/// `under` with `share` (0 to 1) of `over` on it.
pub fn blend(under: Color32, over: Color32, share: f32) -> Color32 {
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share.clamp(0.0, 1.0)).round() as u8;
    Color32::from_rgb(mix(under.r(), over.r()), mix(under.g(), over.g()), mix(under.b(), over.b()))
}

/// A colour of curves and marks, dark or light enough for text on a panel.
pub fn ink(p: &Palette, color: Color32) -> Color32 {
    blend(color, p.text, 0.45)
}

/// The colour of a curve.
pub fn hue(p: &Palette, hue: Hue) -> Color32 {
    match hue {
        Hue::Latency => p.latency,
        Hue::Throughput => p.throughput,
        Hue::Batch => p.batch,
        Hue::Memory => p.memory,
        Hue::Cpu => p.cpu,
        Hue::Gpu => p.gpu,
        Hue::Power => p.power,
        Hue::Heat => p.heat,
        Hue::Muted => p.muted,
    }
}

/// The family of titles and buttons that matter.
pub fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// Text in the semibold family.
pub fn strong(text: impl Into<String>, size: f32) -> RichText {
    RichText::new(text).font(FontId::new(size, semibold()))
}

/// Figures, all of one width.
pub fn figures(text: impl Into<String>, size: f32) -> RichText {
    RichText::new(text).font(FontId::monospace(size))
}

/// Loads the bundled fonts and both themes. Once, at the start.
pub fn install(ctx: &Context) {
    let mut fonts = FontDefinitions::default();
    for (name, data) in [
        ("Inter", &include_bytes!("../../assets/fonts/Inter-Regular.otf")[..]),
        ("Inter SemiBold", &include_bytes!("../../assets/fonts/Inter-SemiBold.otf")[..]),
    ] {
        fonts.font_data.insert(name.into(), Arc::new(FontData::from_static(data)));
    }
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let family = |first: &str| {
        let mut names = vec![first.to_owned()];
        names.extend(fallback.clone());
        names
    };
    fonts.families.insert(FontFamily::Proportional, family("Inter"));
    fonts.families.insert(semibold(), family("Inter SemiBold"));
    fonts.families.entry(FontFamily::Monospace).or_default().push("Inter".into());
    ctx.set_fonts(fonts);
    ctx.set_visuals_of(Theme::Dark, visuals(&DARK, Visuals::dark()));
    ctx.set_visuals_of(Theme::Light, visuals(&LIGHT, Visuals::light()));
    ctx.options_mut(|o| o.zoom_with_keyboard = false);
}

/// Brings theme, text scale and target sizes in line with the settings.
pub fn apply(ctx: &Context, settings: &Settings) {
    ctx.set_theme(match settings.theme {
        ThemeChoice::System => egui::ThemePreference::System,
        ThemeChoice::Light => egui::ThemePreference::Light,
        ThemeChoice::Dark => egui::ThemePreference::Dark,
    });
    let zoom = settings.zoom();
    if (ctx.zoom_factor() - zoom).abs() > 1e-3 {
        ctx.set_zoom_factor(zoom);
    }
    let height = if settings.touch { size::TOUCH } else { size::CLICK };
    ctx.all_styles_mut(|style| {
        style.text_styles = [
            (TextStyle::Heading, FontId::new(size::TITLE, semibold())),
            (TextStyle::Body, FontId::proportional(size::BODY)),
            (TextStyle::Button, FontId::proportional(size::BODY)),
            (TextStyle::Small, FontId::proportional(size::SMALL)),
            (TextStyle::Monospace, FontId::monospace(size::LABEL)),
        ]
        .into();
        style.spacing.item_spacing = vec2(8.0, 8.0);
        style.spacing.button_padding = vec2(14.0, 6.0);
        style.spacing.interact_size = vec2(height, height);
        style.spacing.menu_margin = Margin::same(8);
        style.spacing.slider_width = 220.0;
        style.spacing.scroll.floating_allocated_width = 10.0;
        style.animation_time = 0.08;
        style.visuals.text_cursor.blink = false;
    });
}

fn visuals(p: &Palette, base: Visuals) -> Visuals {
    let mut v = base;
    v.override_text_color = None;
    v.weak_text_color = Some(p.muted);
    v.panel_fill = p.ground;
    v.window_fill = p.panel;
    v.window_stroke = Stroke::new(1.0, p.hairline);
    v.window_corner_radius = CornerRadius::same(size::RADIUS);
    v.menu_corner_radius = CornerRadius::same(size::RADIUS);
    v.extreme_bg_color = p.panel;
    v.text_edit_bg_color = Some(p.panel);
    v.faint_bg_color = p.raised;
    v.code_bg_color = p.raised;
    v.hyperlink_color = p.accent;
    v.warn_fg_color = p.warning;
    v.error_fg_color = p.negative;
    v.selection.bg_fill = blend(p.panel, p.accent, 0.35);
    v.selection.stroke = Stroke::new(1.5, p.accent);
    let states = [
        (&mut v.widgets.noninteractive, p.panel, p.hairline, p.text),
        (&mut v.widgets.inactive, p.panel, p.hairline, p.text),
        (&mut v.widgets.hovered, p.raised, blend(p.hairline, p.accent, 0.6), p.text),
        (&mut v.widgets.active, p.raised, p.accent, p.text),
        (&mut v.widgets.open, p.raised, p.accent, p.text),
    ];
    for (w, fill, line, text) in states {
        w.bg_fill = fill;
        w.weak_bg_fill = fill;
        w.bg_stroke = Stroke::new(1.0, line);
        w.fg_stroke = Stroke::new(1.0, text);
        w.corner_radius = CornerRadius::same(size::RADIUS);
        w.expansion = 0.0;
    }
    v.widgets.inactive.bg_fill = p.hairline;
    v
}

/// What a dialog stands in.
pub fn dialog(p: &Palette) -> egui::Frame {
    card(p).inner_margin(Margin::same(20))
}

/// A card: panel colour, hairline, rounded.
pub fn card(p: &Palette) -> egui::Frame {
    egui::Frame::new()
        .fill(p.panel)
        .stroke(Stroke::new(1.0, p.hairline))
        .corner_radius(CornerRadius::same(size::RADIUS))
        .inner_margin(Margin::same(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2 contrast ratio.
    fn contrast(a: Color32, b: Color32) -> f64 {
        let luminance = |c: Color32| {
            let f = |v: u8| {
                let v = f64::from(v) / 255.0;
                if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * f(c.r()) + 0.7152 * f(c.g()) + 0.0722 * f(c.b())
        };
        let (x, y) = (luminance(a), luminance(b));
        (x.max(y) + 0.05) / (x.min(y) + 0.05)
    }

    #[test]
    fn text_is_readable_in_both_themes() {
        for p in [DARK, LIGHT] {
            for ground in [p.ground, p.panel, p.raised] {
                for text in [p.text, p.muted, p.positive, p.negative, p.warning] {
                    assert!(contrast(text, ground) >= 4.5, "{text:?} on {ground:?}");
                }
            }
            for mark in [p.latency, p.throughput, p.memory, p.cpu, p.accent, p.negative] {
                assert!(contrast(ink(&p, mark), p.panel) >= 4.5, "{mark:?}");
            }
            assert!(contrast(p.on_accent, p.accent) >= 4.5);
        }
    }
}
