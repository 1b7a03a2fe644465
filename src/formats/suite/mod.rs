//! The suites tree: `suites/` is `dists/` unfolded, one record a file.

pub mod agreement;
pub mod checks;
pub mod place;
pub mod promotion;
pub mod record;
