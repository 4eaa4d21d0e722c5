//! The order system on SQS: LocalStack from `tests/brokers`.

mod errors;
mod flow;
mod foreign;
mod outages;
mod stopping;

use std::process::ExitCode;

use tests::broker_tests;

fn main() -> ExitCode {
    tests::brokers::main(
        "sqs",
        broker_tests![
            flow::the_recorded_flow_runs_in_one_process,
            flow::the_recorded_flow_runs_in_two_processes,
            flow::the_recorded_flow_runs_over_fifo_queues,
            foreign::what_a_foreign_client_put_there_before_the_start_is_processed,
            stopping::a_stop_during_long_polls_strands_no_message,
            errors::each_trouble_says_what_to_do,
            outages::a_server_that_is_stopped_for_a_while_loses_and_doubles_nothing,
            outages::connections_cut_and_stalled_under_load_lose_and_double_nothing,
            outages::a_server_that_forgets_everything_is_filled_again_by_the_reconciler,
        ],
    )
}
