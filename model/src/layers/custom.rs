//! Layers of other crates.

use super::Module;
use std::fmt;
use std::sync::Arc;

/// A layer of your own; clones share it. Two are equal only if they are clones of one.
#[derive(Clone)]
pub struct Custom(Arc<dyn Module>);

impl Custom {
    /// A layer that is this module.
    pub fn new(module: impl Module + 'static) -> Custom {
        Custom(Arc::new(module))
    }

    /// The module.
    pub fn module(&self) -> &dyn Module {
        &*self.0
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Custom) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
