//! Finds special bytes, 64 at a time, with the widest registers that the processor has.

use fearless_simd::{Simd, SimdBase, SimdMask, u8x64};

/// The bytes of a block.
pub(super) const BLOCK: usize = 64;

/// 64 bytes in registers.
pub(super) struct Bytes64<S: Simd>(u8x64<S>);

impl<S: Simd> Bytes64<S> {
    /// The front of `bytes`, filled up with NUL.
    #[inline(always)]
    pub(super) fn new(simd: S, bytes: &[u8]) -> Self {
        let mut last = [0; BLOCK];
        let block: &[u8; BLOCK] = bytes.first_chunk().unwrap_or_else(|| {
            last[..bytes.len()].copy_from_slice(bytes);
            &last
        });
        Self(u8x64::from_slice(simd, block))
    }

    /// A bit for every byte that is `wanted`, the first byte's lowest.
    #[inline(always)]
    pub(super) fn find(&self, wanted: u8) -> u64 {
        self.0.simd_eq(wanted).to_bitmask()
    }

    /// The same for two wanted bytes.
    #[inline(always)]
    pub(super) fn find_either(&self, one: u8, other: u8) -> u64 {
        (self.0.simd_eq(one) | self.0.simd_eq(other)).to_bitmask()
    }
}

/// For every bit the parity of the bits up to it.
#[inline(always)]
pub(super) fn parities(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}
