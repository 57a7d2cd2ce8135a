//! The inner loops, compiled once for each level of processor and chosen at run time. What calls them is compiled once.
use crate::lanes::{add_scaled, dot, Level};
use crate::product::{multiply, scores, Shape};
use crate::softmax::raise;

#[derive(Clone, Copy)]
pub struct Loops {
    /// c (+)= a·b
    pub multiply: fn(Shape, &[f32], &[f32], &mut [f32], bool),
    /// Scores of few rows, keys as they lie: rows, D, rows of queries, keys, scores, distance of their rows.
    pub scores: fn(usize, usize, &[f32], &[f32], &mut [f32], usize),
    /// s to e^(s − m); their sum.
    pub raise: fn(&mut [f32], f32) -> f32,
    /// to += factor · from
    pub add_scaled: fn(&mut [f32], f32, &[f32]),
    pub dot: fn(&[f32], &[f32]) -> f32,
}

macro_rules! loops {
    ($level:ident, $features:literal, $wide:literal) => {
        #[cfg(target_arch = "x86_64")]
        mod $level {
            use super::*;

            #[target_feature(enable = $features)]
            fn multiplied(shape: Shape, a: &[f32], b: &[f32], c: &mut [f32], add: bool) {
                multiply::<true, $wide>(shape, a, b, c, add);
            }
            #[target_feature(enable = $features)]
            fn scored(rows: usize, size: usize, a: &[f32], b: &[f32], c: &mut [f32], apart: usize) {
                scores::<true>(rows, size, a, b, c, apart);
            }
            #[target_feature(enable = $features)]
            fn raised(values: &mut [f32], most: f32) -> f32 {
                raise::<true>(values, most)
            }
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
                multiply: |shape, a, b, c, add| unsafe { multiplied(shape, a, b, c, add) },
                scores: |rows, size, a, b, c, apart| unsafe { scored(rows, size, a, b, c, apart) },
                raise: |values, most| unsafe { raised(values, most) },
                add_scaled: |to, factor, from| unsafe { added(to, factor, from) },
                dot: |a, b| unsafe { dotted(a, b) },
            };
        }
    };
}

loops!(avx2, "avx2,fma", 16);
loops!(avx512, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma", 32);

const PORTABLE: Loops = Loops {
    multiply: multiply::<false, 16>,
    scores: scores::<false>,
    raise: raise::<false>,
    add_scaled: add_scaled::<false>,
    dot: dot::<false>,
};

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
