//! The plots as a picture, drawn by plotters: no window, no display.

use super::Snapshot;
use crate::telemetry::scene::{Hue, Row, Scene, Style, Weight};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

/// Pictures are for paper and slides: light ground.
const GROUND: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
const TEXT: RGBColor = RGBColor(0x17, 0x20, 0x2B);
const MUTED: RGBColor = RGBColor(0x5A, 0x67, 0x76);
const HAIRLINE: RGBColor = RGBColor(0xDC, 0xE2, 0xE9);
const ACCENT: RGBColor = RGBColor(0x0B, 0x6B, 0xCB);
/// Pixels of the column with names, and of the head and the foot, in a picture of [`USUAL`] pixels' width.
const NAMES: u32 = 130;
const HEAD: u32 = 36;
const FOOT: u32 = 30;
const USUAL: f64 = 1_000.0;
/// The one family; its bytes are part of the program.
const FAMILY: &str = "sans-serif";
/// Least and greatest width and height of a picture.
const SIZES: std::ops::RangeInclusive<u32> = 200..=8_000;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    #[error("a picture is {0} to {1} pixels wide and high")]
    Size(u32, u32),
    #[error("the picture could not be drawn ({0})")]
    Drawing(String),
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ChartError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self::Drawing(error.to_string())
    }
}

/// How much larger everything is than in a picture of the usual width.
#[derive(Clone, Copy)]
struct Scale(f64);

impl Scale {
    fn px(self, pixels: u32) -> u32 {
        (f64::from(pixels) * self.0).round() as u32
    }

    fn at(self, pixels: i32) -> i32 {
        (f64::from(pixels) * self.0).round() as i32
    }

    fn font(self, size: f64, color: &RGBColor) -> TextStyle<'static> {
        (FAMILY, size * self.0).into_font().color(color)
    }
}

/// A plot's area with its two axes.
type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The plots as a PNG of `width` × `height` pixels.
///
/// # Errors
/// A size out of bounds, or a fault of the drawing library.
pub fn png(snapshot: &Snapshot, width: u32, height: u32) -> Result<Vec<u8>, ChartError> {
    check(width, height)?;
    let mut pixels = vec![0u8; width as usize * height as usize * 3];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        paint(&root, snapshot)?;
        root.present()?;
    }
    let mut out = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut out, width, height);
    encoder.set_color(::png::ColorType::Rgb);
    encoder.set_depth(::png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut w| w.write_image_data(&pixels));
    written.map_err(|e| ChartError::Drawing(e.to_string()))?;
    Ok(out)
}

/// The plots as SVG.
///
/// # Errors
/// As of [`png`].
pub fn svg(snapshot: &Snapshot, width: u32, height: u32) -> Result<String, ChartError> {
    check(width, height)?;
    let mut out = String::new();
    {
        let root = SVGBackend::with_string(&mut out, (width, height)).into_drawing_area();
        paint(&root, snapshot)?;
        root.present()?;
    }
    Ok(out)
}

fn check(width: u32, height: u32) -> Result<(), ChartError> {
    let fits = SIZES.contains(&width) && SIZES.contains(&height);
    if fits { Ok(()) } else { Err(ChartError::Size(*SIZES.start(), *SIZES.end())) }
}

fn paint<DB: DrawingBackend>(root: &DrawingArea<DB, Shift>, snapshot: &Snapshot) -> Result<(), ChartError>
where
    DB::ErrorType: 'static,
{
    let font = include_bytes!("../../../assets/fonts/Inter-Regular.otf");
    register_font(FAMILY, FontStyle::Normal, font).map_err(|_| ChartError::Drawing("the font is damaged".into()))?;
    root.fill(&GROUND)?;
    let scene = &snapshot.scene;
    let (width, height) = root.dim_in_pixel();
    let scale = Scale((f64::from(width) / USUAL).clamp(0.6, 4.0));
    let day = |time: f64| snapshot.clock(time)[..19].replace('T', " ");
    let title = format!("{} · {} to {} UTC", snapshot.facts.machine, day(scene.from), &day(scene.to)[11..]);
    root.draw(&Text::new(title, (scale.at(10), scale.at(10)), scale.font(15.0, &TEXT)))?;
    let (head, foot) = (scale.px(HEAD), scale.px(FOOT));
    let room = height.saturating_sub(head + foot);
    let count = u32::try_from(scene.rows.len()).unwrap_or(1).max(1);
    for (index, row) in (0u32..).zip(&scene.rows) {
        let top = head + room * index / count;
        // The last has the time axis below it.
        let bottom = head + room * (index + 1) / count;
        let axis = if index + 1 == count { foot - scale.px(6) } else { 0 };
        let area = root.clone().shrink((0, top), (width, bottom - top + axis));
        plot(&area, scene, row, (scale, axis))?;
    }
    Ok(())
}

fn plot<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    scene: &Scene,
    row: &Row,
    (scale, axis): (Scale, u32),
) -> Result<(), ChartError>
where
    DB::ErrorType: 'static,
{
    let small = scale.font(11.0, &MUTED);
    area.draw(&Text::new(row.title(), (scale.at(10), scale.at(6)), scale.font(14.0, &TEXT)))?;
    for (line, part) in (0..).zip(row.value.split(" · ")) {
        area.draw(&Text::new(part.to_owned(), (scale.at(10), scale.at(24 + 14 * line)), small.clone()))?;
    }
    let (from, to) = (scene.from, scene.to.max(scene.from + 1e-3));
    let mut chart = ChartBuilder::on(area)
        .margin_top(4)
        .margin_right(14)
        .margin_bottom(4)
        .margin_left(scale.px(NAMES))
        .set_label_area_size(LabelAreaPosition::Bottom, axis)
        .build_cartesian_2d(from..to, row.bottom..row.top.max(row.bottom + 1e-9))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(HAIRLINE.mix(0.0))
        .bold_line_style(HAIRLINE)
        .axis_style(HAIRLINE)
        .y_labels(4)
        .x_labels(7)
        .x_label_formatter(&|x| ago(to - x, to - from))
        .label_style(small.clone())
        .draw()?;
    bands(&mut chart, scene, row)?;
    lines(&mut chart, row)?;
    chart.draw_series(row.dots.iter().map(|d| {
        let style = if d.is_cold { color(Hue::Latency).stroke_width(1) } else { color(Hue::Latency).filled() };
        Circle::new((d.time, d.value), scale.px(3), style)
    }))?;
    for (level, name) in &row.levels {
        let line = [(from, *level), (to, *level)];
        chart.draw_series(DashedLineSeries::new(line, 4, 4, MUTED.mix(0.7).into()))?;
        let style = scale.font(10.0, &MUTED).pos(Pos::new(HPos::Left, VPos::Bottom));
        chart.draw_series([Text::new(name.clone(), (from, *level), style)])?;
    }
    let end = scale.font(10.0, &MUTED).pos(Pos::new(HPos::Right, VPos::Top));
    chart.draw_series([Text::new(row.scale.clone(), (to, row.top), end)])?;
    Ok(())
}

fn bands<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, scene: &Scene, row: &Row) -> Result<(), ChartError>
where
    DB::ErrorType: 'static,
{
    chart.draw_series(scene.bands.iter().map(|b| {
        let share = if b.weight == Weight::Marked { 0.3 } else { 0.12 };
        Rectangle::new([(b.from, row.bottom), (b.to, row.top)], ACCENT.mix(share).filled())
    }))?;
    for event in &scene.events {
        let corners = [(event.from, row.bottom), (event.time, row.top)];
        chart.draw_series([Rectangle::new(corners, color(Hue::Throughput).mix(0.1).filled())])?;
        let line = [(event.time, row.bottom), (event.time, row.top)];
        chart.draw_series(DashedLineSeries::new(line, 3, 3, color(Hue::Throughput).into()))?;
    }
    Ok(())
}

fn lines<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, row: &Row) -> Result<(), ChartError>
where
    DB::ErrorType: 'static,
{
    for line in &row.lines {
        let color = color(line.hue);
        for piece in line.curve.pieces() {
            let points = piece.iter().map(|p| (p[0], p[1].clamp(row.bottom, row.top)));
            match line.style {
                Style::Area => {
                    let area = AreaSeries::new(points, row.bottom, color.mix(0.18)).border_style(color.stroke_width(2));
                    chart.draw_series(area)?;
                }
                Style::Line => drop(chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?),
                Style::Faint => drop(chart.draw_series(LineSeries::new(points, color.mix(0.35).stroke_width(1)))?),
            }
        }
    }
    Ok(())
}

/// Seconds before the end, in words.
fn ago(seconds: f64, window: f64) -> String {
    match window {
        _ if seconds < window * 1e-3 => "end".into(),
        w if w > 7_200.0 => format!("−{:.1} h", seconds / 3_600.0),
        w if w > 300.0 => format!("−{:.1} min", seconds / 60.0),
        w if w > 20.0 => format!("−{seconds:.0} s"),
        _ => format!("−{seconds:.1} s"),
    }
}

fn color(hue: Hue) -> RGBColor {
    match hue {
        Hue::Latency => RGBColor(0xE6, 0x9F, 0x00),
        Hue::Throughput => RGBColor(0x00, 0x9E, 0x73),
        Hue::Batch => RGBColor(0x5B, 0x4B, 0xB5),
        Hue::Memory => RGBColor(0xCC, 0x79, 0xA7),
        Hue::Cpu => RGBColor(0x56, 0xB4, 0xE9),
        Hue::Gpu => RGBColor(0x00, 0x72, 0xB2),
        Hue::Power | Hue::Heat => RGBColor(0xD5, 0x5E, 0x00),
        Hue::Muted => MUTED,
    }
}
