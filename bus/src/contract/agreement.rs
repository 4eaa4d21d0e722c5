//! All answers together, and what follows from them.

use std::sync::Arc;

use tracing::info;

use super::{Answer, Term};
use crate::emulation::Emulation;
use crate::{Bus, Error, ErrorKind, Result, Seams};

/// All needs of a contract with their answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// In the order of the contract's fields; needs that ask for nothing are left out.
    pub terms: Vec<Term>,
    /// What has to stand around the bus for the emulated answers, the first next to the bus.
    pub emulations: Vec<Emulation>,
}

impl Agreement {
    /// The terms that were refused.
    pub fn refused(&self) -> impl Iterator<Item = &Term> {
        self.terms.iter().filter(|term| term.is_refused())
    }

    /// `Ok` when every need is met.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] lists every refused need with its reason.
    pub fn require(&self) -> Result<()> {
        let refused: Vec<String> = self.refused().map(Term::to_string).collect();
        if refused.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "contract", format!("this bus cannot give: {}", refused.join("; "))))
    }

    /// `bus`, which the contract was negotiated with, with the emulations around it that the terms
    /// name and no other. Logs each emulated term with its cost.
    ///
    /// `Ok` promises that the bus it answers meets every need: negotiated again, none is refused.
    ///
    /// # Errors
    /// Those of [`require`](Self::require); nothing is logged then.
    pub fn apply(&self, bus: Arc<dyn Bus>, seams: &Seams) -> Result<Arc<dyn Bus>> {
        self.require()?;
        for term in &self.terms {
            if let Answer::Emulated { how, cost } = &term.answer {
                info!(need = term.need, how, cost, "this bus does not do it itself: emulated");
            }
        }
        Ok(self.emulations.iter().fold(bus, |bus, emulation| emulation.put_on(bus, seams)))
    }
}
