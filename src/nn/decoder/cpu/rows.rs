//! Which rows a step has: tokens of any texts, at any positions, and who attends to what.

use crate::nn::decoder::Want;
use std::ops::Range;

/// Query rows (tokens times heads that share keys) that one unit of attention takes.
const UNIT_ROWS: usize = 48;

/// One text's part of a step.
pub struct TextRows {
    /// Row in the buffers and position in the text, by position.
    pub rows: Vec<(u32, u32)>,
    /// Of these, whose logits are wanted: the last ones.
    pub wanted: usize,
    /// Where its pages begin.
    pub pages: Vec<*mut u16>,
}

/// All rows of a step. Those whose logits are wanted come first, in the texts' order.
#[derive(Default)]
pub struct Rows {
    pub ids: Vec<u32>,
    pub positions: Vec<u32>,
    /// Rows whose logits are wanted.
    pub wanted: usize,
    pub texts: Vec<TextRows>,
}

/// Some rows of one text, by place in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub text: usize,
    pub rows: Range<usize>,
}

impl Rows {
    /// Places the rows of texts: tokens, position of the first, what is wanted, pages.
    pub fn new<'a>(texts: impl Iterator<Item = (&'a [u32], usize, Want, Vec<*mut u16>)>) -> Self {
        let mut all = Self::default();
        let mut parts: Vec<(&[u32], usize)> = Vec::new();
        for (ids, first, want, pages) in texts {
            let wanted = match want {
                Want::Nothing => 0,
                Want::Last => 1.min(ids.len()),
                Want::All => ids.len(),
            };
            all.wanted += wanted;
            all.texts.push(TextRows { rows: Vec::with_capacity(ids.len()), wanted, pages });
            parts.push((ids, first));
        }
        let count = parts.iter().map(|p| p.0.len()).sum();
        (all.ids, all.positions) = (vec![0; count], vec![0; count]);
        let (mut wanted, mut other) = (0, all.wanted);
        for ((ids, first), text) in parts.into_iter().zip(&mut all.texts) {
            for (index, id) in ids.iter().enumerate() {
                let next = if index + text.wanted >= ids.len() { &mut wanted } else { &mut other };
                let (row, position) = (*next, first + index);
                *next += 1;
                (all.ids[row], all.positions[row]) = (*id, position as u32);
                text.rows.push((row as u32, position as u32));
            }
        }
        all
    }

    /// Attention in blocks of about equal size, the longest first; only of `wanted` rows, or of all. `group`: query
    /// heads that share keys.
    pub fn blocks(&self, only_wanted: bool, group: usize) -> Vec<Block> {
        let length = (UNIT_ROWS / group).max(1);
        let mut out: Vec<Block> = Vec::new();
        for (text, t) in self.texts.iter().enumerate() {
            let first = if only_wanted { t.rows.len() - t.wanted } else { 0 };
            let starts = (first..t.rows.len()).step_by(length);
            out.extend(starts.map(|from| Block { text, rows: from..t.rows.len().min(from + length) }));
        }
        let work = |b: &Block| {
            let last = self.texts[b.text].rows.get(b.rows.end - 1).map_or(0, |r| r.1 as usize + 1);
            b.rows.len() * last
        };
        out.sort_by_key(|b| std::cmp::Reverse(work(b)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_rows_come_first_and_every_row_has_one_place() {
        let texts: [(&[u32], usize, Want); 4] = [
            (&[7, 8, 9], 10, Want::Last),
            (&[1], 99, Want::Last),
            (&[2, 3], 0, Want::Nothing),
            (&[4, 5], 5, Want::All),
        ];
        let rows = Rows::new(texts.iter().map(|(ids, at, want)| (*ids, *at, *want, Vec::new())));
        assert_eq!(rows.wanted, 4);
        assert_eq!(rows.ids, [9, 1, 4, 5, 7, 8, 2, 3]);
        assert_eq!(rows.positions, [12, 99, 5, 6, 10, 11, 0, 1]);
        assert_eq!(rows.texts[0].rows, [(4, 10), (5, 11), (0, 12)]);
        let blocks = rows.blocks(true, 3);
        assert_eq!(blocks[0], Block { text: 1, rows: 0..1 });
        assert_eq!(blocks.iter().map(|b| b.rows.len()).sum::<usize>(), 4);
        let all = rows.blocks(false, 24);
        assert_eq!(all.iter().map(|b| b.rows.len()).sum::<usize>(), 8);
        assert!(all.iter().all(|b| b.rows.len() <= 2));
    }
}
