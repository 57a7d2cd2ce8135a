//! Loops that the compiler turns into vectors: once for any processor, once with AVX2 and FMA, once with AVX-512.

/// Numbers that are worked on side by side.
pub const WIDTH: usize = 16;

/// What the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Portable,
    Avx2,
    Avx512,
}

impl Level {
    /// The best this processor has.
    pub fn best() -> Self {
        *Self::available().last().unwrap_or(&Level::Portable)
    }

    /// All that this processor has.
    pub fn available() -> &'static [Level] {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                if has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw") {
                    return &[Level::Portable, Level::Avx2, Level::Avx512];
                }
                return &[Level::Portable, Level::Avx2];
            }
        }
        &[Level::Portable]
    }
}

/// a·b + c; fused only where the processor has the instruction, as it is a library call elsewhere.
#[inline(always)]
pub fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// Lanes added up by halves, so that the order does not depend on the processor.
#[inline(always)]
pub fn total(mut lanes: [f32; WIDTH]) -> f32 {
    let mut width = WIDTH;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

#[inline(always)]
pub fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0f32; WIDTH];
    let chunks = values.chunks_exact(WIDTH);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..WIDTH {
            lanes[lane] += chunk[lane];
        }
    }
    total(lanes) + rest.iter().sum::<f32>()
}

/// Σ a·b
#[inline(always)]
pub fn dot<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; WIDTH];
    let (a_chunks, b_chunks) = (a.chunks_exact(WIDTH), b.chunks_exact(WIDTH));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest = rest.fold(0f32, |sum, (&x, &y)| fma::<FUSED>(x, y, sum));
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..WIDTH {
            lanes[lane] = fma::<FUSED>(x[lane], y[lane], lanes[lane]);
        }
    }
    total(lanes) + rest
}

/// The largest, or `least` where all are below it.
pub fn highest(values: &[f32], least: f32) -> f32 {
    let mut lanes = [least; WIDTH];
    let chunks = values.chunks_exact(WIDTH);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..WIDTH {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    let all = lanes.iter().chain(rest);
    all.fold(least, |most, &value| if value > most { value } else { most })
}

/// to += factor · from
#[inline(always)]
pub fn add_scaled<const FUSED: bool>(to: &mut [f32], factor: f32, from: &[f32]) {
    for (sum, &value) in to.iter_mut().zip(from) {
        *sum = fma::<FUSED>(factor, value, *sum);
    }
}
