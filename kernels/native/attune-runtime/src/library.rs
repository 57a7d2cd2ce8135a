//! The shared library of ONNX Runtime: opened once per path and never closed, as its threads may outlive any session.
use crate::fault::{fault, Outcome};
use ort_sys as ort;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr::null_mut;
use std::sync::Mutex;

pub struct Library {
    pub api: &'static ort::OrtApi,
    pub version: String,
    pub env: *mut ort::OrtEnv,
    /// Plain memory of this process.
    pub memory: *mut ort::OrtMemoryInfo,
    /// Owns the names that ONNX Runtime hands out.
    pub allocator: *mut ort::OrtAllocator,
}

// The C interface may be used from any thread; everything here is set once.
unsafe impl Send for Library {}
unsafe impl Sync for Library {}

static OPEN: Mutex<Option<HashMap<String, &'static Library>>> = Mutex::new(None);

impl Library {
    /// The library at a path, which is loaded if it is not in the process yet.
    pub fn open(path: &str) -> Outcome<&'static Library> {
        let mut open = OPEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let known = open.get_or_insert_with(HashMap::new);
        if let Some(library) = known.get(path) {
            return Ok(library);
        }
        let library: &'static Library = Box::leak(Box::new(Self::load(path)?));
        known.insert(path.to_string(), library);
        Ok(library)
    }

    fn load(path: &str) -> Outcome<Library> {
        let loaded = match unsafe { libloading::Library::new(path) } {
            Ok(loaded) => Box::leak(Box::new(loaded)),
            Err(error) => return fault("NATIVE_LIBRARY", format!("{path} could not be opened: {error}")),
        };
        let symbol = b"OrtGetApiBase\0";
        let base = match unsafe { loaded.get::<unsafe extern "system" fn() -> *const ort::OrtApiBase>(symbol) } {
            Ok(base) => unsafe { base() },
            Err(error) => return fault("NATIVE_LIBRARY", format!("{path} is not ONNX Runtime: {error}")),
        };
        if base.is_null() {
            return fault("NATIVE_LIBRARY", format!("{path} gives no interface"));
        }
        let version = unsafe { CStr::from_ptr(((*base).GetVersionString)()) }.to_string_lossy().into_owned();
        let api = unsafe { ((*base).GetApi)(ort::ORT_API_VERSION) };
        let Some(api) = (unsafe { api.as_ref() }) else {
            let wanted = ort::ORT_API_VERSION;
            return fault("NATIVE_LIBRARY", format!("ONNX Runtime {version} has no interface of version {wanted}"));
        };
        let (mut env, mut memory, mut allocator) = (null_mut(), null_mut(), null_mut());
        let severity = ort::OrtLoggingLevel::ORT_LOGGING_LEVEL_WARNING;
        let (own, plain) = (ort::OrtAllocatorType::OrtDeviceAllocator, ort::OrtMemType::OrtMemTypeDefault);
        unsafe {
            check(api, (api.CreateEnv)(severity, c"attune".as_ptr(), &mut env))?;
            check(api, (api.CreateCpuMemoryInfo)(own, plain, &mut memory))?;
            check(api, (api.GetAllocatorWithDefaultOptions)(&mut allocator))?;
        }
        Ok(Library { api, version, env, memory, allocator })
    }

    /// The words of a status that is not success.
    pub fn check(&self, status: ort::OrtStatusPtr) -> Outcome<()> {
        check(self.api, status)
    }

    /// A name that ONNX Runtime allocated.
    pub fn taken(&self, text: *mut std::ffi::c_char) -> CString {
        let own = unsafe { CStr::from_ptr(text) }.to_owned();
        let status = unsafe { (self.api.AllocatorFree)(self.allocator, text.cast()) };
        // Freeing fails only without an allocator.
        let _ = self.check(status);
        own
    }
}

fn check(api: &ort::OrtApi, status: ort::OrtStatusPtr) -> Outcome<()> {
    if status.0.is_null() {
        return Ok(());
    }
    let message = unsafe { CStr::from_ptr((api.GetErrorMessage)(status.0)) }.to_string_lossy().into_owned();
    unsafe { (api.ReleaseStatus)(status.0) };
    fault("ORT", message)
}

/// A C string from JavaScript; a NUL inside is an error of the caller.
pub fn c_string(text: &str) -> Outcome<CString> {
    CString::new(text).or_else(|_| fault("ORT", format!("a NUL character in {text:?}")))
}

/// A path in the characters of the system.
#[cfg(not(windows))]
pub fn os_string(path: &str) -> Outcome<Vec<ort::os_char>> {
    Ok(c_string(path)?.into_bytes_with_nul().into_iter().map(|byte| byte as ort::os_char).collect())
}

#[cfg(windows)]
pub fn os_string(path: &str) -> Outcome<Vec<ort::os_char>> {
    c_string(path)?;
    Ok(path.encode_utf16().chain([0]).collect())
}

#[napi_derive::napi(object)]
pub struct LibraryFacts {
    pub version: String,
    /// Version of the C interface that this addon asks for.
    pub api: u32,
    /// Beginnings of the names of operators it has a kernel for.
    pub operators: Vec<String>,
}

/// Open ONNX Runtime at a path.
#[napi_derive::napi(catch_unwind)]
pub fn open_library(path: String) -> napi::Result<LibraryFacts> {
    let library = Library::open(&path)?;
    let operators = crate::operator::NAMES.iter().map(|name| name.to_string()).collect();
    Ok(LibraryFacts { version: library.version.clone(), api: ort::ORT_API_VERSION, operators })
}
