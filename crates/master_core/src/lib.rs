//! master_core
