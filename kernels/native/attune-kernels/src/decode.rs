//! Attention of one decoded token per batch row. The key of the token itself is in the cache already, so what is causal is the
//! length of each row.
use crate::attend::{attend, is_fast, Group};

/// Added to the scores before the softmax, as attention_bias of GroupQueryAttention is; ln w multiplies a key's weight by w.
#[derive(Clone, Copy)]
pub struct Bias<'a> {
    /// [B or 1, H or 1, stride]
    pub values: &'a [f32],
    pub batch: usize,
    pub heads: usize,
    /// At least as long as the longest row.
    pub stride: usize,
}

/// What attention is computed of.
#[derive(Clone, Copy)]
pub struct Decode<'a> {
    pub batch: usize,
    /// H, a multiple of K.
    pub heads: usize,
    pub kv_heads: usize,
    /// D
    pub size: usize,
    /// C
    pub capacity: usize,
    /// T of each batch row, [B].
    pub lengths: &'a [usize],
    /// [B,H,D]
    pub q: &'a [f32],
    /// [B,K,C,D]
    pub k: &'a [f32],
    /// [B,K,C,D]
    pub v: &'a [f32],
    /// 1/√D, usually.
    pub scale: f32,
    /// c·tanh(s/c) in place of s; 0 leaves scores alone.
    pub softcap: f32,
    /// Only the last keys, the token's own included.
    pub window: Option<usize>,
    pub bias: Option<Bias<'a>>,
}

/// A slice that is not as long as the shape says, or a shape that is none.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit(pub &'static str);

/// softmax(scale·q·kᵀ + bias)·v for each query head, in memory that does not grow with T.
///
/// z is [B,H,D]. Every shape is checked before anything is read.
pub fn decode(problem: &Decode, z: &mut [f32]) -> Result<(), Misfit> {
    decode_with(problem, z, is_fast())
}

fn decode_with(problem: &Decode, z: &mut [f32], fast: bool) -> Result<(), Misfit> {
    check(problem, z)?;
    let Decode { batch, heads, kv_heads, size, capacity, q, k, v, scale, softcap, bias, .. } = *problem;
    let shared = heads / kv_heads;
    for row in 0..batch {
        let to = problem.lengths[row];
        let from = to.saturating_sub(problem.window.unwrap_or(to));
        for kv_head in 0..kv_heads {
            let cache = (row * kv_heads + kv_head) * capacity * size;
            let first = row * heads + kv_head * shared;
            let queries = first * size..(first + shared) * size;
            let bias_of = |head: usize| {
                let bias = bias?;
                let (b, h) = (if bias.batch == 1 { 0 } else { row }, kv_head * shared + head);
                let at = (b * bias.heads + if bias.heads == 1 { 0 } else { h }) * bias.stride;
                Some(&bias.values[at..at + bias.stride])
            };
            let group = Group {
                q: &q[queries.clone()],
                k: &k[cache..cache + to * size],
                v: &v[cache..cache + to * size],
                size,
                from,
                to,
                scale,
                softcap,
                bias: &bias_of,
            };
            attend(&group, &mut z[queries], fast);
        }
    }
    Ok(())
}

fn check(problem: &Decode, z: &[f32]) -> Result<(), Misfit> {
    let Decode { batch, heads, kv_heads, size, capacity, lengths, q, k, v, bias, .. } = *problem;
    let holds = |slice: &[f32], dims: &[usize], what: &'static str| {
        let count = dims.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
        if count == Some(slice.len()) {
            Ok(())
        } else {
            Err(Misfit(what))
        }
    };
    if kv_heads == 0 || size == 0 || heads % kv_heads != 0 {
        return Err(Misfit("heads are no multiple of kv heads, or the head size is 0"));
    }
    holds(q, &[batch, heads, size], "q")?;
    holds(z, &[batch, heads, size], "z")?;
    holds(k, &[batch, kv_heads, capacity, size], "k")?;
    holds(v, &[batch, kv_heads, capacity, size], "v")?;
    if lengths.len() != batch || lengths.iter().any(|&length| length > capacity) {
        return Err(Misfit("lengths"));
    }
    if let Some(Bias { values, batch: rows, heads: columns, stride }) = bias {
        holds(values, &[rows, columns, stride], "bias")?;
        let fits = (rows == 1 || rows == batch) && (columns == 1 || columns == heads);
        if !fits || lengths.iter().any(|&length| length > stride) {
            return Err(Misfit("bias"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// xorshift64*: numbers that look normal enough, the same in every run.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
        }
        fn below(&mut self, count: usize) -> usize {
            (self.next() % count as u64) as usize
        }
        fn values(&mut self, count: usize) -> Vec<f32> {
            (0..count).map(|_| ((self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0) * 2.0).collect()
        }
    }

    /// The definition, in float64.
    fn reference(p: &Decode) -> Vec<f64> {
        let mut z = vec![0f64; p.batch * p.heads * p.size];
        for (index, out) in z.chunks_exact_mut(p.size).enumerate() {
            let (b, h) = (index / p.heads, index % p.heads);
            let kv = b * p.kv_heads + h / (p.heads / p.kv_heads);
            let (to, q) = (p.lengths[b], &p.q[index * p.size..]);
            let row = |cache: &[f32], t: usize, d: usize| f64::from(cache[(kv * p.capacity + t) * p.size + d]);
            let from = p.window.map_or(0, |window| to.saturating_sub(window));
            let scores: Vec<f64> = (from..to)
                .map(|t| {
                    let product: f64 = (0..p.size).map(|d| f64::from(q[d]) * row(p.k, t, d)).sum();
                    let scaled = product * f64::from(p.scale);
                    let cap = f64::from(p.softcap);
                    let capped = if cap > 0.0 { cap * (scaled / cap).tanh() } else { scaled };
                    let added = p.bias.map_or(0.0, |bias| {
                        let b = if bias.batch == 1 { 0 } else { b };
                        let h = if bias.heads == 1 { 0 } else { h };
                        f64::from(bias.values[(b * bias.heads + h) * bias.stride + t])
                    });
                    capped + added
                })
                .collect();
            let most = scores.iter().cloned().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
            let mass: f64 = weights.iter().sum();
            for (t, weight) in weights.iter().enumerate() {
                for (d, sum) in out.iter_mut().enumerate() {
                    *sum += weight / mass * row(p.v, from + t, d);
                }
            }
        }
        z
    }

    #[test]
    fn random_shapes_are_the_definition_on_any_processor() {
        let mut random = Random(2505);
        for case in 0..200 {
            let (batch, kv_heads, shared) = (1 + random.below(3), 1 + random.below(3), 1 + random.below(5));
            let size = [1, 8, 16, 31, 64, 80, 128][random.below(7)];
            let capacity = 1 + random.below(300);
            let lengths: Vec<usize> = (0..batch).map(|_| 1 + random.below(capacity)).collect();
            let heads = kv_heads * shared;
            let q = random.values(batch * heads * size);
            let (k, v) = (random.values(batch * kv_heads * capacity * size), random.values(batch * kv_heads * capacity * size));
            let (rows, columns) = ([1, batch][random.below(2)], [1, heads][random.below(2)]);
            let mut bias = random.values(rows * columns * capacity);
            // Masked keys, as attention masks spell them; never all of a row.
            for (at, value) in bias.iter_mut().enumerate() {
                if at % capacity != 0 && random.below(7) == 0 {
                    *value = [f32::NEG_INFINITY, f32::MIN][random.below(2)];
                }
            }
            let bias = Bias { values: &bias, batch: rows, heads: columns, stride: capacity };
            let problem = Decode {
                batch,
                heads,
                kv_heads,
                size,
                capacity,
                lengths: &lengths,
                q: &q,
                k: &k,
                v: &v,
                scale: 1.0 / (size as f32).sqrt(),
                softcap: [0.0, 5.0][random.below(2)],
                // With a window the first key may be out of sight, and with it the only one that is not masked.
                window: None,
                bias: [None, Some(bias)][random.below(2)],
            };
            let windowed = Decode { window: Some(1 + random.below(capacity)), bias: None, ..problem };
            for problem in [problem, windowed] {
                let expected = reference(&problem);
                for fast in [false, true] {
                    let mut z = vec![f32::NAN; q.len()];
                    decode_with(&problem, &mut z, fast).unwrap();
                    let worst = z.iter().zip(&expected).fold(0f64, |worst, (&a, &b)| worst.max((f64::from(a) - b).abs()));
                    assert!(worst < 2e-6, "case {case}: {worst}");
                }
            }
        }
    }

    #[test]
    fn a_row_without_keys_or_with_all_of_them_masked_is_zero() {
        let (q, k, v) = ([1.0f32; 4], [1.0f32; 8], [3.0f32; 8]);
        let masked = [f32::NEG_INFINITY; 2];
        let bias = Some(Bias { values: &masked, batch: 1, heads: 1, stride: 2 });
        let problem = Decode {
            batch: 1,
            heads: 1,
            kv_heads: 1,
            size: 4,
            capacity: 2,
            lengths: &[0],
            q: &q,
            k: &k,
            v: &v,
            scale: 1.0,
            softcap: 0.0,
            window: None,
            bias: None,
        };
        for problem in [problem, Decode { lengths: &[2], bias, ..problem }] {
            let mut z = [f32::NAN; 4];
            decode(&problem, &mut z).unwrap();
            assert_eq!(z, [0.0; 4]);
        }
    }

    #[test]
    fn a_logarithm_in_the_bias_multiplies_a_weight() {
        // Two equal keys, the first with weight 3: three quarters of its value, one quarter of the other's.
        let (q, k, v) = ([0.5f32, 0.5], [1.0f32, 0.0, 1.0, 0.0], [4.0f32, 0.0, 0.0, 8.0]);
        let weights = [3f32.ln(), 0.0];
        let problem = Decode {
            batch: 1,
            heads: 1,
            kv_heads: 1,
            size: 2,
            capacity: 2,
            lengths: &[2],
            q: &q,
            k: &k,
            v: &v,
            scale: 1.0,
            softcap: 0.0,
            window: None,
            bias: Some(Bias { values: &weights, batch: 1, heads: 1, stride: 2 }),
        };
        let mut z = [0f32; 2];
        decode(&problem, &mut z).unwrap();
        assert!((z[0] - 3.0).abs() < 1e-6 && (z[1] - 2.0).abs() < 1e-6);
    }

    #[test]
    fn hostile_shapes_are_refused_before_anything_is_read() {
        let numbers = [0f32; 64];
        let fine = Decode {
            batch: 1,
            heads: 2,
            kv_heads: 1,
            size: 4,
            capacity: 4,
            lengths: &[4],
            q: &numbers[..8],
            k: &numbers[..16],
            v: &numbers[..16],
            scale: 1.0,
            softcap: 0.0,
            window: None,
            bias: None,
        };
        let bias = |stride, heads| Some(Bias { values: &numbers[..stride * heads], batch: 1, heads, stride });
        let mut z = [0f32; 8];
        assert_eq!(decode(&fine, &mut z), Ok(()));
        for (wrong, what) in [
            (Decode { kv_heads: 0, ..fine }, "heads are no multiple of kv heads, or the head size is 0"),
            (Decode { heads: 3, kv_heads: 2, ..fine }, "heads are no multiple of kv heads, or the head size is 0"),
            (Decode { size: 0, ..fine }, "heads are no multiple of kv heads, or the head size is 0"),
            (Decode { batch: usize::MAX, ..fine }, "q"),
            (Decode { capacity: usize::MAX, ..fine }, "k"),
            (Decode { v: &numbers[..15], ..fine }, "v"),
            (Decode { lengths: &[5], ..fine }, "lengths"),
            (Decode { lengths: &[4, 4], ..fine }, "lengths"),
            (Decode { bias: bias(3, 1), ..fine }, "bias"),
            (Decode { bias: bias(4, 3), ..fine }, "bias"),
        ] {
            assert_eq!(decode(&wrong, &mut z), Err(Misfit(what)));
        }
        assert_eq!(decode(&fine, &mut z[..7]), Err(Misfit("z")));
    }
}
