//! A table of entries whose numbers are never used twice, and doubly linked lists through it. Every
//! operation takes constant time, and a removed entry's memory is used again. It knows nothing of
//! connections.

use std::num::NonZeroU64;

/// The bits of a number, after the lowest one, that say where its entry is. The bits above count the
/// entries ever made, so that a number is never used twice.
const INDEX_BITS: u32 = 20;

/// The most entries at one time.
pub(super) const MOST_SLOTS: usize = 1 << INDEX_BITS;

/// Names an entry. A greater number is a younger entry. The lowest bit is always 1: no number is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(NonZeroU64);

impl Number {
    /// Smaller than any entry's.
    pub(super) const SMALLEST: Number = Number(NonZeroU64::MIN);

    fn new(made: u64, index: usize) -> Number {
        Number(NonZeroU64::MIN | (made << (INDEX_BITS + 1)) | ((index as u64) << 1))
    }

    fn index(self) -> usize {
        (self.0.get() >> 1) as usize & (MOST_SLOTS - 1)
    }

    /// As the kernel keeps it with an event; never 0.
    pub(super) fn get(self) -> u64 {
        self.0.get()
    }

    /// The number that [`Number::get`] gave; none for 0.
    pub(super) fn from(number: u64) -> Option<Number> {
        NonZeroU64::new(number).map(Number)
    }
}

/// The entries. An entry can be in `LISTS` lists at a time.
pub(super) struct Slots<T, const LISTS: usize> {
    slots: Vec<Slot<T, LISTS>>,
    free: Vec<usize>,
    /// How many entries were ever made.
    made: u64,
}

struct Slot<T, const LISTS: usize> {
    /// None while the slot is free.
    entry: Option<(Number, T)>,
    links: [Link; LISTS],
}

#[derive(Clone, Copy, Default)]
struct Link {
    before: Option<Number>,
    after: Option<Number>,
}

/// A list of entries; which of an entry's links it uses is fixed.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    links: usize,
    first: Option<Number>,
    last: Option<Number>,
    len: usize,
}

impl List {
    /// An empty list. Lists that share entries need different `links`, below `LISTS`.
    pub(super) const fn new(links: usize) -> List {
        List {
            links,
            first: None,
            last: None,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn first(&self) -> Option<Number> {
        self.first
    }
}

impl<T, const LISTS: usize> Slots<T, LISTS> {
    pub(super) fn new() -> Self {
        Slots {
            slots: Vec::new(),
            free: Vec::new(),
            made: 0,
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Makes an entry. The caller sees to it that there are fewer than [`MOST_SLOTS`].
    pub(super) fn insert(&mut self, value: T) -> Number {
        self.made += 1;
        let links = [Link::default(); LISTS];
        if let Some(index) = self.free.pop() {
            let number = Number::new(self.made, index);
            self.slots[index] = Slot {
                entry: Some((number, value)),
                links,
            };
            return number;
        }
        let number = Number::new(self.made, self.slots.len());
        self.slots.push(Slot {
            entry: Some((number, value)),
            links,
        });
        number
    }

    /// Takes an entry out. It must not be in any list any more.
    pub(super) fn remove(&mut self, number: Number) -> Option<T> {
        self.get(number)?;
        let (_, value) = self.slots.get_mut(number.index())?.entry.take()?;
        self.free.push(number.index());
        Some(value)
    }

    /// The entry of this number; none where it has left.
    pub(super) fn get(&self, number: Number) -> Option<&T> {
        match &self.slots.get(number.index())?.entry {
            Some((own, value)) if *own == number => Some(value),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut T> {
        match &mut self.slots.get_mut(number.index())?.entry {
            Some((own, value)) if *own == number => Some(value),
            _ => None,
        }
    }

    /// Adds an entry at the end of a list that it is not in.
    pub(super) fn append(&mut self, list: &mut List, number: Number) {
        self.insert_after(list, list.last, number);
    }

    /// Adds an entry to a list that is sorted by number, where it belongs. It looks from the end,
    /// where the young ones are.
    pub(super) fn insert_by_age(&mut self, list: &mut List, number: Number) {
        let mut before = list.last;
        while let Some(older) = before.filter(|&other| other > number) {
            before = self.link(list, older).before;
        }
        self.insert_after(list, before, number);
    }

    /// Takes an entry out of a list; nothing happens where it is not in it.
    pub(super) fn unlink(&mut self, list: &mut List, number: Number) {
        let Link { before, after } = self.link(list, number);
        if before.is_none() && list.first != Some(number) {
            return;
        }
        match before {
            Some(before) => self.link_mut(list, before).after = after,
            None => list.first = after,
        }
        match after {
            Some(after) => self.link_mut(list, after).before = before,
            None => list.last = before,
        }
        *self.link_mut(list, number) = Link::default();
        list.len -= 1;
    }

    /// The entries of a list from its first one on.
    pub(super) fn walk<'a>(&'a self, list: &'a List) -> impl Iterator<Item = (Number, &'a T)> {
        let mut next = list.first;
        std::iter::from_fn(move || {
            let number = next?;
            next = self.link(list, number).after;
            self.get(number).map(|value| (number, value))
        })
    }

    fn insert_after(&mut self, list: &mut List, before: Option<Number>, number: Number) {
        let after = match before {
            Some(before) => self.link_mut(list, before).after.replace(number),
            None => list.first.replace(number),
        };
        match after {
            Some(after) => self.link_mut(list, after).before = Some(number),
            None => list.last = Some(number),
        }
        *self.link_mut(list, number) = Link { before, after };
        list.len += 1;
    }

    fn link(&self, list: &List, number: Number) -> Link {
        self.slots[number.index()].links[list.links]
    }

    fn link_mut(&mut self, list: &List, number: Number) -> &mut Link {
        &mut self.slots[number.index()].links[list.links]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_never_used_twice() {
        let mut slots: Slots<char, 1> = Slots::new();
        let first = slots.insert('a');
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert('b');
        assert_eq!(first.index(), second.index());
        assert!(second > first);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&'b'));
    }

    proptest! {
        #[test]
        fn a_list_is_what_a_vector_would_be(steps in proptest::collection::vec((0..4, 0usize..12), 1..80)) {
            let mut slots: Slots<(), 2> = Slots::new();
            let (mut list, mut other) = (List::new(0), List::new(1));
            let mut model: Vec<Number> = Vec::new();
            let mut outside: Vec<Number> = Vec::new();
            for (step, which) in steps {
                match step {
                    0 => {
                        let number = slots.insert(());
                        slots.append(&mut other, number);
                        outside.push(number);
                    }
                    1 if !outside.is_empty() => {
                        let number = outside.remove(which % outside.len());
                        slots.insert_by_age(&mut list, number);
                        model.push(number);
                        model.sort();
                    }
                    2 if !model.is_empty() => {
                        let number = model.remove(which % model.len());
                        slots.unlink(&mut list, number);
                        slots.unlink(&mut list, number);
                        outside.push(number);
                    }
                    3 if !outside.is_empty() => {
                        let number = outside.remove(which % outside.len());
                        slots.unlink(&mut other, number);
                        slots.remove(number);
                    }
                    _ => {}
                }
                let found: Vec<Number> = slots.walk(&list).map(|(number, ())| number).collect();
                prop_assert_eq!(&found, &model);
                prop_assert_eq!(list.len(), model.len());
                prop_assert_eq!(other.len(), model.len() + outside.len());
                prop_assert_eq!(slots.len(), other.len());
            }
        }
    }
}
