//! The table of the connections that wait, against a model that does the same by plain search.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn source(number: u32) -> Source {
    Source::V4(number.into())
}

fn wait(source_number: u32, phase: Phase, deadline: Instant) -> Wait {
    Wait {
        source: source(source_number),
        phase,
        deadline,
    }
}

/// All connections that wait, in one list.
#[derive(Default)]
struct Model {
    waiting: Vec<(Number, Wait)>,
    /// The one that the poller serves.
    served: Option<Number>,
}

impl Model {
    fn held(&self, source: Source) -> u32 {
        let holds =
            |(_, wait): &&(Number, Wait)| wait.source == source && wait.phase == Phase::Asking;
        self.waiting.iter().filter(holds).count() as u32
    }

    fn oldest(&self, which: impl Fn(&Wait) -> bool, by_number: bool) -> Option<Number> {
        let here = self
            .waiting
            .iter()
            .filter(|(number, _)| Some(*number) != self.served);
        let mut fitting: Vec<_> = here.filter(|(_, wait)| which(wait)).collect();
        fitting.sort_by_key(|(number, wait)| match by_number {
            true => (None, *number),
            false => (Some(wait.deadline), *number),
        });
        fitting.first().map(|(number, _)| *number)
    }

    fn to_evict(&self) -> Option<Number> {
        let asking = |wait: &Wait| wait.phase == Phase::Asking;
        let sources = self.waiting.iter().map(|(_, wait)| wait.source);
        let worst = sources.map(|source| (self.held(source), source)).max();
        let crowd = worst.filter(|(held, _)| *held > FREE_FOR_A_SOURCE);
        self.oldest(|wait| wait.phase == Phase::ClosingRead, false)
            .or_else(|| self.oldest(|wait| wait.phase == Phase::ClosingUnread, false))
            .or_else(|| {
                let (_, source) = crowd?;
                self.oldest(|wait| asking(wait) && wait.source == source, true)
            })
            .or_else(|| self.oldest(asking, false))
            .or_else(|| self.oldest(|wait| wait.phase == Phase::Answering, false))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32, Phase, u64),
    Evict,
    Take(usize),
    PutBack(u32, Phase, u64),
    Remove,
    Shorten(u64),
}

fn phases() -> impl Strategy<Value = Phase> {
    prop_oneof![
        6 => Just(Phase::Asking),
        1 => Just(Phase::ClosingRead),
        1 => Just(Phase::ClosingUnread),
        1 => Just(Phase::Answering),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0u32..4, phases(), 0u64..50).prop_map(|(s, p, d)| Step::Insert(s, p, d)),
        2 => Just(Step::Evict),
        3 => (0usize..100).prop_map(Step::Take),
        3 => (0u32..4, phases(), 0u64..50).prop_map(|(s, p, d)| Step::PutBack(s, p, d)),
        1 => Just(Step::Remove),
        1 => (0u64..50).prop_map(Step::Shorten),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn the_table_decides_as_a_plain_search_does(steps in steps()) {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut table: Table<Number> = Table::new(60);
        let mut model = Model::default();
        let mut taken: Option<Box<Number>> = None;
        for step in steps {
            match step {
                Step::Insert(source, phase, millis) => {
                    if table.is_full() {
                        let evicted = table.evict().map(|(_, number)| *number);
                        prop_assert_eq!(evicted, model.to_evict());
                        model.waiting.retain(|(number, _)| Some(*number) != evicted);
                    }
                    let (number, wait) = (table.next_number(), wait(source, phase, at(millis)));
                    table.insert(number, wait);
                    model.waiting.push((number, wait));
                }
                Step::Evict => {
                    let evicted = table.evict().map(|(_, number)| *number);
                    prop_assert_eq!(evicted, model.to_evict());
                    model.waiting.retain(|(number, _)| Some(*number) != evicted);
                }
                Step::Take(which) if taken.is_none() && !model.waiting.is_empty() => {
                    let number = model.waiting[which % model.waiting.len()].0;
                    taken = table.take(number);
                    prop_assert_eq!(taken.as_deref(), Some(&number));
                    model.served = Some(number);
                }
                Step::PutBack(source, phase, millis) => {
                    let Some(connection) = taken.take() else { continue };
                    let (number, wait) = (*connection, wait(source, phase, at(millis)));
                    table.put_back(number, connection, wait);
                    model.served = None;
                    let known = model.waiting.iter_mut().find(|known| known.0 == number);
                    known.unwrap().1 = wait;
                }
                Step::Remove => {
                    let Some(connection) = taken.take() else { continue };
                    prop_assert!(table.remove(*connection).is_some());
                    prop_assert!(table.take(*connection).is_none());
                    model.waiting.retain(|(number, _)| *number != *connection);
                    model.served = None;
                }
                Step::Shorten(millis) => {
                    table.shorten_closing(at(millis));
                    for (_, wait) in &mut model.waiting {
                        if wait.phase <= Phase::ClosingUnread {
                            wait.deadline = wait.deadline.min(at(millis));
                        }
                    }
                }
                Step::Take(_) => {}
            }
            let first = model.waiting.iter().map(|(_, wait)| wait.deadline).min();
            prop_assert_eq!(table.next_deadline(), first);
            let now = at(25);
            let expired = table.expired(now);
            prop_assert_eq!(expired.is_some(), first.is_some_and(|first| first <= now));
            let is_late = |number: Number| {
                let mut waiting = model.waiting.iter();
                waiting.any(|known| known.0 == number && known.1.deadline <= now)
            };
            prop_assert!(expired.is_none_or(is_late));
            let count = |which: fn(&Wait) -> bool| {
                model.waiting.iter().filter(|(_, wait)| which(wait)).count()
            };
            prop_assert_eq!(table.asking_gauge.now, count(|wait| wait.phase == Phase::Asking));
            prop_assert_eq!(table.closing_gauge.now, count(|wait| wait.phase <= Phase::ClosingUnread));
        }
        prop_assert!(table.held.len() <= table.asking.len(), "no source is kept that holds nothing");
    }
}

#[test]
fn a_source_that_holds_too_many_loses_its_oldest_and_16_are_free() {
    let now = Instant::now();
    let mut table: Table<u32> = Table::new(100);
    let older = wait(1, Phase::Asking, now);
    table.insert(0, older);
    for id in 1..=FREE_FOR_A_SOURCE {
        table.insert(id, wait(2, Phase::Asking, now + Duration::from_secs(1)));
    }
    assert_eq!(table.evict().map(|(_, id)| *id), Some(0), "16 are no crowd");
    table.insert(0, older);
    table.insert(17, wait(2, Phase::Asking, now + Duration::from_secs(1)));
    assert_eq!(table.evict().map(|(_, id)| *id), Some(1));
}
