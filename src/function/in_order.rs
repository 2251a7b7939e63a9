//! Work on the blocks of a file by several threads, in the order of the file.
//!
//! Each thread takes the next block from the source, works on it, and hands it over in its turn. So a block stays in the
//! cache of one core: to move it to another core takes about as long as to read its records.

use std::{
    num::NonZero,
    ops::ControlFlow,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// How many bytes of a file a block has. In smaller ones the system would take longer to store what they become.
pub(super) const BLOCK: usize = 1 << 20;

/// The most threads that help a step: each has a block of the file and what it becomes in memory.
const MOST_HELPERS: usize = 4;

/// How many threads can help a step while so many workers are idle.
pub(super) fn helpers(idle: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    idle.min(cores - 1).min(MOST_HELPERS)
}

/// Where the blocks come from.
pub(super) trait BlockSource {
    /// A block. Each thread has one, whose buffers are used again.
    type Block: Default;

    /// Fills `block` with the next one. Returns false if there is none now.
    fn next(&mut self, block: &mut Self::Block) -> bool;
}

/// Takes the blocks, one at a time and in their order.
pub(super) trait Taker<S: BlockSource> {
    fn take(&mut self, block: &mut S::Block) -> ControlFlow<()>;

    /// Called at the start and after each block, with the source locked. `are_others_out` says that threads have blocks
    /// that are not taken yet. If they have none, and the source would give none, all threads wait: then this must read on
    /// by itself, or make the source give blocks again. A source that gives all its blocks needs nothing.
    fn go_on(&mut self, _source: &mut S, _are_others_out: bool) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Does `work` on all blocks of `source`, on this thread and `helpers` others, until `taker` breaks off. Returns the
/// taker. Blocks. A panic of one thread ends all of them, and is passed on.
pub(super) fn in_order<S, T>(helpers: usize, source: S, work: impl Fn(&mut S::Block) + Sync, taker: T) -> T
where
    S: BlockSource + Send,
    T: Taker<S> + Send,
{
    let line = Line {
        source: Mutex::new(Numbered { source, given: 0 }),
        turn: Mutex::new(Turn { taker, number: 0, is_over: false }),
        changed: Condvar::new(),
    };
    line.begin();
    thread::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|| line.work(&work));
        }
        line.work(&work);
    });
    line.turn.into_inner().unwrap_or_else(PoisonError::into_inner).taker
}

struct Line<S, T> {
    /// Locked after `turn` by a thread that needs both.
    source: Mutex<Numbered<S>>,
    turn: Mutex<Turn<T>>,
    /// The turn or the source.
    changed: Condvar,
}

struct Numbered<S> {
    source: S,
    /// How many blocks it has given.
    given: u64,
}

struct Turn<T> {
    taker: T,
    /// Of the next block to take: 0, 1, ...
    number: u64,
    is_over: bool,
}

impl<S: BlockSource, T: Taker<S>> Line<S, T> {
    /// After a panic of a thread that held it, it is over.
    fn turn(&self) -> MutexGuard<'_, Turn<T>> {
        self.turn.lock().unwrap_or_else(over)
    }

    fn wait<'t>(&self, turn: MutexGuard<'t, Turn<T>>) -> MutexGuard<'t, Turn<T>> {
        self.changed.wait(turn).unwrap_or_else(over)
    }

    fn source(&self) -> MutexGuard<'_, Numbered<S>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        let mut turn = self.turn();
        turn.go_on(&mut self.source());
    }

    fn work(&self, work: impl Fn(&mut S::Block)) {
        let _ending = EndingAtPanic(self);
        let mut block = S::Block::default();
        while let Some(number) = self.next(&mut block) {
            work(&mut block);
            if !self.hand_over(number, &mut block) {
                return;
            }
        }
    }

    /// Waits for the next block. Returns its number; None if it is over.
    fn next(&self, block: &mut S::Block) -> Option<u64> {
        let given = self.source().next(block);
        if given.is_some() {
            return given;
        }
        let mut turn = self.turn();
        while !turn.is_over {
            let given = self.source().next(block);
            if given.is_some() {
                return given;
            }
            turn = self.wait(turn);
        }
        None
    }

    /// Waits until the blocks before it are taken. Returns whether more are wanted.
    fn hand_over(&self, number: u64, block: &mut S::Block) -> bool {
        let mut turn = self.turn();
        while turn.number != number && !turn.is_over {
            turn = self.wait(turn);
        }
        if turn.is_over {
            return false;
        }
        turn.is_over = turn.taker.take(block).is_break();
        turn.number += 1;
        if !turn.is_over {
            turn.go_on(&mut self.source());
        }
        self.changed.notify_all();
        !turn.is_over
    }
}

fn over<T>(poisoned: PoisonError<MutexGuard<'_, Turn<T>>>) -> MutexGuard<'_, Turn<T>> {
    let mut turn = poisoned.into_inner();
    turn.is_over = true;
    turn
}

impl<S: BlockSource> Numbered<S> {
    fn next(&mut self, block: &mut S::Block) -> Option<u64> {
        let number = self.given;
        self.source.next(block).then(|| {
            self.given += 1;
            number
        })
    }
}

impl<T> Turn<T> {
    fn go_on<S: BlockSource>(&mut self, source: &mut Numbered<S>)
    where
        T: Taker<S>,
    {
        let are_others_out = source.given > self.number;
        self.is_over = self.taker.go_on(&mut source.source, are_others_out).is_break();
    }
}

/// Otherwise the other threads would wait for the block of this one for ever.
struct EndingAtPanic<'l, S: BlockSource, T: Taker<S>>(&'l Line<S, T>);

impl<S: BlockSource, T: Taker<S>> Drop for EndingAtPanic<'_, S, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.turn().is_over = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// So many numbers.
    struct Numbers(usize, usize);

    impl BlockSource for Numbers {
        type Block = (usize, usize);

        fn next(&mut self, block: &mut (usize, usize)) -> bool {
            block.0 = self.0;
            self.0 += 1;
            self.0 <= self.1
        }
    }

    /// Takes numbers until it has so many.
    struct Taken(Vec<(usize, usize)>, usize);

    impl Taker<Numbers> for Taken {
        fn take(&mut self, block: &mut (usize, usize)) -> ControlFlow<()> {
            self.0.push(*block);
            if self.0.len() == self.1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    #[test]
    fn blocks_are_worked_on_once_and_taken_in_their_order() {
        for helpers in 0..4 {
            let square = |block: &mut (usize, usize)| block.1 = block.0 * block.0;
            let taken = in_order(helpers, Numbers(0, 1_000), square, Taken(Vec::new(), 1_000)).0;
            assert_eq!(taken, (0..1_000).map(|number| (number, number * number)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn after_the_end_each_thread_works_on_one_more_block_at_most() {
        for helpers in 0..4 {
            let worked_on = AtomicUsize::new(0);
            let work = |_: &mut (usize, usize)| {
                worked_on.fetch_add(1, Ordering::Relaxed);
            };
            let taken = in_order(helpers, Numbers(0, 1_000_000), work, Taken(Vec::new(), 3)).0;
            assert_eq!(taken.len(), 3);
            assert!(worked_on.into_inner() <= 3 + helpers + 1);
        }
    }

    #[test]
    fn a_panic_of_one_thread_ends_all() {
        for helpers in 0..4 {
            let work = |block: &mut (usize, usize)| assert_ne!(block.0, 7, "on purpose");
            let work = || in_order(helpers, Numbers(0, 1_000), work, Taken(Vec::new(), 1_000));
            assert!(std::panic::catch_unwind(work).is_err());
        }
    }
}
