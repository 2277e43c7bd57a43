//! The places of connections, against a model that does the same by plain search.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

/// A connection as a plain list of all of them has it; its number is its age.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    id: u32,
    source: Source,
    phase: Phase,
    stage: Stage,
    /// When it came into the queue, or into its phase where that is [`Phase::Closing`].
    queued: u32,
    closing_since: u32,
}

/// The same decisions, made the slow way.
#[derive(Default)]
struct Model {
    all: Vec<Known>,
    /// Sources in the order of their turns.
    turns: Vec<Source>,
    clock: u32,
}

impl Model {
    fn tick(&mut self) -> u32 {
        self.clock += 1;
        self.clock
    }

    fn queue(&mut self, id: u32) {
        let now = self.tick();
        let known = self.all.iter_mut().find(|k| k.id == id).unwrap();
        (known.stage, known.queued) = (Stage::Ready, now);
        let source = known.source;
        if !self.turns.contains(&source) {
            self.turns.push(source);
        }
    }

    fn next(&mut self) -> Option<u32> {
        if self.turns.is_empty() {
            return None;
        }
        let source = self.turns.remove(0);
        let ready = |k: &&Known| k.source == source && k.stage == Stage::Ready;
        let id = self
            .all
            .iter()
            .filter(ready)
            .min_by_key(|k| k.queued)
            .unwrap()
            .id;
        self.all.iter_mut().find(|k| k.id == id).unwrap().stage = Stage::Working;
        if self.all.iter().any(|k| ready(&k)) {
            self.turns.push(source);
        }
        Some(id)
    }

    fn held(&self, source: Source) -> usize {
        let holds = |k: &&Known| k.source == source && k.phase == Phase::Asking;
        self.all.iter().filter(holds).count()
    }

    /// Who has to go; several where more than one source holds the most.
    fn candidates(&self) -> Vec<u32> {
        let free = || self.all.iter().filter(|k| k.stage != Stage::Working);
        for rest in [Rest::Nothing, Rest::Possible] {
            let closing = free().filter(|k| k.phase == Phase::Closing(rest));
            if let Some(oldest) = closing.min_by_key(|k| k.closing_since) {
                return vec![oldest.id];
            }
        }
        let asking = || free().filter(|k| k.phase == Phase::Asking);
        let all_asking = self.all.iter().filter(|k| k.phase == Phase::Asking);
        let most = all_asking.map(|k| self.held(k.source)).max().unwrap_or(0);
        let mut crowd = Vec::new();
        if most > FREE_FOR_A_SOURCE {
            let mut sources: Vec<_> = self.all.iter().map(|k| k.source).collect();
            sources.sort();
            sources.dedup();
            for source in sources.into_iter().filter(|s| self.held(*s) == most) {
                let oldest = asking().filter(|k| k.source == source).map(|k| k.id).min();
                // Where all of these are with workers, the oldest of all has to go.
                crowd.extend(oldest.or_else(|| asking().map(|k| k.id).min()));
            }
        }
        if crowd.is_empty() {
            crowd.extend(asking().map(|k| k.id).min());
        }
        crowd
    }

    fn take_out(&mut self, id: u32) -> Known {
        let at = self.all.iter().position(|k| k.id == id).unwrap();
        let known = self.all.remove(at);
        let ready = |k: &Known| k.source == known.source && k.stage == Stage::Ready;
        if !self.all.iter().any(ready) {
            self.turns.retain(|source| *source != known.source);
        }
        known
    }
}

fn source(number: u32) -> Source {
    Source::V4(number.into())
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u32),
    Next,
    Wait(usize, u32, Phase, u64),
    Leave(usize),
    Wake(usize),
    Expire(u64),
    Evict,
    Hasten(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let phase = prop_oneof![
        4 => Just(Phase::Asking),
        1 => Just(Phase::Answering),
        1 => Just(Phase::Closing(Rest::Nothing)),
        1 => Just(Phase::Closing(Rest::Possible)),
    ];
    let step = prop_oneof![
        8 => (0u32..3).prop_map(Step::Enter),
        1 => (3u32..40).prop_map(Step::Enter),
        6 => Just(Step::Next),
        5 => (any::<usize>(), 0u32..4, phase, 0u64..50)
            .prop_map(|(which, source, phase, time)| Step::Wait(which, source, phase, time)),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => any::<usize>().prop_map(Step::Wake),
        1 => (0u64..50).prop_map(Step::Expire),
        1 => Just(Step::Evict),
        1 => (0u64..50).prop_map(Step::Hasten),
    ];
    proptest::collection::vec(step, 1..200)
}

/// What stands in one of several places of a list.
fn nth<T: Copy>(all: &[T], which: usize) -> Option<T> {
    (!all.is_empty()).then(|| all[which % all.len()])
}

const LIMIT: usize = 30;

proptest! {
    #[test]
    fn queue_waits_and_evictions_are_those_of_the_plain_list(steps in steps()) {
        let start = Instant::now();
        let at = |time: u64| start + Duration::from_millis(time);
        let mut places: Places<u32> = Places::new(LIMIT);
        let mut model = Model::default();
        let mut working: Vec<(Number, u32)> = Vec::new();
        let mut numbers: HashMap<u32, Number> = HashMap::new();
        let mut next_id = 0;
        for step in steps {
            match step {
                Step::Enter(from) => {
                    next_id += 1;
                    let full = model.all.len() == LIMIT;
                    let candidates = if full { model.candidates() } else { Vec::new() };
                    match places.enter(source(from), next_id) {
                        Ok(evicted) => {
                            prop_assert_eq!(evicted.is_some(), full);
                            if let Some(evicted) = evicted {
                                prop_assert!(candidates.contains(&evicted.connection));
                                let known = model.take_out(evicted.connection);
                                prop_assert_eq!(evicted.source, known.source);
                                prop_assert_eq!(evicted.phase, known.phase);
                            }
                            model.all.push(Known {
                                id: next_id,
                                source: source(from),
                                phase: Phase::Asking,
                                stage: Stage::Ready,
                                queued: 0,
                                closing_since: 0,
                            });
                            model.queue(next_id);
                        }
                        Err(same) => {
                            prop_assert_eq!(same, next_id);
                            prop_assert!(full && candidates.is_empty());
                        }
                    }
                }
                Step::Next => {
                    let next = places.next();
                    prop_assert_eq!(next.map(|(_, id)| id), model.next());
                    if let Some((number, id)) = next {
                        // A connection keeps its number.
                        prop_assert_eq!(*numbers.entry(id).or_insert(number), number);
                        working.push((number, id));
                    }
                }
                Step::Wait(which, from, phase, time) => {
                    let Some((number, id)) = nth(&working, which) else { continue };
                    let now = model.tick();
                    let known = model.all.iter_mut().find(|k| k.id == id).unwrap();
                    // What has been asked for stays asked for.
                    let phase = match (known.phase, phase) {
                        (Phase::Asking, new) => new,
                        (Phase::Answering, Phase::Asking) => Phase::Answering,
                        (Phase::Answering, new) => new,
                        (closing, _) => closing,
                    };
                    let from = if phase == Phase::Asking { source(from) } else { known.source };
                    working.retain(|(_, other)| *other != id);
                    places.wait(number, id, from, phase, at(time));
                    if known.phase != phase {
                        known.closing_since = now;
                    }
                    (known.source, known.phase) = (from, phase);
                    known.stage = Stage::Waiting(at(time));
                }
                Step::Leave(which) => {
                    let Some((number, id)) = nth(&working, which) else { continue };
                    working.retain(|(_, other)| *other != id);
                    places.leave(number);
                    model.take_out(id);
                }
                Step::Wake(which) => {
                    let known: Vec<_> = model.all.iter().map(|k| (k.id, k.stage)).collect();
                    let Some((id, stage)) = nth(&known, which) else { continue };
                    let Some(&number) = numbers.get(&id) else { continue };
                    places.wake(number);
                    if matches!(stage, Stage::Waiting(_)) {
                        model.queue(id);
                    }
                }
                Step::Expire(time) => {
                    let mut over: Vec<_> = model
                        .all
                        .iter()
                        .filter_map(|k| match k.stage {
                            Stage::Waiting(until) if until <= at(time) => Some((until, k.id)),
                            _ => None,
                        })
                        .collect();
                    over.sort();
                    places.wake_expired(at(time));
                    over.into_iter().for_each(|(_, id)| model.queue(id));
                }
                Step::Evict => {
                    let candidates = model.candidates();
                    match places.evict() {
                        Some(evicted) => {
                            prop_assert!(candidates.contains(&evicted.connection));
                            model.take_out(evicted.connection);
                        }
                        None => prop_assert!(candidates.is_empty()),
                    }
                }
                Step::Hasten(time) => {
                    places.hasten_closing(at(time));
                    for known in &mut model.all {
                        if let (Phase::Closing(_), Stage::Waiting(until)) = (known.phase, known.stage) {
                            known.stage = Stage::Waiting(until.min(at(time)));
                        }
                    }
                }
            }
            let count = |which: &dyn Fn(&Known) -> bool| model.all.iter().filter(|k| which(k)).count();
            let gauges = places.gauges();
            prop_assert_eq!(gauges.here.now, model.all.len());
            prop_assert_eq!(places.queued(), count(&|k| k.stage == Stage::Ready));
            prop_assert_eq!(
                gauges.waiting.now,
                count(&|k| k.phase == Phase::Asking && matches!(k.stage, Stage::Waiting(_)))
            );
            prop_assert_eq!(gauges.closing.now, count(&|k| matches!(k.phase, Phase::Closing(_))));
            let first = model.all.iter().filter_map(|k| match k.stage {
                Stage::Waiting(until) => Some(until),
                _ => None,
            });
            prop_assert_eq!(places.next_deadline(), first.min());
        }
    }
}

fn full_of(sources: &[(u32, usize)]) -> Places<u32> {
    let count = sources.iter().map(|(_, count)| count).sum();
    let mut places = Places::new(count);
    let mut id = 0;
    for &(from, count) in sources {
        for _ in 0..count {
            id += 1;
            assert_eq!(places.enter(source(from), id), Ok(None));
        }
    }
    places
}

#[test]
fn a_crowd_loses_its_own_oldest_and_a_small_source_keeps_its_places() {
    let mut places = full_of(&[(1, 2), (2, 20), (3, 17)]);
    let gone = |places: &mut Places<u32>| places.enter(source(9), 0).unwrap().unwrap().connection;
    assert_eq!(
        (3..6).map(|_| gone(&mut places)).collect::<Vec<_>>(),
        [3, 4, 5]
    );
    // Both hold 17 now, and then 16: from there on the oldest of all has to go.
    let next: Vec<_> = (0..3).map(|_| gone(&mut places)).collect();
    assert!(next[..2] == [6, 23] || next[..2] == [23, 6], "{next:?}");
    assert_eq!(next[2], 1);
}

#[test]
fn who_is_only_being_closed_has_to_go_before_all_others() {
    let mut places = full_of(&[(1, 20), (2, 3)]);
    let soon = Instant::now() + Duration::from_secs(3);
    for (id, rest) in [(1, Rest::Possible), (21, Rest::Nothing), (2, Rest::Nothing)] {
        let (number, found) = places.next().unwrap();
        assert_eq!(found, id);
        let from = source(if id == 21 { 2 } else { 1 });
        places.wait(number, id, from, Phase::Closing(rest), soon);
    }
    let gone: Vec<_> = (0..4).map(|_| places.evict().unwrap().connection).collect();
    assert_eq!(gone, [21, 2, 1, 3]);
}

#[test]
fn nobody_who_has_asked_has_to_go() {
    let mut places = full_of(&[(1, 2)]);
    let (number, id) = places.next().unwrap();
    places.wait(number, id, source(1), Phase::Answering, Instant::now());
    assert!(places.next().is_some());
    assert_eq!(
        places.enter(source(2), 9),
        Err(9),
        "the other one is with a worker"
    );
}
