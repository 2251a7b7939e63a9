//! Memory that all visitors share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes may be held together.
#[derive(Clone, Debug)]
pub struct ByteBudget(Arc<Semaphore>);

/// The others hold what was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many bytes are held together")]
pub struct Exhausted;

/// What one visitor holds of a budget; given back when dropped.
#[derive(Debug)]
pub struct HeldBytes {
    budget: ByteBudget,
    permit: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    #[must_use]
    pub fn new(bytes: u32) -> Self {
        Self(Arc::new(Semaphore::new(bytes as usize)))
    }

    /// Nothing yet.
    #[must_use]
    pub fn hold(&self) -> HeldBytes {
        HeldBytes { budget: self.clone(), permit: None }
    }
}

impl HeldBytes {
    /// Takes `bytes` more, or none at all.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let wanted = u32::try_from(bytes).map_err(|_| Exhausted)?;
        let more = Arc::clone(&self.budget.0).try_acquire_many_owned(wanted).map_err(|_| Exhausted)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_holds_others_cannot_have_until_it_is_dropped() {
        let budget = ByteBudget::new(100);
        let (mut one, mut other) = (budget.hold(), budget.hold());
        one.grow(40).unwrap();
        one.grow(40).unwrap();
        assert_eq!(other.grow(21), Err(Exhausted));
        other.grow(20).unwrap();
        assert_eq!(one.grow(1), Err(Exhausted));
        drop(one);
        other.grow(80).unwrap();
        assert_eq!(other.grow(usize::MAX), Err(Exhausted));
    }
}
