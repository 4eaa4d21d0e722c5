//! The local ports: entries per order and step, and the sums over them.
//!
//! An entry and its sum are one write, on condition that the step was neither done nor undone. So
//! the sums always equal the entries, whatever dies in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bus::Result;
use serde::{Deserialize, Serialize};

use crate::domain::{Money, OrderNumber};
use crate::store::{Batch, Direction, Key, Range, Store, Table, Written, decode, encode};

use super::{Answer, Payment, Shipping, Step, Stock};

/// Units of a product that the configuration does not list.
const UNLISTED_UNITS: u64 = 1_000_000_000;

/// The initial stock per product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StockLevels(BTreeMap<String, u64>);

impl StockLevels {
    /// These products have these units; all others have a billion.
    #[must_use]
    pub fn new(listed: BTreeMap<String, u64>) -> Self {
        Self(listed)
    }

    fn initial(&self, product: &str) -> u64 {
        self.0.get(product).copied().unwrap_or(UNLISTED_UNITS)
    }
}

/// The local books, which are stock, payment and shipping in one.
#[derive(Debug)]
pub struct LocalBooks {
    store: Arc<dyn Store>,
    levels: StockLevels,
    payment_limit: Option<Money>,
}

/// One line: units of a product, a charge in hundredths, a number of shipments. Signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    key: String,
    product_name: String,
    amount: i128,
}

/// A stock or shipment entry as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `orderNumber:step`.
    pub key: String,
    /// The product.
    pub product_name: String,
    /// Units, signed: −2 leaves the warehouse. For shipments 1, and −1 for one called back.
    pub quantity: i128,
}

/// A payment entry as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentEntry {
    /// `orderNumber:step`.
    pub key: String,
    /// Charged, or negative: refunded.
    pub amount: Money,
}

/// The books of one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BooksOfOrder {
    /// Stock moves.
    pub stock: Vec<Entry>,
    /// Charges and refunds.
    pub payments: Vec<PaymentEntry>,
    /// Shipments and those called back.
    pub shipments: Vec<Entry>,
}

/// The stock of one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductBook {
    /// Units at the beginning.
    pub initial: u64,
    /// Units now: `initial + moved`.
    pub on_hand: i128,
    /// Sum of all moves, signed: negative when units have left.
    pub moved: i128,
}

/// The sums over all orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Every product that is listed or has moved.
    pub products: BTreeMap<String, ProductBook>,
    /// Sum of all charges.
    pub charged: Money,
    /// Sum of all refunds, positive.
    pub refunded: Money,
    /// Shipments, those called back taken off.
    pub shipped: i128,
}

impl LocalBooks {
    /// Books kept in `store`. Payments above `payment_limit` are declined.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, levels: StockLevels, payment_limit: Option<Money>) -> Self {
        Self { store, levels, payment_limit }
    }

    /// The sums.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn books(&self) -> Result<Books> {
        let stock = Range::under(&stock_prefix());
        let skip = stock_prefix().as_bytes().len();
        let mut moved: BTreeMap<String, i128> = self.levels.0.keys().map(|name| (name.clone(), 0)).collect();
        for (key, value) in self.store.scan(&stock, Direction::Forward, usize::MAX).await? {
            let name = String::from_utf8_lossy(&key.as_bytes()[skip..]).into_owned();
            moved.insert(name, crate::store::sum(Some(&value)));
        }
        let product = |(name, moved): (String, i128)| {
            let initial = self.levels.initial(&name);
            (name, ProductBook { initial, on_hand: i128::from(initial) + moved, moved })
        };
        let [charged, refunded, shipped] = [self.total("charged"), self.total("refunded"), self.total("shipped")];
        let (charged, refunded, shipped) = futures_util::try_join!(charged, refunded, shipped)?;
        Ok(Books {
            products: moved.into_iter().map(product).collect(),
            charged: Money::from_hundredths(charged),
            refunded: Money::from_hundredths(refunded),
            shipped,
        })
    }

    /// The entries of one order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn of_order(&self, number: &OrderNumber) -> Result<BooksOfOrder> {
        let lines = |step: Step| async move {
            let (done, undone) = (self.line(step.key(number)).await?, self.line(step.undo_key(number)).await?);
            // A step that was closed without ever being done left no trace in the books.
            Ok::<_, bus::Error>([done, undone].into_iter().flatten().filter(|line| line.amount != 0))
        };
        let entry = |line: Line| Entry { key: line.key, product_name: line.product_name, quantity: line.amount };
        let payment = |line: Line| PaymentEntry { key: line.key, amount: Money::from_hundredths(line.amount) };
        Ok(BooksOfOrder {
            stock: lines(Step::StockReserved).await?.map(entry).collect(),
            payments: lines(Step::Paid).await?.map(payment).collect(),
            shipments: lines(Step::Shipped).await?.map(entry).collect(),
        })
    }

    async fn total(&self, name: &str) -> Result<i128> {
        Ok(crate::store::sum(self.store.get(&Table::Totals.key(name)).await?.as_ref()))
    }

    async fn line(&self, key: String) -> Result<Option<Line>> {
        self.store.get(&Table::Books.key(key)).await?.as_ref().map(decode).transpose()
    }

    /// Enters `line` for `step` once, and never after the step was closed.
    async fn enter(&self, step: Step, number: &OrderNumber, line: Line, sums: Batch) -> Result<Answer> {
        let (done, closed) = (Table::Books.key(&line.key), Table::Books.key(step.undo_key(number)));
        let batch =
            Batch::new().expect(done.clone(), None).expect(closed.clone(), None).put(done.clone(), encode(&line));
        match self.store.apply(batch.and(sums)).await? {
            Written::Applied(_) => Ok(Answer::Done),
            Written::Rejected(key) if key == closed => Ok(Answer::Closed),
            Written::Rejected(key) if key != done => Ok(Answer::Declined),
            Written::Rejected(_) if self.store.get(&closed).await?.is_some() => Ok(Answer::Closed),
            Written::Rejected(_) => Ok(Answer::Done),
        }
    }

    /// Enters the opposite of what was done, nothing when nothing was, and so closes the step.
    async fn undo(&self, step: Step, number: &OrderNumber, sums: impl Fn(&Line) -> Batch) -> Result<()> {
        let (done, closed) = (Table::Books.key(step.key(number)), Table::Books.key(step.undo_key(number)));
        loop {
            let stored = self.store.get(&done).await?;
            let line: Option<Line> = stored.as_ref().map(decode).transpose()?;
            let (product_name, amount) = line.map(|line| (line.product_name, -line.amount)).unwrap_or_default();
            let opposite = Line { key: step.undo_key(number), product_name, amount };
            let sums = if amount == 0 { Batch::new() } else { sums(&opposite) };
            let batch = Batch::new().expect(closed.clone(), None).expect(done.clone(), stored);
            match self.store.apply(batch.put(closed.clone(), encode(&opposite)).and(sums)).await? {
                Written::Rejected(key) if key == done => {}
                Written::Applied(_) | Written::Rejected(_) => return Ok(()),
            }
        }
    }
}

fn stock_prefix() -> Key {
    Table::Totals.key("").text("stock")
}

#[async_trait]
impl Stock for LocalBooks {
    async fn reserve(&self, number: &OrderNumber, product: &str, quantity: u32) -> Result<Answer> {
        let amount = -i128::from(quantity);
        let line = Line { key: Step::StockReserved.key(number), product_name: product.to_owned(), amount };
        let least = -i128::from(self.levels.initial(product));
        let sums = Batch::new().add(stock_prefix().then(product), amount, Some(least));
        self.enter(Step::StockReserved, number, line, sums).await
    }

    async fn release(&self, number: &OrderNumber) -> Result<()> {
        let sums = |line: &Line| Batch::new().add(stock_prefix().then(&line.product_name), line.amount, None);
        self.undo(Step::StockReserved, number, sums).await
    }
}

#[async_trait]
impl Payment for LocalBooks {
    async fn charge(&self, number: &OrderNumber, amount: Money) -> Result<Answer> {
        if self.payment_limit.is_some_and(|limit| amount > limit) && self.line(Step::Paid.key(number)).await?.is_none()
        {
            return Ok(Answer::Declined);
        }
        let amount = amount.hundredths();
        let line = Line { key: Step::Paid.key(number), product_name: String::new(), amount };
        self.enter(Step::Paid, number, line, Batch::new().add(Table::Totals.key("charged"), amount, None)).await
    }

    async fn refund(&self, number: &OrderNumber) -> Result<()> {
        let sums = |line: &Line| Batch::new().add(Table::Totals.key("refunded"), -line.amount, None);
        self.undo(Step::Paid, number, sums).await
    }
}

#[async_trait]
impl Shipping for LocalBooks {
    async fn ship(&self, number: &OrderNumber) -> Result<Answer> {
        let line = Line { key: Step::Shipped.key(number), product_name: String::new(), amount: 1 };
        self.enter(Step::Shipped, number, line, Batch::new().add(Table::Totals.key("shipped"), 1, None)).await
    }

    async fn call_back(&self, number: &OrderNumber) -> Result<()> {
        let sums = |line: &Line| Batch::new().add(Table::Totals.key("shipped"), line.amount, None);
        self.undo(Step::Shipped, number, sums).await
    }
}
