//! The order system on Kafka: Apache Kafka from `tests/brokers`.

mod declarations;
mod delays;
mod flow;
mod foreign;
mod hand;
mod members;
mod outages;
mod rebalances;

use std::process::ExitCode;

use tests::broker_tests;

fn main() -> ExitCode {
    tests::brokers::main(
        "kafka",
        broker_tests![
            declarations::a_topic_with_other_partitions_or_retention_is_a_conflict_that_says_what_to_do,
            delays::what_waits_outlives_a_killed_broker_and_keeps_the_order_of_its_keys,
            delays::what_waits_never_expires_and_is_removed_when_it_was_sent_on,
            flow::the_recorded_flow_runs_in_one_process,
            flow::the_recorded_flow_runs_in_two_processes,
            foreign::what_a_foreign_client_put_there_before_the_start_is_processed,
            members::the_recorded_flow_runs_with_three_members_that_share_the_partitions,
            members::members_on_one_store_come_and_go_under_load_and_each_order_takes_effect_once,
            members::a_second_store_is_refused_while_a_member_with_another_is_live_and_then_takes_over,
            members::a_member_that_comes_back_to_the_group_of_another_store_leaves_it,
            rebalances::an_ack_of_a_partition_that_went_to_another_member_is_lease_lost,
            rebalances::what_was_settled_out_of_order_does_not_come_again_to_the_next_member,
            outages::a_broker_killed_twice_under_load_loses_and_doubles_nothing,
            outages::a_consumer_that_stands_still_beyond_its_session_loses_and_doubles_nothing,
        ],
    )
}
