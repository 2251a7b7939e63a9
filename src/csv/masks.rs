//! Finds special bytes, 64 at a time.

use wide::u8x16;

/// The bytes of a block.
pub(super) const BLOCK: usize = 64;

/// A byte in every lane of a register.
#[derive(Clone, Copy)]
pub(super) struct Wanted(u8x16);

impl Wanted {
    pub(super) fn new(byte: u8) -> Self {
        Self(u8x16::splat(byte))
    }
}

/// 64 bytes in registers.
pub(super) struct Bytes64([u8x16; 4]);

impl Bytes64 {
    /// The front of `bytes`, filled up with NUL.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut last = [0; BLOCK];
        let block = bytes.first_chunk().unwrap_or_else(|| {
            last[..bytes.len()].copy_from_slice(bytes);
            &last
        });
        let (quarters, _) = block.as_chunks::<16>();
        Self([0, 1, 2, 3].map(|quarter| u8x16::new(quarters[quarter])))
    }

    /// A bit for every byte that is wanted, the first byte's lowest.
    pub(super) fn find(&self, Wanted(wanted): Wanted) -> u64 {
        bits(self.0.map(|quarter| quarter.simd_eq(wanted)))
    }

    /// The same for two wanted bytes.
    pub(super) fn find_either(&self, Wanted(one): Wanted, Wanted(other): Wanted) -> u64 {
        bits(self.0.map(|quarter| quarter.simd_eq(one) | quarter.simd_eq(other)))
    }

    /// The same for a byte that is rare.
    pub(super) fn find_rare(&self, Wanted(wanted): Wanted) -> u64 {
        let found = self.0.map(|quarter| quarter.simd_eq(wanted));
        let any = found[0] | found[1] | found[2] | found[3];
        if any.to_bitmask() == 0 { 0 } else { bits(found) }
    }
}

fn bits(found: [u8x16; 4]) -> u64 {
    let [a, b, c, d] = found.map(|quarter| u64::from(quarter.to_bitmask()));
    a | b << 16 | c << 32 | d << 48
}

/// For every bit the parity of the bits up to it.
pub(super) fn parities(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}
