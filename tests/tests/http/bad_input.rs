//! Whatever is wrong with a request, the answer says so with the right status and a problem.

use http::Method;
use serde_json::{Value, json};
use tests::world::in_virtual_time;

use crate::desk::{Desk, order, problem, request, result};

#[test]
fn a_bad_order_is_refused_and_its_field_named() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let long = "가".repeat(201);
        let cases: [(&str, Value); 36] = [
            ("customerName", json!("")),
            ("customerName", json!(long)),
            ("customerName", json!(7)),
            ("customerName", json!(null)),
            ("customerName", json!(["동기화테스트"])),
            ("productName", json!("")),
            ("productName", json!(long)),
            ("productName", json!({})),
            ("productName", json!(true)),
            ("quantity", json!(0)),
            ("quantity", json!(-1)),
            ("quantity", json!(1.5)),
            ("quantity", json!(1_000_001)),
            ("quantity", json!(4_294_967_297_u64)),
            ("quantity", json!(1e300)),
            ("quantity", json!("2")),
            ("quantity", json!("두 개")),
            ("quantity", json!(null)),
            ("price", json!(0)),
            ("price", json!(-0.01)),
            ("price", json!("0.00")),
            ("price", json!("-45000.00")),
            ("price", json!("45000.001")),
            ("price", json!("45000.000")),
            ("price", json!(1.005)),
            ("price", json!("10000000000.00")),
            ("price", json!(1e300)),
            ("price", json!("1e999999999999")),
            ("price", json!("1.5e-4294967295")),
            ("price", json!("")),
            ("price", json!(" 1.00 ")),
            ("price", json!("NaN")),
            ("price", json!("45,000.00")),
            ("price", json!("1_000.00")),
            ("price", json!(false)),
            ("price", json!([1])),
        ];
        for (field, bad) in cases {
            let mut body: Value = serde_json::from_str(&order("tea", 2, "1.50")).expect("JSON");
            body[field] = bad.clone();
            let context = format!("{field}: {bad}");
            let problem = problem(&desk.post(body.to_string()).await, 422, &context);
            assert_eq!(problem["errors"][0]["field"], field, "{context}: {problem}");
        }
        for missing in ["customerName", "productName", "quantity", "price"] {
            let mut body: Value = serde_json::from_str(&order("tea", 2, "1.50")).expect("JSON");
            body.as_object_mut().expect("an object").remove(missing);
            let problem = problem(&desk.post(body.to_string()).await, 422, missing);
            assert_eq!(problem["errors"][0]["field"], missing, "{problem}");
        }
        let problem = problem(&desk.post("{}").await, 422, "an empty object");
        let named: Vec<_> = problem["errors"].as_array().into_iter().flatten().map(|error| &error["field"]).collect();
        assert_eq!(named, ["customerName", "productName", "quantity", "price"], "all four are named");
    });
}

#[test]
fn a_price_beyond_a_decimal_is_never_rounded_into_an_order() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        for price in [
            "1.00000000000000000000000000000000001",
            "0.00000000000000000000000000010000000001e30",
            "0.0000000000000000001000000000001e28",
            "1.00000000000000000000000000000000000001e2",
            "45000.0000000000000000000000000000004e0",
        ] {
            let quoted = order("tea", 1, price);
            let bare = quoted.replace(&format!("\"{price}\""), price);
            for body in [quoted, bare] {
                problem(&desk.post(body.clone()).await, 422, &body);
            }
        }
    });
}

#[test]
fn what_is_no_json_object_is_refused() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let cases: [(&[u8], u16); 15] = [
            (b" ", 400),
            (b"{", 400),
            (b"{\"customerName\":", 400),
            (b"{\"customerName\": \"\xff\xfe\"}", 400),
            (b"\xed\xa0\x80", 400),
            (b"not json", 400),
            (b"{} {}", 400),
            (b"{'customerName': 'x'}", 400),
            (deep.as_bytes(), 422),
            (b"[]", 422),
            (b"[\"c\", \"p\", 1, \"1.00\"]", 422),
            (b"null", 422),
            (b"\"order\"", 422),
            (b"7", 422),
            (b"{\"price\": 1, \"price\": 2}", 422),
        ];
        for (body, status) in cases {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            problem(&desk.post(body.to_vec()).await, status, &shown);
        }
        problem(&desk.post("").await, 415, "neither body nor content type");
        let mut empty = request(Method::POST, "/api/orders", "");
        empty.headers_mut().insert("content-type", "application/json".parse().expect("a media type"));
        problem(&desk.call(empty).await, 400, "no body");
        problem(&desk.post(vec![b' '; 64 * 1024 + 1]).await, 413, "one byte too long");
    });
}

#[test]
fn a_body_of_another_or_no_content_type_is_refused() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let number = desk.place().await;
        for (method, path, body) in [
            (Method::POST, "/api/orders".to_owned(), order("tea", 2, "1.50")),
            (Method::PUT, format!("/api/sync/order/{number}/result"), result("COMPLETED", 1).to_string()),
        ] {
            for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("json")] {
                let mut request = request(method.clone(), &path, body.clone());
                request.headers_mut().remove("content-type");
                if let Some(content_type) = content_type {
                    request.headers_mut().insert("content-type", content_type.parse().expect("a header value"));
                }
                problem(&desk.call(request).await, 415, &format!("{path} {content_type:?}"));
            }
        }
        assert_eq!(desk.read(&format!("/api/orders/{number}")).await["version"], 1);
    });
}

#[test]
fn a_bad_query_is_refused() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        for path in [
            "/api/orders?status=SHIPPED",
            "/api/orders?status=pending",
            "/api/orders?status=",
            "/api/orders?limit=0",
            "/api/orders?limit=501",
            "/api/orders?limit=abc",
            "/api/orders?limit=-1",
            "/api/orders?limit=",
            "/api/orders?limit=1&limit=2",
            "/api/orders?cursor=nonsense",
            "/api/orders?cursor=",
            "/api/orders?cursor=%2B000000000000001",
            "/api/orders?page=2",
            "/api/orders?status=%FF",
            "/api/sync/orders?after=abc",
            "/api/sync/orders?after=-1",
            "/api/sync/orders?after=18446744073709551616",
            "/api/sync/orders?limit=0",
            "/api/sync/orders?limit=501",
            "/api/sync/orders?cursor=1",
            "/api/sync/health?verbose=1",
            "/api/orders/%FF",
            "/api/orders/%zz",
        ] {
            problem(&desk.get(path).await, 400, path);
        }
    });
}

#[test]
fn unknown_routes_and_methods_are_named_as_such() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        for path in
            ["/", "/api", "/api/order", "/api/orders/", "/api/orders/X/cancel/now", "/api/synced-orders", "/API/orders"]
        {
            problem(&desk.get(path).await, 404, path);
        }
        for (method, path, allowed) in [
            (Method::DELETE, "/api/orders", "GET, HEAD, POST, OPTIONS"),
            (Method::PUT, "/api/orders", "GET, HEAD, POST, OPTIONS"),
            (Method::DELETE, "/api/orders/X", "GET, HEAD, OPTIONS"),
            (Method::GET, "/api/orders/X/cancel", "POST, OPTIONS"),
            (Method::POST, "/api/sync/order/X/result", "PUT, OPTIONS"),
            (Method::POST, "/api/sync/orders", "GET, HEAD, OPTIONS"),
            (Method::PATCH, "/api/sync/health", "GET, HEAD, OPTIONS"),
        ] {
            let answer = desk.call(request(method.clone(), path, "")).await;
            problem(&answer, 405, path);
            assert_eq!(answer.headers()["allow"], allowed, "{method} {path}");
        }
    });
}

#[test]
fn a_bad_idempotency_key_is_refused() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        for key in [String::new(), "x".repeat(256)] {
            problem(&desk.post_under(&key, order("tea", 1, "1.00")).await, 400, &key);
        }
        let mut twice = request(Method::POST, "/api/orders", order("tea", 1, "1.00"));
        for key in ["one", "two"] {
            twice.headers_mut().append("idempotency-key", key.parse().expect("a header value"));
        }
        problem(&desk.call(twice).await, 400, "two keys");
        assert_eq!(desk.post_under(&"x".repeat(255), order("tea", 1, "1.00")).await.status(), 201);
    });
}
