//! The messages that wait to be sent.

use std::collections::VecDeque;

use serde_json::value::RawValue;

/// The most messages that wait, as during an outage. What is more is missed by the others.
const QUEUED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Without those that are being sent.
    waiting: VecDeque<Box<RawValue>>,
    total: u64,
    /// Messages were dropped, so the others must be told that they missed some.
    has_dropped: bool,
}

impl Outgoing {
    pub(super) fn add(&mut self, message: Box<RawValue>) {
        // Said twice in a row, as by changes of one import, it is sent once. If the first one is being sent already, the
        // second one is needed: whoever hears the first may read the database before the second change.
        if self.waiting.back().is_some_and(|last| last.get() == message.get()) {
            return;
        }
        if self.waiting.len() < QUEUED {
            self.waiting.push_back(message);
            self.total += 1;
        } else {
            self.has_dropped = true;
        }
    }

    /// Takes the messages that are sent next, of so many bytes at most, and whether others were dropped.
    pub(super) fn take(&mut self, bytes: usize) -> (Vec<Box<RawValue>>, bool) {
        let (mut told, mut left) = (Vec::new(), bytes);
        while let Some(rest) =
            self.waiting.front().and_then(|message| left.checked_sub(message.get().len() + 1))
        {
            left = rest;
            told.extend(self.waiting.pop_front());
        }
        (told, std::mem::take(&mut self.has_dropped))
    }

    /// Takes back what could not be sent.
    pub(super) fn put_back(&mut self, told: Vec<Box<RawValue>>, missed: bool) {
        for message in told.into_iter().rev() {
            self.waiting.push_front(message);
        }
        self.has_dropped |= missed;
    }

    /// How many messages ever waited.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: usize) -> Box<RawValue> {
        RawValue::from_string(number.to_string()).unwrap()
    }

    fn texts(told: &[Box<RawValue>]) -> Vec<&str> {
        told.iter().map(|told| told.get()).collect()
    }

    #[test]
    fn what_is_said_while_the_same_is_being_sent_is_sent_again_and_a_failure_keeps_the_order() {
        let mut outgoing = Outgoing::default();
        outgoing.add(message(1));
        outgoing.add(message(1));
        let (told, missed) = outgoing.take(100);
        assert_eq!((texts(&told), missed), (vec!["1"], false), "said twice in a row, it is sent once");
        outgoing.add(message(1));
        outgoing.add(message(2));
        outgoing.put_back(told, missed);
        assert_eq!(texts(&outgoing.take(4).0), ["1", "1"]);
        assert_eq!(texts(&outgoing.take(100).0), ["2"]);
        assert!(outgoing.is_empty() && outgoing.total() == 3);
    }

    #[test]
    fn that_messages_were_dropped_is_told_once_even_if_it_happens_while_others_are_being_sent() {
        let mut outgoing = Outgoing::default();
        let fill = |outgoing: &mut Outgoing| {
            for number in 0..=QUEUED {
                outgoing.add(message(number));
            }
        };
        fill(&mut outgoing);
        let (told, missed) = outgoing.take(100);
        assert!(missed && !told.is_empty());
        assert!(!outgoing.take(0).1, "once");
        fill(&mut outgoing);
        assert!(outgoing.take(0).1, "it happened while the first ones were being sent");
        outgoing.put_back(told, missed);
        assert!(outgoing.take(0).1, "the sending failed");
    }
}
