//! agent_core
