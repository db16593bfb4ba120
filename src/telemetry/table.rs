//! Rows of values over time, in memory that is taken once.

/// A ring of rows: a time, and a value in each column. The oldest row makes room.
#[derive(Clone)]
pub struct Table<T> {
    times: Box<[f64]>,
    columns: Vec<Box<[T]>>,
    /// Rows ever written.
    written: u64,
}

impl<T: Copy> Table<T> {
    /// Room for `capacity` rows (at least one), without columns.
    pub fn new(capacity: usize) -> Self {
        Self { times: vec![0.0; capacity.max(1)].into_boxed_slice(), columns: Vec::new(), written: 0 }
    }

    /// Adds a column that holds `absent` in all earlier rows.
    pub fn add_column(&mut self, absent: T) {
        self.columns.push(vec![absent; self.times.len()].into_boxed_slice());
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Rows held.
    pub fn len(&self) -> usize {
        usize::try_from(self.written).map_or(self.times.len(), |n| n.min(self.times.len()))
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Adds a row; `value` is asked for each column's. Times must not fall.
    pub fn push(&mut self, time: f64, mut value: impl FnMut(usize) -> T) {
        let slot = (self.written % self.times.len() as u64) as usize;
        self.times[slot] = time;
        for (index, column) in self.columns.iter_mut().enumerate() {
            column[slot] = value(index);
        }
        self.written += 1;
    }

    /// Where row `index` (0 = the oldest) lies.
    fn slot(&self, index: usize) -> usize {
        let oldest = if self.len() < self.times.len() { 0 } else { self.written % self.times.len() as u64 };
        (oldest as usize + index) % self.times.len()
    }

    /// Time of row `index`, 0 being the oldest.
    pub fn time(&self, index: usize) -> f64 {
        self.times[self.slot(index)]
    }

    /// Value of a column in row `index`.
    pub fn value(&self, column: usize, index: usize) -> T {
        self.columns[column][self.slot(index)]
    }

    /// Rows `from..to` of a column with their times, in order, as two pieces without a seam in memory.
    pub fn pieces(&self, column: usize, from: usize, to: usize) -> [(&[f64], &[T]); 2] {
        let (from, to) = (from.min(self.len()), to.min(self.len()));
        let piece = |a: usize, b: usize| (&self.times[a..b], &self.columns[column][a..b]);
        if from >= to {
            return [piece(0, 0), piece(0, 0)];
        }
        let (first, last) = (self.slot(from), self.slot(to - 1));
        if first <= last {
            [piece(first, last + 1), piece(0, 0)]
        } else {
            [piece(first, self.times.len()), piece(0, last + 1)]
        }
    }

    /// Time of the oldest row.
    pub fn oldest(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.time(0))
    }

    /// The first row whose time is at least `time`.
    pub fn first_at(&self, time: f64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.time(middle) < time { low = middle + 1 } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_rows_make_room_and_late_columns_are_absent_before() {
        let mut table = Table::new(4);
        table.add_column(0);
        for i in 0..3 {
            table.push(f64::from(i), |_| i);
        }
        table.add_column(-1);
        for i in 3..6 {
            table.push(f64::from(i), |c| i * (c as i32 + 1));
        }
        let rows: Vec<_> = (0..table.len()).map(|r| (table.time(r), table.value(0, r), table.value(1, r))).collect();
        assert_eq!(rows, [(2.0, 2, -1), (3.0, 3, 6), (4.0, 4, 8), (5.0, 5, 10)]);
        let flat = |from, to| -> Vec<(f64, i32)> {
            let pieces = table.pieces(0, from, to);
            pieces.iter().flat_map(|(t, v)| t.iter().copied().zip(v.iter().copied())).collect()
        };
        assert_eq!(flat(0, 4), [(2.0, 2), (3.0, 3), (4.0, 4), (5.0, 5)]);
        assert_eq!((flat(1, 3), flat(3, 9), flat(2, 2)), (vec![(3.0, 3), (4.0, 4)], vec![(5.0, 5)], vec![]));
        assert_eq!((table.first_at(0.0), table.first_at(3.5), table.first_at(9.0)), (0, 2, 4));
    }
}
