//! Options of sessions and runs, named as in onnxruntime-common; what JavaScript does not give keeps ONNX Runtime's default.
use crate::fault::{guarded, Outcome};
use crate::library::{c_string, os_string, Library};
use napi_derive::napi;
use ort_sys as ort;
use std::ptr::null_mut;
use std::sync::Arc;

#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct SessionSettings {
    pub intra_op_num_threads: Option<i32>,
    pub inter_op_num_threads: Option<i32>,
    /// 0 disabled, 1 basic, 2 extended, 99 all.
    pub graph_optimization_level: Option<i32>,
    pub enable_cpu_mem_arena: Option<bool>,
    pub enable_mem_pattern: Option<bool>,
    pub parallel: Option<bool>,
    pub optimized_model_file_path: Option<String>,
    pub profile_file_prefix: Option<String>,
    pub log_id: Option<String>,
    pub log_severity_level: Option<i32>,
    pub log_verbosity_level: Option<i32>,
    pub free_dimension_overrides: Vec<Override>,
    /// Configuration entries: key, value.
    pub entries: Vec<Vec<String>>,
    /// Functions of the graph that a kernel stands for.
    pub operators: Option<Vec<String>>,
}

#[napi(object, object_to_js = false)]
pub struct Override {
    pub name: String,
    pub value: i64,
}

pub struct SessionOptions {
    library: &'static Library,
    pub raw: *mut ort::OrtSessionOptions,
}

impl Drop for SessionOptions {
    fn drop(&mut self) {
        unsafe { (self.library.api.ReleaseSessionOptions)(self.raw) }
    }
}

impl SessionOptions {
    pub fn new(library: &'static Library, settings: &SessionSettings) -> Outcome<Self> {
        let mut raw = null_mut();
        library.check(unsafe { (library.api.CreateSessionOptions)(&mut raw) })?;
        let options = Self { library, raw };
        unsafe { options.apply(settings)? };
        Ok(options)
    }

    unsafe fn apply(&self, settings: &SessionSettings) -> Outcome<()> {
        let Self { library, raw } = *self;
        let api = library.api;
        let check = |status| library.check(status);
        if let Some(count) = settings.intra_op_num_threads {
            check((api.SetIntraOpNumThreads)(raw, count))?;
        }
        if let Some(count) = settings.inter_op_num_threads {
            check((api.SetInterOpNumThreads)(raw, count))?;
        }
        if let Some(level) = settings.graph_optimization_level {
            check((api.SetSessionGraphOptimizationLevel)(raw, optimization(level)))?;
        }
        if let Some(on) = settings.enable_cpu_mem_arena {
            check(if on { (api.EnableCpuMemArena)(raw) } else { (api.DisableCpuMemArena)(raw) })?;
        }
        if let Some(on) = settings.enable_mem_pattern {
            check(if on { (api.EnableMemPattern)(raw) } else { (api.DisableMemPattern)(raw) })?;
        }
        if let Some(parallel) = settings.parallel {
            let mode =
                if parallel { ort::ExecutionMode::ORT_PARALLEL } else { ort::ExecutionMode::ORT_SEQUENTIAL };
            check((api.SetSessionExecutionMode)(raw, mode))?;
        }
        if let Some(path) = &settings.optimized_model_file_path {
            check((api.SetOptimizedModelFilePath)(raw, os_string(path)?.as_ptr()))?;
        }
        if let Some(prefix) = &settings.profile_file_prefix {
            check((api.EnableProfiling)(raw, os_string(prefix)?.as_ptr()))?;
        }
        if let Some(id) = &settings.log_id {
            check((api.SetSessionLogId)(raw, c_string(id)?.as_ptr()))?;
        }
        if let Some(level) = settings.log_severity_level {
            check((api.SetSessionLogSeverityLevel)(raw, level))?;
        }
        if let Some(level) = settings.log_verbosity_level {
            check((api.SetSessionLogVerbosityLevel)(raw, level))?;
        }
        for Override { name, value } in &settings.free_dimension_overrides {
            check((api.AddFreeDimensionOverrideByName)(raw, c_string(name)?.as_ptr(), *value))?;
        }
        for entry in &settings.entries {
            if let [key, value] = entry.as_slice() {
                check((api.AddSessionConfigEntry)(raw, c_string(key)?.as_ptr(), c_string(value)?.as_ptr()))?;
            }
        }
        Ok(())
    }
}

fn optimization(level: i32) -> ort::GraphOptimizationLevel {
    match level {
        0 => ort::GraphOptimizationLevel::ORT_DISABLE_ALL,
        1 => ort::GraphOptimizationLevel::ORT_ENABLE_BASIC,
        2 => ort::GraphOptimizationLevel::ORT_ENABLE_EXTENDED,
        _ => ort::GraphOptimizationLevel::ORT_ENABLE_ALL,
    }
}

#[napi(object, object_to_js = false)]
pub struct RunSettings {
    pub log_severity_level: Option<i32>,
    pub log_verbosity_level: Option<i32>,
    pub tag: Option<String>,
    pub entries: Vec<Vec<String>>,
}

pub struct RunOptions {
    library: &'static Library,
    pub raw: *mut ort::OrtRunOptions,
}

// `terminate` is a flag that ONNX Runtime means to be set from another thread.
unsafe impl Send for RunOptions {}
unsafe impl Sync for RunOptions {}

impl Drop for RunOptions {
    fn drop(&mut self) {
        unsafe { (self.library.api.ReleaseRunOptions)(self.raw) }
    }
}

/// Options of one run, and the means to end it early.
#[napi]
pub struct RunControl {
    pub(crate) options: Arc<RunOptions>,
}

#[napi]
impl RunControl {
    #[napi(constructor, catch_unwind)]
    pub fn new(library: String, settings: RunSettings) -> napi::Result<Self> {
        Ok(guarded(|| Self::make(Library::open(&library)?, &settings))?)
    }

    fn make(library: &'static Library, settings: &RunSettings) -> Outcome<Self> {
        let mut raw = null_mut();
        let api = library.api;
        library.check(unsafe { (api.CreateRunOptions)(&mut raw) })?;
        let options = RunOptions { library, raw };
        unsafe {
            if let Some(level) = settings.log_severity_level {
                library.check((api.RunOptionsSetRunLogSeverityLevel)(raw, level))?;
            }
            if let Some(level) = settings.log_verbosity_level {
                library.check((api.RunOptionsSetRunLogVerbosityLevel)(raw, level))?;
            }
            if let Some(tag) = &settings.tag {
                library.check((api.RunOptionsSetRunTag)(raw, c_string(tag)?.as_ptr()))?;
            }
            for entry in &settings.entries {
                if let [key, value] = entry.as_slice() {
                    let (key, value) = (c_string(key)?, c_string(value)?);
                    library.check((api.AddRunConfigEntry)(raw, key.as_ptr(), value.as_ptr()))?;
                }
            }
        }
        Ok(Self { options: Arc::new(options) })
    }

    /// End the run at its next node.
    #[napi(catch_unwind)]
    pub fn cancel(&self) -> napi::Result<()> {
        let RunOptions { library, raw } = *self.options;
        Ok(library.check(unsafe { (library.api.RunOptionsSetTerminate)(raw) })?)
    }
}
