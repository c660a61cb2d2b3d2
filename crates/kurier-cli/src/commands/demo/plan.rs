//! What happens when. Pure.

use std::time::Duration;

/// One turn of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A node is killed.
    Kill(i32),
    /// A node is started again.
    Start(i32),
    /// The other nodes' replicas stop following: only for the control.
    FreezeOthers(i32),
    /// They follow again.
    ThawOthers(i32),
    /// A third instance of the single consumer joins.
    Join,
    /// An instance of the single consumer leaves.
    Leave,
    /// Messages are sent until here.
    End,
}

/// The steps of a run with their times, from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Vec<(Duration, Step)>);

/// The node that is killed.
const VICTIM: i32 = 2;

impl Plan {
    /// A run that sends for `length`. Nodes are only hurt when they are `ours`.
    pub fn new(length: Duration, ours: bool, control: bool) -> Self {
        let steps: &[(u32, Step)] = &[
            (20, Step::FreezeOthers(VICTIM)),
            (28, Step::Kill(VICTIM)),
            (30, Step::ThawOthers(VICTIM)),
            (52, Step::Start(VICTIM)),
            (65, Step::Join),
            (82, Step::Leave),
            (100, Step::End),
        ];
        let wanted = |step: &Step| match step {
            Step::Kill(_) | Step::Start(_) => ours,
            Step::FreezeOthers(_) | Step::ThawOthers(_) => ours && control,
            Step::Join | Step::Leave | Step::End => true,
        };
        let steps = steps.iter().filter(|(_, step)| wanted(step));
        Self(steps.map(|(percent, step)| (length * *percent / 100, *step)).collect())
    }

    /// The steps in order.
    pub fn steps(&self) -> &[(Duration, Step)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_ones_nodes_are_left_alone_and_only_the_control_freezes() {
        let theirs = Plan::new(Duration::from_secs(10), false, false);
        let kinds: Vec<Step> = theirs.steps().iter().map(|(_, step)| *step).collect();
        assert_eq!(kinds, [Step::Join, Step::Leave, Step::End]);
        let ours = Plan::new(Duration::from_secs(10), true, false);
        assert!(!ours.steps().iter().any(|(_, step)| matches!(step, Step::FreezeOthers(_))));
        let control = Plan::new(Duration::from_secs(10), true, true);
        assert_eq!(control.steps()[0], (Duration::from_secs(2), Step::FreezeOthers(2)));
        assert!(control.steps().is_sorted_by_key(|(at, _)| *at));
    }
}
