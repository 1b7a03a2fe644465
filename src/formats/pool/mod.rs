//! The pool: where a file lies and the Git-LFS pointer that stands for it.

pub mod path;
pub mod pointer;
