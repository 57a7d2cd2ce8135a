//! Random shapes against the definition in float64, on every level of this processor; hostile shapes.
use crate::*;

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

/// The definition, in float64, over a cache that holds all T keys.
fn reference(p: &Attention, k: &[f32], v: &[f32], capacity: usize) -> Vec<f64> {
    let (past, shared) = (p.total - p.rows, p.heads / p.kv_heads);
    let mut z = vec![0f64; p.batch * p.rows * p.heads * p.size];
    for (index, out) in z.chunks_exact_mut(p.size).enumerate() {
        let (b, s, h) = (index / p.heads / p.rows, index / p.heads % p.rows, index % p.heads);
        let kv = (b * p.kv_heads + h / shared) * capacity;
        let row = b * p.rows + s;
        let q = &p.q.values[row * p.q.width + p.q.from + h * p.size..][..p.size];
        let mut turned = q.to_vec();
        if let Some(rotary) = p.rotary {
            rotary.turn(row, q, &mut turned);
        }
        let from = p.window.map_or(0, |window| (past + s + 1).saturating_sub(window));
        let score = |t: usize| {
            let product: f64 =
                (0..p.size).map(|d| f64::from(turned[d]) * f64::from(k[(kv + t) * p.size + d])).sum();
            let (scaled, cap) = (product * f64::from(p.scale), f64::from(p.softcap));
            let capped = if cap > 0.0 { cap * (scaled / cap).tanh() } else { scaled };
            let added = p.bias.map_or(0.0, |bias| {
                let at = |index: usize, count: usize| if count == 1 { 0 } else { index };
                let row = (at(b, bias.batch) * bias.heads + at(h, bias.heads)) * bias.rows + at(s, bias.rows);
                f64::from(bias.values[row * p.total + t])
            });
            let hidden = p.keys.is_some_and(|keys| keys[b * p.total + t] == 0);
            if hidden {
                f64::NEG_INFINITY
            } else {
                capped + added
            }
        };
        let scores: Vec<f64> = (from..past + s + 1).map(score).collect();
        let sink = p.head_sink.map(|sinks| f64::from(sinks[h]));
        let most = scores.iter().cloned().chain(sink).fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            continue;
        }
        let mass: f64 = scores.iter().cloned().chain(sink).map(|score| (score - most).exp()).sum();
        for (t, score) in scores.iter().enumerate() {
            for (d, sum) in out.iter_mut().enumerate() {
                *sum += (score - most).exp() / mass * f64::from(v[(kv + from + t) * p.size + d]);
            }
        }
    }
    z
}

struct Threads;

impl Parallel for Threads {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for index in 0..count {
                scope.spawn(move || work(index));
            }
        });
    }
    fn threads(&self) -> usize {
        3
    }
}

/// Miri runs a few.
const CASES: usize = if cfg!(miri) { 4 } else { 100 };

#[test]
fn random_shapes_are_the_definition_on_any_processor() {
    let mut random = Random(2505);
    for case in 0..CASES {
        let (batch, kv_heads, shared) = (1 + random.below(3), 1 + random.below(3), 1 + random.below(8));
        let heads = kv_heads * shared;
        let size = [2, 8, 16, 30, 64, 80, 128][random.below(7)];
        let rows = if random.below(2) == 0 { 1 } else { 1 + random.below(40) };
        let past = random.below(200);
        let (total, in_place) = (past + rows, random.below(2) == 0);
        let capacity = total + random.below(20);
        let width = (heads + 2 * kv_heads) * size;
        let packed = random.values(batch * rows * width);
        let part = |from: usize| Projected { values: &packed, width, from: from * size };
        let cache = batch * kv_heads * capacity * size;
        let (old_k, old_v) = (random.values(cache), random.values(cache));
        let pairs = 1 + random.below(size / 2);
        let (cos, sin) = (random.values((total + 3) * pairs), random.values((total + 3) * pairs));
        let positions: Vec<i64> = (0..batch * rows).map(|_| random.below(total + 3) as i64).collect();
        let rotary =
            Rotary { cos: &cos, sin: &sin, pairs, positions: &positions, interleaved: random.below(2) == 0 };
        let lead = [[1, batch][random.below(2)], [1, heads][random.below(2)], [1, rows][random.below(2)]];
        let values = random.values(lead.iter().product::<usize>() * total);
        let bias = Bias { values: &values, batch: lead[0], heads: lead[1], rows: lead[2] };
        let sinks = random.values(heads);
        let padding = random.below(total);
        let keys: Vec<i64> =
            (0..batch * total).map(|i| i64::from(i / total > 0 || i % total >= padding)).collect();
        let problem = Attention {
            batch,
            heads,
            kv_heads,
            size,
            rows,
            total,
            q: part(0),
            k: part(heads),
            v: part(heads + kv_heads),
            past: (!in_place).then_some(Past { k: &old_k, v: &old_v, capacity }),
            rotary: [None, Some(rotary)][random.below(2)],
            scale: 1.0 / (size as f32).sqrt(),
            softcap: [0.0, 5.0][random.below(2)],
            window: [None, Some(1 + random.below(total))][random.below(2)],
            bias: [None, Some(bias)][random.below(2)],
            head_sink: [None, Some(&sinks[..])][random.below(2)],
            keys: [None, Some(&keys[..])][random.below(2)],
            calibration: None,
        };
        let mut expected = vec![];
        for &level in Level::available() {
            let (mut k, mut v) = match in_place {
                true => (old_k.clone(), old_v.clone()),
                false => (vec![f32::NAN; cache], vec![f32::NAN; cache]),
            };
            let mut z = vec![f32::NAN; batch * rows * heads * size];
            let mut out = Outputs { z: &mut z, k: &mut k, v: &mut v, capacity, state: None };
            let parallel: &dyn Parallel = if random.below(2) == 0 { &Threads } else { &Serial };
            attend(&problem, &mut out, parallel, level).unwrap();
            if expected.is_empty() {
                expected = reference(&problem, &k, &v, capacity);
            }
            let worst = z.iter().zip(&expected).map(|(&a, &b)| (f64::from(a) - b).abs());
            let worst = worst.fold(0f64, |most, off| if off > most || off.is_nan() { off } else { most });
            assert!(worst < 4e-6, "case {case} at {level:?}: {worst}");
        }
    }
}

/// `cargo test --release -- --ignored --nocapture speed`
#[test]
#[ignore]
fn speed() {
    let numbers: Vec<f32> = Random(1).values(1 << 22);
    for (rows, total) in [(1usize, 1024usize), (1, 4000), (512, 512)] {
        let part =
            |heads: usize| Projected { values: &numbers[..rows * heads * 64], width: heads * 64, from: 0 };
        let (size, heads, kv_heads) = (64, 14, 2);
        let problem = Attention {
            heads,
            kv_heads,
            size,
            rows,
            total,
            q: part(14),
            k: part(2),
            v: part(2),
            ..fine(&numbers)
        };
        let (mut z, mut k, mut v) = (
            vec![0f32; rows * heads * size],
            numbers[..kv_heads * total * size].to_vec(),
            numbers[..kv_heads * total * size].to_vec(),
        );
        for &level in Level::available() {
            let times = (0..20).map(|_| {
                let begin = std::time::Instant::now();
                let mut out = Outputs { z: &mut z, k: &mut k, v: &mut v, capacity: total, state: None };
                attend(&problem, &mut out, &Serial, level).unwrap();
                begin.elapsed().as_secs_f64()
            });
            let best = times.fold(f64::MAX, f64::min);
            let flops = 4.0 * (heads * size * rows * total) as f64 / if rows > 1 { 2.0 } else { 1.0 };
            println!("{rows} x {total} {level:?}: {:.3} ms, {:.1} GFLOP/s", best * 1e3, flops / best / 1e9);
        }
    }
}

fn fine<'a>(numbers: &'a [f32]) -> Attention<'a> {
    let part = |heads: usize| Projected { values: &numbers[..2 * heads * 4], width: heads * 4, from: 0 };
    Attention {
        batch: 1,
        heads: 2,
        kv_heads: 1,
        size: 4,
        rows: 2,
        total: 4,
        q: part(2),
        k: part(1),
        v: part(1),
        past: None,
        rotary: None,
        scale: 1.0,
        softcap: 0.0,
        window: None,
        bias: None,
        head_sink: None,
        keys: None,
        calibration: None,
    }
}

#[test]
fn hostile_shapes_are_refused_before_anything_is_read() {
    let numbers = [0f32; 64];
    let fine = fine(&numbers);
    let run = |problem: &Attention, room: usize| {
        let (mut z, mut k, mut v) = ([0f32; 16], vec![0f32; room * 4], vec![0f32; room * 4]);
        let mut out = Outputs { z: &mut z, k: &mut k, v: &mut v, capacity: room, state: None };
        attend(problem, &mut out, &Serial, Level::best())
    };
    assert_eq!(run(&fine, 4), Ok(()));
    assert_eq!(run(&fine, 3), Err(Misfit("a present cache that is too short")));
    let bias = |length: usize, rows| Some(Bias { values: &numbers[..length], batch: 1, heads: 1, rows });
    let rotary = |positions, pairs| {
        Some(Rotary { cos: &numbers[..8], sin: &numbers[..8], pairs, positions, interleaved: false })
    };
    let heads = "heads are no multiple of kv heads, or there are none";
    for (wrong, what) in [
        (Attention { kv_heads: 0, ..fine }, heads),
        (Attention { heads: 3, kv_heads: 2, ..fine }, heads),
        (Attention { size: 0, ..fine }, heads),
        (Attention { rows: 0, ..fine }, "rows and keys"),
        (Attention { rows: 5, ..fine }, "rows and keys"),
        (Attention { batch: 0, ..fine }, "rows and keys"),
        (Attention { batch: usize::MAX, ..fine }, "rows and keys"),
        (Attention { batch: 2, ..fine }, "q"),
        (Attention { q: Projected { from: 1, ..fine.q }, ..fine }, "q"),
        (Attention { v: Projected { values: &numbers[..7], ..fine.v }, ..fine }, "v"),
        (Attention { bias: bias(4, 2), ..fine }, "bias"),
        (Attention { bias: bias(12, 3), ..fine }, "bias"),
        (Attention { head_sink: Some(&numbers[..1]), ..fine }, "head_sink"),
        (Attention { keys: Some(&[1, 1, 1]), ..fine }, "keys"),
        (
            Attention { past: Some(Past { k: &numbers[..4], v: &numbers[..4], capacity: 1 }), ..fine },
            "a past cache that is too short",
        ),
        (Attention { rotary: rotary(&[0, 4], 2), ..fine }, "a position beyond the rotary tables"),
        (Attention { rotary: rotary(&[0, -1], 2), ..fine }, "a position beyond the rotary tables"),
        (Attention { rotary: rotary(&[0, 1], 4), ..fine }, "rotary tables that do not fit the head size"),
        (Attention { rotary: rotary(&[0], 2), ..fine }, "as many positions as rows"),
    ] {
        assert_eq!(run(&wrong, 4), Err(Misfit(what)));
    }
}

#[test]
fn a_calibration_that_does_not_fit_is_refused() {
    let numbers = [0f32; 64];
    let table = Table { values: &numbers[..1], batch: 1, heads: 1 };
    let calibration = Calibration {
        statistics: Statistics::Running,
        first_detected: false,
        beta: table,
        tau: table,
        alpha: table,
        first: &[0],
        state: &numbers[..4],
        state_keys: 2,
        counts: &numbers[..2],
        count_keys: 2,
    };
    let run = |calibration: Calibration, room: usize| {
        let (mut z, mut k, mut v, mut state) = ([0f32; 16], [0f32; 16], [0f32; 16], vec![0f32; room]);
        let state = if room == 0 { None } else { Some(&mut state[..]) };
        let mut out = Outputs { z: &mut z, k: &mut k, v: &mut v, capacity: 4, state };
        let problem = Attention { calibration: Some(calibration), ..fine(&numbers) };
        attend(&problem, &mut out, &Serial, Level::best())
    };
    assert_eq!(run(calibration, 8), Ok(()));
    assert_eq!(run(calibration, 7), Err(Misfit("the new state")));
    assert_eq!(run(calibration, 0), Err(Misfit("the new state")));
    let wrong = Table { heads: 3, ..table };
    for (wrong, what) in [
        (Calibration { beta: wrong, ..calibration }, "a parameter of the calibration"),
        (Calibration { state_keys: 5, ..calibration }, "the state of the calibration"),
        (Calibration { state: &numbers[..3], ..calibration }, "the state of the calibration"),
        (Calibration { counts: &numbers[..3], ..calibration }, "counts of rows"),
        (Calibration { first: &[], ..calibration }, "first"),
    ] {
        assert_eq!(run(wrong, 8), Err(Misfit(what)));
    }
}
