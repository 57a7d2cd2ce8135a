//! e^x for x ≤ 0 without branches, so that it becomes vectors: x = n·ln 2 + r with |r| ≤ ln 2 / 2, a polynomial for e^r (Cephes,
//! expf), and 2^n written into the exponent's bits. Within 2 units in the last place; 0 below −87.

use crate::lanes::fma;

pub const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts, of which the first times n is exact.
pub const LN2_HIGH: f32 = 0.693_359_4;
pub const LN2_LOW: f32 = -2.121_944_4e-4;
pub const LOWEST: f32 = -87.0;
pub const POLYNOMIAL: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1];

#[inline(always)]
pub fn exp<const FUSED: bool>(x: f32) -> f32 {
    let clamped = if x > LOWEST { x } else { LOWEST };
    // Rounding by adding and taking away what leaves no room for a fraction.
    const SHIFT: f32 = 12_582_912.0;
    let n = fma::<FUSED>(clamped, LOG2_E, SHIFT) - SHIFT;
    let r = fma::<FUSED>(n, -LN2_LOW, fma::<FUSED>(n, -LN2_HIGH, clamped));
    let mut sum = POLYNOMIAL[0];
    for &coefficient in &POLYNOMIAL[1..] {
        sum = fma::<FUSED>(sum, r, coefficient);
    }
    let e_r = fma::<FUSED>(sum, r * r, r) + 1.0;
    let two_n = f32::from_bits(((n as i32 + 127) as u32) << 23);
    if x > LOWEST {
        e_r * two_n
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn it_is_the_exponential_within_three_ten_millionths() {
        let worst = |f: fn(f32) -> f32| {
            (0..86_000).fold(0f64, |worst, i| {
                let x = -(i as f32) / 1000.0;
                let exact = f64::from(x).exp();
                worst.max(((f64::from(f(x)) - exact) / exact).abs())
            })
        };
        assert!(worst(exp::<false>) < 3e-7);
        assert!(worst(exp::<true>) < 3e-7);
    }

    #[test]
    fn it_ends_at_one_and_at_nothing() {
        assert_eq!(exp::<false>(0.0), 1.0);
        for x in [-88.0, -1e30, f32::MIN, f32::NEG_INFINITY] {
            assert_eq!(exp::<false>(x), 0.0);
        }
    }
}
