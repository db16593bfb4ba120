//! Conversations on disk: one file each, read and written on a thread of its own, in order; while no other program
//! writes there, and without losing what another window has said.

use super::conversation::{Answer, Conversation, Turn};
use super::merge;
use crate::disk::{Found, Lock, read_json, set_aside, write_whole};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

/// Largest file that is read.
const MAX_BYTES: u64 = 64 << 20;
/// What could not be written is tried again so often.
const AGAIN: Duration = Duration::from_secs(5);
/// Others write a small file: longer than this none takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// At the end of the program nobody wants to wait.
const LAST: Duration = Duration::from_millis(500);

/// What the thread is told.
enum Job {
    Write(Box<Conversation>),
    /// The answer that is coming to a turn, as far as it is.
    Partial {
        id: String,
        turn: usize,
        answer: Box<Answer>,
    },
    Remove(String),
}

/// What the thread says.
pub enum News {
    /// Everything that was found, newest first, and what was wrong with the rest.
    Found(Vec<Conversation>, Vec<String>),
    /// Another window has said more in this conversation.
    More(String, Vec<Turn>),
    /// Another window has deleted this conversation.
    Gone(String),
    /// A problem, in words.
    Problem(String),
    /// Good news.
    Good(String),
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
            let known = found.iter().map(|c| (c.id.clone(), c.clone())).collect();
            // A window that does not listen holds nobody up.
            let tell = move |news| {
                let _ = say.try_send(news);
                ctx.request_repaint();
            };
            tell(News::Found(found, problems));
            Desk { folder, known, patience: PATIENCE, ..Desk::default() }.run(&inbox, &tell);
        };
        let thread = std::thread::Builder::new().name("glossa-chats".into()).spawn(work).ok()?;
        Some(Self { jobs: Some(jobs), news, thread: Some(thread) })
    }

    /// Writes `conversation`, unless it is private or empty.
    pub fn write(&self, conversation: &Conversation) {
        if !conversation.private && !conversation.turns.is_empty() {
            self.tell(Job::Write(Box::new(merge::to_write(conversation))));
        }
    }

    /// Writes how far the answer to a turn has come, of a conversation that was written before.
    pub fn write_partial(&self, id: &str, turn: usize, answer: Answer) {
        self.tell(Job::Partial { id: id.to_owned(), turn, answer: Box::new(answer) });
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

/// What the thread remembers, by conversation.
#[derive(Default)]
struct Desk {
    folder: PathBuf,
    /// As the file was when we last read or wrote it.
    known: HashMap<String, Conversation>,
    /// As our window last had it, without answers on their way.
    base: HashMap<String, Conversation>,
    /// Turns of other windows that ours does not have yet.
    foreign: HashMap<String, Vec<Turn>>,
    /// What could not be written.
    unsaved: BTreeMap<String, Conversation>,
    /// What our window has deleted: what comes late of it is not written.
    deleted: HashSet<String>,
    /// How long the others' writing is waited for.
    patience: Duration,
}

impl Desk {
    fn run(&mut self, inbox: &Receiver<Job>, tell: &dyn Fn(News)) {
        loop {
            let job = if self.unsaved.is_empty() {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                inbox.recv_timeout(AGAIN)
            };
            match job {
                Ok(job) => self.take(job, tell),
                Err(RecvTimeoutError::Timeout) => self.try_again(tell),
                Err(RecvTimeoutError::Disconnected) => {
                    self.patience = LAST;
                    self.try_again(tell);
                    return;
                }
            }
        }
    }

    fn take(&mut self, job: Job, tell: &dyn Fn(News)) {
        match job {
            // An undone deletion is written anew; what comes late of a deleted one is an answer on its way.
            Job::Write(conversation) => {
                self.deleted.remove(&conversation.id);
                self.base.insert(conversation.id.clone(), (*conversation).clone());
                self.write(*conversation, tell);
            }
            Job::Partial { id, turn, answer } => {
                let base = self.base.get(&id).filter(|_| !self.deleted.contains(&id));
                let Some(mut conversation) = base.cloned() else { return };
                if let Some(turn) = conversation.turns.get_mut(turn) {
                    turn.answers.push(*answer);
                    turn.shown = turn.answers.len() - 1;
                    self.write(conversation, tell);
                }
            }
            Job::Remove(id) => {
                self.unsaved.remove(&id);
                self.foreign.remove(&id);
                self.known.remove(&id);
                self.base.remove(&id);
                self.deleted.insert(id.clone());
                let _lock = Lock::take_within(&self.folder.join("conversations"), self.patience);
                if let Err(problem) = remove(&self.folder, &id) {
                    tell(News::Problem(problem));
                }
            }
        }
    }

    fn write(&mut self, conversation: Conversation, tell: &dyn Fn(News)) {
        let id = conversation.id.clone();
        match self.merge_and_write(&conversation) {
            Ok(None) => {
                self.unsaved.remove(&id);
                self.known.remove(&id);
                self.base.remove(&id);
                tell(News::Gone(id));
            }
            Ok(Some(more)) => {
                let was_unsaved = self.unsaved.remove(&id).is_some();
                if was_unsaved && self.unsaved.is_empty() {
                    tell(News::Good("Conversations are written to the disk again.".into()));
                }
                if !more.is_empty() {
                    tell(News::More(id, more));
                }
            }
            Err(problem) => {
                if self.unsaved.insert(id, conversation).is_none() {
                    tell(News::Problem(problem));
                }
            }
        }
    }

    /// What did not reach the disk: it may have room by now.
    fn try_again(&mut self, tell: &dyn Fn(News)) {
        for conversation in self.unsaved.values().cloned().collect::<Vec<_>>() {
            let id = conversation.id.clone();
            self.write(conversation, tell);
            // What holds for one holds for all.
            if self.unsaved.contains_key(&id) {
                return;
            }
        }
    }

    /// Writes it with what others have added meanwhile; returns that, or `None` if they have deleted it.
    fn merge_and_write(&mut self, ours: &Conversation) -> Result<Option<Vec<Turn>>, String> {
        let path = file_of(&self.folder, &ours.id);
        let failed = |e: std::io::Error| {
            format!(
                "The conversation stays here until you close Glossa, and is tried again: '{}' cannot be written ({e}). Free some space, or export it to another place.",
                path.display()
            )
        };
        let _lock = Lock::take_within(&self.folder.join("conversations"), self.patience).map_err(failed)?;
        let mut whole = ours.clone();
        match read_json::<Conversation>(&path) {
            Found::Read(theirs) => {
                let before = self.known.get(&ours.id);
                if before.is_none_or(|b| *b != theirs) {
                    let new = merge::foreign(&theirs, before, ours);
                    // A name or a system prompt that only they have changed is the newer one.
                    let changed = |of: fn(&Conversation) -> &String| {
                        before.is_some_and(|b| of(b) == of(ours)).then(|| of(&theirs).clone())
                    };
                    whole.title = changed(|c| &c.title).unwrap_or(whole.title);
                    whole.system = changed(|c| &c.system).unwrap_or(whole.system);
                    self.foreign.entry(ours.id.clone()).or_default().extend(new);
                }
            }
            // It was there, and another window deleted it: it stays deleted.
            Found::Nothing if self.known.contains_key(&ours.id) => return Ok(None),
            Found::Nothing => {}
            Found::Damaged(_) => drop(set_aside(&path).map_err(failed)?),
            Found::Unreadable(e) => return Err(failed(e)),
        }
        let foreign = self.foreign.entry(ours.id.clone()).or_default();
        foreign.retain(|turn| !merge::has(ours, turn));
        merge::add(&mut whole, foreign);
        let more = foreign.clone();
        let json = serde_json::to_vec_pretty(&whole).map_err(|e| failed(e.into()))?;
        write_whole(&path, &json).map_err(failed)?;
        self.known.insert(ours.id.clone(), whole);
        Ok(Some(more))
    }
}

fn file_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.json"))
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
    let listed = match std::fs::read_dir(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            problems.push(format!("Conversations cannot be read: '{}': {e}.", folder.display()));
            return (found, problems);
        }
        listed => listed.into_iter().flatten().flatten().map(|e| e.path()),
    };
    for path in listed {
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
    let Some(name) = path.file_stem().and_then(|s| s.to_str()) else { return Err("has a name that is no text".into()) };
    let bytes = std::fs::read(path).map_err(|e| format!("cannot be read ({e})"))?;
    let mut conversation: Conversation = serde_json::from_slice(&bytes).map_err(|e| format!("is damaged ({e})"))?;
    // The file's name counts: a copied file is another conversation.
    conversation.id = name.to_owned();
    Ok(conversation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Conversation {
        let mut c = Conversation::new("", false);
        c.turns.push(Turn { question: text.into(), ..Turn::default() });
        c
    }

    fn found(keeper: &Keeper) -> (Vec<Conversation>, Vec<String>) {
        match keeper.news.recv() {
            Ok(News::Found(all, problems)) => (all, problems),
            _ => panic!("the folder is read first"),
        }
    }

    fn names(keeper: &Keeper) -> Vec<String> {
        found(keeper).0.iter().map(Conversation::name).collect()
    }

    #[test]
    fn what_is_written_is_found_again_and_private_talk_is_not() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("conversations");
        let ctx = egui::Context::default();
        let keeper = Keeper::start(path.clone(), &ctx).expect("thread");
        assert!(names(&keeper).is_empty());
        let (kept, gone) = (said("kept"), said("gone"));
        let secret = Conversation { private: true, ..said("secret") };
        for c in [&kept, &gone, &secret] {
            keeper.write(c);
        }
        keeper.remove(&gone.id);
        drop(keeper);
        std::fs::write(path.join("bad.json"), "{").expect("file");
        let keeper = Keeper::start(path, &ctx).expect("thread");
        let (all, problems) = found(&keeper);
        assert_eq!(all.iter().map(Conversation::name).collect::<Vec<_>>(), ["kept"]);
        assert!(problems[0].contains("bad.json") && problems[0].contains("damaged"), "{problems:?}");
    }

    #[test]
    fn a_full_disk_is_named_and_tried_again_when_it_has_room() {
        let folder = tempfile::tempdir().expect("folder");
        let blocker = folder.path().join("file");
        std::fs::write(&blocker, "").expect("file");
        let path = blocker.join("conversations");
        let keeper = Keeper::start(path.clone(), &egui::Context::default()).expect("thread");
        found(&keeper);
        let talk = said("hello");
        keeper.write(&talk);
        assert!(matches!(keeper.news.recv(), Ok(News::Problem(why)) if why.contains("cannot be written")));
        std::fs::remove_file(&blocker).expect("room");
        keeper.write(&said("another"));
        drop(keeper);
        let keeper = Keeper::start(path, &egui::Context::default()).expect("thread");
        let mut all = names(&keeper);
        all.sort();
        assert_eq!(all, ["another", "hello"]);
    }

    #[test]
    fn two_windows_lose_none_of_each_others_turns() {
        let folder = tempfile::tempdir().expect("folder");
        let ctx = egui::Context::default();
        let first = Keeper::start(folder.path().into(), &ctx).expect("thread");
        found(&first);
        let mut ours = said("common");
        first.write(&ours);
        drop(first);
        let (one, two) = (Keeper::start(folder.path().into(), &ctx), Keeper::start(folder.path().into(), &ctx));
        let (one, two) = (one.expect("thread"), two.expect("thread"));
        found(&one);
        let mut theirs = found(&two).0.remove(0);
        ours.turns.push(Turn { question: "ours".into(), ..Turn::default() });
        theirs.turns.push(Turn { question: "theirs".into(), ..Turn::default() });
        one.write(&ours);
        drop(one);
        two.write(&theirs);
        match two.news.recv() {
            Ok(News::More(id, turns)) => {
                assert_eq!(id, theirs.id);
                assert!(merge::add(&mut theirs, &turns));
            }
            _ => panic!("the other window's turn is told"),
        }
        // Even a window that has not taken it in yet does not lose it.
        two.write(&theirs);
        drop(two);
        let keeper = Keeper::start(folder.path().into(), &ctx).expect("thread");
        let all = found(&keeper).0;
        let said: Vec<&str> = all[0].turns.iter().map(|t| t.question.as_str()).collect();
        assert_eq!(said, ["common", "theirs", "ours"]);
    }
}
