//! The inspector of BPF objects: collect, model, plain text or JSON.
