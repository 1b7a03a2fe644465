//! Contents: which package installs a file (`Contents-<architecture>`, as Debian's archive has them since 2011).
//!
//! A line is `path<blanks>section/package[,section/package …]`: the path without leading slash, filled up to 55 columns, and
//! every package that installs it, by name. Lines are sorted by path, bytewise; there is no header. Of a package with several
//! versions in an index only the highest counts. A package without files stands at the path `EMPTY_PACKAGE`
//! (dak, `daklib/contents.py`). Folders are not listed.
//!
//! `file_list` is what is kept of each package, `table` the text, `runs` sorts the lines of a whole suite.

pub mod file_list;
pub mod packed;
pub mod runs;
pub mod table;

pub use file_list::FileList;
