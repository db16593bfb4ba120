//! The window: events in `logic`, paint in `ui`. Holds no model code.

pub mod command;
pub mod curves;
pub mod jobs;
pub mod notices;
pub mod palette;
pub mod pulse;
pub mod record;
pub mod settings;
pub mod shell;
pub mod tabs;
pub mod theme;
pub mod widgets;
pub mod words;

use crate::disk::{Held, Lock};
use crate::engine::message::{Event, EventSink, Events, Status};
use crate::engine::{Engine, EngineConfig, Library, librarian};
use crate::nn::runtime::DeviceChoice;
use crate::telemetry::sampler::{Sampler, SharedStore, lock};
use crate::telemetry::sources::{Own, OwnReader, Probe};
use crate::telemetry::store::Store;
use command::UiCommand;
use jobs::Pending;
use notices::Notices;
use palette::CommandPalette;
use pulse::Pulse;
use settings::{Settings, SettingsFile};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tabs::{Cx, Tab};

/// What the window is started with.
pub struct AppConfig {
    pub engine: EngineConfig,
    /// Where settings are kept; `None` keeps none.
    pub settings: Option<PathBuf>,
    /// Folder for what people write (conversations); `None` keeps nothing.
    pub data: Option<PathBuf>,
    /// Root of the sensors' files.
    pub sysroot: PathBuf,
    /// NVIDIA's management library, if not the driver's own.
    pub nvml: Option<PathBuf>,
}

/// The application.
pub struct App {
    engine: Engine,
    library: Library,
    sink: EventSink,
    events: Events,
    status: Option<Status>,
    store: SharedStore,
    _sampler: Option<Sampler>,
    settings: Settings,
    applied: Option<Settings>,
    file: SettingsFile,
    data: Option<PathBuf>,
    tabs: Vec<Box<dyn Tab>>,
    current: usize,
    pulse: Pulse,
    palette: Option<CommandPalette>,
    notices: Notices,
    /// Dropped files that are looked at: whether they are models.
    dropped: Vec<Pending<Vec<(bool, PathBuf)>>>,
    filling: Filling,
    /// Says to a second window that this one is here.
    _alone: Option<Lock>,
}

/// A window that is to fill the screen.
#[derive(Default)]
struct Filling {
    /// Frames left in which it is looked at.
    frames: u8,
    /// Whether there is a window manager to do it.
    is_managed: bool,
}

/// What the sensors' thread is told of the engine.
fn own_reader(engine: &Engine) -> OwnReader {
    let mut usage = engine.usage();
    Box::new(move || {
        let held = usage.read();
        Own {
            weights: held.weights as u64,
            caches: held.caches as u64,
            queue: held.queue,
            step_tokens: held.rows,
            texts: held.sequences,
            cuda: held.gpu.map(|(free, total)| (free as u64, total as u64)),
        }
    })
}

impl App {
    /// Starts engine and sampler. Opens no file but the settings.
    ///
    /// # Errors
    /// If the operating system refuses the engine's thread.
    pub fn new(ctx: &egui::Context, config: AppConfig) -> std::io::Result<Self> {
        theme::install(ctx);
        let (file, settings) = SettingsFile::open(config.settings);
        let waker = ctx.clone();
        let wake = Arc::new(move || waker.request_repaint_after(Duration::from_millis(50)));
        let (sink, events) = EventSink::channel(Some(wake));
        let mut engine = config.engine;
        // A device named on the command line counts for this run and is not kept.
        if engine.device == DeviceChoice::Auto {
            engine.device = settings.device;
        }
        engine.threads = engine.threads.or(settings.threads);
        engine.context = engine.context.or(settings.context);
        engine.status = Some(sink.clone());
        let store: SharedStore = Arc::new(Mutex::new(Store::default()));
        let tabs = tabs::all();
        let current = tabs.iter().position(|t| t.id() == settings.tab).unwrap_or(0);
        let mut notices = Notices::default();
        file.problem.iter().for_each(|problem| notices.push(problem.clone()));
        let alone = config.data.as_deref().map(|data| Lock::try_take(&data.join("window")));
        let alone = match alone {
            Some(Ok(Ok(lock))) => Some(lock),
            Some(Ok(Err(Held(who)))) => {
                notices.push(format!(
                    "Glossa is open in another window too ({who}). Both keep their conversations and settings; neither loses what the other writes."
                ));
                None
            }
            // A folder that takes no lock takes no conversations either: that is said when there are some.
            Some(Err(_)) | None => None,
        };
        let library = engine.library.clone();
        let engine = Engine::start(engine)?;
        let probe = Probe { nvml: config.nvml, own: Some(own_reader(&engine)), ..Probe::new(config.sysroot) };
        let sampler = match Sampler::start(Arc::clone(&store), probe) {
            Ok(sampler) => Some(sampler),
            Err(error) => {
                notices.push(format!(
                    "The curves stay empty: no thread for the sensors ({error}). Close other programs and start again."
                ));
                None
            }
        };
        let app = Self {
            engine,
            library,
            sink,
            events,
            status: None,
            store,
            _sampler: sampler,
            settings,
            applied: None,
            file,
            data: config.data,
            tabs,
            current,
            pulse: Pulse::default(),
            palette: None,
            notices,
            dropped: Vec::new(),
            filling: Filling::default(),
            _alone: alone,
        };
        theme::apply(ctx, &app.settings);
        Ok(app)
    }

    /// Asks for a window that fills the screen: as the window manager maximizes it, or, in a kiosk that has none, as
    /// large as the monitor.
    pub fn fill_screen(&mut self, is_managed: bool) {
        self.filling = Filling { frames: 30, is_managed };
    }

    fn grow(&mut self, ctx: &egui::Context) {
        let Some(left) = self.filling.frames.checked_sub(1) else { return };
        self.filling.frames = left;
        let (monitor, here, is_maximized) =
            ctx.input(|i| (i.viewport().monitor_size, i.viewport().inner_rect, i.viewport().maximized));
        if self.filling.is_managed {
            // Some managers overlook what a window asks for before it is shown.
            if left == 15 && is_maximized == Some(false) {
                ctx.send_viewport_cmd(egui::ViewportCommand::Maximized(true));
            }
        } else if let (0, Some(monitor), Some(here)) = (left, monitor, here)
            && here.size() != monitor
        {
            ctx.send_viewport_cmd(egui::ViewportCommand::OuterPosition(egui::Pos2::ZERO));
            ctx.send_viewport_cmd(egui::ViewportCommand::InnerSize(monitor));
        }
        ctx.request_repaint_after(Duration::from_millis(20));
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs `f` with tab `index` and what a tab may use.
    fn with_tab<R>(&mut self, ctx: &egui::Context, index: usize, f: impl FnOnce(&mut dyn Tab, &mut Cx<'_>) -> R) -> R {
        let mut mark = None;
        let mut cx = Cx {
            ctx,
            palette: theme::palette(ctx),
            engine: &self.engine,
            library: &self.library,
            sink: &self.sink,
            status: self.status.as_ref(),
            data: self.data.as_deref(),
            settings: &mut self.settings,
            notices: &mut self.notices,
            mark: &mut mark,
            store: &self.store,
        };
        let result = f(&mut *self.tabs[index], &mut cx);
        if let Some(id) = mark {
            self.pulse.select(id);
        }
        result
    }

    fn take_events(&mut self, ctx: &egui::Context) {
        while let Ok(event) = self.events.try_recv() {
            if let Event::Status(status) = &event {
                if let Some(notice) = &status.notice {
                    self.notices.push(notice.clone());
                }
                self.status = Some(status.clone());
                lock(&self.store).set_device_notice(status.device.notice.clone());
                continue;
            }
            if let Event::Stopped(message) = &event {
                self.notices.push_with(message.to_string(), UiCommand::StartEngine);
                // Nobody is left who would say that nothing is done any more.
                self.status.iter_mut().for_each(|status| status.work.clear());
                continue;
            }
            record::record(&mut lock(&self.store), &event);
            for index in 0..self.tabs.len() {
                self.with_tab(ctx, index, |tab, cx| tab.on_event(&event, cx));
            }
        }
    }

    fn take_shortcuts(&mut self, ctx: &egui::Context) {
        let count = u8::try_from(self.tabs.len()).unwrap_or(u8::MAX);
        let commands = UiCommand::ALL.into_iter().chain((0..count).map(UiCommand::Tab));
        for command in commands {
            let Some(key) = command.shortcut() else { continue };
            let pressed = ctx.input_mut(|i| i.consume_shortcut(&key));
            // Escape first closes what lies on top.
            if pressed && !(command == UiCommand::Stop && self.palette.take().is_some()) {
                self.run_command(ctx, command);
            }
        }
    }

    /// Carries out a command: here if it is the window's, else in the tab that is shown.
    pub fn run_command(&mut self, ctx: &egui::Context, command: UiCommand) {
        match command {
            UiCommand::Theme => {
                self.settings.theme = match ctx.theme() {
                    egui::Theme::Dark => settings::ThemeChoice::Light,
                    egui::Theme::Light => settings::ThemeChoice::Dark,
                };
            }
            UiCommand::Projector => self.settings.projector = !self.settings.projector,
            UiCommand::Pulse => self.settings.pulse_open = !self.settings.pulse_open,
            UiCommand::PausePulse => {
                let current = self.current;
                if !self.with_tab(ctx, current, |tab, cx| tab.on_command(command, cx)) {
                    self.pulse.toggle_pause(&self.store);
                }
            }
            UiCommand::Palette => self.palette = Some(CommandPalette::default()),
            UiCommand::StartEngine => self.start_engine(),
            UiCommand::Tab(index) => self.show_tab(usize::from(index)),
            UiCommand::Quit => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
            _ => {
                let current = self.current;
                self.with_tab(ctx, current, |tab, cx| tab.on_command(command, cx));
            }
        }
    }

    /// Begins anew with an engine that has stopped by itself.
    fn start_engine(&mut self) {
        if self.engine.is_alive() {
            self.notices.say("The engine is running.");
            return;
        }
        match self.engine.restart() {
            Ok(()) => {
                self.notices.settle(UiCommand::StartEngine);
                self.notices.say("The engine has been started again.");
            }
            Err(error) => {
                let text = format!("The engine could not start: {error}. Close other programs, then try again.");
                self.notices.push_with(text, UiCommand::StartEngine);
            }
        }
    }

    fn show_tab(&mut self, index: usize) {
        if let Some(tab) = self.tabs.get(index) {
            self.current = index;
            self.settings.tab = tab.id().to_owned();
        }
    }

    fn take_drops(&mut self, ctx: &egui::Context) {
        let dropped: Vec<PathBuf> = ctx.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_path_buf()).collect());
        if !dropped.is_empty() {
            let sort = move || dropped.into_iter().map(|path| (librarian::is_model(&path), path)).collect();
            self.dropped.push(Pending::spawn(ctx, sort));
        }
        let mut sorted: Vec<(bool, PathBuf)> = Vec::new();
        self.dropped.retain_mut(|pending| pending.poll().map(|all| sorted.extend(all)).is_none());
        for (is_model, path) in sorted {
            // A model goes to the models, unless it is wanted here.
            if is_model
                && !self.tabs[self.current].takes_models()
                && let Some(models) = self.tabs.iter().position(|t| t.id() == "models")
            {
                self.show_tab(models);
            }
            let current = self.current;
            self.with_tab(ctx, current, |tab, cx| tab.on_drop(path, cx));
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.take_events(ctx);
        if self.applied.as_ref() != Some(&self.settings) {
            theme::apply(ctx, &self.settings);
            self.applied = Some(self.settings.clone());
        }
        let before = self.file.problem.clone();
        self.file.keep(&self.settings, ctx);
        if self.file.problem != before {
            self.file.problem.iter().for_each(|problem| self.notices.push(problem.clone()));
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        self.take_shortcuts(&ctx);
        self.take_drops(&ctx);
        self.grow(&ctx);
        self.shell_ui(ui);
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        for tab in &mut self.tabs {
            tab.on_exit();
        }
        self.file.finish(&self.settings);
    }
}
