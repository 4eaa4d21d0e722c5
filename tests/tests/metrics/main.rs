//! The pages of metrics of both services, in virtual time.

mod looks;
mod shop;
mod shown;
mod traces;
