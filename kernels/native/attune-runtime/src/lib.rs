//! ONNX Runtime in the process of Node: the very library that onnxruntime-node ships, through its C interface, with
//! key-value caches that stay in native memory. JavaScript sees four things: `openLibrary`, `Session`, `Handle` and
//! `RunControl`; everything that makes them look like onnxruntime-common lies in hooks/session/native.
mod accounts;
mod buffer;
mod fault;
mod handle;
mod library;
mod operator;
mod operator_call;
mod options;
mod ports;
mod run;
mod session;
mod value;
