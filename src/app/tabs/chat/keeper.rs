//! Conversations on disk: one file each, read and written on a thread of its own, in order.

use super::conversation::Conversation;
use crate::disk::write_whole;
use crossbeam_channel::{Receiver, Sender};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// Largest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// What the thread is told.
enum Job {
    Write(Box<Conversation>),
    Remove(String),
}

/// What the thread says.
pub enum News {
    /// Everything that was found, newest first.
    Found(Vec<Conversation>),
    /// A problem, in words.
    Problem(String),
}

/// The thread's handle. Dropping it waits until everything is written.
pub struct Keeper {
    jobs: Option<Sender<Job>>,
    news: Receiver<News>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Reads what is in `folder`, then keeps it up to date.
    pub fn start(folder: PathBuf, ctx: &egui::Context) -> Option<Self> {
        let (jobs, inbox) = crossbeam_channel::bounded::<Job>(1024);
        let (say, news) = crossbeam_channel::bounded(1024);
        let ctx = ctx.clone();
        let work = move || {
            let (found, problems) = read_all(&folder);
            let _ = say.send(News::Found(found));
            for problem in problems {
                let _ = say.send(News::Problem(problem));
            }
            ctx.request_repaint();
            while let Ok(job) = inbox.recv() {
                let result = match job {
                    Job::Write(conversation) => write(&folder, &conversation),
                    Job::Remove(id) => remove(&folder, &id),
                };
                if let Err(problem) = result {
                    let _ = say.try_send(News::Problem(problem));
                    ctx.request_repaint();
                }
            }
        };
        let thread = std::thread::Builder::new().name("glossa-chats".into()).spawn(work).ok()?;
        Some(Self { jobs: Some(jobs), news, thread: Some(thread) })
    }

    /// Writes `conversation`, unless it is private or empty.
    pub fn write(&self, conversation: &Conversation) {
        if !conversation.private && !conversation.turns.is_empty() {
            self.tell(Job::Write(Box::new(conversation.clone())));
        }
    }

    /// Removes a conversation's file.
    pub fn remove(&self, id: &str) {
        self.tell(Job::Remove(id.to_owned()));
    }

    fn tell(&self, job: Job) {
        // A thousand jobs wait only where the disk has stopped: then it is better to wait with it
        // than to lose what was said.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }

    /// What has come since the last call.
    pub fn news(&self) -> Vec<News> {
        self.news.try_iter().collect()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn file_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.json"))
}

fn write(folder: &Path, conversation: &Conversation) -> Result<(), String> {
    let path = file_of(folder, &conversation.id);
    let written =
        serde_json::to_vec_pretty(conversation).map_err(Into::into).and_then(|json| write_whole(&path, &json));
    written.map_err(|e: std::io::Error| {
        format!(
            "The conversation stays here until you close Glossa: '{}' cannot be written ({e}). Free some space, or export it to another place.",
            path.display()
        )
    })
}

fn remove(folder: &Path, id: &str) -> Result<(), String> {
    let path = file_of(folder, id);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("'{}' cannot be removed: {e}", path.display()))
        }
        _ => Ok(()),
    }
}

/// All conversations of a folder, newest first, and what was wrong with others.
fn read_all(folder: &Path) -> (Vec<Conversation>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        match read(&path) {
            Ok(conversation) => found.push(conversation),
            Err(why) => problems
                .push(format!("A conversation was left out: '{}' {why}. The file is untouched.", path.display())),
        }
    }
    found.sort_by_key(|c| std::cmp::Reverse(c.changed));
    (found, problems)
}

fn read(path: &Path) -> Result<Conversation, String> {
    let size = std::fs::metadata(path).map_err(|e| format!("cannot be read ({e})"))?.len();
    if size > MAX_BYTES {
        return Err(format!("is too large ({size} bytes)"));
    }
    let bytes = std::fs::read(path).map_err(|e| format!("cannot be read ({e})"))?;
    let mut conversation: Conversation = serde_json::from_slice(&bytes).map_err(|e| format!("is damaged ({e})"))?;
    // The file's name counts: a copied file is another conversation.
    conversation.id = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(conversation)
}

#[cfg(test)]
mod tests {
    use super::super::conversation::Turn;
    use super::*;

    fn said(text: &str) -> Conversation {
        let mut c = Conversation::new("", false);
        c.turns.push(Turn { question: text.into(), ..Turn::default() });
        c
    }

    fn found(keeper: &Keeper) -> Vec<Conversation> {
        match keeper.news.recv() {
            Ok(News::Found(all)) => all,
            _ => panic!("the folder is read first"),
        }
    }

    #[test]
    fn what_is_written_is_found_again_and_private_talk_is_not() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("conversations");
        let ctx = egui::Context::default();
        let keeper = Keeper::start(path.clone(), &ctx).expect("thread");
        assert!(found(&keeper).is_empty());
        let (kept, gone) = (said("kept"), said("gone"));
        let secret = Conversation { private: true, ..said("secret") };
        for c in [&kept, &gone, &secret] {
            keeper.write(c);
        }
        keeper.remove(&gone.id);
        drop(keeper);
        std::fs::write(path.join("bad.json"), "{").expect("file");
        let keeper = Keeper::start(path, &ctx).expect("thread");
        let all = found(&keeper);
        assert_eq!(all.iter().map(|c| c.name()).collect::<Vec<_>>(), ["kept"]);
        assert!(
            matches!(keeper.news.recv(), Ok(News::Problem(why)) if why.contains("bad.json") && why.contains("damaged"))
        );
    }

    #[test]
    fn a_disk_that_takes_nothing_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let blocker = folder.path().join("file");
        std::fs::write(&blocker, "").expect("file");
        let keeper = Keeper::start(blocker.join("conversations"), &egui::Context::default()).expect("thread");
        assert!(found(&keeper).is_empty());
        keeper.write(&said("hello"));
        assert!(matches!(keeper.news.recv(), Ok(News::Problem(why)) if why.contains("cannot be written")));
    }
}
