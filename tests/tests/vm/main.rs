//! What only a whole machine shows: process 1, its cgroups, mounts that reach the host, runtimes as Debian has them.
//!
//! Each test is a script in a machine that the tests share (`tests::vm`). What is new belongs into a file by what it is
//! about, and into the machine that CI boots if it takes seconds: all tests in machines together have ten minutes there.

mod arches;
mod itself;
mod mounts;
mod readme;
