//! Attention over slices: no runtime, no bindings, no dependencies, so that it can be tested, fuzzed and run under Miri by itself.
//!
//! Letters: B batch, H query heads, K kv heads, D head size, T keys in use, C keys a cache has room for.
mod attend;
mod decode;
mod exponential;
mod lanes;

pub use decode::{decode, Bias, Decode, Misfit};
