//! What the services speak of: orders, money, statuses.

mod money;
mod number;
mod order;
mod status;

pub use money::{Money, MoneyFault};
pub use number::OrderNumber;
pub use order::{CUSTOMER_AND_PRODUCT_CHARS_MAX, Order, OrderRequest, PRICE_MAX, PRICE_MIN, QUANTITY_MAX};
pub use status::{FailureReason, Outcome, Status};
