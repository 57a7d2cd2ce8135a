//! Attention of one call: new keys and values go behind those of the cache, rows attend to what they see, edits act on the way.
//! Work is cut into tasks of one kv head (or some of the query heads over it) and a block of rows.
use crate::calibration::Calibration;
use crate::cells::Cells;
use crate::check::{check, Misfit};
use crate::lanes::Level;
use crate::loops::{self, Loops};
use crate::prompt::{Block, Scratch};
use crate::rotary::Rotary;
use crate::softmax::Divisor;
use std::ops::Range;

/// Added to the scores before the softmax, as attention_bias of GroupQueryAttention is; ln w multiplies a key's weight by w.
#[derive(Clone, Copy)]
pub struct Bias<'a> {
    /// [B|1, H|1, S|1, T]
    pub values: &'a [f32],
    pub batch: usize,
    pub heads: usize,
    pub rows: usize,
}

/// Heads of all rows as a projection gave them, perhaps between others: [B, S, width], heads from channel `from` on.
#[derive(Clone, Copy)]
pub struct Projected<'a> {
    pub values: &'a [f32],
    pub width: usize,
    pub from: usize,
}

/// Keys and values of earlier calls, [B,K,capacity,D] each, where they are not in the present ones already.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub capacity: usize,
}

/// What attention is computed of.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    pub batch: usize,
    /// H, a multiple of K.
    pub heads: usize,
    pub kv_heads: usize,
    /// D
    pub size: usize,
    /// S
    pub rows: usize,
    /// T
    pub total: usize,
    pub q: Projected<'a>,
    pub k: Projected<'a>,
    pub v: Projected<'a>,
    /// None: the first T − S rows of the present cache hold it.
    pub past: Option<Past<'a>>,
    pub rotary: Option<Rotary<'a>>,
    /// 1/√D, usually.
    pub scale: f32,
    /// c·tanh(s/c) in place of s; 0 leaves scores alone.
    pub softcap: f32,
    /// Only the last keys, the row's own included.
    pub window: Option<usize>,
    pub bias: Option<Bias<'a>>,
    /// [H]: a learned logit in each head's denominator.
    pub head_sink: Option<&'a [f32]>,
    /// [B,T], 0 at padding.
    pub keys: Option<&'a [i64]>,
    pub calibration: Option<Calibration<'a>>,
}

pub struct Outputs<'a> {
    /// [B,S,H,D]
    pub z: &'a mut [f32],
    /// [B,K,capacity,D]
    pub k: &'a mut [f32],
    pub v: &'a mut [f32],
    pub capacity: usize,
    /// [B,H,T], of a calibration that keeps one.
    pub state: Option<&'a mut [f32]>,
}

/// Runs `work(0)` to `work(count - 1)`, in any order, perhaps at once.
pub trait Parallel {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync));
    /// How many may run at once.
    fn threads(&self) -> usize;
}

pub struct Serial;

impl Parallel for Serial {
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(work);
    }
    fn threads(&self) -> usize {
        1
    }
}

/// Rows of scores that a task holds at a time, about.
const ROWS: usize = 48;

/// What tasks write and read.
pub(crate) struct Places<'a> {
    pub z: Cells<'a>,
    pub k: Cells<'a>,
    pub v: Cells<'a>,
    pub capacity: usize,
    pub state: Option<Cells<'a>>,
    pub loops: Loops,
}

/// One task: query heads of one kv head, and the rows it takes in turn.
struct Task {
    b: usize,
    kv: usize,
    heads: Range<usize>,
    rows: Range<usize>,
}

pub fn attend(
    problem: &Attention,
    out: &mut Outputs,
    parallel: &dyn Parallel,
    level: Level,
) -> Result<(), Misfit> {
    check(problem, out)?;
    let places = Places {
        z: Cells::new(out.z),
        k: Cells::new(out.k),
        v: Cells::new(out.v),
        capacity: out.capacity,
        state: out.state.as_deref_mut().map(Cells::new),
        loops: loops::of(level),
    };
    let pairs = problem.batch * problem.kv_heads;
    let append = |pair: usize| problem.append(&places, pair / problem.kv_heads, pair % problem.kv_heads);
    if problem.rows * pairs < 64 && problem.past.is_none() {
        (0..pairs).for_each(append);
    } else {
        parallel.run(pairs, &append);
    }
    let tasks = problem.tasks(parallel.threads());
    parallel.run(tasks.len(), &|index| work(problem, &places, &tasks[index]));
    Ok(())
}

fn work(problem: &Attention, places: &Places, task: &Task) {
    let step = problem.block_rows(task.heads.len());
    let mut scratch = Scratch::new(problem, task.heads.len(), step);
    let finds = problem.calibration.is_some_and(|calibration| calibration.finds());
    let blocks = || task.rows.clone().step_by(step).map(|from| from..(from + step).min(task.rows.end));
    let block = |rows: Range<usize>| Block {
        problem,
        places,
        b: task.b,
        kv: task.kv,
        heads: task.heads.clone(),
        rows,
    };
    if !finds {
        for rows in blocks() {
            block(rows).plain(&mut scratch);
        }
        if problem.calibration.is_some() {
            block(0..0).keep_state();
        }
        return;
    }
    if problem.rows == 1 {
        block(0..1).calibrated_row(&mut scratch);
        return;
    }
    // Sinks are known when all rows have been seen: then outputs are corrected.
    let mut divisors: Vec<Divisor> = vec![];
    block(0..0).start_sums();
    for rows in blocks() {
        block(rows).summed(&mut scratch, &mut divisors);
    }
    let marks = block(0..0).found();
    for rows in blocks() {
        block(rows).corrected(&mut scratch, &divisors, &marks);
    }
    block(0..0).settle(&marks);
}

impl Attention<'_> {
    /// G
    pub(crate) fn shared(&self) -> usize {
        self.heads / self.kv_heads
    }

    fn block_rows(&self, heads: usize) -> usize {
        (ROWS / heads).max(1).min(self.rows)
    }

    fn tasks(&self, threads: usize) -> Vec<Task> {
        let (shared, pairs) = (self.shared(), self.batch * self.kv_heads);
        let finds = self.calibration.is_some_and(|calibration| calibration.finds());
        // Of a prompt each block is a task; where sums go over all rows, and in decoding, heads are what is cut.
        let by_rows = !finds && self.calibration.is_none();
        let step = if by_rows { self.block_rows(shared) } else { self.rows };
        let blocks = self.rows.div_ceil(step);
        let balanced =
            |parts: &usize| (pairs * blocks * parts) % threads == 0 || pairs * blocks * parts >= 4 * threads;
        let parts = if threads < 2 { 1 } else { (1..=shared).find(balanced).unwrap_or(shared) };
        let mut tasks = Vec::with_capacity(pairs * parts * blocks);
        for pair in 0..pairs {
            // The last block sees most: it begins.
            for block in (0..blocks).rev() {
                for part in 0..parts {
                    let first = pair % self.kv_heads * shared;
                    let heads = first + shared * part / parts..first + shared * (part + 1) / parts;
                    let rows = block * step..((block + 1) * step).min(self.rows);
                    tasks.push(Task { b: pair / self.kv_heads, kv: pair % self.kv_heads, heads, rows });
                }
            }
        }
        tasks
    }

    /// New keys and values behind those before, which are copied where they lie elsewhere.
    fn append(&self, places: &Places, b: usize, kv: usize) {
        let (size, past) = (self.size, self.total - self.rows);
        let start = (b * self.kv_heads + kv) * places.capacity * size;
        // This kv head's own rows.
        let (k, v) = unsafe {
            let range = start..start + self.total * size;
            (places.k.piece(range.clone()), places.v.piece(range))
        };
        if let Some(before) = self.past {
            let from = (b * self.kv_heads + kv) * before.capacity * size;
            k[..past * size].copy_from_slice(&before.k[from..from + past * size]);
            v[..past * size].copy_from_slice(&before.v[from..from + past * size]);
        }
        for s in 0..self.rows {
            let at = (past + s) * size..(past + s + 1) * size;
            self.rotated(self.k.head(b * self.rows + s, kv, size), b * self.rows + s, &mut k[at.clone()]);
            v[at].copy_from_slice(self.v.head(b * self.rows + s, kv, size));
        }
    }

    #[inline(always)]
    pub(crate) fn rotated(&self, from: &[f32], row: usize, to: &mut [f32]) {
        match self.rotary {
            Some(rotary) => rotary.turn(row, from, to),
            None => to.copy_from_slice(from),
        }
    }
}

impl<'a> Projected<'a> {
    #[inline(always)]
    pub(crate) fn head(&self, row: usize, head: usize, size: usize) -> &'a [f32] {
        let at = row * self.width + self.from + head * size;
        &self.values[at..at + size]
    }
}
