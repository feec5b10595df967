//! Files that others may have prepared. What is written is there whole or not at all, and takes the place of regular
//! files alone; what is read is a regular file that no link leads to; what is
//! temporary is removed with all that others left in it.

mod marked;
mod place;
mod read;
mod room;
mod write;

pub use marked::replace_marked;
pub use place::{exchange, rename, set_aside};
pub use read::{DOCUMENT, open, open_below, open_named, read_named, read_required, read_text};
pub use room::Room;
pub use write::{write, write_with};
