//! Runs several closures at the same time, each on a thread. It knows nothing of probes.

use std::panic;
use std::thread;

/// The results of `work` for each item, in the items' order. The caller bounds how many there are.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let work = &work;
    if let [only] = items {
        return vec![work(only)];
    }
    thread::scope(|scope| {
        let started: Vec<_> = items
            .iter()
            .map(|item| {
                let thread = thread::Builder::new().spawn_scoped(scope, move || work(item));
                (item, thread)
            })
            .collect();
        started
            .into_iter()
            .map(|(item, thread)| match thread {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|fault| panic::resume_unwind(fault)),
                // The system gives no thread: one after the other, then.
                Err(_) => work(item),
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        assert_eq!(in_parallel(&[3, 1, 2], |n| n * 10), [30, 10, 20]);
        assert_eq!(in_parallel(&[3], |n| n * 10), [30]);
        assert!(in_parallel(&[], |n: &i32| n * 10).is_empty());
    }
}
