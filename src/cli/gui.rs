//! `glossa gui`: the window, or a clear word where there is no display.

use super::{Common, Sensors, display};
use crate::app::settings::SettingsFile;
use crate::app::{App, AppConfig};
use crate::error::UserMessage;
use clap::Args;
use std::process::ExitCode;

#[derive(Args, Default)]
pub(super) struct GuiArgs {
    /// An ordinary window instead of one that fills the screen
    #[arg(long, conflicts_with = "fullscreen")]
    windowed: bool,
    /// Full-screen, without the desktop's bars
    #[arg(long)]
    fullscreen: bool,
    #[command(flatten)]
    sensors: Sensors,
}

pub(super) fn run(args: &GuiArgs, common: &Common) -> Result<ExitCode, UserMessage> {
    if let Some(display) = display::better() {
        return Err(display::start_anew(&display));
    }
    let engine = common.engine_config()?;
    let probe = args.sensors.probe()?;
    let config = AppConfig {
        engine,
        settings: SettingsFile::default_path(),
        data: directories::ProjectDirs::from("", "", "glossa").map(|d| d.data_dir().to_owned()),
        sysroot: probe.root,
        nvml: probe.nvml,
    };
    let viewport = egui::ViewportBuilder::default()
        .with_title("Glossa")
        .with_app_id("glossa")
        .with_inner_size([1280.0, 800.0])
        .with_min_inner_size([640.0, 400.0])
        .with_maximized(!args.windowed)
        .with_fullscreen(args.fullscreen);
    let options = eframe::NativeOptions { viewport, renderer: eframe::Renderer::Glow, ..Default::default() };
    // A screen that is filled anyway, or a window that shall not, needs no help.
    let fill = (!args.windowed && !args.fullscreen).then(display::is_managed);
    let created = Box::new(move |cc: &eframe::CreationContext<'_>| {
        let mut app = App::new(&cc.egui_ctx, config)?;
        if let Some(is_managed) = fill {
            app.fill_screen(is_managed);
        }
        Ok(Box::new(app) as Box<dyn eframe::App>)
    });
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eframe::run_native("Glossa", options, created)));
    match ran {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(error)) => Err(no_window(&reason(&error))),
        Err(_) => Err(no_window("the window system failed")),
    }
}

/// Why there is no window, in a sentence: what the libraries say is a page of their own names.
fn reason(error: &eframe::Error) -> String {
    use eframe::Error;
    match error {
        Error::Glutin(_) | Error::NoGlutinConfigs(..) | Error::OpenGL(_) => {
            "it has no OpenGL 2 or newer: install the graphics driver (Debian: libgl1-mesa-dri), or start with LIBGL_ALWAYS_SOFTWARE=1".into()
        }
        other => {
            let words = other.to_string();
            let first = words.lines().next().unwrap_or("").trim_end_matches(['{', '(', ' ']);
            // Before it stands where in the libraries' sources that was noticed.
            let said = first.rsplit(".rs:").next().unwrap_or(first);
            said.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':' || c == ' ').chars().take(200).collect()
        }
    }
}

fn no_window(why: &str) -> UserMessage {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let display = set("DISPLAY") || set("WAYLAND_DISPLAY") || set("WAYLAND_SOCKET");
    let why = if display {
        format!("the display could not be used ({why})")
    } else {
        "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set".into()
    };
    UserMessage::new(
        "The window could not open",
        why,
        "Start Glossa on a desktop, or use it without a window: glossa run sentiment \"A fine film.\" ('glossa --help' lists all commands, 'glossa doctor' says what is missing).",
    )
}
