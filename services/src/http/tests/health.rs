//! `/livez` and `/readyz`.

use super::*;
use crate::http::health::{self, Readiness};

#[tokio::test]
async fn readiness_shows_every_check_in_order_and_503_when_one_fails() {
    let readyz = health::readyz(|app: Arc<bool>| async move {
        let store: Result<&str, &str> = if *app { Ok("open") } else { Err("disk full") };
        Readiness::new().check("store", store).check("bus", Ok::<_, &str>("connected"))
    });
    let edge = Router::new(Arc::new(false)).resource(readyz).into_edge();
    let response = in_process::call(&edge, request(Method::GET, "/readyz")).await;
    let shown = problem(&response, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((&shown["ready"], &shown["detail"]), (&Value::Bool(false), &"not ready: store".into()));
    let checks = r#""checks":{"store":{"ok":false,"detail":"disk full"},"bus":{"ok":true,"detail":"connected"}}"#;
    assert!(String::from_utf8_lossy(response.body()).contains(checks), "{shown}");
}

#[test]
fn ready_means_that_every_check_is_ok() {
    let ready = Readiness::new().check("bus", Ok::<_, &str>("connected"));
    assert!(Readiness::new().is_ready() && ready.is_ready());
    assert!(!ready.check("store", Err::<&str, _>("disk full")).is_ready());
}
