//! Attention over slices: no runtime, no bindings, no dependencies, so that it can be tested, fuzzed and run under Miri by itself.
//!
//! Letters: B batch, H query heads, K kv heads, G = H/K query heads over one kv head, D head size, S new tokens, T keys in use,
//! P = T − S, C keys a cache has room for.
mod attention;
mod calibration;
mod cells;
mod check;
mod exponential;
mod lanes;
mod loops;
mod product;
mod prompt;
mod rotary;
mod softmax;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vectors;

pub use attention::{attend, Attention, Bias, Outputs, Parallel, Past, Projected, Serial};
pub use calibration::{Calibration, Statistics, Table};
pub use check::Misfit;
pub use lanes::Level;
pub use rotary::Rotary;
