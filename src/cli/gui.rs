//! `glossa gui`: the window, or a clear word where there is no display.

use super::{Common, Sensors};
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
    let fill = !args.windowed;
    let created = Box::new(move |cc: &eframe::CreationContext<'_>| {
        let mut app = App::new(&cc.egui_ctx, config)?;
        app.fill_screen(fill);
        Ok(Box::new(app) as Box<dyn eframe::App>)
    });
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eframe::run_native("Glossa", options, created)));
    match ran {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(error)) => Err(no_window(&error.to_string())),
        Err(_) => Err(no_window("the window system failed")),
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
