//! Each emulation around a bus in memory that cannot do it itself, and all of them together.

mod dead_letters;
mod delay;
mod nack_delay;
mod rig;
mod together;
