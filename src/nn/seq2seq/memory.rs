//! What hypotheses remember: keys and values by the step that computed them.
//!
//! Each step writes one block, a place per row. A hypothesis is a list of places, one per position;
//! to reorder a beam is to copy such lists (8 bytes a token), the keys and values stay where they
//! are (as with the cache indirection of NVIDIA's FasterTransformer).

/// One step's keys and values: `[rows][layers][2][inner]`.
struct Block(Box<[f32]>);

/// A place: block, row.
type Place = (u32, u32);

/// Keys and values of all hypotheses of one source.
#[derive(Default)]
pub struct CpuMemory {
    blocks: Vec<Block>,
    /// Of each hypothesis of the last step, its places by position.
    rows: Vec<Vec<Place>>,
}

/// What a step adds to a memory.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    /// Hypotheses: each continues one of the last step's (by index; any index at the first step)
    /// with a token.
    Beams(&'a [(usize, u32)]),
    /// These tokens one after another, continuing the first hypothesis.
    Forced(&'a [u32]),
}

impl Next<'_> {
    /// Rows of the step.
    pub fn len(&self) -> usize {
        match self {
            Self::Beams(rows) => rows.len(),
            Self::Forced(ids) => ids.len(),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The token of a row.
    pub fn token(&self, row: usize) -> u32 {
        match self {
            Self::Beams(rows) => rows[row].1,
            Self::Forced(ids) => ids[row],
        }
    }
}

impl CpuMemory {
    /// Makes room for a step; `place` floats per row. Rows of the step are the memory's rows afterwards.
    pub fn advance(&mut self, next: Next<'_>, place: usize) {
        let block = self.blocks.len() as u32;
        self.blocks.push(Block(vec![0f32; next.len() * place].into()));
        let past = |rows: &[Vec<Place>], parent: usize| rows.get(parent).cloned().unwrap_or_default();
        self.rows = match next {
            Next::Beams(beams) => (0u32..)
                .zip(beams)
                .map(|(row, (parent, _))| {
                    let mut places = past(&self.rows, *parent);
                    places.push((block, row));
                    places
                })
                .collect(),
            Next::Forced(ids) => {
                let mut places = past(&self.rows, 0);
                (0..ids.len() as u32)
                    .map(|row| {
                        places.push((block, row));
                        places.clone()
                    })
                    .collect()
            }
        };
    }

    /// Position of the row's newest token.
    pub fn position(&self, row: usize) -> usize {
        self.rows[row].len() - 1
    }

    /// Positions of the longest hypothesis.
    pub fn longest(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Addresses of the row's places, by position; `place` floats each.
    pub fn past(&self, row: usize, place: usize) -> Vec<*const f32> {
        let at = |(block, row): &Place| self.blocks[*block as usize].0[*row as usize * place..].as_ptr();
        self.rows[row].iter().map(at).collect()
    }

    /// Where the newest step's rows write: `place` floats per row.
    pub fn newest(&mut self) -> *mut f32 {
        self.blocks.last_mut().map_or(std::ptr::null_mut(), |b| b.0.as_mut_ptr())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|b| b.0.len() * 4).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the newest block with a number per row.
    fn write(memory: &mut CpuMemory, values: &[f32]) {
        let to = memory.newest();
        for (i, v) in values.iter().enumerate() {
            memory.blocks.last_mut().expect("block").0[i] = *v;
        }
        assert_eq!(to, memory.newest());
    }

    fn read(memory: &CpuMemory, row: usize) -> Vec<f32> {
        memory.rows[row].iter().map(|(b, r)| memory.blocks[*b as usize].0[*r as usize]).collect()
    }

    #[test]
    fn a_reordered_hypothesis_keeps_its_own_past_and_nothing_is_copied() {
        let mut memory = CpuMemory::default();
        memory.advance(Next::Beams(&[(0, 7)]), 1);
        write(&mut memory, &[1.0]);
        memory.advance(Next::Beams(&[(0, 3), (0, 4)]), 1);
        write(&mut memory, &[2.0, 3.0]);
        let before = memory.blocks[0].0.as_ptr();
        memory.advance(Next::Beams(&[(1, 5), (1, 6), (0, 7)]), 1);
        write(&mut memory, &[4.0, 5.0, 6.0]);
        assert_eq!(read(&memory, 0), [1.0, 3.0, 4.0]);
        assert_eq!(read(&memory, 1), [1.0, 3.0, 5.0]);
        assert_eq!(read(&memory, 2), [1.0, 2.0, 6.0]);
        assert_eq!(memory.blocks[0].0.as_ptr(), before);
        assert_eq!((memory.position(2), memory.longest(), memory.bytes()), (2, 3, 24));
    }

    #[test]
    fn forced_tokens_each_see_those_before_them() {
        let mut memory = CpuMemory::default();
        memory.advance(Next::Forced(&[9, 8, 7]), 1);
        write(&mut memory, &[1.0, 2.0, 3.0]);
        assert_eq!((0..3).map(|r| read(&memory, r).len()).collect::<Vec<_>>(), [1, 2, 3]);
        memory.advance(Next::Beams(&[(2, 1)]), 1);
        write(&mut memory, &[4.0]);
        assert_eq!(read(&memory, 0), [1.0, 2.0, 3.0, 4.0]);
    }
}
