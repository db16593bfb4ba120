//! Files as memory.
//!
//! A file that is cut or vanishes while it is mapped (fetched again, a stick pulled out) ends a program by SIGBUS. Here
//! the signal puts zeros in place of what is missing and notes it: [`Content::is_whole`] is asked after everything that
//! was computed from a file, and the window lives on.
#![expect(unsafe_code, reason = "mapping a file, and the signal that says that a part of it is gone")]

use super::ModelError;
use crate::nn::source::{Bytes, Content};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Mappings at a time. Where there are more, files are read instead.
const MOST: usize = 1_024;

/// A mapping that the signal's handler knows. A handler may use nothing but atomics.
struct Slot {
    /// Address; 0: free, 1: being filled in.
    start: AtomicUsize,
    len: AtomicUsize,
    is_cut: AtomicBool,
}

static SLOTS: [Slot; MOST] =
    [const { Slot { start: AtomicUsize::new(0), len: AtomicUsize::new(0), is_cut: AtomicBool::new(false) } }; MOST];
static PAGE: AtomicUsize = AtomicUsize::new(4096);
static HANDLER: Once = Once::new();
/// What SIGBUS did before.
static mut BEFORE: std::mem::MaybeUninit<libc::sigaction> = std::mem::MaybeUninit::uninit();

struct Mapped {
    map: memmap2::Mmap,
    slot: &'static Slot,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Content for Mapped {
    fn is_whole(&self) -> bool {
        !self.slot.is_cut.load(Ordering::Acquire)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Before the mapping goes: its addresses may be another's afterwards.
        self.slot.start.store(0, Ordering::Release);
    }
}

impl Slot {
    /// A free one, for `len` bytes at `start`.
    fn take(start: usize, len: usize) -> Option<&'static Self> {
        let free = |s: &&Self| s.start.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let slot = SLOTS.iter().find(free)?;
        slot.len.store(len, Ordering::Release);
        slot.is_cut.store(false, Ordering::Release);
        slot.start.store(start, Ordering::Release);
        Some(slot)
    }
}

/// Puts zeros where a mapped file has nothing any more; anybody else's fault goes its old way.
extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system gives a valid `siginfo_t`; `mmap` and `sigaction` may be called in a handler.
    unsafe {
        let at = (*info).si_addr() as usize;
        for slot in &SLOTS {
            let (start, len) = (slot.start.load(Ordering::Acquire), slot.len.load(Ordering::Acquire));
            if start <= 1 || at < start || at >= start + len {
                continue;
            }
            slot.is_cut.store(true, Ordering::Release);
            // Whatever lies behind it is gone too.
            let page = at & !(PAGE.load(Ordering::Relaxed) - 1);
            let (flags, rights) = (libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ);
            if libc::mmap(page as *mut _, start + len - page, rights, flags, -1, 0) != libc::MAP_FAILED {
                return;
            }
        }
        // The instruction is tried again, and meets what was there before us.
        libc::sigaction(libc::SIGBUS, (&raw const BEFORE).cast(), std::ptr::null_mut());
    }
}

fn watch_signal() {
    HANDLER.call_once(|| {
        // SAFETY: a handler that uses atomics and two system calls; `BEFORE` is written before it can be read.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE);
            PAGE.store(usize::try_from(page).unwrap_or(4096), Ordering::Relaxed);
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_bus_error as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const action, (&raw mut BEFORE).cast());
        }
    });
}

/// Maps a file into memory.
pub(super) fn map(path: &Path) -> Result<Bytes, ModelError> {
    let fail = |e| ModelError::read(path, e);
    let file = File::open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(ModelError::damaged(path, "it is no file"));
    }
    watch_signal();
    // SAFETY: the map is read-only and lives as long as any tensor that points into it. Another program may change the
    // file: numbers are then other numbers, sizes were copied out of it before they were checked, and what is cut off
    // reads as zeros (see above).
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(fail)?;
    match Slot::take(map.as_ptr() as usize, map.len()) {
        Some(slot) => Ok(Arc::new(Mapped { map, slot })),
        None => Ok(Arc::new(std::fs::read(path).map_err(fail)?)),
    }
}

/// An error if a part of the file was gone when it was read.
pub(super) fn check_whole(path: &Path, data: &Bytes) -> Result<(), ModelError> {
    if data.is_whole() { Ok(()) } else { Err(ModelError::Cut(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_reads_as_zeros_and_says_so() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("weights");
        std::fs::write(&path, vec![7u8; 3 << 20]).expect("file");
        let (cut, whole) = (map(&path).expect("map"), {
            let other = folder.path().join("other");
            std::fs::write(&other, vec![5u8; 1 << 20]).expect("file");
            map(&other).expect("map")
        });
        let sum = |data: &Bytes| (**data).as_ref().iter().map(|b| u64::from(*b)).sum::<u64>();
        assert_eq!(sum(&cut), 7 * (3 << 20));
        File::options().write(true).open(&path).expect("file").set_len(1 << 20).expect("cut");
        assert_eq!(sum(&cut), 7 << 20);
        assert!(!cut.is_whole() && check_whole(&path, &cut).is_err());
        assert_eq!(sum(&whole), 5 << 20);
        assert!(whole.is_whole());
    }
}
