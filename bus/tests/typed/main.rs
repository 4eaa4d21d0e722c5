//! The typed front on the in-memory bus, in virtual time.

mod composition;
mod desk;
mod publish;
mod quarantine;
