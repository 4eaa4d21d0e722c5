//! The contract, shown on the four broker models.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bus::conformance::{Deviation, Harness, Suite, Time};
use bus::{Bus, Result, Seams};
use simulator::broker::{Broker, Model};

/// One broker for each case, and a connection each for every process of it.
struct Modelled {
    model: Model,
    broker: OnceLock<Arc<Broker>>,
}

impl Modelled {
    fn new(model: Model) -> Self {
        Self { model, broker: OnceLock::new() }
    }
}

#[async_trait]
impl Harness for Modelled {
    fn time(&self) -> Time {
        Time::Virtual
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let broker = self.broker.get_or_init(|| Broker::new(self.model.semantics(), seams.clone()));
        Ok(broker.connect())
    }

    fn deviations(&self) -> &'static [Deviation] {
        match self.model {
            Model::Kafka => &KAFKA,
            Model::Sqs | Model::SqsFifo | Model::RabbitMq => &[],
        }
    }
}

const PREFIX: &str = "Kafka remembers one offset a partition: what was settled beyond the first unsettled \
                      record comes again when the partition moves";
const ONE_READER: &str = "a partition has one reader: a receiver gets nothing of the partitions of another";

const KAFKA: [Deviation; 4] = [
    Deviation { case: "settling_out_of_order_consumes_exactly_what_was_acked", reason: PREFIX },
    Deviation { case: "a_replay_takes_what_its_filter_names_and_leaves_the_rest", reason: PREFIX },
    Deviation { case: "a_dead_letter_whose_origin_is_gone_stays_and_the_others_are_replayed", reason: PREFIX },
    Deviation { case: "followers_in_hand_come_back_behind_their_head", reason: ONE_READER },
];

fn main() -> ExitCode {
    let models = Model::ALL.into_iter();
    let suite = Suite::new().kept_in(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance"));
    models.fold(suite, |suite, model| suite.setting(model.name(), move || Modelled::new(model))).main()
}
