//! A session: made, run and released away from the main thread.
use crate::accounts::Accounts;
use crate::fault::{fault, guarded, Outcome};
use crate::library::{os_string, Library};
use crate::operator::Operators;
use crate::options::{SessionOptions, SessionSettings};
use crate::ports::{inputs, outputs, Port, PortFacts};
use napi::bindgen_prelude::{AsyncTask, Either, Uint8Array};
use napi::{Env, Task};
use napi_derive::napi;
use ort_sys as ort;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;

/// What runs hold on to: a session that is released while it runs goes when the last run ends.
pub struct Live {
    pub library: &'static Library,
    pub raw: *mut ort::OrtSession,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    /// After the session, which calls them.
    _operators: Option<Operators>,
}

// ONNX Runtime's sessions may run on several threads at once.
unsafe impl Send for Live {}
unsafe impl Sync for Live {}

impl Drop for Live {
    fn drop(&mut self) {
        unsafe { (self.library.api.ReleaseSession)(self.raw) }
    }
}

#[napi]
pub struct Session {
    live: Mutex<Option<Arc<Live>>>,
    inputs: Vec<PortFacts>,
    outputs: Vec<PortFacts>,
    pub(crate) accounts: Arc<Accounts>,
}

#[napi]
impl Session {
    pub(crate) fn live(&self) -> Outcome<Arc<Live>> {
        match &*self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(live) => Ok(live.clone()),
            None => fault("SESSION_RELEASED", "a session that was released"),
        }
    }

    #[napi(getter)]
    pub fn inputs(&self) -> Vec<PortFacts> {
        self.inputs.clone()
    }

    #[napi(getter)]
    pub fn outputs(&self) -> Vec<PortFacts> {
        self.outputs.clone()
    }

    /// Bytes of caches and outputs of this session that JavaScript keeps alive.
    #[napi(getter)]
    pub fn held(&self) -> i64 {
        self.accounts.held()
    }

    /// Close the session once the runs under way have ended.
    #[napi(catch_unwind)]
    pub fn release(&self, env: Env) {
        self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        self.accounts.report(&env);
    }

    /// Write the profile and name its file.
    #[napi(catch_unwind)]
    pub fn end_profiling(&self) -> napi::Result<String> {
        let Live { library, raw, .. } = *self.live()?;
        let mut text = null_mut();
        let status = unsafe { (library.api.SessionEndProfiling)(raw, library.allocator, &mut text) };
        library.check(status)?;
        Ok(library.taken(text).to_string_lossy().into_owned())
    }
}

pub struct Opening {
    library: &'static Library,
    model: Either<String, Vec<u8>>,
    settings: SessionSettings,
}

impl Opening {
    fn open(&self) -> Outcome<Live> {
        let Self { library, model, settings } = self;
        let options = SessionOptions::new(library, settings)?;
        let own = settings.intra_op_num_threads.and_then(|count| usize::try_from(count).ok());
        let threads = own.filter(|&count| count > 0).unwrap_or_else(|| available_parallelism().map_or(1, |count| count.get()));
        let operators = Operators::register(library, settings.operators.as_deref().unwrap_or_default(), threads, options.raw)?;
        let mut raw = null_mut();
        let status = match model {
            Either::A(path) => {
                let path = os_string(path)?;
                unsafe { (library.api.CreateSession)(library.env, path.as_ptr(), options.raw, &mut raw) }
            }
            Either::B(bytes) => unsafe {
                let (data, length) = (bytes.as_ptr().cast(), bytes.len());
                (library.api.CreateSessionFromArray)(library.env, data, length, options.raw, &mut raw)
            },
        };
        library.check(status)?;
        // From here on the session frees itself.
        let mut live = Live { library, raw, inputs: vec![], outputs: vec![], _operators: operators };
        live.inputs = inputs(library, raw)?;
        live.outputs = outputs(library, raw)?;
        Ok(live)
    }
}

impl Task for Opening {
    type Output = Live;
    type JsValue = Session;

    fn compute(&mut self) -> napi::Result<Live> {
        Ok(guarded(|| self.open())?)
    }

    fn resolve(&mut self, _: Env, live: Live) -> napi::Result<Session> {
        let facts = |ports: &[Port]| ports.iter().map(|port| port.facts.clone()).collect();
        Ok(Session {
            inputs: facts(&live.inputs),
            outputs: facts(&live.outputs),
            live: Mutex::new(Some(Arc::new(live))),
            accounts: Arc::default(),
        })
    }
}

/// A session of the model at a path, or in bytes.
#[napi(catch_unwind)]
pub fn create_session(
    library: String,
    model: Either<String, Uint8Array>,
    settings: SessionSettings,
) -> napi::Result<AsyncTask<Opening>> {
    let model = match model {
        Either::A(path) => Either::A(path),
        Either::B(bytes) => Either::B(bytes.to_vec()),
    };
    Ok(AsyncTask::new(Opening { library: Library::open(&library)?, model, settings }))
}
