//! Which display a window can open on, and whether somebody manages windows there.

use crate::error::UserMessage;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};
use x11rb::rust_connection::RustConnection;

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// Whether the Wayland compositor that the environment names answers.
fn wayland_answers(name: &str) -> bool {
    let path = match set("XDG_RUNTIME_DIR") {
        Some(folder) if !name.starts_with('/') => PathBuf::from(folder).join(name),
        _ => PathBuf::from(name),
    };
    UnixStream::connect(path).is_ok()
}

/// X11's display, where WAYLAND_DISPLAY is a leftover that nobody answers to (a session that has ended, `sudo`, ssh):
/// the window library would try nothing else.
pub(super) fn better() -> Option<String> {
    let name = set("WAYLAND_DISPLAY")?;
    let display = set("DISPLAY")?;
    let is_stale = set("WAYLAND_SOCKET").is_none() && !wayland_answers(&name);
    (is_stale && x11rb::connect(Some(&display)).is_ok()).then_some(display)
}

/// Starts this program once more without the stale name: a process must not change its environment while threads may
/// read it. Comes back only if that fails.
pub(super) fn start_anew(x11: &str) -> UserMessage {
    tracing::info!(x11, "nobody answers to WAYLAND_DISPLAY; X11 is used");
    let program = std::env::current_exe().unwrap_or_else(|_| "glossa".into());
    let error =
        std::process::Command::new(program).args(std::env::args_os().skip(1)).env_remove("WAYLAND_DISPLAY").exec();
    UserMessage::new(
        "The window could not open",
        format!("nobody answers to WAYLAND_DISPLAY ({error})"),
        "Unset WAYLAND_DISPLAY and start again.",
    )
}

/// Whether somebody arranges windows: always on Wayland; on X11 whoever has left their window's number on the root
/// (Extended Window Manager Hints, `_NET_SUPPORTING_WM_CHECK`). Where it cannot be known, yes.
pub(super) fn is_managed() -> bool {
    set("WAYLAND_DISPLAY").is_some() || x11_manager().unwrap_or(true)
}

fn x11_manager() -> Option<bool> {
    let (connection, screen) = x11rb::connect(None).ok()?;
    let root = connection.setup().roots.get(screen)?.root;
    let atom = connection.intern_atom(false, b"_NET_SUPPORTING_WM_CHECK").ok()?.reply().ok()?.atom;
    // A manager that has ended leaves its number behind, but not its window.
    let Some(window) = window_of(&connection, root, atom) else { return Some(false) };
    Some(window_of(&connection, window, atom) == Some(window))
}

fn window_of(connection: &RustConnection, of: u32, atom: u32) -> Option<u32> {
    let reply = connection.get_property(false, of, atom, AtomEnum::WINDOW, 0, 1).ok()?.reply().ok()?;
    reply.value32()?.next()
}
