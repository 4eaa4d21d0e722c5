//! Any body at all: an order within the bounds is accepted, everything else is a problem.

use proptest::prelude::*;
use serde_json::Value;
use tests::world::in_virtual_time;

use crate::desk::{Answer, Desk, problem};

const FIELDS: [&str; 4] = ["customerName", "productName", "quantity", "price"];

/// What the specification says of a body, written without a look at the implementation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Legal,
    Illegal,
    /// Legal in value, but written in a way that the specification leaves open.
    Open,
}

fn judge_name(raw: &str) -> Verdict {
    match serde_json::from_str(raw) {
        Ok(Value::String(name)) if (1..=200).contains(&name.chars().count()) => {
            if name.trim().is_empty() || name.contains('\0') { Verdict::Open } else { Verdict::Legal }
        }
        _ => Verdict::Illegal,
    }
}

/// Hundredths and whether it is plain (no exponent, no needless zeros); `None` when it is no number, or
/// not one of at most two decimals.
fn hundredths(text: &str) -> Option<(i128, bool)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = mantissa.strip_prefix('-').map_or((1, mantissa), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !(whole.to_owned() + fraction).bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals = i32::try_from(fraction.len()).ok()? - exponent;
    let value: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = 2 - decimals;
    let value = match u32::try_from(shift) {
        Ok(up) => value.checked_mul(10_i128.checked_pow(up)?)?,
        Err(_) => {
            let down = 10_i128.checked_pow(shift.unsigned_abs())?;
            (value % down == 0).then_some(value / down)?
        }
    };
    let plain = !text.contains(['e', 'E']) && digits.contains('.') != fraction.is_empty();
    Some((sign * value, plain && (whole == "0" || !whole.starts_with('0'))))
}

fn judge_quantity(raw: &str) -> Verdict {
    match hundredths(raw) {
        Some((units, plain)) if units % 100 == 0 && (1..=1_000_000).contains(&(units / 100)) => {
            if plain && !raw.contains('.') { Verdict::Legal } else { Verdict::Open }
        }
        _ => Verdict::Illegal,
    }
}

fn judge_price(raw: &str) -> Verdict {
    let text = match serde_json::from_str(raw) {
        Ok(Value::String(text)) => text,
        Ok(Value::Number(_)) | Err(_) => raw.to_owned(),
        Ok(_) => return Verdict::Illegal,
    };
    let written = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    match hundredths(&text) {
        Some((price, plain)) if (1..=999_999_999_999).contains(&price) => match (plain, written) {
            (true, 0..=2) => Verdict::Legal,
            (true, _) => Verdict::Illegal,
            (false, _) => Verdict::Open,
        },
        _ => Verdict::Illegal,
    }
}

fn judge(fields: &[String; 4]) -> Verdict {
    let verdicts =
        [judge_name(&fields[0]), judge_name(&fields[1]), judge_quantity(&fields[2]), judge_price(&fields[3])];
    if verdicts.contains(&Verdict::Illegal) {
        Verdict::Illegal
    } else if verdicts.contains(&Verdict::Open) {
        Verdict::Open
    } else {
        Verdict::Legal
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn legal() -> impl Strategy<Value = [String; 4]> {
    let price = prop_oneof![
        (1_u64..=999_999_999_999).prop_map(|price| format!("{}.{:02}", price / 100, price % 100)),
        (1_u64..=9_999_999_999).prop_map(|price| price.to_string()),
        (1_u64..=99_999_999_999).prop_map(|price| format!("{}.{}", price / 10, price % 10)),
    ];
    let price = (price, any::<bool>()).prop_map(|(price, is_text)| if is_text { quoted(&price) } else { price });
    let name = || "[가-힣a-zA-Z\"\\\\😀][가-힣a-zA-Z\"\\\\😀\n ]{0,199}".prop_map(|name| quoted(&name));
    let quantity = prop_oneof![Just(1), Just(1_000_000), 1_u32..=1_000_000].prop_map(|count| count.to_string());
    (name(), name(), quantity, price)
        .prop_map(|(customer, product, quantity, price)| [customer, product, quantity, price])
}

/// One field's raw JSON, near the edge of what is legal or beyond it.
fn strange() -> impl Strategy<Value = String> {
    prop_oneof![
        any_json(),
        ".{0,8}".prop_map(|text| quoted(&text)),
        "[ \t\n\u{0}\u{200b}가]{0,3}".prop_map(|text| quoted(&text)),
        (195_usize..=205).prop_map(|count| quoted(&"가".repeat(count))),
        "-?(0|[1-9][0-9]{0,13})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
        "-?[0-9]{0,40}\\.?[0-9]{0,40}([eE][+-]?[0-9]{1,12})?".prop_map(|text| quoted(&text)),
        "[-+]?[0-9_., ]{1,12}".prop_map(|text| quoted(&text)),
        prop_oneof![
            Just("0"),
            Just("1"),
            Just("-1"),
            Just("1000000"),
            Just("1000001"),
            Just("4294967297"),
            Just("0.01"),
            Just("0.009"),
            Just("9999999999.99"),
            Just("10000000000"),
            Just("1.00"),
            Just("1.000"),
            Just("1e0"),
            Just("-0"),
            Just("null"),
            Just("true"),
            Just("\"\\ud800\""),
            Just("18446744073709551616"),
        ]
        .prop_map(ToOwned::to_owned),
    ]
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 24, 6, |inner| {
        let key = prop_oneof![prop::sample::select(&FIELDS[..]).prop_map(ToOwned::to_owned), "[a-z]{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    });
    value.prop_map(|value| value.to_string())
}

fn text_of(fields: &[String; 4]) -> String {
    let fields: Vec<String> = FIELDS.iter().zip(fields).map(|(name, raw)| format!("\"{name}\": {raw}")).collect();
    format!("{{{}}}", fields.join(", "))
}

/// Posts, and reads back what was accepted.
fn posted(body: Vec<u8>) -> Answer {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let answer = desk.post(body).await;
        if answer.status() == 201 {
            let location = answer.headers()["location"].to_str().expect("ASCII").to_owned();
            assert_eq!(desk.get(&location).await.body(), answer.body(), "it reads back as it was answered");
        }
        answer
    })
}

fn check_refused(answer: &Answer, context: &str) {
    assert!(answer.status().is_client_error(), "{context}: {answer:?}");
    problem(answer, answer.status().as_u16(), context);
}

/// The answer shows what was asked for, exactly.
fn check_accepted(answer: &Answer, fields: &[String; 4]) {
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    let order: Value = serde_json::from_str(&text).expect("JSON");
    let asked = |at: usize| serde_json::from_str::<Value>(&fields[at]).expect("JSON");
    assert_eq!((&order["customerName"], &order["productName"]), (&asked(0), &asked(1)), "{text}");
    let price = fields[3].trim_matches('"');
    let (Some((units, _)), Some((price, _))) = (hundredths(&fields[2]), hundredths(price)) else {
        panic!("accepted without being numbers: {fields:?}")
    };
    let total = units / 100 * price;
    let shown = |amount: i128| format!("{}.{:02}", amount / 100, amount % 100);
    let expected = format!("\"quantity\":{},\"price\":{},\"totalAmount\":{},", units / 100, shown(price), shown(total));
    assert!(text.contains(&expected), "{expected} is not in {text}");
}

fn check(fields: &[String; 4]) {
    let body = text_of(fields);
    let answer = posted(body.clone().into_bytes());
    match (judge(fields), answer.status().as_u16()) {
        (Verdict::Legal | Verdict::Open, 201) => check_accepted(&answer, fields),
        (Verdict::Legal, status) => panic!("{status} for {body}: {answer:?}"),
        (Verdict::Illegal, 201) => panic!("accepted: {body}"),
        (Verdict::Open | Verdict::Illegal, _) => check_refused(&answer, &body),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_legal_order_is_accepted_exactly_as_asked(fields in legal()) {
        prop_assert_eq!(judge(&fields), Verdict::Legal);
        check(&fields);
    }

    #[test]
    fn an_order_with_one_strange_field_is_accepted_only_within_the_bounds(
        fields in legal(), at in 0_usize..4, strange in strange(),
    ) {
        let mut fields = fields;
        fields[at] = strange;
        check(&fields);
    }

    #[test]
    fn any_other_json_is_a_problem(body in any_json()) {
        check_refused(&posted(body.clone().into_bytes()), &body);
    }

    #[test]
    fn any_other_bytes_are_a_problem(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let shown = String::from_utf8_lossy(&body).into_owned();
        check_refused(&posted(body), &shown);
    }

    #[test]
    fn an_order_that_breaks_off_is_a_problem(fields in legal(), share in 0.0_f64..1.0) {
        let body = text_of(&fields).into_bytes();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a short text")]
        let cut = (body.len() as f64 * share) as usize;
        check_refused(&posted(body[..cut].to_vec()), "cut off");
    }
}
