//! A block of rows of the query heads over one kv head: scores, weights, outputs. Scores of a block are held whole, so memory
//! grows with T alone and edits may look at a row as they like.
use crate::attention::{Attention, Places};
use crate::calibration::{Seen, Statistics};
use crate::product::Shape;
use crate::softmax::Divisor;
use std::ops::Range;

/// Part of all keys beyond which sinks one by one gain little over a whole row.
const FEW: usize = 4;
/// Weight outside of sinks below which a difference would be mostly rounding.
const REST: f32 = 1.0 / 8.0;

/// Memory of one task.
pub(crate) struct Scratch {
    /// [rows·heads, D], rotated and scaled.
    q: Vec<f32>,
    /// [rows·heads, T]
    scores: Vec<f32>,
    /// [rows·heads, D]
    z: Vec<f32>,
    divisors: Vec<Divisor>,
    /// [T]
    marks: Vec<f32>,
}

impl Scratch {
    pub fn new(problem: &Attention, heads: usize, rows: usize) -> Self {
        let (all, size) = (heads * rows, problem.size);
        let marks = if problem.calibration.is_some() { problem.total } else { 0 };
        Self {
            q: vec![0.0; all * size],
            scores: vec![0.0; all * problem.total],
            z: vec![0.0; all * size],
            divisors: vec![],
            marks: vec![0.0; marks],
        }
    }
}

pub(crate) struct Block<'p> {
    pub problem: &'p Attention<'p>,
    pub places: &'p Places<'p>,
    pub b: usize,
    pub kv: usize,
    /// Query heads.
    pub heads: Range<usize>,
    /// Of the call.
    pub rows: Range<usize>,
}

impl Block<'_> {
    /// Keys any of the rows sees.
    fn keys(&self) -> Range<usize> {
        let last = self.problem.sees(self.rows.end - 1);
        self.problem.sees(self.rows.start).start..last.end
    }

    /// Keys or values of the kv head, which nobody writes any more.
    fn cache<'c>(&self, cells: &'c crate::cells::Cells, keys: Range<usize>) -> &'c [f32] {
        let size = self.problem.size;
        let start = (self.b * self.problem.kv_heads + self.kv) * self.places.capacity * size;
        unsafe { cells.seen(start + keys.start * size..start + keys.end * size) }
    }

    /// Weights of all rows, not divided, [row·head, keys]; 0 where a row does not see.
    fn weights(&self, scratch: &mut Scratch) -> Range<usize> {
        let Self { problem, b, rows, heads, .. } = self;
        let (size, keys) = (problem.size, self.keys());
        let (count, wide) = (rows.len() * heads.len(), keys.len());
        for (at, (s, h)) in rows.clone().flat_map(|s| heads.clone().map(move |h| (s, h))).enumerate() {
            let row = b * problem.rows + s;
            let q = &mut scratch.q[at * size..(at + 1) * size];
            problem.rotated(problem.q.head(row, h, size), row, q);
            for value in q {
                *value *= problem.scale;
            }
        }
        let k = self.cache(&self.places.k, keys.clone());
        (self.places.loops.scores)(count, size, &scratch.q, k, &mut scratch.scores, wide);
        scratch.divisors.clear();
        for (at, (s, h)) in rows.clone().flat_map(|s| heads.clone().map(move |h| (s, h))).enumerate() {
            let own = &mut scratch.scores[at * wide..(at + 1) * wide];
            let seen = problem.sees(s);
            own[..seen.start - keys.start].fill(0.0);
            own[seen.end - keys.start..].fill(0.0);
            let visible = &mut own[seen.start - keys.start..seen.end - keys.start];
            scratch.divisors.push(problem.weigh(&self.places.loops, (*b, h, s), seen, visible));
        }
        keys
    }

    /// Outputs from weights, divided.
    fn outputs(&self, scratch: &mut Scratch, keys: Range<usize>) {
        let Self { problem, b, rows, heads, places, .. } = self;
        let (size, count, wide) = (problem.size, rows.len() * heads.len(), keys.len());
        let v = self.cache(&places.v, keys);
        // Values stay near while all rows take them.
        const STEP: usize = 128;
        for start in (0..wide).step_by(STEP) {
            let inner = STEP.min(wide - start);
            let shape = Shape { rows: count, inner, columns: size, a: wide, b: size, c: size };
            (self.places.loops.multiply)(
                shape,
                &scratch.scores[start..],
                &v[start * size..],
                &mut scratch.z,
                start > 0,
            );
        }
        for (at, (s, h)) in rows.clone().flat_map(|s| heads.clone().map(move |h| (s, h))).enumerate() {
            let mass = scratch.divisors[at].mass;
            // No key at all: nothing flows, as in ONNX Runtime where everything is masked.
            let share = if mass > 0.0 { 1.0 / mass } else { 0.0 };
            let place = ((b * problem.rows + s) * problem.heads + h) * size;
            // This task's own row and head.
            let z = unsafe { places.z.piece(place..place + size) };
            for (to, from) in z.iter_mut().zip(&scratch.z[at * size..(at + 1) * size]) {
                *to = from * share;
            }
        }
    }

    /// Rows that need nothing of others: without calibration, with given sinks, or with sinks of their own.
    pub fn plain(&self, scratch: &mut Scratch) {
        let keys = self.weights(scratch);
        if self.problem.calibration.is_some() {
            let (rows, heads, wide) = (self.rows.clone(), self.heads.clone(), keys.len());
            for (at, (s, h)) in rows.flat_map(|s| heads.clone().map(move |h| (s, h))).enumerate() {
                let seen = self.problem.sees(s);
                let own = at * wide + seen.start - keys.start..at * wide + seen.end - keys.start;
                let Scratch { scores, marks, divisors, .. } = scratch;
                self.calibrate_row((s, h), &mut scores[own], divisors[at], marks);
            }
        }
        self.outputs(scratch, keys);
    }

    /// One row by its own sinks, or by given ones.
    fn calibrate_row(
        &self,
        (s, h): (usize, usize),
        weights: &mut [f32],
        divisor: Divisor,
        marks: &mut [f32],
    ) {
        let Some(calibration) = self.problem.calibration else { return };
        let (b, seen) = (self.b, self.problem.sees(s));
        let beta = calibration.beta.at(b, h);
        if beta == 1.0 || divisor.mass == 0.0 {
            return;
        }
        let marks = &mut marks[..seen.len()];
        if calibration.statistics == Statistics::Row {
            let count = self.problem.real_keys(b, seen.clone());
            calibration.row_sinks((b, h), weights, divisor.mass, seen.start, count, marks);
        } else {
            let state = calibration.state_of(b, h, self.problem.heads);
            for (mark, t) in marks.iter_mut().zip(seen) {
                *mark = state.get(t).copied().unwrap_or(0.0);
            }
        }
        calibration.transfer(beta, weights, marks);
    }

    /// The one row of a call: sums, sinks and outputs at once.
    pub fn calibrated_row(&self, scratch: &mut Scratch) {
        let (problem, b) = (self.problem, self.b);
        let calibration = problem.calibration.expect("asked for");
        let keys = self.weights(scratch);
        let counted = problem.is_real(b, problem.total - 1);
        let seen = problem.seen(&calibration, b);
        for (at, h) in self.heads.clone().enumerate() {
            let Scratch { scores, marks, divisors, .. } = &mut *scratch;
            let weights = &mut scores[at * keys.len()..(at + 1) * keys.len()];
            let mut own;
            let sums = match self.sums(h) {
                Some(sums) => sums,
                None => {
                    own = vec![0.0; problem.total];
                    &mut own[..]
                }
            };
            start(calibration.state_of(b, h, problem.heads), calibration.statistics, sums);
            if counted && divisors[at].mass > 0.0 {
                (self.places.loops.add_scaled)(&mut sums[keys.clone()], 1.0 / divisors[at].mass, weights);
            }
            let beta = calibration.beta.at(b, h);
            let frozen = calibration.statistics == Statistics::Frozen;
            if beta == 1.0 && !frozen {
                continue;
            }
            calibration.sinks((b, h), sums, &seen, marks);
            calibration.transfer(beta, weights, &marks[keys.clone()]);
            if frozen {
                sums.copy_from_slice(marks);
            }
        }
        self.outputs(scratch, keys);
    }

    /// The new state of a head, [T].
    #[allow(clippy::mut_from_ref)]
    fn sums(&self, h: usize) -> Option<&mut [f32]> {
        let at = (self.b * self.problem.heads + h) * self.problem.total;
        // This task's own head.
        self.places.state.as_ref().map(|state| unsafe { state.piece(at..at + self.problem.total) })
    }

    /// Given sinks stay as they are; keys that came later are none.
    pub fn keep_state(&self) {
        let Some(calibration) = self.problem.calibration else { return };
        for h in self.heads.clone() {
            if let Some(sums) = self.sums(h) {
                start(calibration.state_of(self.b, h, self.problem.heads), Statistics::Running, sums);
            }
        }
    }

    pub fn start_sums(&self) {
        let Some(calibration) = self.problem.calibration else { return };
        for h in self.heads.clone() {
            if let Some(sums) = self.sums(h) {
                start(calibration.state_of(self.b, h, self.problem.heads), calibration.statistics, sums);
            }
        }
    }

    /// Outputs as without calibration, and sums of columns.
    pub fn summed(&self, scratch: &mut Scratch, kept: &mut Vec<Divisor>) {
        let keys = self.weights(scratch);
        let (rows, heads, wide) = (self.rows.clone(), self.heads.clone(), keys.len());
        let past = self.problem.total - self.problem.rows;
        for (at, (s, h)) in rows.flat_map(|s| heads.clone().map(move |h| (s, h))).enumerate() {
            let mass = scratch.divisors[at].mass;
            if mass == 0.0 || !self.problem.is_real(self.b, past + s) {
                continue;
            }
            if let Some(sums) = self.sums(h) {
                let weights = &scratch.scores[at * wide..(at + 1) * wide];
                (self.places.loops.add_scaled)(&mut sums[keys.clone()], 1.0 / mass, weights);
            }
        }
        kept.extend_from_slice(&scratch.divisors);
        self.outputs(scratch, keys);
    }

    /// Sinks of each head, [T] each.
    pub fn found(&self) -> Vec<Vec<f32>> {
        let (problem, b) = (self.problem, self.b);
        let calibration = problem.calibration.expect("asked for");
        let seen: Seen = problem.seen(&calibration, b);
        let of = |h: usize| {
            let mut marks = vec![0f32; problem.total];
            if let Some(sums) = self.sums(h) {
                calibration.sinks((b, h), sums, &seen, &mut marks);
            }
            marks
        };
        self.heads.clone().map(of).collect()
    }

    /// What the state holds in the end: sums as they are, or the sinks found.
    pub fn settle(&self, marks: &[Vec<f32>]) {
        let frozen = Statistics::Frozen;
        if self.problem.calibration.is_none_or(|calibration| calibration.statistics != frozen) {
            return;
        }
        for (h, marks) in self.heads.clone().zip(marks) {
            if let Some(sums) = self.sums(h) {
                sums.copy_from_slice(marks);
            }
        }
    }

    /// z' = λ (z − z_S) + κ z_S from the columns of sinks alone; where that would lose precision or time, from the whole row.
    pub fn corrected(&self, scratch: &mut Scratch, divisors: &[Divisor], marks: &[Vec<f32>]) {
        let (problem, b) = (self.problem, self.b);
        let calibration = problem.calibration.expect("asked for");
        for (index, h) in self.heads.clone().enumerate() {
            let beta = calibration.beta.at(b, h);
            let columns: Vec<usize> = (0..problem.total).filter(|&t| marks[index][t] > 0.0).collect();
            if beta == 1.0 || columns.is_empty() {
                continue;
            }
            for s in self.rows.clone() {
                let divisor = divisors[s * self.heads.len() + index];
                if divisor.mass == 0.0 {
                    continue;
                }
                let one = Block { heads: h..h + 1, rows: s..s + 1, ..*self };
                let few = columns.len() * FEW <= problem.total;
                if !few || !one.shifted(scratch, divisor, &columns, beta) {
                    let keys = one.weights(scratch);
                    let seen = problem.sees(s);
                    calibration.transfer(beta, &mut scratch.scores[..seen.len()], &marks[index][seen]);
                    one.outputs(scratch, keys);
                }
            }
        }
    }

    /// @returns false where too little weight lies outside of sinks; nothing is changed then
    fn shifted(&self, scratch: &mut Scratch, divisor: Divisor, columns: &[usize], beta: f32) -> bool {
        let (problem, b, size) = (self.problem, self.b, self.problem.size);
        let (h, s) = (self.heads.start, self.rows.start);
        let row = b * problem.rows + s;
        let q = &mut scratch.q[..size];
        problem.rotated(problem.q.head(row, h, size), row, q);
        let seen = problem.sees(s);
        let z_sinks = &mut scratch.z[..size];
        z_sinks.fill(0.0);
        let mut on_sinks = 0f32;
        for &t in columns.iter().filter(|t| seen.contains(t)) {
            if !problem.is_real(b, t) {
                continue;
            }
            let mut score = (self.places.loops.dot)(q, self.cache(&self.places.k, t..t + 1)) * problem.scale;
            if problem.softcap > 0.0 {
                score = problem.softcap * (score / problem.softcap).tanh();
            }
            if let Some(bias) = problem.bias_of(b, h, s) {
                score += bias[t];
            }
            let weight = (score - divisor.highest).min(0.0).exp() / divisor.mass;
            on_sinks += weight;
            (self.places.loops.add_scaled)(z_sinks, weight, self.cache(&self.places.v, t..t + 1));
        }
        let on_rest = 1.0 - divisor.sink / divisor.mass - on_sinks;
        if on_rest < REST {
            return false;
        }
        let calibration = problem.calibration.expect("asked for");
        let (kept, grown) = calibration.factors(beta, on_sinks, on_rest);
        let place = (row * problem.heads + h) * size;
        let z = unsafe { self.places.z.piece(place..place + size) };
        for (to, &from) in z.iter_mut().zip(z_sinks.iter()) {
            *to = grown * *to - (grown - kept) * from;
        }
        true
    }
}

/// A state brought to length T: what later keys have is 0. Sinks that are looked for begin with no sums.
fn start(state: &[f32], statistics: Statistics, sums: &mut [f32]) {
    let known = if statistics == Statistics::Running { state.len() } else { 0 };
    sums[..known].copy_from_slice(&state[..known]);
    sums[known..].fill(0.0);
}
