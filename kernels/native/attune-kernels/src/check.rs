//! Every shape is checked before anything is read.
use crate::attention::{Attention, Outputs};

/// A slice that is not as long as the shape says, or a shape that is none.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit(pub &'static str);

fn holds(slice: &[f32], dims: &[usize], what: &'static str) -> Result<(), Misfit> {
    let count = dims.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
    fits(count == Some(slice.len()), what)
}

fn fits(condition: bool, what: &'static str) -> Result<(), Misfit> {
    match condition {
        true => Ok(()),
        false => Err(Misfit(what)),
    }
}

pub fn check(problem: &Attention, out: &Outputs) -> Result<(), Misfit> {
    let Attention { batch, heads, kv_heads, size, rows, total, .. } = *problem;
    fits(
        kv_heads > 0 && size > 0 && heads > 0 && heads % kv_heads == 0,
        "heads are no multiple of kv heads, or there are none",
    )?;
    fits(batch > 0 && rows > 0 && rows <= total, "rows and keys")?;
    let all = batch.checked_mul(rows).ok_or(Misfit("rows and keys"))?;
    for (part, own, what) in [(problem.q, heads, "q"), (problem.k, kv_heads, "k"), (problem.v, kv_heads, "v")]
    {
        let end = own.checked_mul(size).and_then(|own| own.checked_add(part.from)).ok_or(Misfit(what))?;
        fits(end <= part.width, what)?;
        holds(part.values, &[all, part.width], what)?;
    }
    holds(out.z, &[all, heads, size], "z")?;
    fits(out.capacity >= total, "a present cache that is too short")?;
    holds(out.k, &[batch, kv_heads, out.capacity, size], "present keys")?;
    holds(out.v, &[batch, kv_heads, out.capacity, size], "present values")?;
    if let Some(past) = problem.past {
        fits(past.capacity >= total - rows, "a past cache that is too short")?;
        holds(past.k, &[batch, kv_heads, past.capacity, size], "past keys")?;
        holds(past.v, &[batch, kv_heads, past.capacity, size], "past values")?;
    }
    if let Some(bias) = problem.bias {
        let broadcasts = [(bias.batch, batch), (bias.heads, heads), (bias.rows, rows)];
        fits(broadcasts.iter().all(|&(own, of)| own == 1 || own == of), "bias")?;
        holds(bias.values, &[bias.batch, bias.heads, bias.rows, total], "bias")?;
    }
    if let Some(sinks) = problem.head_sink {
        holds(sinks, &[heads], "head_sink")?;
    }
    if let Some(keys) = problem.keys {
        fits(batch.checked_mul(total) == Some(keys.len()), "keys")?;
    }
    if let Some(rotary) = problem.rotary {
        rotary.check(batch, rows, size)?;
    }
    match (problem.calibration, &out.state) {
        (None, None) => Ok(()),
        (Some(calibration), state) => {
            calibration.check(batch, heads, total)?;
            match state {
                Some(state) => holds(state, &[batch, heads, total], "the new state"),
                None => fits(!calibration.keeps(), "the new state"),
            }
        }
        (None, Some(_)) => Err(Misfit("a state of nothing")),
    }
}
