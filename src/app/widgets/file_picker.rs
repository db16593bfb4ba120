//! Chooses a file to read or to write, without any program of the desktop's: a kiosk has none.

use crate::app::jobs::Pending;
use crate::app::theme::{Palette, dialog, size, strong};
use crate::app::widgets::{note, primary, secondary};
use egui::{Id, Modal, ScrollArea, TextEdit, Ui};
use std::path::{Path, PathBuf};

/// What the file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Open,
    Save,
}

/// Entries of a folder: folders first, then files.
type Listing = Result<(Vec<String>, Vec<String>), String>;

/// An open picker.
pub struct FilePicker {
    purpose: Purpose,
    /// The text field: a folder's or a file's path.
    path: String,
    folder: PathBuf,
    listing: Option<Listing>,
    reading: Option<Pending<Listing>>,
    /// A path that was confirmed, and what is there.
    looking: Option<(PathBuf, Pending<There>)>,
    /// A file that is there already: it is replaced when that is confirmed once more.
    replacing: Option<PathBuf>,
}

/// What stands where a path points.
#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    File,
    Folder,
}

impl There {
    /// Asks the file system.
    fn at(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Self::Folder,
            Ok(meta) if meta.is_file() => Self::File,
            // Devices and pipes are written to, not replaced.
            _ => Self::Nothing,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picked {
    File(PathBuf),
    Closed,
}

impl FilePicker {
    /// Starts in `folder`, with `name` proposed.
    pub fn new(purpose: Purpose, folder: PathBuf, name: &str) -> Self {
        let path = folder.join(name).display().to_string();
        Self { purpose, path, folder, listing: None, reading: None, looking: None, replacing: None }
    }

    /// The user's home, or the current folder.
    pub fn home() -> PathBuf {
        // Looked up once: it reads a file.
        static HOME: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
        let find = || directories::BaseDirs::new().map_or_else(|| PathBuf::from("."), |d| d.home_dir().to_owned());
        HOME.get_or_init(find).clone()
    }

    /// Whether it was opened for this purpose.
    pub fn is_for(&self, purpose: Purpose) -> bool {
        self.purpose == purpose
    }

    fn enter(&mut self, folder: PathBuf) {
        let name = match self.purpose {
            Purpose::Save => {
                Path::new(&self.path).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Purpose::Open => String::new(),
        };
        self.path = folder.join(name).display().to_string();
        self.folder = folder;
        self.listing = None;
        self.reading = None;
    }

    /// Draws it; `Some` when it is over.
    pub fn show(&mut self, ui: &Ui, p: &Palette) -> Option<Picked> {
        if self.listing.is_none() {
            let folder = self.folder.clone();
            let reading = self.reading.get_or_insert_with(|| Pending::spawn(ui.ctx(), move || list(&folder)));
            if let Some(listing) = reading.poll() {
                self.listing = Some(listing);
                self.reading = None;
            }
        }
        let mut picked = None;
        let modal = Modal::new(Id::unique("file picker")).frame(dialog(p)).show(ui.ctx(), |ui| {
            ui.set_width(520.0_f32.min(ui.ctx().content_rect().width() - 64.0));
            let title = if self.purpose == Purpose::Open { "Open a file" } else { "Save as" };
            ui.label(strong(title, size::INPUT));
            ui.add(TextEdit::singleline(&mut self.path).align(egui::Align2::LEFT_CENTER).desired_width(f32::INFINITY))
                .accessible_name("File path");
            self.entries(ui, p);
            if self.replacing.is_some() {
                note(ui, p, "There is a file of that name already.");
            }
            ui.horizontal(|ui| {
                // Another path is another question.
                self.replacing.take_if(|path| *path != Path::new(self.path.trim()));
                let verb = match self.purpose {
                    Purpose::Open => "Open",
                    Purpose::Save if self.replacing.is_some() => "Replace it",
                    Purpose::Save => "Save",
                };
                if primary(ui, p, verb, "").clicked() {
                    let path = PathBuf::from(self.path.trim());
                    let there = path.clone();
                    // A folder of a network may take its time.
                    self.looking = Some((path, Pending::spawn(ui.ctx(), move || There::at(&there))));
                }
                if secondary(ui, p, "Cancel", "Esc").clicked() {
                    picked = Some(Picked::Closed);
                }
            });
        });
        if let Some((path, pending)) = &mut self.looking
            && let Some(there) = pending.poll()
        {
            let path = std::mem::take(path);
            self.looking = None;
            let is_new = self.purpose == Purpose::Save && self.replacing.is_none();
            match there {
                There::Folder => self.enter(path),
                There::File if is_new => self.replacing = Some(path),
                There::File | There::Nothing => picked = Some(Picked::File(path)),
            }
        }
        if modal.should_close() && picked.is_none() {
            picked = Some(Picked::Closed);
        }
        picked
    }

    fn entries(&mut self, ui: &mut Ui, p: &Palette) {
        let mut go = None;
        ScrollArea::vertical().max_height(260.0).min_scrolled_height(260.0).auto_shrink(false).show(ui, |ui| {
            if let Some(up) = self.folder.parent()
                && ui.button("↑ folder above").clicked()
            {
                go = Some(up.to_owned());
            }
            match &self.listing {
                None => {
                    note(ui, p, "reading…");
                }
                Some(Err(why)) => {
                    ui.label(egui::RichText::new(why).color(p.negative));
                }
                Some(Ok((folders, files))) => {
                    for name in folders {
                        if ui.button(format!("{name}/")).clicked() {
                            go = Some(self.folder.join(name));
                        }
                    }
                    for name in files {
                        if ui.add(egui::Button::new(name).frame(false)).clicked() {
                            self.path = self.folder.join(name).display().to_string();
                        }
                    }
                }
            }
        });
        if let Some(folder) = go {
            self.enter(folder);
        }
    }
}

fn list(folder: &Path) -> Listing {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("'{}' cannot be read: {e}", folder.display()))?;
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() { folders.push(name) } else { files.push(name) }
    }
    folders.sort_by_key(|n| n.to_lowercase());
    files.sort_by_key(|n| n.to_lowercase());
    Ok((folders, files))
}
