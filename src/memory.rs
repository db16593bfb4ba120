//! How much memory this process may have: the smallest of what the machine, a container and the shell allow.
//!
//! Sources: proc_meminfo(5); the kernel's admin-guide/cgroup-v2.rst (`memory.max`, `memory.current`, `memory.stat`) and
//! cgroup-v1/memory.rst; getrlimit(2).

use rustix::process::Resource;
use std::path::{Path, PathBuf};

/// Limits from here on are none: version 1 writes a huge number for "unlimited".
const UNLIMITED: u64 = 1 << 60;

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What can still be had: the page cache is given back.
    pub available: u64,
}

/// One of the nested groups that this process is in, and where its numbers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub limit: PathBuf,
    pub usage: PathBuf,
    pub stat: PathBuf,
    /// The line of `stat` with the page cache that is given back first.
    pub cache: &'static str,
}

/// Where a limit comes from, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Machine,
    Container,
    /// `ulimit -v` or `ulimit -d`.
    Shell,
}

/// Bytes of a line such as `MemTotal:  7802340 kB`.
pub fn meminfo_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.starts_with(name))?;
    line[name.len()..].split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// All memory, and what of it can be had: never more than there is. Kernels before 3.14 do not say the latter.
pub fn of_meminfo(text: &str) -> Option<Memory> {
    let total = meminfo_field(text, "MemTotal:").filter(|t| *t > 0)?;
    let field = |name: &str| meminfo_field(text, name).unwrap_or(0);
    let estimate = || field("MemFree:").saturating_add(field("Buffers:")).saturating_add(field("Cached:"));
    let available = meminfo_field(text, "MemAvailable:").unwrap_or_else(estimate);
    Some(Memory { total, available: available.min(total) })
}

/// A limit's number; `None` for none.
pub fn limit_of(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|n| *n < UNLIMITED)
}

/// The number of a line `NAME NUMBER`.
pub fn stat_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The groups that bound this process below `root`, innermost first; without those that say nothing.
pub fn groups(root: &Path) -> Vec<Group> {
    let own = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut all = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if controllers.is_empty() {
            let names = ["memory.max", "memory.current", "inactive_file"];
            nested(&root.join("sys/fs/cgroup"), path, names, &mut all);
            // Both versions at once: version 2 lies beside the others.
            nested(&root.join("sys/fs/cgroup/unified"), path, names, &mut all);
        } else if controllers.split(',').any(|c| c == "memory") {
            let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
            nested(&root.join("sys/fs/cgroup/memory"), path, names, &mut all);
        }
    }
    all
}

fn nested(mount: &Path, path: &str, [limit, usage, cache]: [&'static str; 3], all: &mut Vec<Group>) {
    // Seen from beside its namespace's root a path begins with `..`: what can be seen of it is the mount.
    let parts = path.split('/').filter(|p| !p.is_empty() && *p != "..");
    let mut folder = parts.fold(mount.to_owned(), |at, part| at.join(part));
    // Seen from inside a container the path may be the host's: then the mount itself is ours.
    while folder.starts_with(mount) {
        if folder.join(limit).is_file() && folder.join(usage).is_file() {
            let (limit, usage) = (folder.join(limit), folder.join(usage));
            let group = Group { limit, usage, stat: folder.join("memory.stat"), cache };
            if !all.contains(&group) {
                all.push(group);
            }
        }
        if !folder.pop() {
            break;
        }
    }
}

impl Group {
    /// Its limit, and what is left below it.
    pub fn read(&self) -> Option<Memory> {
        let text = |path: &Path| std::fs::read_to_string(path).ok();
        let total = limit_of(&text(&self.limit)?)?;
        let usage: u64 = text(&self.usage)?.trim().parse().ok()?;
        let cache = text(&self.stat).and_then(|t| stat_of(&t, self.cache)).unwrap_or(0);
        Some(Memory { total, available: left(total, usage, cache) })
    }
}

/// What is left of a limit: the page cache goes before anybody is refused.
pub fn left(limit: u64, usage: u64, cache: u64) -> u64 {
    limit.saturating_sub(usage.saturating_sub(cache))
}

/// The address space that the shell allows this process (`ulimit -v`), if it bounds it.
pub fn address_limit() -> Option<u64> {
    limit_on(Resource::As)
}

fn limit_on(resource: Resource) -> Option<u64> {
    rustix::process::getrlimit(resource).current.filter(|n| *n < UNLIMITED)
}

/// What the shell allows this process (`ulimit -v`, `-d`).
fn of_shell() -> Option<Memory> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bound = |resource: Resource, used: &str| {
        let total = limit_on(resource)?;
        let used = meminfo_field(&status, used).unwrap_or(0);
        Some(Memory { total, available: total.saturating_sub(used) })
    };
    let all = [bound(Resource::As, "VmSize:"), bound(Resource::Data, "VmData:")];
    all.into_iter().flatten().min_by_key(|m| m.available)
}

/// The smallest of all that bounds this process, below `root` (`/`, or a recorded tree).
pub fn bounded(root: &Path) -> Option<(Memory, Bound)> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let mut found = (of_meminfo(&text)?, Bound::Machine);
    let containers = groups(root).into_iter().filter_map(|g| g.read()).map(|m| (m, Bound::Container));
    let shell = if root == Path::new("/") { of_shell() } else { None };
    for (memory, bound) in containers.chain(shell.map(|m| (m, Bound::Shell))) {
        // Each number is the smallest, wherever it comes from.
        if memory.total < found.0.total || memory.available < found.0.available {
            found.1 = bound;
        }
        found.0.total = found.0.total.min(memory.total);
        found.0.available = found.0.available.min(memory.available);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal: 8000000 kB\nMemFree: 1000000 kB\nMemAvailable: 6000000 kB\n";

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            std::fs::write(path, text).expect("file");
        }
        folder
    }

    fn of(files: &[(&str, &str)]) -> (u64, u64, Bound) {
        let folder = tree(files);
        let (memory, bound) = bounded(folder.path()).expect("memory");
        (memory.total, memory.available, bound)
    }

    #[test]
    fn the_smallest_bound_counts_in_both_versions_and_wherever_it_stands() {
        assert_eq!(of(&[("proc/meminfo", MEMINFO)]), (8_192_000_000, 6_144_000_000, Bound::Machine));
        let meminfo = ("proc/meminfo", MEMINFO);
        // Version 2, the limit at the parent; half of what is used is page cache.
        let two = of(&[
            meminfo,
            ("proc/self/cgroup", "0::/box/inner\n"),
            ("sys/fs/cgroup/box/memory.max", "1000000000\n"),
            ("sys/fs/cgroup/box/memory.current", "600000000\n"),
            ("sys/fs/cgroup/box/memory.stat", "anon 1\ninactive_file 300000000\nactive_file 5\n"),
            ("sys/fs/cgroup/box/inner/memory.max", "max\n"),
            ("sys/fs/cgroup/box/inner/memory.current", "500000000\n"),
        ]);
        assert_eq!(two, (1_000_000_000, 700_000_000, Bound::Container));
        // Version 1, seen from inside a container that has the host's path.
        let one = of(&[
            meminfo,
            ("proc/self/cgroup", "5:cpu:/x\n4:memory,hugetlb:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "500000000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 100000000\n"),
        ]);
        assert_eq!(one, (2_000_000_000, 1_600_000_000, Bound::Container));
        // Seen from beside its namespace's root.
        let beside = of(&[
            meminfo,
            ("proc/self/cgroup", "0::/../a..b\n"),
            ("sys/fs/cgroup/memory.max", "1000000000\n"),
            ("sys/fs/cgroup/memory.current", "100000000\n"),
        ]);
        assert_eq!(beside, (1_000_000_000, 900_000_000, Bound::Container));
        // Unlimited is no limit.
        let none = of(&[
            meminfo,
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n"),
        ]);
        assert_eq!(none.2, Bound::Machine);
    }

    #[test]
    fn more_available_than_there_is_and_old_kernels() {
        let memory = of_meminfo("MemTotal: 2000 kB\nMemFree: 1000 kB\nMemAvailable: 2500 kB\n").expect("memory");
        assert_eq!((memory.total, memory.available), (2_048_000, 2_048_000));
        let old = of_meminfo("MemTotal: 2000 kB\nMemFree: 1000 kB\nBuffers: 100 kB\nCached: 300 kB\n").expect("memory");
        assert_eq!(old.available, 1_433_600);
        assert!(of_meminfo("nothing").is_none());
    }
}
