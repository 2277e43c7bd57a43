//! What a probe is waiting for at the moment, for a line on the user's terminal. It prints nothing.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::output::text::count;

/// The questions that are under way.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Vec<Question>>);

#[derive(Debug)]
struct Question {
    what: String,
    begun: Instant,
    most: Duration,
}

impl Progress {
    /// Does this work, which takes `most` at most, and is in [`Progress::line`] until then.
    pub(super) fn during<T>(
        &self,
        what: impl Display,
        most: Duration,
        work: impl FnOnce() -> T,
    ) -> T {
        let (what, begun) = (what.to_string(), Instant::now());
        self.questions().push(Question {
            what: what.clone(),
            begun,
            most,
        });
        let result = work();
        let is_this = |question: &Question| question.begun == begun && question.what == what;
        self.questions().retain(|question| !is_this(question));
        result
    }

    /// What is asked the longest, for how long already and at most, and how many others beside it;
    /// none where nothing is under way.
    pub fn line(&self) -> Option<String> {
        let questions = self.questions();
        let oldest = questions.iter().min_by_key(|question| question.begun)?;
        let (for_now, most) = (oldest.begun.elapsed().as_secs(), oldest.most.as_secs_f64());
        let others = match questions.len() - 1 {
            0 => String::new(),
            others => format!(", and {} beside it", count(others, "question")),
        };
        Some(format!(
            "{}: {for_now} s of at most {} s{others}",
            oldest.what,
            most.ceil()
        ))
    }

    fn questions(&self) -> MutexGuard<'_, Vec<Question>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_the_oldest_question_and_is_gone_with_the_last() {
        let progress = Progress::default();
        let second = Duration::from_secs(1);
        progress.during("asking a", second * 6, || {
            let alone = "asking a: 0 s of at most 6 s";
            assert_eq!(progress.line().as_deref(), Some(alone));
            progress.during("asking b", second, || {
                let two = format!("{alone}, and 1 question beside it");
                assert_eq!(progress.line(), Some(two));
            });
            assert_eq!(progress.line().as_deref(), Some(alone));
        });
        assert_eq!(progress.line(), None);
    }
}
