//! What may stand in the body of `POST /api/orders`, field by field.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::domain::{CUSTOMER_AND_PRODUCT_CHARS_MAX, Money, OrderRequest, PRICE_MAX, PRICE_MIN, QUANTITY_MAX};
use crate::http::{FieldError, Problem};

/// Every field as written, so that each can be judged and named on its own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow, default)]
    customer_name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    product_name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    quantity: Option<&'a RawValue>,
    #[serde(borrow, default)]
    price: Option<&'a RawValue>,
}

/// Reads and checks a JSON body.
///
/// # Errors
/// 400 for text that is no JSON; 422 with every field that is wrong.
pub fn read_request(text: &str) -> Result<OrderRequest, Problem> {
    let raw: Raw<'_> = read_object(text)?;
    let mut errors = Vec::new();
    let customer_name = name("customerName", raw.customer_name, &mut errors);
    let product_name = name("productName", raw.product_name, &mut errors);
    let quantity = quantity(raw.quantity, &mut errors);
    let price = price(raw.price, &mut errors);
    match (customer_name, product_name, quantity, price) {
        (Some(customer_name), Some(product_name), Some(quantity), Some(price)) => {
            Ok(OrderRequest { customer_name, product_name, quantity, price })
        }
        _ => Err(Problem::unprocessable(errors)),
    }
}

/// The object in `text`, with fields that are judged later.
pub(super) fn read_object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    // Syntax first: what breaks off or goes on is malformed, whatever its fields.
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| Problem::bad_request(format!("the body is not valid JSON: {error}")))?;
    // serde would also take a list, with the fields in the order of their declaration.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Problem::unprocessable_body("the body must be a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| Problem::unprocessable_body(format!("the body cannot be read: {error}")))
}

fn name(field: &'static str, raw: Option<&RawValue>, errors: &mut Vec<FieldError>) -> Option<String> {
    let fault = match raw.map(|raw| serde_json::from_str::<String>(raw.get())) {
        None => "is required".to_owned(),
        Some(Err(_)) => "must be a string".to_owned(),
        Some(Ok(text)) => {
            let count = text.chars().count();
            if text.trim().is_empty() {
                "must not be blank".to_owned()
            } else if count > CUSTOMER_AND_PRODUCT_CHARS_MAX {
                format!("has {count} characters; at most {CUSTOMER_AND_PRODUCT_CHARS_MAX} are allowed")
            } else if text.contains('\0') {
                "must not contain a zero character".to_owned()
            } else {
                return Some(text);
            }
        }
    };
    errors.push(FieldError::new(field, fault));
    None
}

fn quantity(raw: Option<&RawValue>, errors: &mut Vec<FieldError>) -> Option<u32> {
    let read = raw.map(|raw| serde_json::from_str::<u32>(raw.get()));
    let fault = match read {
        None => "is required".to_owned(),
        Some(Ok(quantity)) if (1..=QUANTITY_MAX).contains(&quantity) => return Some(quantity),
        Some(_) => format!("must be a whole number from 1 to {QUANTITY_MAX}"),
    };
    errors.push(FieldError::new("quantity", fault));
    None
}

fn price(raw: Option<&RawValue>, errors: &mut Vec<FieldError>) -> Option<Money> {
    let Some(raw) = raw else {
        errors.push(FieldError::new("price", "is required"));
        return None;
    };
    // A JSON string or number, both judged by their digits.
    let text = serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
    let fault = match Money::parse(&text) {
        Ok(price) if (PRICE_MIN..=PRICE_MAX).contains(&price.hundredths()) => return Some(price),
        Ok(_) => format!("must be from {} to {}", Money::from_hundredths(PRICE_MIN), Money::from_hundredths(PRICE_MAX)),
        Err(fault) => fault.to_string(),
    };
    errors.push(FieldError::new("price", fault));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(field: &str, value: &str) -> String {
        let mut fields = vec![
            ("customerName", "\"동기화테스트\""),
            ("productName", "\"SyncEventListener 검증\""),
            ("quantity", "2"),
            ("price", "\"45000.00\""),
        ];
        for known in &mut fields {
            if known.0 == field {
                known.1 = value;
            }
        }
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    }

    #[test]
    fn the_recorded_order_is_accepted_with_its_price_as_string_or_number() {
        for price in ["\"45000.00\"", "45000.00", "45000", "4.5e4"] {
            let request = read_request(&body("price", price)).expect("a good order");
            assert_eq!(request.price.to_string(), "45000.00");
        }
    }

    #[test]
    fn each_bad_field_is_named() {
        let long = format!("\"{}\"", "가".repeat(201));
        for (field, value) in [
            ("customerName", "\"\""),
            ("customerName", "\"  \""),
            ("customerName", "7"),
            ("productName", "null"),
            ("productName", long.as_str()),
            ("quantity", "0"),
            ("quantity", "-1"),
            ("quantity", "1.5"),
            ("quantity", "\"2\""),
            ("quantity", "1000001"),
            ("quantity", "99999999999999999999"),
            ("price", "0"),
            ("price", "-1"),
            ("price", "1.005"),
            ("price", "10000000000"),
            ("price", "\"abc\""),
            ("price", "true"),
            ("price", "{}"),
        ] {
            let problem = read_request(&body(field, value)).expect_err("a bad field");
            assert_eq!(problem.status(), http::StatusCode::UNPROCESSABLE_ENTITY, "{field}: {value}");
            assert!(format!("{problem:?}").contains(field), "{field}: {value}: {problem:?}");
        }
    }

    #[test]
    fn text_that_is_no_json_is_a_bad_request_and_other_json_is_unprocessable() {
        assert_eq!(read_request("{\"customerName\":").expect_err("cut off").status(), http::StatusCode::BAD_REQUEST);
        for other in ["[1]", "null", r#"["c","p",1,"1.00"]"#] {
            assert_eq!(read_request(other).expect_err("no object").status(), http::StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
}
