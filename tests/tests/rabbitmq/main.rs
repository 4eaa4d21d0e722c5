//! The order system on RabbitMQ: a real one from `tests/brokers`.

mod flow;
mod foreign;
mod outages;

use std::process::ExitCode;

use tests::broker_tests;

fn main() -> ExitCode {
    tests::brokers::main(
        "rabbitmq",
        broker_tests![
            flow::the_recorded_flow_runs_in_one_process_with_foreign_messages_among_it,
            flow::the_recorded_flow_runs_in_two_processes_with_foreign_messages_among_it,
            flow::the_recorded_flow_runs_over_classic_queues,
            outages::a_memory_alarm_shows_in_readiness_and_in_the_log_and_lifts,
            outages::a_server_killed_and_its_connections_closed_during_20000_messages_loses_and_doubles_nothing,
        ],
    )
}
