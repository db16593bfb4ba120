//! What a step takes of each text: one row of every text that is written, and of those that are read what is left.

/// A text that is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// Tokens of its prompt that are not read yet.
    pub unread: usize,
    /// What the engine allows it.
    pub allowed: usize,
    /// Names the page that it reads next, by all tokens up to its end, if it has not begun with it.
    pub page: Option<u64>,
    /// Names the page in which it reads, begun or not.
    pub within: u64,
    /// Whether somebody who has no part in this step is in the middle of that page.
    pub is_taken: bool,
}

/// A prompt of so many tokens is read in one step whatever the others then wait: that happens once, and spares its own
/// reader many steps.
const SHORT: usize = 64;
/// Steps between two such prompts while others are written.
pub const SHORT_EVERY: usize = 4;

/// Rows for each of `readers`, at most `room` together, but one at least if the first of the flags says that somebody must
/// move; one short prompt is read whole if the second says that it is time for one. Where several are about to read the
/// same page, the first does it for all.
pub fn plan(readers: &[Reader], room: usize, (must_move, is_due): (bool, bool)) -> Vec<usize> {
    let short = readers.iter().position(|r| r.unread <= SHORT).filter(|_| is_due);
    let (mut left, mut read) = (room.max(usize::from(must_move)), Vec::new());
    left = short.map_or(left, |at| left.max(readers[at].unread));
    let first = || short.into_iter().chain((0..readers.len()).filter(|at| Some(*at) != short));
    let mut rows = vec![0; readers.len()];
    for at in first() {
        let reader = &readers[at];
        let allowed = if short == Some(at) { reader.unread } else { reader.allowed.max(1) };
        let is_read = reader.page.is_some_and(|page| reader.is_taken || read.contains(&page));
        let count = if is_read { 0 } else { reader.unread.min(allowed).min(left) };
        if count > 0 {
            read.push(reader.within);
        }
        left -= count;
        rows[at] = count;
    }
    if must_move && rows.iter().all(|r| *r == 0) && !readers.is_empty() {
        rows[0] = readers[0].unread.min(left);
        left -= rows[0];
    }
    // What followers leave, those take who read for them.
    for at in first() {
        let more = if rows[at] > 0 { (readers[at].unread - rows[at]).min(left) } else { 0 };
        rows[at] += more;
        left -= more;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(unread: usize, allowed: usize, page: u64, begun: bool) -> Reader {
        Reader { unread, allowed, page: (!begun).then_some(page), within: page, is_taken: false }
    }

    #[test]
    fn rows_stay_within_what_is_left_and_are_shared_as_allowed() {
        let readers = [reader(500, 20, 1, false), reader(300, 3, 2, false), reader(500, 20, 3, true)];
        assert_eq!(plan(&readers, 30, (true, true)), [20, 3, 7]);
        assert_eq!(plan(&readers, 50, (true, true)), [27, 3, 20], "what is left goes to the first");
        assert_eq!(plan(&readers, 0, (false, true)), [0, 0, 0]);
        assert_eq!(plan(&readers, 0, (true, true)), [1, 0, 0]);
    }

    #[test]
    fn one_short_prompt_is_read_whole() {
        let readers = [reader(500, 20, 1, false), reader(40, 3, 2, false), reader(40, 3, 3, false)];
        assert_eq!(plan(&readers, 6, (false, true)), [0, 40, 0]);
        assert_eq!(plan(&readers, 63, (false, true)), [20, 40, 3]);
        assert_eq!(plan(&readers, 6, (false, false)), [6, 0, 0]);
    }

    #[test]
    fn the_same_page_is_read_once_and_by_whoever_has_begun() {
        let readers = [reader(500, 16, 1, true), reader(500, 16, 1, false), reader(500, 16, 9, false)];
        assert_eq!(plan(&readers, 64, (true, true)), [48, 0, 16], "a follower's part goes to its leader");
        let mut taken = [reader(500, 16, 1, false), reader(500, 16, 9, false)];
        taken[0].is_taken = true;
        assert_eq!(plan(&taken, 16, (true, true)), [0, 16]);
        // Where nobody else moves, somebody must.
        assert_eq!(plan(&taken[..1], 16, (true, true)), [16]);
        assert_eq!(plan(&taken[..1], 16, (false, true)), [0]);
    }
}
