//! Work for a thread of its own: the window never waits for a file.

use crossbeam_channel::Receiver;

/// A result that is being made.
pub struct Pending<T>(Receiver<T>);

impl<T: Send + 'static> Pending<T> {
    /// Runs `work` on a new thread and wakes the window when it is done.
    pub fn spawn(ctx: &egui::Context, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let ctx = ctx.clone();
        let thread = std::thread::Builder::new().name("glossa-file".into()).spawn(move || {
            let _ = sender.send(work());
            ctx.request_repaint();
        });
        if let Err(error) = thread {
            tracing::error!(%error, "no thread for a file");
        }
        Self(receiver)
    }

    /// The result, once.
    pub fn poll(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }

    /// Waits for the result.
    pub fn wait(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}
