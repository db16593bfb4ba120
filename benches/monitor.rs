//! What watching costs: one reading of all sensors of this machine, and one frame of the monitor with ten minutes at
//! ten readings a second and 1,000 requests in them. `cargo bench --bench monitor`.

use egui::{Context, RawInput, Rect, pos2, vec2};
use glossa::app::notices::Notices;
use glossa::app::settings::Settings;
use glossa::app::tabs::monitor::MonitorTab;
use glossa::app::tabs::{Cx, Tab as _};
use glossa::app::theme;
use glossa::engine::message::EventSink;
use glossa::engine::{Engine, EngineConfig};
use glossa::models::library::Library;
use glossa::nn::runtime::DeviceChoice;
use glossa::telemetry::sampler::SharedStore;
use glossa::telemetry::sources::{Probe, Sources};
use glossa::telemetry::span::{Heat, Outcome, Span, Stage, Stages};
use glossa::telemetry::stats::percentiles;
use glossa::telemetry::store::Store;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Readings of ten minutes.
const READINGS: u32 = 6_000;
const REQUESTS: u32 = 1_000;

fn main() {
    // Tests of all targets start benches too: they have nothing to say there.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let live = reading(Path::new("/"));
    tell("one reading of this machine", &live, "ms");
    let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/boards");
    tell("one reading of an Orin Nano's tree", &reading(&boards.join("orin-nano-jp6")), "ms");
    let mean = live.iter().sum::<f64>() / live.len() as f64;
    println!("ten readings a second: {:.2} % of one core", mean * 10.0 / 10.0);
    let store = filled(&boards.join("orin-nano-jp6"));
    for (width, height) in [(1280.0, 800.0), (1920.0, 1080.0)] {
        let (laid, meshed) = frames(&store, width, height);
        tell(&format!("monitor at {width}x{height}: layout"), &laid, "ms");
        tell(&format!("monitor at {width}x{height}: with tessellation"), &meshed, "ms");
    }
}

fn tell(what: &str, values: &[f64], unit: &str) {
    if let Some(p) = percentiles(values) {
        println!("{what}: p50 {:.3} {unit}, p95 {:.3} {unit}, n {}", p.p50, p.p95, p.n);
    }
}

/// Milliseconds of each of many readings.
fn reading(root: &Path) -> Vec<f64> {
    let mut sources = Sources::open(Probe::new(root));
    (0..600u32)
        .map(|i| {
            let begun = Instant::now();
            sources.read(f64::from(i) * 0.1);
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect()
}

/// A store with ten minutes of a recorded board and a thousand requests.
fn filled(root: &Path) -> SharedStore {
    let mut sources = Sources::open(Probe::new(root));
    let mut store = Store::default();
    store.describe(sources.channels(), sources.facts());
    let model = store.number_of("sentiment-minilm");
    for tick in 0..READINGS {
        let time = f64::from(tick) * 0.1;
        sources.read(time);
        // The tree stands still within a second: a little noise makes each reading a point of its own.
        let noisy: Vec<f32> = sources
            .row()
            .iter()
            .enumerate()
            .map(|(i, v)| v * (1.0 + ((tick as usize * 7 + i) % 13) as f32 * 0.004))
            .collect();
        store.push_row(time, &noisy);
        if tick % (READINGS / REQUESTS) == 0 {
            store.push_span(span(u64::from(tick), model, time, 8.0 + f64::from(tick % 97)));
        }
    }
    Arc::new(Mutex::new(store))
}

fn span(id: u64, model: u16, start: f64, ms: f64) -> Span {
    let stage = |name, start_ms, ms| Stage { name, start_ms, ms, steps: 1, batch: 4 };
    Span {
        id,
        task: "sentiment",
        model,
        device: "cpu",
        precision: "f32",
        submitted: start,
        start,
        end: start + ms / 1e3,
        total_ms: ms,
        ttft_ms: None,
        sums: [0.1, 0.0, 0.3, ms - 0.5, 0.0, 0.0, 0.1],
        stages: Stages::new([
            stage("queue", 0.0, 0.1),
            stage("tokenize", 0.1, 0.3),
            stage("forward", 0.4, ms as f32 - 0.5),
        ]),
        done: 1,
        tokens: 30,
        cached: 0,
        saved_ms: 0,
        generated: 0,
        tokens_per_second: None,
        batch: 4,
        mates: [0; 8],
        mate_count: 0,
        outcome: Outcome::Done,
        heat: Heat::Warm,
    }
}

/// Milliseconds of each frame: layout alone, and with tessellation.
fn frames(store: &SharedStore, width: f32, height: f32) -> (Vec<f64>, Vec<f64>) {
    let mut config = EngineConfig::new(Library::find(Some(Path::new("/nowhere"))));
    config.device = DeviceChoice::Cpu;
    config.threads = Some(1);
    config.cache = None;
    let library = config.library.clone();
    let engine = Engine::start(config).expect("engine");
    let (sink, _events) = EventSink::channel(None);
    let ctx = Context::default();
    theme::install(&ctx);
    let mut settings = Settings::default();
    settings.monitor.window_secs = 600.0;
    theme::apply(&ctx, &settings);
    let (mut notices, mut tab) = (Notices::default(), MonitorTab::held_at(600.0));
    let (mut laid, mut meshed) = (Vec::new(), Vec::new());
    for frame in 0..220u32 {
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(width, height))),
            time: Some(f64::from(frame) * 0.1),
            ..RawInput::default()
        };
        let begun = Instant::now();
        let output = ctx.run_ui(input, |ui| {
            let ctx = ui.ctx().clone();
            let mut mark = None;
            let mut cx = Cx {
                ctx: &ctx,
                palette: theme::palette(&ctx),
                engine: &engine,
                library: &library,
                sink: &sink,
                status: None,
                settings: &mut settings,
                data: None,
                notices: &mut notices,
                mark: &mut mark,
                store,
            };
            egui::Panel::right("side").exact_size(theme::size::PULSE).show(ui, |ui| tab.side_ui(ui, &mut cx));
            egui::CentralPanel::default().show(ui, |ui| tab.ui(ui, &mut cx));
        });
        let layout = begun.elapsed().as_secs_f64() * 1e3;
        let meshes = ctx.tessellate(output.shapes, output.pixels_per_point);
        assert!(!meshes.is_empty());
        if frame == 100 {
            let count = |m: &egui::ClippedPrimitive| match &m.primitive {
                egui::epaint::Primitive::Mesh(mesh) => mesh.vertices.len(),
                egui::epaint::Primitive::Callback(_) => 0,
            };
            println!("{} vertices in {} meshes", meshes.iter().map(count).sum::<usize>(), meshes.len());
        }
        // The first frames measure text for the first time.
        if frame >= 20 {
            laid.push(layout);
            meshed.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    (laid, meshed)
}
