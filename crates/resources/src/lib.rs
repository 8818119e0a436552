//! The algebra of resources. Knows how they add, subtract, compare, convert, parse and print, and which of them make
//! sense by themselves. Knows nothing of agents, frameworks or tasks.
//!
//! Start at [`Resources`] (`resources`, `filter`, `format`), whose rows are [`Resource`]. Amounts alone, without roles
//! and disks, are [`Quantities`]. `conversion` says what the operations of an offer do to resources, `parse` and
//! `attributes` read flags, `role` knows role names.

#![forbid(unsafe_code)]

pub mod attributes;
pub mod conversion;
mod error;
mod filter;
pub mod format;
mod name;
pub mod parse;
pub mod print;
mod quantities;
mod quantity;
mod resource;
mod resources;
pub mod role;
pub mod validate;
pub mod value;

pub use error::ResourceError;
pub use name::Name;
pub use quantities::Quantities;
pub use quantity::Quantity;
pub use resource::{Reservation, Resource};
pub use resources::Resources;
pub use value::{Range, Ranges, Set, Value};
