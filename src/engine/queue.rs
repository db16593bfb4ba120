//! Which requests run next, and together. Pure: no threads, no models.

use super::message::Priority;

/// What the queue needs to know of a waiting or running request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Order of arrival.
    pub arrived: u64,
    pub priority: Priority,
    /// Requests with equal keys can share a forward step (task and model).
    pub key: String,
    /// Runs only by itself: a step that it shared has panicked.
    pub alone: bool,
}

/// Indices of the tickets that share the next step, the leader first: the oldest of the highest
/// priority, and those of the same key and priority in order of arrival.
pub fn next_group(tickets: &[Ticket]) -> Vec<usize> {
    let order = |i: &usize| (std::cmp::Reverse(tickets[*i].priority), tickets[*i].arrived);
    let Some(leader) = (0..tickets.len()).min_by_key(order) else {
        return Vec::new();
    };
    if tickets[leader].alone {
        return vec![leader];
    }
    let fits = |t: &Ticket| t.key == tickets[leader].key && t.priority == tickets[leader].priority && !t.alone;
    let mut group: Vec<usize> = (0..tickets.len()).filter(|&i| fits(&tickets[i])).collect();
    group.sort_by_key(order);
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(arrived: u64, priority: Priority, key: &str) -> Ticket {
        Ticket { arrived, priority, key: key.into(), alone: false }
    }

    #[test]
    fn interactive_goes_before_batch_and_like_goes_with_like() {
        use Priority::{Batch, Interactive};
        let tickets = [
            ticket(0, Batch, "a"),
            ticket(3, Interactive, "a"),
            ticket(2, Interactive, "b"),
            ticket(4, Interactive, "b"),
            ticket(5, Batch, "b"),
        ];
        assert_eq!(next_group(&tickets), [2, 3]);
        assert_eq!(next_group(&tickets[..1]), [0]);
        assert!(next_group(&[]).is_empty());
    }

    #[test]
    fn a_request_that_must_run_alone_does() {
        let mut tickets = vec![ticket(0, Priority::Batch, "a"), ticket(1, Priority::Batch, "a")];
        tickets[1].alone = true;
        assert_eq!(next_group(&tickets), [0]);
        tickets[0].alone = true;
        assert_eq!(next_group(&tickets), [0]);
    }
}
