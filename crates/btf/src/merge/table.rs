//! Types by what they look like.

/// A hash table with several values for a key, in the order in which libbpf's lists them: new ones come first, and each
/// chain is turned around when the table grows. The order decides which of several equal types is taken.
#[derive(Default)]
pub(super) struct Table {
    /// The first entry of each chain, counted from 1; 0: none.
    chains: Vec<u32>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    key: u64,
    value: u32,
    /// As in the chains.
    next: u32,
}

impl Table {
    pub fn add(&mut self, key: u64, value: u32) {
        const SMALLEST: usize = 4;
        if (self.entries.len() + 1) * 4 / 3 > self.chains.len() {
            self.grow((self.chains.len() * 2).max(SMALLEST));
        }
        let chain = chain(key, self.chains.len());
        let next = self.chains[chain];
        self.entries.push(Entry { key, value, next });
        self.chains[chain] = self.entries.len() as u32;
    }

    /// The values of a key.
    pub fn of(&self, key: u64) -> impl Iterator<Item = u32> {
        let mut next = if self.chains.is_empty() { 0 } else { self.chains[chain(key, self.chains.len())] };
        let all = std::iter::from_fn(move || {
            let entry = self.entries.get(next.checked_sub(1)? as usize)?;
            next = entry.next;
            Some(entry)
        });
        all.filter(move |entry| entry.key == key).map(|entry| entry.value)
    }

    fn grow(&mut self, capacity: usize) {
        let old = std::mem::replace(&mut self.chains, vec![0; capacity]);
        for mut place in old {
            while let Some(index) = place.checked_sub(1) {
                let entry = &mut self.entries[index as usize];
                let (here, chain) = (place, chain(entry.key, capacity));
                place = entry.next;
                entry.next = self.chains[chain];
                self.chains[chain] = here;
            }
        }
    }
}

fn chain(key: u64, capacity: usize) -> usize {
    // The lower bits of the hash are as good as any; capacities are powers of two.
    key as usize & (capacity - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_comes_first_until_the_table_grows() {
        let mut table = Table::default();
        assert_eq!(table.of(7).count(), 0);
        for value in 1..=3 {
            table.add(7, value);
        }
        assert_eq!(table.of(7).collect::<Vec<_>>(), [3, 2, 1]);
        table.add(7, 4);
        assert_eq!(table.of(7).collect::<Vec<_>>(), [4, 1, 2, 3]);
        table.add(8, 5);
        assert_eq!(table.of(8).collect::<Vec<_>>(), [5]);
    }
}
