//! Who types the commands, and a tag that tells one run of them from another.

use std::hash::{BuildHasher, RandomState};

use nix::unistd::geteuid;

/// The name of the user of this process.
pub fn name() -> Result<String, String> {
    let uid = geteuid().as_raw();
    stdx::users::name_of(uid).ok_or_else(|| format!("user {uid} has no name; give one with --user"))
}

/// Six hexadecimal digits unlike those of any other run; std seeds its hashers from the kernel.
pub fn tag() -> String {
    format!("{:06x}", RandomState::new().hash_one(std::time::SystemTime::now()) & 0xff_ffff)
}
