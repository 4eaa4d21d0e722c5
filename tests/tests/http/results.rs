//! Results and cancellations: what changes an order, what repeats it, what it refuses.

use http::StatusCode;
use serde_json::{Value, json};
use services::store::Table;
use tests::world::in_virtual_time;

use crate::desk::{Answer, Desk, problem, result, value};

/// Version and status as an answer shows them.
fn shown(answer: &Answer) -> (Value, Value) {
    let order = value(answer);
    (order["version"].clone(), order["status"].clone())
}

/// What every change leaves behind: lines of the change sequence, messages.
async fn trace(desk: &Desk) -> (usize, usize) {
    (desk.row_count(Table::Changes).await, desk.row_count(Table::Outbox).await)
}

#[test]
fn a_result_is_applied_once_however_often_it_is_brought() {
    in_virtual_time(async {
        for (status, description) in [("COMPLETED", "처리완료"), ("FAILED", "처리실패")] {
            let desk = Desk::open().await;
            let number = desk.place().await;
            assert_eq!(trace(&desk).await, (1, 2));
            let first = desk.put_result(&number, &result(status, 1)).await;
            assert_eq!(first.status(), StatusCode::OK, "{first:?}");
            assert_eq!(shown(&first), (2.into(), status.into()));
            assert_eq!(value(&first)["statusDescription"], description);
            assert!(value(&first)["updatedAt"].is_string(), "it has changed");
            assert_eq!(trace(&desk).await, (2, 3), "one change, one event");
            for _ in 0..3 {
                let again = desk.put_result(&number, &result(status, 1)).await;
                assert_eq!((again.status(), again.body()), (StatusCode::OK, first.body()));
            }
            assert_eq!(trace(&desk).await, (2, 3), "no new change, no new event");
        }
    });
}

#[test]
fn a_failed_result_shows_its_reason() {
    in_virtual_time(async {
        for reason in ["OUT_OF_STOCK", "PAYMENT_DECLINED"] {
            let desk = Desk::open().await;
            let number = desk.place().await;
            let mut failed = result("FAILED", 1);
            failed["failureReason"] = reason.into();
            assert_eq!(value(&desk.put_result(&number, &failed).await)["failureReason"], reason);
            assert_eq!(desk.read(&format!("/api/orders/{number}")).await["failureReason"], reason);
        }
    });
}

#[test]
fn a_conflicting_result_is_refused_and_changes_nothing() {
    in_virtual_time(async {
        for (first, second) in [("COMPLETED", "FAILED"), ("FAILED", "COMPLETED")] {
            let desk = Desk::open().await;
            let number = desk.place().await;
            let applied = desk.put_result(&number, &result(first, 1)).await;
            for version in [1, 2] {
                problem(&desk.put_result(&number, &result(second, version)).await, 409, second);
            }
            assert_eq!(desk.get(&format!("/api/orders/{number}")).await.body(), applied.body());
            assert_eq!(trace(&desk).await, (2, 3));
        }
    });
}

#[test]
fn a_result_of_another_version_is_refused_and_changes_nothing() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let number = desk.place().await;
        for version in [0, 2, 7, u64::MAX] {
            problem(&desk.put_result(&number, &result("COMPLETED", version)).await, 409, &version.to_string());
        }
        assert_eq!(shown(&desk.get(&format!("/api/orders/{number}")).await), (1.into(), "PENDING".into()));
        assert_eq!(trace(&desk).await, (1, 2));
    });
}

#[test]
fn results_and_cancellations_of_unknown_orders_are_not_found() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        for number in ["ORD-20250901-005036-FDBDAD7F", "x", "%EC%A3%BC%EB%AC%B8", "%00"] {
            problem(&desk.put_result(number, &result("COMPLETED", 1)).await, 404, number);
            problem(&desk.cancel(number).await, 404, number);
            problem(&desk.get(&format!("/api/orders/{number}")).await, 404, number);
            problem(&desk.get(&format!("/api/sync/order/{number}")).await, 404, number);
        }
    });
}

#[test]
fn cancelling_twice_is_cancelling_once() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let number = desk.place().await;
        let first = desk.cancel(&number).await;
        assert_eq!((first.status(), shown(&first)), (StatusCode::OK, (2.into(), "CANCELLED".into())));
        assert_eq!(value(&first)["statusDescription"], "취소");
        let again = desk.cancel(&number).await;
        assert_eq!((again.status(), again.body()), (StatusCode::OK, first.body()));
        assert_eq!(trace(&desk).await, (2, 3));
    });
}

#[test]
fn whichever_comes_first_of_a_cancellation_and_a_result_stays() {
    in_virtual_time(async {
        for status in ["COMPLETED", "FAILED"] {
            let desk = Desk::open().await;
            let cancelled_first = desk.place().await;
            let before = desk.cancel(&cancelled_first).await;
            for version in [1, 2] {
                problem(&desk.put_result(&cancelled_first, &result(status, version)).await, 409, "cancelled");
            }
            assert_eq!(desk.get(&format!("/api/orders/{cancelled_first}")).await.body(), before.body());

            let result_first = desk.place().await;
            let before = desk.put_result(&result_first, &result(status, 1)).await;
            problem(&desk.cancel(&result_first).await, 409, status);
            assert_eq!(desk.get(&format!("/api/orders/{result_first}")).await.body(), before.body());
        }
    });
}

#[test]
fn of_a_cancellation_and_a_result_at_the_same_time_exactly_one_is_applied() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        for _ in 0..50 {
            let number = desk.place().await;
            let completed = result("COMPLETED", 1);
            let (cancelled, brought) = futures_util::join!(desk.cancel(&number), desk.put_result(&number, &completed));
            let statuses = [cancelled.status(), brought.status()];
            assert!(statuses.contains(&StatusCode::OK) && statuses.contains(&StatusCode::CONFLICT), "{statuses:?}");
            let order = desk.read(&format!("/api/orders/{number}")).await;
            let expected = if cancelled.status() == StatusCode::OK { "CANCELLED" } else { "COMPLETED" };
            assert_eq!((&order["status"], &order["version"]), (&json!(expected), &json!(2)));
        }
    });
}
