//! Loops that the compiler turns into vectors, once for any processor and once with AVX2 and FMA.

/// Sums that run side by side: four registers of eight.
const WIDTH: usize = 32;

/// a·b + c; fused only where the processor has the instruction, as it is a library call elsewhere.
#[inline(always)]
pub fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

#[inline(always)]
pub fn dot<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; WIDTH];
    let (a_lanes, b_lanes) = (a.chunks_exact(WIDTH), b.chunks_exact(WIDTH));
    let rest = a_lanes.remainder().iter().zip(b_lanes.remainder());
    let rest = rest.fold(0f32, |sum, (&x, &y)| fma::<FUSED>(x, y, sum));
    for (x, y) in a_lanes.zip(b_lanes) {
        for lane in 0..WIDTH {
            sums[lane] = fma::<FUSED>(x[lane], y[lane], sums[lane]);
        }
    }
    // By halves, so that the order does not depend on the processor.
    let mut width = WIDTH;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0] + rest
}

/// to += factor · from
#[inline(always)]
pub fn add_scaled<const FUSED: bool>(to: &mut [f32], factor: f32, from: &[f32]) {
    for (sum, &value) in to.iter_mut().zip(from) {
        *sum = fma::<FUSED>(factor, value, *sum);
    }
}

#[inline(always)]
pub fn scale(values: &mut [f32], factor: f32) {
    for value in values {
        *value *= factor;
    }
}
