//! The two products with the processor's own vectors: AVX2 with FMA, and AVX-512. Sums of a tile stay in registers, which loops
//! over arrays did not reach.
use crate::product::Shape;
use std::arch::x86_64::*;

/// What the loops below read and write lies inside.
fn inside(Shape { rows, inner, columns, a, b, c }: Shape, lengths: [usize; 3]) -> bool {
    let end = |count: usize, apart: usize, width: usize| match count {
        0 => Some(0),
        _ => (count - 1).checked_mul(apart).and_then(|start| start.checked_add(width)),
    };
    let ends = [end(rows, a, inner), end(inner, b, columns), end(rows, c, columns)];
    ends.iter().zip(lengths).all(|(end, length)| end.is_some_and(|end| end <= length))
}

macro_rules! products {
    ($level:ident, $features:literal, $vector:ty, $lanes:literal, $zero:ident, $set:ident, $load:ident, $store:ident, $add:ident, $fma:ident) => {
        pub mod $level {
            use super::*;

            #[target_feature(enable = $features)]
            pub fn multiply(shape: Shape, a: &[f32], b: &[f32], c: &mut [f32], add: bool) {
                assert!(inside(shape, [a.len(), b.len(), c.len()]));
                let mut row = 0;
                while row < shape.rows {
                    // 7 rows as 4 and 3: fewer sums are better than a last row by itself.
                    let step = match shape.rows - row {
                        1 | 2 => 1,
                        3 => 3,
                        4 | 5 | 7 | 8 => 4,
                        _ => 6,
                    };
                    // Inside, as asserted.
                    unsafe {
                        let (a, c) = (a.as_ptr().add(row * shape.a), c.as_mut_ptr().add(row * shape.c));
                        match step {
                            1 => strip::<1>(shape, a, b.as_ptr(), c, add),
                            3 => strip::<3>(shape, a, b.as_ptr(), c, add),
                            4 => strip::<4>(shape, a, b.as_ptr(), c, add),
                            _ => strip::<6>(shape, a, b.as_ptr(), c, add),
                        }
                    }
                    row += step;
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn strip<const M: usize>(
                shape: Shape,
                a: *const f32,
                b: *const f32,
                c: *mut f32,
                add: bool,
            ) {
                let mut column = 0;
                while column + 2 * $lanes <= shape.columns {
                    tile::<M, 2>(shape, a, b.add(column), c.add(column), add);
                    column += 2 * $lanes;
                }
                while column + $lanes <= shape.columns {
                    tile::<M, 1>(shape, a, b.add(column), c.add(column), add);
                    column += $lanes;
                }
                for column in column..shape.columns {
                    for m in 0..M {
                        let mut sum = 0f32;
                        for i in 0..shape.inner {
                            sum = (*a.add(m * shape.a + i)).mul_add(*b.add(i * shape.b + column), sum);
                        }
                        let c = c.add(m * shape.c + column);
                        *c = if add { *c + sum } else { sum };
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn tile<const M: usize, const V: usize>(
                shape: Shape,
                a: *const f32,
                b: *const f32,
                c: *mut f32,
                add: bool,
            ) {
                let mut sums: [[$vector; V]; M] = [[$zero(); V]; M];
                let mut own: [$vector; V] = [$zero(); V];
                for i in 0..shape.inner {
                    for v in 0..V {
                        own[v] = $load(b.add(i * shape.b + v * $lanes));
                    }
                    for m in 0..M {
                        let x = $set(*a.add(m * shape.a + i));
                        for v in 0..V {
                            sums[m][v] = $fma(x, own[v], sums[m][v]);
                        }
                    }
                }
                for m in 0..M {
                    for v in 0..V {
                        let c = c.add(m * shape.c + v * $lanes);
                        $store(c, if add { $add($load(c), sums[m][v]) } else { sums[m][v] });
                    }
                }
            }
        }
    };
}

products!(
    avx2,
    "avx2,fma",
    __m256,
    8,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_fmadd_ps
);
products!(
    avx512,
    "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma",
    __m512,
    16,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_fmadd_ps
);

/// Scores of few rows: c[m, t] = a[m]·b[t], four keys at a time as they lie in the cache. Rows of c are `apart`.
#[target_feature(enable = "avx2,fma")]
pub fn scores(rows: usize, size: usize, a: &[f32], b: &[f32], c: &mut [f32], apart: usize) {
    let keys = b.len() / size;
    assert!(a.len() >= rows * size && (rows == 0 || c.len() >= (rows - 1) * apart + keys));
    // Inside, as asserted.
    unsafe {
        for key in (0..keys / 4 * 4).step_by(4) {
            let b = b.as_ptr().add(key * size);
            let mut row = 0;
            while row + 2 <= rows {
                four_keys::<2>(
                    size,
                    a.as_ptr().add(row * size),
                    b,
                    c.as_mut_ptr().add(row * apart + key),
                    apart,
                );
                row += 2;
            }
            if row < rows {
                four_keys::<1>(
                    size,
                    a.as_ptr().add(row * size),
                    b,
                    c.as_mut_ptr().add(row * apart + key),
                    apart,
                );
            }
        }
    }
    for key in keys / 4 * 4..keys {
        for row in 0..rows {
            let (q, k) = (&a[row * size..(row + 1) * size], &b[key * size..(key + 1) * size]);
            c[row * apart + key] = crate::lanes::dot::<true>(q, k);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn four_keys<const M: usize>(size: usize, a: *const f32, b: *const f32, c: *mut f32, apart: usize) {
    let mut sums = [[_mm256_setzero_ps(); 4]; M];
    let whole = size / 8 * 8;
    let mut own = [_mm256_setzero_ps(); 4];
    for at in (0..whole).step_by(8) {
        for i in 0..4 {
            own[i] = _mm256_loadu_ps(b.add(i * size + at));
        }
        for m in 0..M {
            let q = _mm256_loadu_ps(a.add(m * size + at));
            for i in 0..4 {
                sums[m][i] = _mm256_fmadd_ps(q, own[i], sums[m][i]);
            }
        }
    }
    for m in 0..M {
        let [s0, s1, s2, s3] = sums[m];
        let pairs = _mm256_hadd_ps(_mm256_hadd_ps(s0, s1), _mm256_hadd_ps(s2, s3));
        let total = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
        let c = c.add(m * apart);
        _mm_storeu_ps(c, total);
        for at in whole..size {
            for i in 0..4 {
                *c.add(i) += *a.add(m * size + at) * *b.add(i * size + at);
            }
        }
    }
}

/// The largest, or `least` where all are below it.
#[target_feature(enable = "avx2,fma")]
pub fn highest(values: &[f32], least: f32) -> f32 {
    let chunks = values.chunks_exact(8);
    let rest = chunks.remainder();
    let mut most = _mm256_set1_ps(least);
    let mut lanes = [0f32; 8];
    for chunk in chunks {
        most = _mm256_max_ps(unsafe { _mm256_loadu_ps(chunk.as_ptr()) }, most);
    }
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), most) };
    lanes.iter().chain(rest).fold(least, |most, &value| if value > most { value } else { most })
}

/// s to e^(s − m), as exponential.rs has it. @returns their sum
#[target_feature(enable = "avx2,fma")]
pub fn raise(scores: &mut [f32], most: f32) -> f32 {
    use crate::exponential::{LN2_HIGH, LN2_LOW, LOG2_E, LOWEST, POLYNOMIAL};
    let set = |value: f32| _mm256_set1_ps(value);
    let (shift, lowest) = (set(most), set(LOWEST));
    let mut sums = _mm256_setzero_ps();
    let mut chunks = scores.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let x = _mm256_sub_ps(unsafe { _mm256_loadu_ps(chunk.as_ptr()) }, shift);
        let clamped = _mm256_max_ps(x, lowest);
        let whole = _mm256_cvtps_epi32(_mm256_mul_ps(clamped, set(LOG2_E)));
        let n = _mm256_cvtepi32_ps(whole);
        let r = _mm256_fmadd_ps(n, set(-LN2_LOW), _mm256_fmadd_ps(n, set(-LN2_HIGH), clamped));
        let mut sum = set(POLYNOMIAL[0]);
        for &coefficient in &POLYNOMIAL[1..] {
            sum = _mm256_fmadd_ps(sum, r, set(coefficient));
        }
        let e_r = _mm256_add_ps(_mm256_fmadd_ps(sum, _mm256_mul_ps(r, r), r), set(1.0));
        let two_n =
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(whole, _mm256_set1_epi32(127))));
        let seen = _mm256_cmp_ps::<_CMP_GT_OQ>(x, lowest);
        let weight = _mm256_and_ps(_mm256_mul_ps(e_r, two_n), seen);
        unsafe { _mm256_storeu_ps(chunk.as_mut_ptr(), weight) };
        sums = _mm256_add_ps(sums, weight);
    }
    let mut lanes = [0f32; 8];
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sums) };
    let rest = chunks.into_remainder().iter_mut().fold(0f32, |sum, score| {
        *score = crate::exponential::exp::<false>(*score - most);
        sum + *score
    });
    lanes.iter().sum::<f32>() + rest
}
