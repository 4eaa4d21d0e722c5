//! The bus and the order system on RabbitMQ: a real one from `tests/brokers`.

mod encrypted;
mod endings;
mod flow;
mod foreign;
mod limits;
mod outages;
mod scene;
mod topology;

use std::process::ExitCode;

use tests::broker_tests;

fn main() -> ExitCode {
    tests::brokers::main(
        "rabbitmq",
        broker_tests![
            topology::a_conflicting_declaration_is_explained_and_disturbs_nothing_else,
            topology::a_queue_deleted_under_a_consumer_and_a_publisher_is_declared_again_and_work_goes_on,
            topology::a_consumer_declares_its_deleted_queue_again_without_a_publisher,
            topology::a_deleted_queue_that_was_not_declared_here_is_not_found_and_not_made,
            topology::of_many_messages_under_way_exactly_those_for_a_deleted_queue_are_refused,
            topology::a_wait_queue_that_another_bus_purged_is_made_again_by_the_next_attempt,
            limits::a_full_queue_refuses_as_retryable_and_takes_again_when_there_is_room,
            limits::what_was_received_too_often_goes_to_the_dead_letters_by_the_servers_own_hand,
            limits::headers_too_large_for_a_frame_are_refused_and_those_that_fit_arrive,
            endings::a_dropped_bus_gives_back_what_it_had_and_closes_its_connections,
            endings::every_stopped_receiver_learns_that_its_connection_is_lost,
            endings::what_is_held_beyond_the_consumer_timeout_is_lost_and_comes_again_to_the_same_receiver,
            endings::receivers_that_come_and_go_leave_the_connection_to_the_others,
            encrypted::amqps_trusts_the_authority_it_was_told_and_no_other,
            flow::the_recorded_flow_runs_in_one_process_with_foreign_messages_among_it,
            flow::the_recorded_flow_runs_in_two_processes_with_foreign_messages_among_it,
            flow::the_recorded_flow_runs_over_classic_queues,
            outages::a_memory_alarm_shows_in_readiness_and_in_the_log_and_lifts,
            outages::a_server_killed_and_its_connections_closed_during_20000_messages_loses_and_doubles_nothing,
        ],
    )
}
