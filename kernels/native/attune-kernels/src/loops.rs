//! The inner loops, compiled once for each level of processor and chosen at run time. What calls them is compiled once.
use crate::lanes::{add_scaled, dot, highest, Level};
use crate::product::{multiply, scores, Shape};
use crate::softmax::raise;
#[cfg(target_arch = "x86_64")]
use crate::vectors;

#[derive(Clone, Copy)]
pub struct Loops {
    /// c (+)= a·b
    pub multiply: fn(Shape, &[f32], &[f32], &mut [f32], bool),
    /// Scores of few rows, keys as they lie: rows, D, rows of queries, keys, scores, distance of their rows.
    pub scores: fn(usize, usize, &[f32], &[f32], &mut [f32], usize),
    /// s to e^(s − m); their sum.
    pub raise: fn(&mut [f32], f32) -> f32,
    /// The largest, or the second argument.
    pub highest: fn(&[f32], f32) -> f32,
    /// to += factor · from
    pub add_scaled: fn(&mut [f32], f32, &[f32]),
    pub dot: fn(&[f32], &[f32]) -> f32,
}

macro_rules! loops {
    ($level:ident, $features:literal) => {
        #[cfg(target_arch = "x86_64")]
        mod $level {
            use super::*;

            #[target_feature(enable = $features)]
            fn added(to: &mut [f32], factor: f32, from: &[f32]) {
                add_scaled::<true>(to, factor, from);
            }
            #[target_feature(enable = $features)]
            fn dotted(a: &[f32], b: &[f32]) -> f32 {
                dot::<true>(a, b)
            }

            // Handed out by `of` only where the processor has the features.
            pub const LOOPS: Loops = Loops {
                multiply: |shape, a, b, c, add| unsafe { vectors::$level::multiply(shape, a, b, c, add) },
                scores: |rows, size, a, b, c, apart| unsafe { vectors::scores(rows, size, a, b, c, apart) },
                raise: |values, most| unsafe { vectors::raise(values, most) },
                highest: |values, least| unsafe { vectors::highest(values, least) },
                add_scaled: |to, factor, from| unsafe { added(to, factor, from) },
                dot: |a, b| unsafe { dotted(a, b) },
            };
        }
    };
}

loops!(avx2, "avx2,fma");
loops!(avx512, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma");

const PORTABLE: Loops =
    Loops { multiply, scores, raise, highest, add_scaled: add_scaled::<false>, dot: dot::<false> };

/// Those of a level, or of the portable one where this processor lacks it.
pub fn of(level: Level) -> Loops {
    if !Level::available().contains(&level) {
        return PORTABLE;
    }
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512::LOOPS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::LOOPS,
        _ => PORTABLE,
    }
}
